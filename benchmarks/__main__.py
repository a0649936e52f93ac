"""``python -m benchmarks``: run them all and print one table of ratios. See README.md beside this file."""

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SUITES = ("invoke", "cold", "faults", "queue", "scale")
LONGEST = 1800  # seconds for one suite


def _suite(suite, *, quick):
    """One suite in a process of its own: peers leave threads behind, and a host with threads must not fork."""
    print(f"{suite}:", file=sys.stderr)
    with tempfile.NamedTemporaryFile(suffix=".json") as rows:
        command = [
            sys.executable,
            "-m",
            "benchmarks",
            "--only",
            suite,
            "--rows",
            rows.name,
            *(["--quick"] if quick else []),
        ]
        # A session of its own, so that its pools' processes go with it, however it ends.
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            status = started.wait(LONGEST)
        except subprocess.TimeoutExpired:
            return [(f"suite {suite}", f"did not finish within {LONGEST} s", "", "", "", "", "NO")]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()
        if status:
            return [(f"suite {suite}", f"ended with status {status}", "", "", "", "", "NO")]
        return json.loads(Path(rows.name).read_text())


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a minute instead of several")
    parser.add_argument("--only", choices=SUITES, action="append", help="one suite (may be repeated)")
    parser.add_argument("--output", metavar="FILE", help="write the table there as well, as Markdown")
    parser.add_argument("--rows", help=argparse.SUPPRESS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through the `finally`s, so that nothing is left behind
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        import compileall

        sys.dont_write_bytecode = False
        for folder in ("lambdalite", "benchmarks"):
            compileall.compile_dir(str(Path(__file__).parent.parent / folder), quiet=1)
    from benchmarks.measure import Table

    table = Table()
    if options.rows:
        from importlib import import_module

        import_module(f"benchmarks.bench_{options.only[0]}").run(table, quick=options.quick)
        Path(options.rows).write_text(json.dumps(table.rows))
        return
    for suite in options.only or SUITES:
        table.rows += _suite(suite, quick=options.quick)
    machine = (
        f"{os.cpu_count()} processors, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )
    text = f"{machine}{', quick' if options.quick else ''}\n\n{table.markdown()}\n"
    print(text)
    if options.output:
        Path(options.output).write_text(f"# Results of one run\n\n{text}")


if __name__ == "__main__":
    main()
