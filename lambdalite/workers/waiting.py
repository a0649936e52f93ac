"""One logic, two waits: the only place that knows how to block or to await.

Everything that takes time is a generator on its caller's own stack. It yields what it waits for, a `Wait` for descriptors
or a `Turn` for another caller's decision, and is resumed when that has come or the deadline has passed; it finds out which
by trying again. `block` obeys in a thread, `obey` in an event loop. Neither reads data, keeps state between invocations
or knows what an invocation is.

Why not a thread that owns all sockets, or an event loop behind a portal? Measured with one child and the same JSON: the
caller's own thread 26-36 µs, a manager thread 107 µs, a portal 320-340 µs.
"""

from __future__ import annotations

import select
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from lambdalite.clock import monotonic, replaced
from lambdalite.workers.watching import watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

    from lambdalite.workers.watching import Watch

__all__ = ["Plan", "Turn", "Wait", "block", "obey", "within"]

T = TypeVar("T")
# A generator that yields what it waits for and returns a T.
if TYPE_CHECKING:
    Plan = Generator["Wait | Turn", None, T]
else:
    Plan = Any

_LONGEST = 3600.0  # poll takes milliseconds in a C int; nobody's deadline is hurt by waking once an hour


class Wait:
    """Until one of ``fds`` is readable (or writable), or ``deadline`` passes.

    Made once for a set of descriptors and yielded many times: the poll object is kept, since making one costs as much as
    the wait itself. Owned by one caller at a time.

    Args:
        fds: the descriptors.
        writable: wait until they are writable instead.
        kept: it will be waited for often, and `close` is called at the end: then asyncio loops keep it too.
    """

    __slots__ = ("_poller", "deadline", "fds", "kept", "ready", "watch", "writable")

    def __init__(self, fds: tuple[int, ...], *, writable: bool = False, kept: bool = False) -> None:
        self.fds = fds
        self.kept = kept
        self.watch: Watch | None = None
        self.writable = writable
        self.deadline: float | None = None
        #: Which descriptors the last wait found ready, if the driver can tell; None: any of them.
        self.ready: list[tuple[int, int]] | None = None
        self._poller: select.poll | None = None

    def until(self, deadline: float | None) -> Wait:
        """The same wait with another deadline (monotonic seconds; None: no deadline)."""
        self.deadline = deadline
        return self

    def close(self) -> None:
        """Before the descriptors are closed, or not waited for any longer; from any thread."""
        watched, self.watch = self.watch, None
        if watched is not None:
            watched.close()

    def block(self) -> None:
        """Wait in this thread."""
        poller = self._poller
        if poller is None:
            poller = self._poller = select.poll()
            for fd in self.fds:
                poller.register(fd, select.POLLOUT if self.writable else select.POLLIN)
        if self.deadline is None:
            self.ready = poller.poll()
            return
        left = self.deadline - monotonic()
        self.ready = poller.poll(min(left, _LONGEST) * 1000 if left > 0 else 0)


class Turn:
    """A place in a queue: until another caller says `give`, or the deadline passes.

    The giver may be in any thread; the taker in a thread or in an event loop.
    """

    __slots__ = ("_event", "_wake", "deadline", "given")

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.given = False
        self._event: threading.Lock | None = None
        self._wake: Callable[[], None] | None = None

    def give(self) -> None:
        """Let the taker go on."""
        self.given = True
        # The taker sets its means of waking first and looks at `given` after, we the other way round: whichever order
        # the two run in, at least one of us sees the other.
        wake = self._wake
        if wake is not None:
            wake()

    def block(self) -> None:
        """Wait in this thread."""
        lock = threading.Lock()
        lock.acquire()
        self._wake = lambda: lock.release() if lock.locked() else None
        if self.given:
            return
        left = -1 if self.deadline is None else max(self.deadline - monotonic(), 0)
        lock.acquire(timeout=min(left, threading.TIMEOUT_MAX))

    def arm(self, wake: Callable[[], None]) -> bool:
        """Say how to be woken; False if the turn has come already."""
        self._wake = wake
        return not self.given


def block(plan: Plan[T]) -> T:
    """Run a plan in this thread.

    Any exception that arrives while waiting, KeyboardInterrupt above all, is thrown into the plan, so that its `finally`
    and `except` run where the invocation stands.
    """
    try:
        wait = next(plan)
        while True:
            try:
                wait.block()
            except BaseException as error:
                wait = plan.throw(error)
            else:
                wait = plan.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


def within(plan: Plan[T], deadline: float, beside: int, over: Callable[[], bool]) -> Plan[T | None]:
    """A plan as part of another one that has a deadline; None if that, or ``over``, ended it.

    Its own waits last no longer. When the time is up it is closed, as if it had been cancelled.

    Args:
        plan: the plan.
        deadline: monotonic seconds.
        beside: a descriptor that its waits are waits for as well.
        over: asked after each wait: is there no need of it any longer? What it raises ends the plan too.
    """
    try:
        wait = next(plan)
        while True:
            if monotonic() >= deadline or over():
                return None
            if wait.deadline is None or wait.deadline > deadline:
                wait.deadline = deadline
            try:
                yield _beside(wait, beside)
            except BaseException as error:
                wait = plan.throw(error)
            else:
                wait = plan.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        plan.close()


def _beside(wait: Wait | Turn, fd: int) -> Wait | Turn:
    """The same wait, ended by one more descriptor. Turns and writes stay as they are: they are short."""
    if isinstance(wait, Turn) or wait.writable:
        return wait
    wait.ready = None  # nobody tells it which of its own were ready
    return Wait((*wait.fds, fd)).until(wait.deadline)


async def obey(plan: Plan[T]) -> T:
    """Run a plan in the running event loop, asyncio's or trio's; cancellation is thrown into it."""
    pause = _asyncio_pause if _in_asyncio() else _anyio_pause
    try:
        wait = next(plan)
        while True:
            try:
                await pause(wait)
            except BaseException as error:
                wait = plan.throw(error)
            else:
                wait = plan.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


def _in_asyncio() -> bool:
    module = sys.modules.get("asyncio")
    # `_get_running_loop` is what sniffio and anyio use: cheap, and None under trio.
    return module is not None and module._get_running_loop() is not None  # noqa: SLF001


# --- asyncio: its own add_reader, a third of the cost of anyio's wait_readable -------------------------------------


async def _asyncio_pause(wait: Wait | Turn) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    timer = None
    if wait.deadline is not None:
        timer = _asyncio_timer(loop, max(wait.deadline - monotonic(), 0), woken)
    if isinstance(wait, Turn):
        await _asyncio_turn(loop, wait, woken, timer)
        return
    if wait.kept:
        if wait.watch is None:
            wait.watch = watch(wait.fds, writable=wait.writable)
        if wait.watch is not None:
            await _asyncio_watch(loop, wait, wait.watch, woken, timer)
            return
    wait.ready = None
    add, remove = (loop.add_writer, loop.remove_writer) if wait.writable else (loop.add_reader, loop.remove_reader)
    for fd in wait.fds:
        add(fd, _set, woken)
    try:
        await woken
    finally:
        for fd in wait.fds:
            remove(fd)
        if timer is not None:
            timer.cancel()


async def _asyncio_watch(
    loop: asyncio.AbstractEventLoop,
    wait: Wait,
    watched: Watch,
    woken: asyncio.Future[None],
    timer: asyncio.TimerHandle | threading.Timer | None,
) -> None:
    watched.arm(loop, woken)
    try:
        await woken
    finally:
        wait.ready = watched.take()
        if timer is not None:
            timer.cancel()


def _asyncio_timer(
    loop: asyncio.AbstractEventLoop, left: float, woken: asyncio.Future[None]
) -> asyncio.TimerHandle | threading.Timer:
    if not replaced():
        return loop.call_later(left, _set, woken)
    return _thread_timer(left, lambda: loop.call_soon_threadsafe(_set, woken))


def _thread_timer(left: float, wake: Callable[[], object]) -> threading.Timer:
    """For a loop whose clock a test has frozen: it would never reach the deadline, and handlers run on real time."""

    def ring() -> None:
        try:
            wake()
        except RuntimeError:
            return  # the loop has closed (trio's RunFinishedError is one of these too), so its task is gone

    timer = threading.Timer(left, ring)
    timer.daemon = True
    timer.start()
    return timer


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def _asyncio_turn(
    loop: asyncio.AbstractEventLoop,
    turn: Turn,
    woken: asyncio.Future[None],
    timer: asyncio.TimerHandle | threading.Timer | None,
) -> None:
    home = threading.get_ident()

    def wake() -> None:
        if threading.get_ident() == home:
            _set(woken)
            return
        try:
            loop.call_soon_threadsafe(_set, woken)
        except RuntimeError:
            # The taker's loop has closed, so its task is gone; what was given is handed back by the task's own cleanup.
            return

    try:
        if turn.arm(wake):
            await woken
    finally:
        if timer is not None:
            timer.cancel()


# --- trio, through anyio -------------------------------------------------------------------------------------------


async def _anyio_pause(wait: Wait | Turn) -> None:
    import anyio

    left = None if wait.deadline is None else max(wait.deadline - monotonic(), 0)
    if isinstance(wait, Wait):
        wait.ready = None
    if left is None or not replaced():
        with anyio.move_on_after(left):
            await _trio_wait(wait)
        return
    import trio

    token = trio.lowlevel.current_trio_token()
    with anyio.CancelScope() as scope:
        timer = _thread_timer(left, lambda: token.run_sync_soon(scope.cancel))
        try:
            await _trio_wait(wait)
        finally:
            timer.cancel()


async def _trio_wait(wait: Wait | Turn) -> None:
    if isinstance(wait, Turn):
        await _trio_turn(wait)
    elif len(wait.fds) == 1:
        await _fd_ready(wait.fds[0], writable=wait.writable)
    else:
        await _any_ready(wait)


async def _fd_ready(fd: int, *, writable: bool) -> None:
    import anyio

    await (anyio.wait_writable(fd) if writable else anyio.wait_readable(fd))


async def _any_ready(wait: Wait) -> None:
    import anyio

    async with anyio.create_task_group() as group:

        async def first(fd: int) -> None:
            await _fd_ready(fd, writable=wait.writable)
            group.cancel_scope.cancel()

        for fd in wait.fds:
            group.start_soon(first, fd)


async def _trio_turn(turn: Turn) -> None:
    import anyio
    import trio

    event, token, home = anyio.Event(), trio.lowlevel.current_trio_token(), threading.get_ident()

    def wake() -> None:
        if threading.get_ident() == home:
            event.set()
            return
        try:
            token.run_sync_soon(event.set)
        except trio.RunFinishedError:
            return  # as above: the taker is gone

    if turn.arm(wake):
        await event.wait()
