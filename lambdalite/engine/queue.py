"""The asynchronous queue of one App: it accepts events, knows what became of them, and wakes who waits for that.

What runs them is `dispatch`; where they are kept is a `Store`. Thread-safe.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lambdalite import limits, names
from lambdalite.clock import monotonic
from lambdalite.errors import CLOSED, RequestTooLarge, ResourceConflict, UsageError
from lambdalite.model.queued import QueuedEvent, invocation_lane
from lambdalite.observe.events import EventAccepted
from lambdalite.workers.waiting import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lambdalite.clock import Clock
    from lambdalite.model.function import Version
    from lambdalite.model.queued import QueueStatistics, State
    from lambdalite.observe import Observatory
    from lambdalite.store.interface import Store
    from lambdalite.workers.waiting import Plan

__all__ = ["Queue", "Waiter"]


class Waiter:
    """Somebody who waits until an event is over."""

    __slots__ = ("stuck", "turn")

    def __init__(self, deadline: float | None) -> None:
        self.turn = Turn(deadline)
        self.stuck = False  # nothing will happen until somebody moves the clock


class Queue:
    """Events on their way to functions; ``app.queue``.

    Args:
        open_store: called once, on first need.
        clock: what due times and ages are measured by.
        observatory: hears of what is accepted.
        start: called when there is something to do: starts the thread that runs events.
    """

    def __init__(
        self, open_store: Callable[[], Store], clock: Clock, observatory: Observatory, start: Callable[[], None]
    ) -> None:
        self._open_store, self._clock, self._observatory, self._start = open_store, clock, observatory, start
        self._lock = threading.Lock()  # guards everything below
        self._store: Store | None = None
        self._waiters: dict[str, list[Waiter]] = {}
        #: How to make the service look at the waiters again; set while it runs.
        self.poke: Callable[[], None] | None = None
        #: Raises if this thread is one that the service waits for; set while it runs.
        self.check_wait: Callable[[], None] | None = None
        self._closed = False
        self._opening: int | None = None  # the thread that opens the store

    # --- in -------------------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """Where events are kept; opened on first need.

        Raises:
            UsageError: the file is no store of ours, or newer, or damaged; it is left as it is. Or the App is closed.
        """
        found = self._store
        if found is None:
            if self._opening == threading.get_ident():
                raise UsageError(
                    "this thread was interrupted while it opened the store, by a signal handler that uses it too and would"
                    " wait for ever: let that only note what is to be done, and do it afterwards"
                )
            with self._lock:
                found = self._store
                if self._closed:
                    raise UsageError(CLOSED)
                if found is None:
                    found = self._open_once()
        return found

    def _open_once(self) -> Store:
        """Under the lock."""
        try:
            self._opening = threading.get_ident()
            found = self._store = self._open_store()
        finally:
            self._opening = None
        return found

    @property
    def opened(self) -> bool:
        """Has there been need of a store yet?"""
        return self._store is not None

    @property
    def closed(self) -> bool:
        """Is it over?"""
        return self._closed

    def accept(
        self, version: Version, payload: bytes, *, delay: float = 0.0, at: float | None = None, priority: int = 0,
        group: str | None = None, client_context: str | None = None, trace_id: str | None = None,
        maximum_retry_attempts: int | None = None, maximum_event_age: float | None = None,
        request_id: str | None = None, source: str = "",
    ) -> str:  # fmt: skip
        """Keep an event for a function; returns its request id when it is safe.

        Args:
            version: the function; what it is when the event runs counts, not what it is now.
            payload: JSON bytes.
            delay: seconds until it may run, or
            at: the moment, seconds since the epoch.
            priority: higher goes first among those that are due.
            group: events with the same key never run at the same time.
            client_context: JSON text.
            trace_id: X-Ray trace header.
            maximum_retry_attempts: for this event; None: the function's.
            maximum_event_age: for this event, seconds; None: the function's.
            request_id: to make sending it again harmless: a known id is not stored twice.
            source: who sent it.

        Raises:
            RequestTooLarge: over 1 MiB.
            ResourceConflict: the id is that of an event for another function.
            ServiceException: the store cannot take it.
        """
        if len(payload) > limits.EVENT_BYTES:
            raise RequestTooLarge(
                f"Request must be smaller than {limits.EVENT_BYTES} bytes for the InvokeFunction operation"
            )
        now = self._clock.now()
        due = now + delay if at is None else at
        event = QueuedEvent(
            request_id=names.request_id() if request_id is None else request_id, lane=invocation_lane(version.name),
            function=version.name, payload=payload, accepted_at=now, due=due, not_before=due, priority=priority,
            group=group, arn=version.arn, client_context=client_context, trace_id=trace_id,
            maximum_retry_attempts=maximum_retry_attempts, maximum_event_age=maximum_event_age, source=source,
        )  # fmt: skip
        if self.store.put((event,)):
            self.accepted((event,))
        else:
            self._check_taken(event)
        self._start()
        return event.request_id

    def _check_taken(self, event: QueuedEvent) -> None:
        found = self.get(event.request_id)
        if found is not None and found.function != event.function:
            raise ResourceConflict(
                f"request_id {event.request_id} is taken by an event for {found.function}, so nothing was sent to"
                f" {event.function}: give it an id of its own"
            )

    def accepted(self, events: Iterable[QueuedEvent]) -> None:
        """Count events that have just been stored."""
        for event in events:
            self._observatory.metrics.put("AsyncEventsReceived", 1, event.function)
            if self._observatory.observers.active:
                self._observatory.observers.emit(EventAccepted(event.function, event.request_id, event.accepted_at))

    # --- what became of it ----------------------------------------------------------------------------------------

    def get(self, request_id: str) -> QueuedEvent | None:
        """One event as it is now; None if there is none, or it has been forgotten (see the store's retention)."""
        return self.store.get(request_id)

    def find(self, request_id: str) -> QueuedEvent:
        """`get`, of an event that must be there.

        Raises:
            UsageError: there is no such event.
        """
        if not isinstance(request_id, str):
            raise UsageError(f"an event is named by its request id, not by {request_id!r}")
        event = self.store.get(request_id)
        if event is None:
            raise UsageError(f"there is no event {request_id} in this store (any more)")
        return event

    def awaiting(self, request_id: str, timeout: float | None) -> Plan[QueuedEvent | None]:
        """Wait until an event is over.

        Args:
            request_id: which.
            timeout: seconds of real time; None: as long as it takes.

        Returns:
            The event, or None if the time is up.

        Raises:
            UsageError: it is not known; or nothing will happen to it until somebody moves the clock, or the App, which
                has been closed, or this thread is let go on.
        """
        waiter = Waiter(None if timeout is None else monotonic() + timeout)
        with self._lock:
            self._waiters.setdefault(request_id, []).append(waiter)
        try:
            self._start()
            while True:
                if self._closed:
                    raise UsageError(f"the App was closed before event {request_id} was over")
                event = self.find(request_id)
                if event.state.final:
                    return event
                check = self.check_wait
                if check is None:
                    raise UsageError(
                        f"nothing here can tell when event {request_id} is over: the App is closing, or no thread can be"
                        " started any more"
                    )
                check()
                if waiter.stuck:
                    raise UsageError(_stuck(event, self._clock.now()))
                if waiter.turn.deadline is not None and monotonic() >= waiter.turn.deadline:
                    return None
                if self._clock.manual and self.poke is not None:
                    self.poke()
                yield waiter.turn
                waiter.turn = Turn(waiter.turn.deadline) if waiter.turn.given else waiter.turn
        finally:
            with self._lock:
                left = [one for one in self._waiters.get(request_id, ()) if one is not waiter]
                if left:
                    self._waiters[request_id] = left
                else:
                    self._waiters.pop(request_id, None)

    @property
    def awaited(self) -> tuple[str, ...]:
        """Ids that somebody waits for."""
        with self._lock:
            return tuple(self._waiters)

    def over(self, request_id: str) -> None:
        """An event has come to its end: wake who waits for it."""
        if not self._waiters:
            return
        with self._lock:
            found = list(self._waiters.get(request_id, ()))
        for waiter in found:
            waiter.turn.give()

    def waiters(self) -> tuple[Waiter, ...]:
        """Who waits at this moment."""
        with self._lock:
            return tuple(waiter for waiters in self._waiters.values() for waiter in waiters)

    def idle(self, waiters: Iterable[Waiter]) -> None:
        """Nothing happens until somebody moves the clock: say so to those who waited before that was looked into.

        Not to those who came since: what they wait for may have been stored since, too.
        """
        for waiter in waiters:
            waiter.stuck = True
            waiter.turn.give()

    # --- looking after it -----------------------------------------------------------------------------------------

    def statistics(self, function: str | None = None) -> QueueStatistics:
        """Counts, of one function or of all."""
        return self.store.statistics(function)

    def list(
        self, *, function: str | None = None, state: State | None = None, records: bool = False, limit: int = 100,
        after: int = 0,
    ) -> tuple[QueuedEvent, ...]:  # fmt: skip
        """Events in order of acceptance: at most ``limit``, beyond the sequence number ``after``.

        ``records=True`` lists what is on its way to destinations instead.

        Raises:
            UsageError: a limit below 1.
        """
        if limit < 1:
            raise UsageError(f"limit takes a whole number from 1 up, not {limit!r}")
        return self.store.list(function=function, state=state, records=records, limit=limit, after=after)

    def cancel(self, request_id: str) -> bool:
        """Take an event back; False if it runs already or is over.

        Raises:
            UsageError: there is no such event.
        """
        self.find(request_id)
        done = self.store.cancel(request_id, self._clock.now())
        if done:
            self.over(request_id)
        return done

    def retry_now(self, request_id: str) -> bool:
        """Run a waiting event now instead of when it is due; False if it does not wait.

        Raises:
            UsageError: there is no such event.
        """
        self.find(request_id)
        return self.store.retry_now(request_id, self._clock.now())

    def redrive(self, *, function: str | None = None, request_id: str | None = None) -> int:
        """Take failed events up again, as if they had just been sent; how many.

        Raises:
            UsageError: there is no such event.
        """
        if request_id is not None:
            self.find(request_id)
        return self.store.redrive(self._clock.now(), function=function, request_id=request_id)

    def purge(self, *, function: str | None = None, state: State | None = None) -> int:
        """Forget events that are not running: of one function, of one state, or all; how many."""
        done = self.store.purge(function=function, state=state)
        for request_id in self.awaited:
            self.over(request_id)  # perhaps: who waits looks for himself
        return done

    def __repr__(self) -> str:
        if self._store is None:
            return "<Queue, nothing sent yet>"
        counts = self.statistics()
        return (
            f"<Queue {counts.ready} ready, {counts.waiting} waiting, {counts.running} running, {counts.failed} failed>"
        )

    # --- end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the store; who waits is told."""
        with self._lock:
            store, self._store, self._closed = self._store, None, True
        self.poke = self.check_wait = None
        for waiter in self.waiters():
            waiter.turn.give()
        if store is not None:
            store.close()

    def after_fork(self) -> None:
        """In a forked child of the host: locks and waiters were the parent's. A store sees for itself that it was forked."""
        self._lock = threading.Lock()
        self._waiters = {}
        self.poke = self.check_wait = None


def _stuck(event: QueuedEvent, now: float) -> str:
    wait = f"its next attempt is due in {event.due - now:.0f} s" if event.due > now else "nothing here can run it"
    return (
        f"event {event.request_id} of {event.function} is not over, and {wait} by a clock that only you move: "
        "call clock.advance(…) or clock.run_until_idle() first"
    )
