"""Descriptors that an asyncio loop waits for again and again: put into the loop once, armed for each wait.

asyncio's `add_reader` and `remove_reader` cost several times the system calls that they make, and a wait for an environment
needs two of each. So the loop watches one descriptor for the life of a channel, an epoll of ours, and each wait arms that
for one event of each of the channel's descriptors. What has come is taken out by us at once, so the loop is woken once for
each wait and never for what nobody waits for.

The channel's descriptors may be closed in any thread at any time: they are in our epoll, which forgets them. Our epoll
itself is closed by the last of the loops that it has been in, after being taken out of it: else its number could be
somebody else's while a loop still takes it for ours.
"""

from __future__ import annotations

import os
import select
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["Watch", "watch"]


class Watch:
    """One channel's descriptors in one loop at a time. Armed by whoever owns the channel; fired in the loop's thread."""

    __slots__ = (
        "_closing", "_epoll", "_events", "_fds", "_leaving", "_lock", "_loop", "_pid", "_ready", "_registered", "_waiter"
    )  # fmt: skip

    def __init__(self, fds: tuple[int, ...], *, writable: bool) -> None:
        self._epoll = select.epoll()
        self._events = (select.EPOLLOUT if writable else select.EPOLLIN) | select.EPOLLONESHOT
        self._fds, self._registered = fds, False
        self._pid = os.getpid()
        # An owner may arm it for his loop while the loop of the one before fires: late output of an idle environment.
        self._lock = threading.Lock()  # guards everything below
        self._loop: asyncio.AbstractEventLoop | None = None
        # Loops that are still to take it out. One that closes first never does; then the collector closes the epoll.
        self._leaving = 0
        self._closing = False
        self._waiter: asyncio.Future[None] | None = None
        self._ready: list[tuple[int, int]] | None = None

    def arm(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
        """Set the waiter's result when one of the descriptors is ready. In the loop's thread."""
        with self._lock:
            if self._loop is not loop:
                self._move(loop)
            self._waiter, self._ready = waiter, None
            put = self._epoll.modify if self._registered else self._epoll.register
            for fd in self._fds:
                put(fd, self._events)
            self._registered = True

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        before, self._loop = self._loop, loop
        loop.add_reader(self._epoll.fileno(), self._fire, loop)
        if before is not None:
            self._leaving += 1
            try:
                before.call_soon_threadsafe(self._leave, before)
            except RuntimeError:  # it has closed, and its selector with it
                self._leaving -= 1

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._leaving -= 1
            if self._loop is not loop and not self._epoll.closed:  # it may have come back meanwhile
                loop.remove_reader(self._epoll.fileno())
            self._close_if_left()

    def _close_if_left(self) -> None:
        if self._closing and not self._leaving:
            self._epoll.close()

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            if self._loop is not loop:
                return  # it has moved, and `_leave` is on its way
            found = self._epoll.poll(0)  # which disarms what it finds
            waiter = self._waiter
            if found and waiter is not None and not waiter.done():
                self._ready = found
                waiter.set_result(None)

    def take(self) -> list[tuple[int, int]] | None:
        """The wait is over: what was found ready; None if it was something else that ended it."""
        with self._lock:
            self._waiter = None
            return self._ready

    def close(self) -> None:
        """From any thread; safe to call twice."""
        with self._lock:
            loop, self._loop = self._loop, None
            if self._closing and self._pid == os.getpid():
                return
            if loop is None or self._pid != os.getpid():  # a forked child's loop shares the parent's selector
                self._epoll.close()
                return
            self._closing = True
            self._leaving += 1
            try:
                loop.call_soon_threadsafe(self._leave, loop)
            except RuntimeError:
                self._leaving -= 1
                self._close_if_left()


def watch(fds: tuple[int, ...], *, writable: bool) -> Watch | None:
    """A `Watch`; None where there is no epoll, or no descriptor left for one."""
    if not hasattr(select, "epoll"):
        return None
    try:
        return Watch(fds, writable=writable)
    except OSError:
        return None
