"""The one place that reads a clock.

Two clocks, because two questions: *when did it happen* (wall, seconds since the epoch) and *how long until* (monotonic).
Handlers run for real, so their deadlines are always on the real monotonic clock; everything that merely waits its turn
(idle reaping, retries, schedules) asks the App's `Clock`, which a test may drive by hand.
"""

from __future__ import annotations

import sys
import threading
import time as _time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Clock", "ManualClock", "SystemClock", "Timed", "monotonic", "replaced", "wall"]

# freezegun replaces the attributes of the `time` module and every module-level alias of them, and a frozen monotonic clock
# would hang every wait. A partial is another object, so it is out of its reach, and as quick as the function itself.

#: Seconds on the machine's monotonic clock; never frozen.
monotonic: Callable[[], float] = partial(_time.monotonic)
_now: Callable[[], float] = partial(_time.time)


def wall() -> float:
    """Seconds since the epoch; never frozen."""
    # time-machine changes the function itself, for everybody who holds it; it leaves one way to the true time.
    machine = sys.modules.get("time_machine")
    if machine is None:
        return _now()
    try:
        return float(machine.escape_hatch.time.time())
    except ValueError:  # nobody is travelling now
        return _now()


def replaced() -> bool:
    """Has somebody put another clock into the `time` module, as freezegun does? Event loops then go by that one."""
    return _time.monotonic is not cast("partial[float]", monotonic).func


class Clock(Protocol):
    """What an App asks for the time of things that wait their turn."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def elapsed(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when the clock is moved by hand; a clock that runs by itself calls nobody."""
        ...

    @property
    def manual(self) -> bool:
        """Does it move only when told to?"""
        ...


class Timed(Protocol):
    """Whoever does things at certain times, and can be led through them by a clock that is moved by hand."""

    def next_due(self, *, recurring: bool = True) -> float | None:
        """The next instant at which it has something to do, seconds since the epoch; None if there is none.

        ``recurring=False`` leaves out what comes again for ever: schedules.
        """
        ...

    def settle(self) -> object:
        """Do everything that is due by now, and return when it is done."""
        ...

    def check_wait(self, *, idle: bool = False) -> None:
        """May this thread wait for it, also until it is idle?

        Raises:
            UsageError: it would wait for this thread.
        """
        ...

    @property
    def done(self) -> int:
        """How much it has done so far: grows when it does something."""
        ...


_DATES = (-62_135_596_800.0, 253_402_300_800.0)  # the years 1 to 9999


def _date(instant: float) -> float:
    """The same instant, if it is one that can be written as a date."""
    if not _DATES[0] <= instant < _DATES[1]:
        raise ValueError(f"a clock stands in the years 1 to 9999, and {instant!r} seconds since 1970 is beyond them")
    return instant


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()
    manual = False

    def now(self) -> float:
        """Seconds since the epoch, as the operating system says."""
        return wall()

    def elapsed(self) -> float:
        """The operating system's monotonic clock, seconds."""
        return monotonic()

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Nobody moves this clock, so nobody is called."""

    def __repr__(self) -> str:
        return "SystemClock()"


class ManualClock:
    """A clock that moves only when told to; safe to read and advance from any thread.

    Moving it leads every App that it belongs to through all that becomes due on the way, in order of time: it stops at
    each instant, lets everything due finish (handlers run for real), and goes on. So hours of retries, schedules and
    idle time pass in moments, and always in the same order.

    Args:
        start: seconds since the epoch at which it stands first; by default the moment it is made.

    Raises:
        ValueError: that is not in the years 1 to 9999, which is as far as dates go.
    """

    manual = True

    def __init__(self, start: float | None = None) -> None:
        self._start = _date(wall() if start is None else float(start))
        # Kept whole, not as a distance: start + (instant - start) need not be the instant, and then what is due at it
        # would never be. Owned by whoever holds _moving.
        self._now = self._start
        self._moving = threading.RLock()
        self._joining = threading.Lock()  # for writers of _timed; not _moving, which is held while Apps start and end
        self._subscribers: list[Callable[[], object]] = []
        self._timed: tuple[Timed, ...] = ()  # replaced as a whole

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` after every move, in the moving thread."""
        self._subscribers.append(callback)

    def attach(self, timed: Timed) -> None:
        """Lead ``timed`` through what it has to do, from now on."""
        with self._joining:
            self._timed = (*self._timed, timed)

    def detach(self, timed: Timed) -> None:
        """No longer."""
        with self._joining:
            self._timed = tuple(one for one in self._timed if one is not timed)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def elapsed(self) -> float:
        """Seconds that it has been moved so far."""
        return self._now - self._start

    def advance(self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0) -> None:
        """Move forward, stopping wherever something is due, and return when everything due by then is done.

        Raises:
            ValueError: the sum is negative; a clock that goes back would break every deadline already set. Or it leads
                beyond the year 9999.
            UsageError: called by an inline handler, destination or observer, for which the clock waits.
        """
        step = seconds + 60 * minutes + 3600 * hours + 86400 * days
        if not step >= 0:
            raise ValueError(f"a clock does not go back: asked to advance by {step} s")
        with self._alone():
            target = _date(self.now() + step)
            self._settle()
            while (due := self._next_due()) is not None and due <= target:
                self._move_to(due)
            self._move_to(target)

    def advance_to_next(self) -> float | None:
        """Move to the next instant at which something is due, and return when it is done.

        The instant, seconds since the epoch; None if nothing is to come, and then the clock has not moved.

        Raises:
            UsageError: as `advance`.
        """
        with self._alone():
            self._settle()
            due = self._next_due()
            if due is not None:
                self._move_to(due)
            return due

    def run_until_idle(self) -> None:
        """Move on until every event is over: run, retried, or given up, and its records delivered.

        Schedules fire where the clock passes them, but it does not go on for their sake: they never end.

        Raises:
            UsageError: as `advance`.
        """
        with self._alone():
            self._settle()
            while (due := self._next_due(recurring=False)) is not None:
                first = self._next_due()
                self._move_to(due if first is None else min(first, due))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One mover at a time; and none that the one who moves would wait for."""
        for timed in self._timed:
            timed.check_wait(idle=True)
        with self._moving:
            yield

    def _next_due(self, *, recurring: bool = True) -> float | None:
        times = [timed.next_due(recurring=recurring) for timed in self._timed]
        return min((time for time in times if time is not None), default=None)

    def _move_to(self, instant: float) -> None:
        self._now = max(instant, self._now)
        for callback in list(self._subscribers):
            callback()
        self._settle()

    def _settle(self) -> None:
        while True:
            timed = self._timed
            before = [one.done for one in timed]
            for one in timed:
                one.settle()
            # What one does may give another something to do.
            if len(timed) < 2 or before == [one.done for one in timed]:
                return

    def __repr__(self) -> str:
        return f"ManualClock(now={self.now():.3f}, advanced={self.elapsed():.3f})"
