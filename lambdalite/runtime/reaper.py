"""Children of zygote and template: a wake-up for their poll loops, and who has ended."""

from __future__ import annotations

import os
import signal
import sys
from time import monotonic

__all__ = ["Reaper"]


class Reaper:
    """Children of a single-threaded process: a wake-up for the poll loop, and who has ended.

    SIGCHLD only wakes (through a socket pair: user code may leave handlers or wake-up descriptors of its own, so ours are
    set again with `arm`); what ended is asked of the kernel.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
        self.fd = self._read

    def arm(self) -> None:
        """Make SIGCHLD wake us."""
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def close(self) -> None:
        """In a fork: give SIGCHLD back."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)

    def ended(self) -> list[tuple[int, int, int, int, float]]:
        """(pid, wait status, maxrss KiB, CPU µs, when found dead) of every child that has ended since."""
        try:
            while os.read(self._read, 4096):
                continue
        except BlockingIOError:
            found: list[tuple[int, int, int, int, float]] = []
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if not pid:
                return found
            at = monotonic()
            kib = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
            found.append((pid, status, kib, int((usage.ru_utime + usage.ru_stime) * 1e6), at))


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write


def _ignore(_number: int, _frame: object) -> None:
    """Only the wake-up matters."""
