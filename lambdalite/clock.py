"""The one place that reads a clock.

Two clocks, because two questions: *when did it happen* (wall, seconds since the epoch) and *how long until* (monotonic).
Handlers run for real, so their deadlines are always on the real monotonic clock; everything that merely waits its turn
(idle reaping, retries, schedules) asks the App's `Clock`, which a test may drive by hand.
"""

from __future__ import annotations

import threading
import time as _time
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock", "ManualClock", "SystemClock", "monotonic", "wall"]

# freezegun replaces the attributes of the `time` module and every module-level alias of them, and a frozen monotonic clock
# would hang every wait. A partial is another object, so it is out of its reach, and as quick as the function itself.

#: Seconds on the machine's monotonic clock; never frozen.
monotonic: Callable[[], float] = partial(_time.monotonic)
#: Seconds since the epoch; never frozen.
wall: Callable[[], float] = partial(_time.time)


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


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

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

    Args:
        start: seconds since the epoch at which it stands first; by default the moment it is made.
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = wall() if start is None else float(start)
        self._elapsed = 0.0  # owned by _lock
        self._lock = threading.Lock()
        self._subscribers: list[Callable[[], object]] = []

    def subscribe(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` after every advance, in the advancing thread."""
        self._subscribers.append(callback)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._start + self._elapsed

    def elapsed(self) -> float:
        """Seconds that `advance` has added so far."""
        return self._elapsed

    def advance(self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0) -> None:
        """Move forward.

        Raises:
            ValueError: the sum is negative; a clock that goes back would break every deadline already set.
        """
        step = seconds + 60 * minutes + 3600 * hours
        if step < 0:
            raise ValueError(f"a clock does not go back: asked to advance by {step} s")
        with self._lock:
            self._elapsed += step
        for callback in list(self._subscribers):
            callback()

    def __repr__(self) -> str:
        return f"ManualClock(now={self.now():.3f}, advanced={self._elapsed:.3f})"
