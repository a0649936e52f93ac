"""Fires schedules: each instant once, whatever hosts share the store, and what was missed by the schedule's own policy.

How far a schedule has come is in the store, and its events are stored in the same transaction that advances it: whoever
comes second finds it advanced. So it does not matter which host looks, or how many.
"""

from __future__ import annotations

import json
import threading
import uuid
from typing import TYPE_CHECKING, Any

import attrs

from lambdalite.errors import ResourceConflict, UsageError
from lambdalite.model.queued import QueuedEvent, invocation_lane
from lambdalite.names import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambdalite.engine.queue import Queue
    from lambdalite.model.function import Version
    from lambdalite.schedules import Schedule

__all__ = ["Entry", "Timetable"]

_NAMESPACE = uuid.UUID("6f1d7c1e-6f0b-5d0f-9c39-5b6f3d1f4a52")  # ours alone: the same firing has the same id everywhere
_AT_ONCE = 1_000  # O: missed instants stored in one transaction; the rest follow in the next


@attrs.define(eq=False, repr=False)
class Entry:
    """A schedule and the function that it invokes.

    Attributes:
        schedule: when.
        function: the function's name.
        last: up to which instant it has been dealt with, seconds since the epoch; None: the store was not asked yet.
        next: the next instant; None if there is none, or ``last`` is not known yet.
    """

    schedule: Schedule
    function: str
    last: float | None = None
    next: float | None = None

    def __repr__(self) -> str:
        coming = "" if self.next is None else f", next at {timestamp(self.next)}"
        return f"<Entry {self.schedule.name} {self.schedule.expression.text} → {self.function}{coming}>"

    def upcoming(self, count: int = 5, after: float | None = None) -> tuple[float, ...]:
        """The next instants after ``after`` (by default after the last one dealt with), seconds since the epoch."""
        from lambdalite.schedules import upcoming

        since = self.last if after is None else after
        if since is None:
            raise UsageError(f"schedule {self.schedule.name} has not started: say after which moment, after=")
        return tuple(upcoming(self.schedule, since, count))


class Timetable:
    """The schedules of one App. `fire` is called by one thread at a time; everything else from any.

    Args:
        queue: where its events go.
        functions: name → version, as it stands now.
        region: for the events.
        account: for the events.
    """

    def __init__(self, queue: Queue, functions: Callable[[], Mapping[str, Version]], region: str, account: str) -> None:
        self._queue, self._functions, self._region, self._account = queue, functions, region, account
        self._lock = threading.Lock()  # for writers of _entries, which is replaced as a whole
        self._entries: tuple[Entry, ...] = ()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of them, in order of name."""
        return tuple(sorted(self._entries, key=lambda entry: entry.schedule.name))

    def add(self, schedule: Schedule, function: str) -> None:
        """Invoke a function by a schedule, from the next `fire` on.

        Raises:
            ResourceConflict: the name is taken by another schedule.
        """
        with self._lock:
            same = [entry for entry in self._entries if entry.schedule.name == schedule.name]
            if any(entry.function != function for entry in same):
                raise ResourceConflict(f"Schedule {schedule.name} already exists: give this one another name=")
            # Of the same function: a notebook cell run again, or a module reloaded. The new one counts.
            self._entries = (*(entry for entry in self._entries if entry not in same), Entry(schedule, function))

    def remove(self, function: str) -> None:
        """Forget the schedules of a function that is removed."""
        with self._lock:
            self._entries = tuple(entry for entry in self._entries if entry.function != function)

    def next_due(self) -> float | None:
        """The earliest instant at which something fires, as far as is known."""
        return min((entry.next for entry in self._entries if entry.next is not None), default=None)

    def fire(self, now: float) -> None:
        """Store the events of everything that is due, and of what was missed.

        Raises:
            ServiceException: the store cannot take them; nothing has fired, and the next call tries again.
        """
        for entry in self._entries:
            if entry.last is None:
                self._meet(entry, now)
            if entry.next is not None and entry.next <= now:
                self._fire(entry, now)

    def _meet(self, entry: Entry, now: float) -> None:
        """Learn how far a schedule has come; one that is new to the store begins now."""
        store, name = self._queue.store, entry.schedule.name
        last = store.fired(name)
        if last is None:
            last = now if store.fire(name, None, now, ()) else store.fired(name)
        elif not entry.schedule.enabled and store.fire(name, last, now, ()):
            last = now  # what passes while it is disabled is not missed
        self._advance(entry, now if last is None else last)

    def _advance(self, entry: Entry, last: float) -> None:
        from lambdalite.schedules import next_after

        entry.last, entry.next = last, next_after(entry.schedule, last)

    def _fire(self, entry: Entry, now: float) -> None:
        from lambdalite.schedules import due

        version = self._functions().get(entry.function)
        if version is None:  # it is being removed, and its schedules are next
            entry.last = entry.next = None
        if entry.last is None or version is None:
            return
        found = due(entry.schedule, entry.last, now, _AT_ONCE)
        events = [self._event(entry.schedule, version, instant, now) for instant in found.fire]
        store, name = self._queue.store, entry.schedule.name
        if store.fire(name, entry.last, found.until, events):
            self._queue.accepted(events)
            self._advance(entry, found.until)
        else:  # another host was quicker
            last = store.fired(name)
            self._advance(entry, now if last is None else last)

    def _event(self, schedule: Schedule, version: Version, instant: float, now: float) -> QueuedEvent:
        from lambdalite.schedules import jitter

        name = f"{schedule.name}/{instant!r}"
        request_id = str(uuid.uuid5(_NAMESPACE, name))
        due = instant + jitter(schedule, instant)
        return QueuedEvent(
            request_id=request_id,
            lane=invocation_lane(version.name),
            function=version.name,
            payload=self._payload(schedule, instant, request_id),
            accepted_at=now,
            due=due,
            not_before=due,
            arn=version.arn,
            maximum_retry_attempts=schedule.maximum_retry_attempts,
            maximum_event_age=schedule.maximum_event_age,
            source=f"schedule:{schedule.name}",
        )

    def _payload(self, schedule: Schedule, instant: float, request_id: str) -> bytes:
        """EventBridge's event of a schedule, unless the schedule brings its own input."""
        if schedule.input is not None:
            return schedule.input
        event: dict[str, Any] = {
            "version": "0",
            "id": request_id,
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": self._account,
            "time": f"{timestamp(instant)[:19]}Z",
            "region": self._region,
            "resources": [f"arn:aws:events:{self._region}:{self._account}:rule/{schedule.name}"],
            "detail": {},
        }
        return json.dumps(event, separators=(",", ":")).encode()

    def after_fork(self) -> None:
        """In a forked child of the host: what the store says counts, not what the parent knew of it."""
        self._lock = threading.Lock()
        for entry in self._entries:
            entry.last = entry.next = None
