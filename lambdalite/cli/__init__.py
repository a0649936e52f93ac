"""The command line: ``lambdalite invoke | run | queue | doctor | demo``.

Answers go to standard output and nothing else does; logs and remarks go to standard error. Exit status: 0 done, 1 the
function failed (or a scene of the demo, or the tier that doctor was asked about; or it was too late to cancel), 2 the
request was refused, 74 standard output is full or closed, 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EPILOG = """examples:
  lambdalite invoke shop.orders:paid -e event.json
  echo '{"n": 1}' | lambdalite invoke handlers.py:double -e - --timeout 2
  lambdalite run shop.jobs:app --store jobs.db
  lambdalite queue --store jobs.db list --state failed
  lambdalite doctor --isolation strict
  lambdalite demo
"""

_INVOKE = """Run a handler once. Its answer, or AWS's error document, goes to standard output; everything else goes to
standard error. The exit status is 0 for an answer, 1 if the function failed, 2 if the request was refused.

FUNCTION is module:function, path/to/file.py:function, or a handler string as on AWS, such as package.module.function.
If it is decorated with lambdalite, its own configuration counts, and options change it."""

_INVOKE_EXAMPLES = """examples:
  lambdalite invoke shop.orders:paid -e event.json
  lambdalite invoke src/handlers.py:resize -e event.json --memory 512 --timeout 10
  echo '{"n": 1}' | lambdalite invoke handlers.double -e - --quiet | jq .
  lambdalite invoke shop.orders:paid --json-report 2>report.json
"""

_RUN_EXAMPLES = """examples:
  lambdalite run shop.jobs:app
  lambdalite run shop.jobs --store jobs.db --grace 60
"""

_QUEUE_EXAMPLES = """examples:
  lambdalite queue --store jobs.db stats
  lambdalite queue --store jobs.db list --state failed --json | jq .request_id
  lambdalite queue --store jobs.db redrive --function charge
  LAMBDALITE_STORE=jobs.db lambdalite queue peek 4a7c61a4-6a2c-4f0c-9be4-0b0d8d9c2a11
"""

_DOCTOR_EXAMPLES = """examples:
  lambdalite doctor
  lambdalite doctor --isolation strict || echo 'no strict isolation here'
  lambdalite doctor --json | jq '.tiers.process.limits.memory'
"""

_DEMO_EXAMPLES = """examples:
  lambdalite demo
  lambdalite demo --output pictures
"""


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    from lambdalite import __version__, limits
    from lambdalite.cli.queue_arguments import add_arguments as add_queue

    made = argparse.ArgumentParser(
        prog="lambdalite",
        description="AWS Lambda as a pure-Python library: run handlers with their limits enforced.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"lambdalite {__version__}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_invoke(
        _command(commands, "invoke", "run a handler once: its answer alone on standard output", _INVOKE_EXAMPLES)
    )
    serve = _command(commands, "run", "serve an App's queue and schedules until told to stop", _RUN_EXAMPLES)
    serve.add_argument("app", metavar="MODULE[:APP]", help="where the App is; APP may be left out if there is one only")
    serve.add_argument("--store", metavar="FILE", help="keep events and schedules there, whatever the App says")
    serve.add_argument(
        "--grace", type=float, default=limits.STOP_GRACE, metavar="SECONDS",
        help=f"how long what is under way may take at the end; {limits.STOP_GRACE:g} if left out",
    )  # fmt: skip
    serve.add_argument("-q", "--quiet", action="store_true", help="no logs of handlers")
    add_queue(_command(commands, "queue", "look into a store and put it in order", _QUEUE_EXAMPLES))
    doctor = _command(
        commands, "doctor", "what is enforced on this machine, how, and what to do to get more", _DOCTOR_EXAMPLES
    )
    doctor.add_argument(
        "--isolation", choices=("process", "strict", "inline"), help="one tier only; 1 if it is not available"
    )
    doctor.add_argument("--json", action="store_true", help="as JSON")
    demo = _command(
        commands, "demo", "a tour in seconds: a thumbnail, a hang, a hog, a crash, the bill", _DEMO_EXAMPLES
    )
    demo.add_argument("--output", metavar="DIR", help="write the picture and its thumbnail there")
    return made


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, examples: str
) -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    return commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=examples, formatter_class=plain
    )


def _add_invoke(command: argparse.ArgumentParser) -> None:
    command.description = _INVOKE
    command.add_argument("function", metavar="FUNCTION")
    command.add_argument(
        "-e", "--event", metavar="FILE", help="the event as JSON; - for standard input; {} if left out"
    )
    command.add_argument("--memory", type=int, metavar="MIB", help="128 to 10240; 128 if nobody says")
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="0.001 to 900; 3 if nobody says")
    command.add_argument("--isolation", choices=("process", "strict", "inline"))
    command.add_argument("--cpu", choices=("off", "aws"), help="aws: memory/1769 of a vCPU; off: full speed")
    command.add_argument(
        "--reuse", action=argparse.BooleanOptionalAction, help="run it as functions that keep environments warm"
    )
    command.add_argument("--client-context", metavar="JSON", help="for context.client_context")
    log = command.add_mutually_exclusive_group()
    log.add_argument("--log-tail", action="store_true", help="show what it prints as it comes, not afterwards")
    log.add_argument("-q", "--quiet", action="store_true", help="no log")
    log.add_argument("--json-report", action="store_true", help="instead of the log, the REPORT line's facts as JSON")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    try:
        return _main(argv)
    except KeyboardInterrupt:  # also while arguments are read
        return 130  # 128 + SIGINT, as shells count


def _main(argv: Sequence[str] | None) -> int:
    from lambdalite.cli import streams

    if not streams.open_standard_streams():
        return streams.lose("it is closed")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow that the terminal does not know ends nothing
    try:
        return _obey(argv)
    except BrokenPipeError:  # the reader of our output has gone
        streams.close_stdout()
        return 1
    except OSError as error:
        if not streams.is_lost(error):
            raise
        return streams.lose(error.strerror or str(error))


def _obey(argv: Sequence[str] | None) -> int:
    try:
        options = parser().parse_args(argv)
    except SystemExit:
        sys.stdout.flush()  # of --help and --version
        raise
    from lambdalite.errors import FunctionError, LambdaliteError

    try:
        return _run(options)
    except LambdaliteError as error:
        print(f"lambdalite: {error}", file=sys.stderr)
        return 1 if isinstance(error, FunctionError) else 2


def _run(options: argparse.Namespace) -> int:
    from importlib import import_module

    status = import_module(f"lambdalite.cli.{options.command}").run(options)
    sys.stdout.flush()  # here, where a reader that has gone and a full disk are expected
    return int(status)
