"""Waiting for descriptors and sending signals, on what the operating system offers."""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Poller", "alive", "kill", "poller", "send"]


class Poller:
    """Which of many descriptors are readable: by epoll, whose price does not grow with their number."""

    def __init__(self) -> None:
        self._poll = select.epoll()

    def register(self, fd: int) -> None:
        """Wait for this one too."""
        self._poll.register(fd, select.EPOLLIN)

    def unregister(self, fd: int) -> None:
        """Wait for it no longer."""
        self._poll.unregister(fd)

    def wait(self, seconds: float) -> list[int]:
        """Those that can be read, or have ended, after so many seconds at most."""
        return [fd for fd, _ in self._poll.poll(seconds)]


class _PlainPoller(Poller):
    """By poll, where there is no epoll."""

    def __init__(self) -> None:
        self._plain = select.poll()

    def register(self, fd: int) -> None:
        self._plain.register(fd, select.POLLIN)

    def unregister(self, fd: int) -> None:
        self._plain.unregister(fd)

    def wait(self, seconds: float) -> list[int]:
        return [fd for fd, _ in self._plain.poll(seconds * 1000)]


def poller() -> Poller:
    """The best there is."""
    return Poller() if hasattr(select, "epoll") else _PlainPoller()


def alive(pid: int) -> bool:
    """Is there such a process? One that is not ours to signal counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def kill(pidfd: int, pid: int) -> None:
    """SIGKILL, by pidfd where there is one: it cannot hit another process that got the same id."""
    if pidfd < 0:
        send([pid], signal.SIGKILL)
        return
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return  # it is gone, which is what we want


def send(pids: Iterable[int], number: int) -> None:
    """A signal to each that still exists."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
