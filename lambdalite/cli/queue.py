"""``lambdalite queue``: look into a store and put it in order, while applications work on it."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lambdalite.cli.queue_arguments import VARIABLE
from lambdalite.clock import wall
from lambdalite.errors import UsageError
from lambdalite.model.queued import State
from lambdalite.observe.lines import printable
from lambdalite.observe.table import table
from lambdalite.store import open_store

if TYPE_CHECKING:
    import argparse

    from lambdalite.model.queued import QueuedEvent
    from lambdalite.store.interface import Store

__all__ = ["run"]


def run(options: argparse.Namespace) -> int:
    """Do one thing with a store; 0 if it was done, 1 if it was too late for it."""
    where = options.store or os.environ.get(VARIABLE)
    if not where:
        raise UsageError(f"say which store: lambdalite queue --store FILE {options.verb}, or set {VARIABLE}")
    if not Path(where).exists():  # opening would make one
        raise UsageError(f"there is no store {where}")
    store = open_store(where, durability="power-loss")
    try:
        return int(_VERBS[options.verb](store, options))
    finally:
        store.close()


# --- looking ------------------------------------------------------------------------------------------------------


def _stats(store: Store, options: argparse.Namespace) -> int:
    counts = store.statistics(options.function)
    found = {**attrs.asdict(counts), "pending": counts.pending}
    if options.json:
        print(json.dumps(found))
        return 0
    for name in ("next_due", "oldest"):
        found[name] = _when(found[name])
    rows = [(name.replace("_", " "), str(value)) for name, value in found.items()]
    print(table([("events", ""), *rows], left=1))
    return 0


def _list(store: Store, options: argparse.Namespace) -> int:
    state = None if options.state is None else State[options.state.upper()]
    found = store.list(
        function=options.function, state=state, records=options.records, limit=options.limit, after=options.after
    )
    if options.json:
        for event in found:
            print(json.dumps(_plain(event)))
        return 0
    rows = [("sequence", "request id", "function", "state", "attempts", "due", "accepted", "last failure")]
    rows += [
        (
            str(event.sequence), printable(event.request_id), event.function, event.state.name.lower(),
            str(event.attempts), _when(event.due), _when(event.accepted_at), event.condition or event.failure,
        )
        for event in found
    ]  # fmt: skip
    if found:
        print(table(rows, left=0))
    if len(found) == options.limit:
        print(f"… more with --after {found[-1].sequence}", file=sys.stderr)
    elif not found:
        print("no events", file=sys.stderr)
    return 0


def _peek(store: Store, options: argparse.Namespace) -> int:
    event = _find(store, options.request_id)
    found = _plain(event)
    if options.json:
        print(json.dumps(found))
        return 0
    for name, value in found.items():
        if name in _TIMES:
            found[name] = _when(value)
        elif isinstance(value, (dict, list)):
            found[name] = json.dumps(value)
    print("\n".join(f"{name.replace('_', ' '):24}{printable(str(value))}".rstrip() for name, value in found.items()))
    return 0


# --- putting in order ---------------------------------------------------------------------------------------------


def _cancel(store: Store, options: argparse.Namespace) -> int:
    event = _find(store, options.request_id)
    return _done(options, store.cancel(event.request_id, wall()), "cancelled", f"it is {event.state.name.lower()}")


def _retry(store: Store, options: argparse.Namespace) -> int:
    event = _find(store, options.request_id)
    done = store.retry_now(event.request_id, wall())
    return _done(options, done, "due now", f"it does not wait: it is {event.state.name.lower()}")


def _redrive(store: Store, options: argparse.Namespace) -> int:
    if options.request_id is not None:
        if options.function is not None:
            raise UsageError("redrive takes one event by its id, or all of a function: not both")
        _find(store, options.request_id)
    count = store.redrive(wall(), function=options.function, request_id=options.request_id)
    print(json.dumps({"redriven": count}) if options.json else f"{count} failed events are in the queue again")
    return 0 if count or options.request_id is None else 1


def _purge(store: Store, options: argparse.Namespace) -> int:
    state = None if options.state is None else State[options.state.upper()]
    if state is State.RUNNING:
        raise UsageError("running events are not purged: wait until they are over, or stop who runs them")
    if not options.yes:
        counts = store.statistics(options.function)
        count = counts.pending + counts.succeeded + counts.failed + counts.cancelled - counts.running
        count = count if state is None else getattr(counts, state.name.lower())
        print(f"this would forget {count} events for good; say --yes to do it", file=sys.stderr)
        return 1
    count = store.purge(function=options.function, state=state)
    print(json.dumps({"purged": count}) if options.json else f"{count} events are forgotten")
    return 0


def _done(options: argparse.Namespace, done: bool, said: str, why: str) -> int:
    if options.json:
        print(json.dumps({"done": done}))
    else:
        print(f"{options.request_id}: {said if done else why}", file=sys.stdout if done else sys.stderr)
    return 0 if done else 1


def _find(store: Store, request_id: str) -> QueuedEvent:
    found = store.get(request_id)
    if found is None:
        raise UsageError(f"there is no event {request_id} in this store")
    return found


_VERBS = {
    "stats": _stats,
    "list": _list,
    "peek": _peek,
    "cancel": _cancel,
    "retry": _retry,
    "redrive": _redrive,
    "purge": _purge,
}
_TIMES = ("accepted_at", "due", "not_before", "lease_until", "finished_at")


def _plain(event: QueuedEvent) -> dict[str, Any]:
    """An event as JSON can say it: payloads that are JSON as what they say, others in base64."""
    found = attrs.asdict(event)
    found["state"] = event.state.name.lower()
    for name in ("payload", "answer"):
        try:
            found[name] = json.loads(found[name]) if found[name] else None
        except ValueError:
            found[name] = {"base64": base64.b64encode(found[name]).decode()}
    return found


def _when(at: float | None) -> str:
    """Local time, to the second."""
    if not at:
        return "-"
    return f"{dt.datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
