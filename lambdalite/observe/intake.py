"""Where outcomes wait until somebody counts them.

An invocation pays for one `deque.append`, which is atomic: no lock stands in the way of a caller. Counting and storing
is done for many outcomes at once, by whichever thread finds enough of them waiting, or by whoever reads.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeAlias

    from lambdalite.observe.lines import Outcome

    Taker: TypeAlias = Callable[[Any, list[Outcome]], None]  # a version, and outcomes of it

__all__ = ["Intake"]

BATCH = 256  # O: outcomes that may wait; counting them takes about half a millisecond
HEAVY = 64 * 1024  # O: an outcome with more output than this does not wait, so 16 MiB at most are waiting
LIGHT = 4 * 1024  # O: answers up to this size are kept with the outcome; beyond it a copy without costs less


class Intake:
    """A queue of outcomes and the lock under which they are counted; a reader says `with intake:`."""

    __slots__ = ("_lock", "_others", "_takers", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Outcome] = deque()  # any thread appends; only the holder of _lock takes
        self._lock = threading.RLock()  # reentrant: a signal handler or a finaliser may invoke in the middle
        self._takers: list[Taker] = []
        self._others: list[Callable[[], None]] = []

    def feed(self, taker: Taker, other: Callable[[], None] | None = None) -> None:
        """Have `taker` called with what waited, version by version, and `other` each time; both under the lock."""
        self._takers.append(taker)
        if other is not None:
            self._others.append(other)

    def put(self, outcome: Outcome) -> None:
        """Take note of an outcome; never waits for another thread."""
        if len(outcome.payload) > LIGHT and outcome.failure is None:
            outcome = _without_answer(outcome)
        self._waiting.append(outcome)
        if len(self._waiting) >= BATCH or len(outcome.output) > HEAVY:
            self.settle_soon()

    def settle_soon(self) -> None:
        """Count what waits, unless another thread holds the lock: it counts, or it reads and the next one counts."""
        if self._lock.acquire(blocking=False):
            try:
                self._settle()
            finally:
                self._lock.release()

    def _settle(self) -> None:
        for other in self._others:
            other()
        for version, outcomes in self._take_waiting().items():
            for taker in self._takers:
                taker(version, outcomes)

    # Taken one at a time until there is none: had we asked how many wait, a signal handler that invokes, and so settles
    # in the middle of this (the lock is reentrant), would have taken some of them first.
    def _take_waiting(self) -> dict[Any, list[Outcome]]:
        take = self._waiting.popleft
        found: dict[Any, list[Outcome]] = {}
        try:
            while True:
                outcome = take()
                if (of_version := found.get(outcome.version)) is None:
                    of_version = found[outcome.version] = []
                of_version.append(outcome)
        except IndexError:
            return found

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._settle()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def after_fork(self) -> None:
        """In a forked child: a new lock, since the thread that held the old one may not exist here."""
        self._lock = threading.RLock()


def _without_answer(outcome: Outcome) -> Outcome:
    """A copy without the answer: a log has no use for six megabytes of it."""
    import copy

    light = copy.copy(outcome)
    light.payload = b""
    return light
