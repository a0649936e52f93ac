"""Memory of a process tree, seen from outside: how much, how often to look, when to kill.

The limit counts what AWS's would: all resident memory of all processes of an environment. `statm` is read on a descriptor
that is kept open (3 µs). A tree's sum of resident sizes counts pages that its forks share several times, so it is only an
upper bound: when it passes the limit and the tree has more than one process, the private part of the descendants is read
from `smaps_rollup` (0.3 ms and more) before anybody is killed. Untouched allocations and thread stacks are not resident
and so never counted, which is why address-space rlimits are not used at all.

How often: a process that is H bytes below its limit cannot reach it sooner than H / rate. So it is looked at again when it
could, at the earliest, be `SLACK` over; far below the limit that is seldom, near it every millisecond.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lambdalite.runtime.cpu import Throttle


__all__ = ["IDLE_INTERVAL", "LONGEST", "SHORTEST", "SLACK", "Watched", "descendants", "interval"]

PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024
RATE = 6 * 1024 * MIB  # bytes a second that one process was seen to touch here (4-6 MiB a millisecond)
SLACK = 16 * MIB  # how far over the limit a process may have come when it is next seen
SHORTEST, LONGEST = 0.001, 0.01  # seconds between two looks at a busy process; a new child may hog at full speed
IDLE_INTERVAL = 0.5  # seconds between two looks at an idle one: AWS freezes those
TREE_INTERVAL = 0.01  # seconds between two searches for descendants

CONFIRM_INTERVAL = 0.1  # seconds between two exact readings of a tree that is within its limit


def interval(size: int, limit: int, rate: float = RATE) -> float:
    """Seconds until a busy process of this size must be looked at again."""
    return min(max((limit - size + SLACK) / rate, SHORTEST), LONGEST)


class Watched:
    """One registered process and its descendants. Owned by the guardian's only thread."""

    __slots__ = (
        "children", "confirm_due", "cpu_share", "due", "generation", "group", "largest", "limit", "pid", "pidfd", "role",
        "size", "slot", "statm", "throttle", "tree_due",
    )  # fmt: skip

    def __init__(self, pid: int, hello: dict[str, Any]) -> None:
        self.pid = pid
        self.slot, self.generation, self.role = int(hello["slot"]), int(hello["generation"]), str(hello["role"])
        self.limit = int(hello["memory_bytes"])
        self.cpu_share = float(hello.get("cpu_share", 0.0))
        self.pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        self.statm = _open_statm(pid)
        self.children: tuple[int, ...] = ()
        self.due = self.tree_due = self.confirm_due = 0.0
        self.size = self.largest = 0
        self.group: str | None = None
        self.throttle: Throttle | None = None

    def close(self) -> None:
        """Let go of the descriptors."""
        for fd in (self.pidfd, self.statm):
            if fd >= 0:
                os.close(fd)

    def look(self, now: float, forked: bool) -> int:
        """Upper bound of the tree's resident memory, bytes."""
        if forked or now >= self.tree_due:
            self.children = tuple(descendants(self.pid)) if self.role == "environment" else ()
            self.tree_due = now + TREE_INTERVAL if not self.children else now + TREE_INTERVAL / 2
        size = self.largest = resident(self.statm)
        for child in self.children:
            own = _resident_of(child)
            size += own
            self.largest = max(self.largest, own)
        self.size = size
        return size

    def confirm(self) -> int:
        """The tree's resident memory with shared pages counted once, bytes."""
        size = resident(self.statm)
        for child in self.children:
            size += private(child)
        return size


def _open_statm(pid: int) -> int:
    try:
        return os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def resident(statm: int) -> int:
    """Resident bytes by an open `statm`; 0 once the process is gone."""
    if statm < 0:
        return 0
    try:
        return int(os.pread(statm, 128, 0).split(b" ", 2)[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _resident_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read(128).split(b" ", 2)[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def private(pid: int) -> int:
    """Bytes that nobody else maps; all that is resident where that cannot be told.

    What a fork shares with its parent is counted once, with the parent.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file:
            lines = file.read(4096).splitlines()
    except OSError:
        return _resident_of(pid)
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Private_"))


def descendants(pid: int) -> list[int]:
    """All descendants, parents before children. Threads fork too, so every task's list is read."""
    found, at = [pid], 0
    while at < len(found):
        found += _children(found[at])
        at += 1
    return found[1:]


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return children
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as file:
                text = file.read()
        except OSError:  # the thread ended meanwhile, or the kernel has no such file
            continue
        children += map(int, text.split())
    return children


class LastPid:
    """Has anything been forked on this machine since we looked? One cheap read instead of a search of every tree."""

    def __init__(self) -> None:
        self._last = b""
        try:
            self._fd = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def changed(self) -> bool:
        """True if it may be so."""
        if self._fd < 0:
            return True
        last = os.pread(self._fd, 128, 0).rsplit(b" ", 1)[-1]
        changed, self._last = last != self._last, last
        return changed
