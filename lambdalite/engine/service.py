"""The one thread that does an App's background work: its loop, its beginning, its end."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

import anyio

from lambdalite.clock import monotonic
from lambdalite.engine.dispatch import Question, say
from lambdalite.errors import LambdaliteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.clock import Clock
    from lambdalite.engine.dispatch import Dispatcher
    from lambdalite.engine.queue import Queue
    from lambdalite.engine.timetable import Timetable

__all__ = ["Service"]


_SLICE = 0.2  # O: seconds
_PAUSE = 1.0  # O: seconds before it starts again after a failure
_SERVICE: ContextVar[Service | None] = ContextVar("lambdalite_service", default=None)  # on whose loop this runs


class _Loop(asyncio.SelectorEventLoop):
    """An event loop on a clock that nobody freezes: freezegun replaces `time.monotonic`, and every timeout would hang."""

    def time(self) -> float:
        return monotonic()


class Service:
    """A daemon thread with an event loop in it, running a `Dispatcher`. A `Timed` for a clock that is moved by hand.

    Args:
        make: a new Dispatcher: the first one, and another should one ever fail, which none is meant to.
        queue: told to wake it.
        timetable: what recurs.
        clock: the App's.
    """

    def __init__(self, make: Callable[[], Dispatcher], queue: Queue, timetable: Timetable, clock: Clock) -> None:
        self._make, self._queue, self._timetable, self._clock = make, queue, timetable, clock
        self._dispatcher = make()  # owned by the thread once it runs
        self._grace, self._hurried = 0.0, False
        self._stopped, self._ended = threading.Event(), threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None  # set by the thread before _ready
        self._ready = threading.Event()
        self._waking = False  # a wake-up is on its way: there is no need of a second one
        self._then: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="lambdalite-service", daemon=True)

    def start(self) -> None:
        """Begin.

        Raises:
            RuntimeError: no more threads here.
        """
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        _SERVICE.set(self)
        while True:
            try:
                anyio.run(self._main, backend="asyncio", backend_options={"loop_factory": _Loop})
            except BaseException as error:
                # Nothing that is known leads here. If something does, senders still count on their events being run.
                _report(error)
                if not self._stopped.wait(_PAUSE):
                    self._begin_again()
                    continue
            break
        if self._then is not None:
            self._then()
        self._ended.set()

    def _begin_again(self) -> None:
        failed, self._dispatcher = self._dispatcher, self._make()
        try:
            self._queue.store.hand_back(failed.owner)
        except LambdaliteError as error:
            _report(error)  # then it comes back when its lease ends

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waking = False
        if not self._ready.is_set():  # before anything runs: the first handler may already try to wait for itself
            self._queue.poke, self._queue.check_wait = self.wake, self.check_wait
            if self._clock.manual:
                self._clock.attach(self)  # type: ignore[attr-defined]  # only clocks moved by hand have it
        self._ready.set()
        if self._stopped.is_set():
            self._dispatcher.stop()
        await self._dispatcher.run(lambda: 0.0 if self._hurried else self._grace)

    @property
    def done(self) -> int:
        """How many events and records it has taken up so far."""
        return self._dispatcher.taken

    @property
    def inside(self) -> bool:
        """Does this run on its loop, as inline handlers and observers do, or in a thread that such a one waits for?"""
        return threading.current_thread() is self._thread or _SERVICE.get() is self

    def check_wait(self, *, idle: bool = False) -> None:
        """May this thread wait for the service to do something?

        Args:
            idle: it would wait until nothing is under way.

        Raises:
            UsageError: it is one that the service waits for.
        """
        # In order of due time means one after the other: with a clock moved by hand a destination holds up everything.
        one_by_one = idle or self._clock.manual
        if self.inside or (one_by_one and threading.current_thread().name.startswith("lambdalite-")):
            raise UsageError(
                "an inline handler, destination or observer of this App cannot wait for its events, nor move its clock:"
                " the App waits for it. Send, and return"
            )

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
        self.check_wait(idle=True)
        question = Question()
        deadline = None if timeout is None else monotonic() + timeout
        asked = None
        while True:
            if asked is not self._loop:  # the first, or one that came after a failed one
                asked = self._loop
                self._call(self._dispatcher.ask, question)
            if question.event.wait(_left(deadline)):
                break
            if deadline is not None and monotonic() >= deadline:
                return False
            if self._ended.is_set():
                return True
        if question.error is not None:
            raise question.error
        return True

    # --- end ------------------------------------------------------------------------------------------------------

    def stop(self, grace: float, then: Callable[[], None]) -> None:
        """Claim nothing more, let what is under way finish for ``grace`` seconds, hand back the rest, and call ``then``.

        Returns when that is done; called on the loop, by an inline handler or an observer, it returns at once.
        """
        if self.inside:
            self._then = then
            self._ask_to_stop(grace)
            return
        try:
            self._ask_to_stop(grace)
            # Not join: interrupted, that takes the thread for ended (bpo-45274). In slices: the kernel may give a second signal
            # to another thread, which wakes nobody here, and Python hears of it between two waits only.
            while not self._ended.wait(_SLICE):
                continue
        except BaseException:  # Ctrl-C: in haste, but nothing half done
            self._ask_to_stop(0.0)
            self.hurry()
            self._ended.wait()
            raise
        finally:
            self._thread.join()
            then()

    def _ask_to_stop(self, grace: float) -> None:
        self._grace = grace
        self._stopped.set()
        if self._clock.manual:
            self._clock.detach(self)  # type: ignore[attr-defined]
        self._queue.poke = None
        self._call(self._dispatcher.stop)

    def hurry(self) -> None:
        """Hand back what is under way as soon as it stops, or now."""
        self._hurried = True
        self._call(self._dispatcher.hurry)


def _left(deadline: float | None) -> float:
    return 1.0 if deadline is None else min(max(deadline - monotonic(), 0.0), 1.0)


def _report(error: BaseException) -> None:
    import traceback

    story = "".join(traceback.format_exception(error)).rstrip()
    say(f"the queue's thread failed, and starts again; please report this:\n{story}")
