"""The one thread that does an App's background work: its loop, its beginning, its end."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import anyio

from lambdalite.clock import monotonic
from lambdalite.engine.dispatch import Question
from lambdalite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.clock import Clock
    from lambdalite.engine.dispatch import Dispatcher
    from lambdalite.engine.queue import Queue
    from lambdalite.engine.timetable import Timetable

__all__ = ["Service"]


class _Loop(asyncio.SelectorEventLoop):
    """An event loop on a clock that nobody freezes: freezegun replaces `time.monotonic`, and every timeout would hang."""

    def time(self) -> float:
        return monotonic()


class Service:
    """A daemon thread with an event loop in it, running one `Dispatcher`. A `Timed` for a clock that is moved by hand.

    Args:
        dispatcher: what it runs.
        queue: told to wake it.
        timetable: what recurs.
        clock: the App's.
    """

    def __init__(self, dispatcher: Dispatcher, queue: Queue, timetable: Timetable, clock: Clock) -> None:
        self._dispatcher, self._queue, self._timetable, self._clock = dispatcher, queue, timetable, clock
        self._grace = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None  # set by the thread before _ready
        self._ready = threading.Event()
        self._waking = False  # a wake-up is on its way: there is no need of a second one
        self._thread = threading.Thread(target=self._run, name="lambdalite-service", daemon=True)

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: no more threads here.
        """
        self._thread.start()
        self._ready.wait()
        self._queue.poke = self.wake
        if self._clock.manual:
            self._clock.attach(self)  # type: ignore[attr-defined]  # only clocks moved by hand have it

    def _run(self) -> None:
        anyio.run(self._main, backend="asyncio", backend_options={"loop_factory": _Loop})

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        await self._dispatcher.run(lambda: self._grace)

    @property
    def inside(self) -> bool:
        """Is this its own thread?"""
        return threading.current_thread() is self._thread

    def wake(self) -> None:
        """There may be something to do. From any thread."""
        if self._waking or self._loop is None:
            return
        self._waking = True
        self._call(self._woken)

    def _woken(self) -> None:
        self._waking = False  # before it looks: what is stored from here on wakes it again
        self._dispatcher.wake()

    def _call(self, function: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)  # type: ignore[union-attr]  # there is one, or it was not called
        except RuntimeError:
            return  # the loop has closed: nothing of ours is left to do

    # --- a clock moved by hand ------------------------------------------------------------------------------------

    def next_due(self, *, recurring: bool = True) -> float | None:
        """The next instant at which an event, a record or a schedule is due; without schedules if not ``recurring``."""
        times = [self._dispatcher.next_due]
        if recurring:
            times.append(self._timetable.next_due())
        return min((time for time in times if time is not None), default=None)

    def settle(self, timeout: float | None = None) -> bool:
        """Return when nothing is due, running, or on its way to a destination; False if the time was up before.

        Raises:
            UsageError: called by something that it would have to wait for.
            ServiceException: the store cannot be written.
        """
        if self.inside or threading.current_thread().name.startswith("lambdalite-"):
            raise UsageError(
                "a destination or observer of this App cannot wait for the App to be idle, nor move its clock"
            )
        question = Question()
        self._call(self._dispatcher.ask, question)
        deadline = None if timeout is None else monotonic() + timeout
        while not question.event.wait(_left(deadline)):
            if deadline is not None and monotonic() >= deadline:
                return False
            if not self._thread.is_alive():
                return True
        if question.error is not None:
            raise question.error
        return True

    # --- end ------------------------------------------------------------------------------------------------------

    def stop(self, grace: float = 0.0) -> None:
        """Claim nothing more, let what is under way finish for ``grace`` seconds, hand back the rest; return when done."""
        self._grace = grace
        if self._clock.manual:
            self._clock.detach(self)  # type: ignore[attr-defined]
        self._queue.poke = None
        self._call(self._dispatcher.stop)
        if not self.inside:
            self._thread.join()


def _left(deadline: float | None) -> float:
    return 1.0 if deadline is None else min(max(deadline - monotonic(), 0.0), 1.0)
