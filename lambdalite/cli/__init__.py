"""The command line: ``lambdalite invoke | doctor | demo``.

Answers go to standard output and nothing else does; logs and remarks go to standard error. Exit status: 0 done, 1 the
function failed, 2 the command was wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EPILOG = """examples:
  lambdalite invoke shop.orders:paid -e event.json
  echo '{"n": 1}' | lambdalite invoke handlers.py:double -e - --timeout 2
  lambdalite doctor --isolation strict
  lambdalite demo
"""


def parser() -> argparse.ArgumentParser:
    """The whole grammar."""
    from lambdalite import __version__

    made = argparse.ArgumentParser(
        prog="lambdalite",
        description="AWS Lambda as a pure-Python library: run handlers with their limits enforced.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--version", action="version", version=f"lambdalite {__version__}")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_invoke(commands.add_parser("invoke", help="run a handler once: its answer alone on standard output"))
    doctor = commands.add_parser("doctor", help="what is enforced on this machine, how, and what is not")
    doctor.add_argument("--isolation", choices=("process", "strict", "inline"), help="one tier only")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    demo = commands.add_parser("demo", help="a tour in ten seconds: a thumbnail, a hang, a hog, a crash, the bill")
    demo.add_argument("--output", metavar="DIR", help="write the picture and its thumbnail there")
    return made


def _add_invoke(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Run a handler once. FUNCTION is module:function, path/to/file.py:function, or a handler string such as "
        "module.function. If it is decorated with lambdalite, its own configuration counts, and options change it."
    )
    command.add_argument("function", metavar="FUNCTION")
    command.add_argument("-e", "--event", metavar="FILE", help="the event as JSON; - for standard input; {} if left out")
    command.add_argument("--memory", type=int, metavar="MIB")
    command.add_argument("--timeout", type=float, metavar="SECONDS")
    command.add_argument("--isolation", choices=("process", "strict", "inline"))
    command.add_argument("--cpu", choices=("off", "aws"))
    command.add_argument("--client-context", metavar="JSON")
    command.add_argument("-q", "--quiet", action="store_true", help="no log on standard error")
    command.add_argument("--report", action="store_true", help="the report as JSON on standard error, instead of the log")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    options = parser().parse_args(argv)
    from importlib import import_module

    from lambdalite.errors import LambdaliteError

    try:
        status = import_module(f"lambdalite.cli.{options.command}").run(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone; there is nobody left to tell
        sys.stderr.close()
        return 1
    except LambdaliteError as error:
        print(f"lambdalite: {error}", file=sys.stderr)
        return 2
    return int(status)
