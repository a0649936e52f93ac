"""A thread that does blocking work for an event loop, one call after the other."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Aside"]

T = TypeVar("T")


class Aside:
    """One daemon thread, started on first need.

    Not anyio's worker threads: those are no daemons, and at interpreter exit would be waited for before anybody gets to
    end the loop that they wait for. Not an executor: it refuses work while the interpreter exits, and that is when the
    last settlements are written.

    Args:
        name: of the thread.
        freed: called on the loop when a call is over that nobody waited for any longer.
    """

    def __init__(self, name: str, freed: Callable[[], None] | None = None) -> None:
        self._name, self._freed = name, freed
        self._work: SimpleQueue[Callable[[], Callable[[], None]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        #: True while a call is under way, also one that nobody waits for any longer.
        self.busy = False

    async def call(self, function: Callable[..., T], *args: object) -> T:
        """``function(*args)`` in the thread; cancelling leaves it running there and forgets its answer."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> Callable[[], None]:
            try:
                answer = function(*args)
            except BaseException as error:
                return partial(self._tell, loop, future, None, error)
            return partial(self._tell, loop, future, answer, None)

        self.busy = True
        self._work.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        return await future

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            tell = work()
            self.busy = not self._work.empty()  # before it is told: whoever hears of the end may look
            tell()

    def _tell(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[T], answer: T | None, error: BaseException | None
    ) -> None:
        def settle() -> None:
            if future.done():  # cancelled meanwhile
                if self._freed is not None:
                    self._freed()
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(answer)  # type: ignore[arg-type]  # a T, if there was no error

        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:
            return  # the loop has closed, so nobody waits

    def close(self) -> None:
        """Let the thread end after what it is doing."""
        self._work.put(None)
