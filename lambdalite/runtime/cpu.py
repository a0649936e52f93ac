"""CPU share without control groups: a bucket of CPU time for each busy environment, emptied by what its processes use.

A bucket fills at ``share`` seconds a second, up to a tenth of a second's worth. What the process tree has used is read in
nanoseconds from `schedstat`, every `TICK`; an empty bucket stops the tree (SIGSTOP) until it has filled again. Debt is kept,
so the average is right whatever the tick misses: +3 to +7 % was measured at shares from 0.07 to 1.

Only while an invocation runs: init is not throttled on AWS either, and an idle environment must not stay stopped.
"""

from __future__ import annotations

import os
import signal

__all__ = ["TICK", "Throttle"]

TICK = 0.005  # seconds
BURST = 0.1  # seconds of the share that may be saved up
_NANO = 1e-9


class Throttle:
    """The bucket of one process tree. Owned by the guardian's only thread."""

    __slots__ = ("_filled", "_share", "_stopped", "_tokens", "_used")

    def __init__(self, share: float) -> None:
        self._share = share
        self._tokens = BURST * share
        self._filled = self._used = 0.0
        self._stopped: tuple[int, ...] = ()

    def begin(self, now: float, pids: tuple[int, ...]) -> None:
        """An invocation starts: a full bucket, and what was used before does not count."""
        self._tokens = BURST * self._share
        self._filled, self._used = now, used(pids)

    def tick(self, now: float, pids: tuple[int, ...]) -> None:
        """Fill, take away what was used, stop or let go."""
        total = used(pids)
        self._tokens += (now - self._filled) * self._share - max(total - self._used, 0.0)
        self._tokens = min(self._tokens, BURST * self._share)
        self._filled, self._used = now, total
        if self._tokens < 0:
            _send(pids, signal.SIGSTOP)
            self._stopped = pids
        elif self._stopped:
            self.release()

    def release(self) -> None:
        """Let the tree run."""
        _send(self._stopped, signal.SIGCONT)
        self._stopped = ()


def _send(pids: tuple[int, ...], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def used(pids: tuple[int, ...]) -> float:
    """CPU seconds that these processes' threads have used."""
    return sum(_used_by(pid) for pid in pids)


def _used_by(pid: int) -> float:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0.0
    total = 0
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", "rb", buffering=0) as file:
                total += int(file.read(64).split(b" ", 1)[0])
        except (OSError, ValueError):  # the thread has ended; what it used before is lost, to the user's advantage
            continue
    return total * _NANO
