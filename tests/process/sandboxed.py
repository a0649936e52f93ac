"""guardian → zygote → template → environments, without the rest of lambdalite: runs attacks and prints what came of them.

Started by the tests in a fresh interpreter: python -I sandboxed.py JSON. Standard library and lambdalite.runtime only.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main(wish: dict[str, Any]) -> None:
    """Print {"report": …, "applied": …, "results": {attack: …}, "left": processes left}."""
    sys.path[:0] = [wish["package"], os.path.dirname(os.path.abspath(__file__))]
    from lambdalite.runtime import linux, sandbox

    if "abi" in wish:  # an older kernel, as far as we ask it
        linux.landlock.abi = lambda: wish["abi"]  # type: ignore[method-assign]
    pid, report = sandbox.fork_zygote({"namespaces": wish["namespaces"]})
    if pid:
        status = os.waitpid(pid, 0)[1]
        sys.exit(os.waitstatus_to_exitcode(status))
    try:
        answer = {"report": report, "zygote": os.getpid(), **_in_child(lambda: template(wish))}
        answer["left"] = sandbox.sweep(())
    except BaseException as error:
        answer = {"error": repr(error)}
    print(json.dumps(answer), flush=True)
    os._exit(0)


def template(wish: dict[str, Any]) -> dict[str, Any]:
    """Everything that one function's template does."""
    import attacks

    from lambdalite.runtime import sandbox

    try:
        plan = sandbox.prepare(wish["tier"], wish["options"])
    except sandbox.SandboxUnavailable as error:
        return {"unavailable": error.missing, "text": str(error)}
    sandbox.enter_template(plan)
    for name, content in wish.get("init", {}).items():
        with open(name, "w") as file:
            file.write(content)
    results: dict[str, Any] = {}
    applied: dict[str, Any] = {}

    def environment(name: str) -> dict[str, Any]:
        found = sandbox.enter_environment(plan)
        return {"applied": found, "result": attacks.run(name, wish["facts"])}

    for name in wish["attacks"]:
        answer = _in_child(lambda name=name: environment(name), plan)
        applied, results[name] = answer.get("applied", {}), answer.get("result", answer)
    return {"applied": applied, "results": results, "children": sandbox.children()}


def _in_child(work: Any, plan: Any = None) -> dict[str, Any]:
    """What `work` returned in a forked child; {"died": status} if it could not say."""
    from lambdalite.runtime import sandbox

    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        os.setsid()
        text = "{}"
        try:
            text = json.dumps(work())
        except BaseException as error:
            import traceback

            traceback.print_exc()
            text = json.dumps({"error": repr(error)})
        finally:
            with open(write, "w") as file:
                file.write(text + "\n")
            os._exit(0)
    os.close(write)
    with open(read) as file:
        line = file.readline()  # not to the end of file: what is left behind may hold the pipe
    status = os.waitpid(pid, 0)[1]
    sandbox.sweep(())
    if plan is not None:
        sandbox.forget(plan, pid)
    found: dict[str, Any] = json.loads(line) if line else {"died": os.waitstatus_to_exitcode(status)}
    return found


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
