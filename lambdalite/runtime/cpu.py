"""CPU share without control groups: a bucket of CPU time for each busy environment, emptied by what its processes use.

A bucket fills at ``share`` seconds a second, up to a tenth of a second's worth. What the process tree has used is read in
nanoseconds, every `TICK`; an empty bucket stops the tree (SIGSTOP) until it has filled again. Debt is kept, so the average
is right whatever the tick misses.

What a tree has used is the CPU clock of each process (all its threads, also those that have ended) and what its reaped
children had used: so a child's time moves from its own clock to its parent's account when it dies, and a handler gains
nothing by running a thousand short programs.

Only while an invocation runs: init is not throttled on AWS either, and an idle environment must not stay stopped.
"""

from __future__ import annotations

import os
import signal
import time

__all__ = ["TICK", "Throttle"]

TICK = 0.005  # seconds
BURST = 0.1  # seconds of the share that may be saved up
_NANO = 1e-9
_JIFFY = 1 / os.sysconf("SC_CLK_TCK")
_SCHED = 2  # <linux/posix-timers.h>: CPUCLOCK_SCHED of a whole process


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
        self._tokens += (now - self._filled) * self._share - (total - self._used)
        self._tokens = min(self._tokens, BURST * self._share)
        self._filled, self._used = now, total
        if self._tokens < 0:
            # Who was stopped earlier and is not in the tree now has lost its parent: it is to be let go all the same.
            before = tuple(pid for pid in self._stopped if pid not in pids and _halted(pid))
            _send(pids, signal.SIGSTOP)
            self._stopped = pids + before
        elif self._stopped:
            self.release()

    def release(self) -> None:
        """Let the tree run."""
        _send(self._stopped, signal.SIGCONT)
        self._stopped = ()


def _halted(pid: int) -> bool:
    """Does it exist and stand still? The id of one that has ended may be somebody else's."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read(1024).rpartition(b")")[2][1:2] == b"T"
    except OSError:
        return False


def _send(pids: tuple[int, ...], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def used(pids: tuple[int, ...]) -> float:
    """CPU seconds that these processes and their reaped children have used."""
    return sum(_used_by(pid) for pid in pids)


def _used_by(pid: int) -> float:
    try:
        own = time.clock_gettime_ns(~pid << 3 | _SCHED)  # the clock of clock_getcpuclockid(3)
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(1024).rpartition(b")")[2].split()
    except OSError:  # it has ended: its parent's account has it now
        return 0.0
    return own * _NANO + (int(fields[13]) + int(fields[14])) * _JIFFY
