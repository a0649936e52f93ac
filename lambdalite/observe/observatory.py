"""One App's view of what happened: logs, metrics, bill and observers, told once for each invocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambdalite.clock import wall
from lambdalite.observe.events import InvocationDone, Observers, Throttled
from lambdalite.observe.intake import Intake
from lambdalite.observe.logs import LIMIT_BYTES, LogStore
from lambdalite.observe.meter import Meter
from lambdalite.observe.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.observe.bill import Bill
    from lambdalite.observe.lines import Outcome

__all__ = ["Observatory"]


class Observatory:
    """Logs, metrics, bill and observers of one App. Safe to use from any thread.

    Args:
        log_bytes: bound of the log store.
        now: what time it is, seconds since the epoch, for events that bring no time of their own.
        tail: print the logs as they come, to standard error.
    """

    __slots__ = ("_intake", "_now", "_put", "logs", "meter", "metrics", "observers")

    def __init__(self, log_bytes: int = LIMIT_BYTES, now: Callable[[], float] = wall, *, tail: bool = False) -> None:
        self._intake = Intake()
        self._put = self._intake.put
        self._now = now
        self.logs = LogStore(log_bytes, self._intake)
        self.metrics = Metrics(self._intake)
        self.meter = Meter(self._intake)
        self.observers = Observers()
        if tail:
            from lambdalite.observe.tail import Tail

            self.logs.follow(Tail())

    def done(self, outcome: Outcome) -> None:
        """An invocation ended. Called once for each, by the walk, under no lock; the outcome changes no more."""
        self._put(outcome)
        if self.logs.followers.active:
            self.logs.finish(outcome)
        if self.observers.active:
            self.observers.emit(InvocationDone(outcome))

    def throttled(self, function: str, reason: str) -> None:
        """A request was refused for lack of room, for AWS's `reason`."""
        self.metrics.throttled(function, reason)
        if self.observers.active:
            self.observers.emit(Throttled(function, reason, self._now()))

    def bill(self) -> Bill:
        """What everything so far would have cost."""
        return self.meter.bill()

    def after_fork(self) -> None:
        """In a forked child of the host: make the locks usable again."""
        self._intake.after_fork()
