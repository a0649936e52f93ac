"""The grammar of ``lambdalite queue``; apart from what it does, so that ``--help`` loads none of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["STATES", "VARIABLE", "add_arguments"]

#: The names of `State`, for people.
STATES = ("ready", "waiting", "blocked", "running", "succeeded", "failed", "cancelled")
#: Environment variable that says which store, where ``--store`` does not.
VARIABLE = "LAMBDALITE_STORE"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The grammar of ``lambdalite queue``."""
    command.add_argument("--store", metavar="FILE", help=f"the store; ${VARIABLE} if left out")
    verbs = command.add_subparsers(dest="verb", metavar="VERB", required=True)
    one = verbs.add_parser("stats", help="how many events are where")
    _add_which(one, state=False)
    one = verbs.add_parser("list", help="events in order of acceptance")
    _add_which(one)
    one.add_argument("--records", action="store_true", help="what is on its way to destinations, instead of events")
    one.add_argument("--limit", type=_count, default=50, metavar="N", help="at most so many; 50 if left out")
    one.add_argument("--after", type=int, default=0, metavar="N", help="beyond this sequence number")
    for verb, text in (
        ("peek", "everything about one event, payload and last answer included"),
        ("cancel", "take back an event that is not running"),
        ("retry", "run a waiting event now"),
    ):
        one = verbs.add_parser(verb, help=text)
        one.add_argument("request_id", metavar="REQUEST_ID")
        one.add_argument("--json", action="store_true", help="as JSON")
    one = verbs.add_parser("redrive", help="take failed events up again, as if they had just been sent")
    one.add_argument("request_id", metavar="REQUEST_ID", nargs="?", help="one of them; all if left out")
    _add_which(one, state=False)
    one = verbs.add_parser("purge", help="forget events that are not running")
    _add_which(one)
    one.add_argument("--yes", action="store_true", help="do it; without this it only says how many there are")


def _count(text: str) -> int:
    import argparse

    try:
        found = int(text)
    except ValueError:
        found = 0
    if found < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 up, not {text!r}")
    return found


def _add_which(command: argparse.ArgumentParser, *, state: bool = True) -> None:
    command.add_argument("--function", metavar="NAME", help="of this function only")
    if state:
        command.add_argument("--state", choices=STATES, help="in this state only")
    command.add_argument("--json", action="store_true", help="as JSON")
