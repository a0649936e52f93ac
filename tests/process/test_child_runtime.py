"""The runtime in a fresh interpreter: what it imports, when, and what that leaves behind."""

# Helpers speak for themselves, and `expected == actual` is the order of the house.

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from lambdalite.workers import code

ROOT = str(Path(__file__).parents[2])
PARTS = "context, faults, handler, logs, marshal, snapshot"


def run(text: Any, *args: Any, cwd: Any = None) -> Any:
    """What a fresh interpreter prints; like a child, it has our package and the standard library."""
    script = (
        f"import sys; sys.path.insert(0, {ROOT!r})\nfrom lambdalite.runtime import {PARTS}\n{textwrap.dedent(text)}"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, *args], capture_output=True, text=True, cwd=cwd, timeout=30, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_the_runtime_imports_next_to_nothing() -> None:
    """A cold start pays for what the handler uses, and not for what we might."""
    heavy = (
        "asyncio attr anyio cloudpickle psutil logging inspect dataclasses traceback threading importlib.util typing"
    )

    assert "[]\n" == run(f"print([name for name in {heavy.split()} if name in sys.modules and name != 'typing'])")


def test_logging_is_set_up_when_the_handler_imports_it() -> None:
    """A handler that imports logging only when it is called finds it as AWS's runtime leaves it."""
    printed = run(
        """
        logs.configure({"log_format": "Text"})
        logs.begin("id-1")
        def handle(event, context):
            import logging
            logging.getLogger().setLevel("INFO")
            logging.info("late")
            return type(logging.__spec__.loader).__name__, len(logging.getLogger().handlers)
        print(handler.call(handle, None, None))
        print(any("lambdalite" in type(finder).__module__ for finder in sys.meta_path))
        """
    ).splitlines()

    assert printed[0].startswith("[INFO]\t")
    assert printed[0].endswith("\tid-1\tlate")
    assert ["('SourceFileLoader', 1)", "False"] == printed[1:]


def test_logging_is_set_up_when_a_library_imports_it_first() -> None:
    """Through a package that imports it, and by way of its submodules."""
    printed = run(
        """
        logs.configure({"log_format": "JSON"})
        logs.begin("id-1")
        import logging.handlers
        logging.getLogger("x").info("hello")
        """
    )

    assert ("hello", "id-1") == tuple(json.loads(printed)[key] for key in ("message", "requestId"))


def test_a_quiet_process_is_safe_to_fork_from() -> None:
    """Importing what most handlers import leaves nothing that a fork would share."""
    printed = run(
        """
        snapshot.mark()
        import asyncio, concurrent.futures, decimal, http.client, logging, random, socket, sqlite3, ssl, uuid
        print(snapshot.unsafe())
        """
    )

    assert "None\n" == printed


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ("import threading; threading.Thread(target=threading.Event().wait, name='poll', daemon=True).start()",
         "init left a thread running: 'poll' (Thread)"),
        ("import _thread, time; _thread.start_new_thread(time.sleep, (60,))", "(not started by Python)"),
        ("import subprocess; p = subprocess.Popen(['sleep', '60'])", "init left a child process running: "),
        ("import asyncio; loop = asyncio.new_event_loop()", "init left "),
        ("import socket; s = socket.socketpair()", "init left a socket ("),
    ],
)  # fmt: skip
def test_what_init_leaves_behind_is_named(init: Any, reason: Any) -> None:
    """The user learns what keeps the function from being snapshotted."""
    printed = run(
        f"""
        import os, signal
        snapshot.mark()
        {init}
        print(snapshot.unsafe())
        sys.stdout.flush()
        if "p" in globals():
            p.kill()
        os._exit(0)
        """
    )

    assert reason in printed


def test_a_forked_process_has_random_numbers_of_its_own() -> None:
    """Even if the module seeded its generator."""
    printed = run(
        """
        import os, random
        random.seed(1)
        for _ in range(2):
            sys.stdout.flush()
            if not os.fork():
                snapshot.reseed()
                print(random.random(), flush=True)
                os._exit(0)
            os.wait()
        """
    ).split()

    assert 2 == len(set(printed))


ARRIVE = """
import json
sys.path[:] = json.loads(sys.argv[1])
import lambdalite.runtime
lambdalite.runtime.IN_CHILD = True
found = handler.load(json.loads(sys.argv[2]), bytes.fromhex(sys.argv[3]))
print(json.dumps(handler.call(found, 4, None)))
"""


def arrive(callable_: Any) -> Any:
    """A handler's answer to the event 4, in another interpreter."""
    found = code.locate(callable_)
    return json.loads(run(ARRIVE, json.dumps(code.search_path()), json.dumps(found.meta), found.blob.hex()))


def helper(event: Any) -> Any:
    return event + 1


def by_name(event: Any, context: Any) -> Any:
    return helper(event)


@pytest.mark.slow
def test_a_function_of_a_test_module_arrives_by_name() -> None:
    """Whatever the import mode of the test runner: the file settles it."""
    assert 5 == arrive(by_name)


@pytest.mark.slow
def test_a_function_nested_in_a_test_arrives_by_value() -> None:
    """With its variables and the module's functions that it uses."""
    factor = 10

    def nested(event: Any, context: Any) -> Any:
        return helper(event) * factor

    assert 50 == arrive(nested)


SCRIPT = f"""
import functools, json, subprocess, sys, threading
sys.path.insert(0, {ROOT!r})
from lambdalite.workers import code

LOCK = threading.Lock()

def simple(event, context):
    return event + 1

def locked(event, context):
    with LOCK:
        return [event, __name__]

async def later(event, context):
    return simple(event, context)

class Box:
    def __init__(self, n): self.n = n
    def __call__(self, event, context): return event * self.n

if __name__ == "__main__":
    for each in (simple, locked, later, Box(3), functools.partial(lambda n, event, context: event - n, 1)):
        found = code.locate(each)
        args = [json.dumps(code.search_path()), json.dumps(found.meta), found.blob.hex()]
        done = subprocess.run([sys.executable, "-I", "-c", ARRIVE, *args], capture_output=True, text=True)
        print(found.kind, (done.stdout or done.stderr).strip())
"""


@pytest.mark.slow
def test_functions_of_a_script_arrive(tmp_path: Any) -> None:
    """By value if they can, else by running the script again, whose main guard holds."""
    prelude = f"import sys; sys.path.insert(0, {ROOT!r})\nfrom lambdalite.runtime import handler\n{ARRIVE}"
    (tmp_path / "script.py").write_text(f"ARRIVE = {prelude!r}\n{SCRIPT}")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert ["pickle 5", 'main [4, "__mp_main__"]', "pickle 5", "pickle 12", "pickle 3"] == done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_functions_of_a_test_module_arrive_under_both_import_modes(tmp_path: Any, mode: Any) -> None:
    """A test module beside a helper module, in a directory that no path knows."""
    folder = tmp_path / "suite" / "unit"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "near.py").write_text("VALUE = 7")
    lines = [
        "import json, subprocess, sys",
        "from lambdalite.workers import code",
        "from . import near",
        f"ROOT, ARRIVE = {ROOT!r}, {ARRIVE!r}",
        "PRELUDE = f'import sys; sys.path.insert(0, {ROOT!r})\\nfrom lambdalite.runtime import handler\\n'",
        "def handle(event, context): return near.VALUE + event",
        "def arrive(each):",
        "    found = code.locate(each)",
        "    args = [json.dumps(code.search_path()), json.dumps(found.meta), found.blob.hex()]",
        "    run = [sys.executable, '-I', '-c', PRELUDE + ARRIVE, *args]",
        "    return found.kind, subprocess.run(run, capture_output=True, text=True, check=True).stdout",
        "def test_by_name(): assert ('reference', '11\\n') == arrive(handle)",
        "def test_by_value(): assert ('pickle', '22\\n') == arrive(lambda event, context: handle(event, context) * 2)",
    ]
    (folder / "test_there.py").write_text("\n".join(lines))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--import-mode={mode}", "suite"]
    env = {"PYTHONPATH": ROOT, "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, check=False)

    assert "2 passed" in done.stdout, done.stdout
