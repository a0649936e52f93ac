"""Memory of a process tree, seen from outside: how much, how often to look, what counts.

`statm` is read on a descriptor that is kept open (3 µs). Its sum over a tree is only an upper bound: pages that forks
share are in it several times, and pages of files, which the kernel can drop whenever it likes (AWS does not kill for those
either), are in it too. So when the sum passes the limit, what counts is read before anybody is killed: anonymous and
shared memory from `status` (30 µs) of a single process, and of a tree `smaps_rollup` (0.3 ms and more each). Untouched
allocations and thread stacks are not resident and so never counted, which is why address-space rlimits are not used at all.

How often: a process that is H bytes below its limit cannot reach it sooner than H / rate. So it is looked at again when it
could, at the earliest, be `SLACK` over; far below the limit that is seldom, near it every millisecond.

What is written to a memory file and never mapped is in no `statm`: `memfiles` finds it. A tmpfs is bounded by its size.
"""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Any

from lambdalite.runtime import memfiles

if TYPE_CHECKING:
    from collections.abc import Container

    from lambdalite.runtime.cpu import Throttle


__all__ = [
    "IDLE_INTERVAL", "LONGEST", "PROCESSES", "SHORTEST", "SLACK", "Watched", "descendants", "interval", "shared_once",
    "unreclaimable",
]  # fmt: skip

SIGHTED = os.path.exists("/proc/self/statm")
PAGE = os.sysconf("SC_PAGE_SIZE")
MIB = 1024 * 1024
RATE = 6 * 1024 * MIB  # bytes a second that one process was seen to touch here (4-6 MiB a millisecond)
SLACK = 16 * MIB  # how far over the limit a process may have come when it is next seen
SHORTEST, LONGEST = 0.001, 0.02  # seconds between two looks at a busy process; several of its children may hog at once
IDLE_INTERVAL = 0.5  # seconds between two looks at an idle one: AWS freezes those
TREE_INTERVAL = 0.01  # seconds between two searches for descendants
CONFIRM_INTERVAL = 0.1  # seconds between two exact readings of a tree that is within its limit
CONFIRM_SHARE = 20  # an exact reading that took so long is not repeated for so many times as long
AWAKE = 10.0  # seconds: AWS's bound of an init; an environment that runs its own is looked at closely for so long
RESTLESS = 1.0  # seconds of close looks at an idle process that was seen to grow
_MOST = 2**62  # of anything that a hello may say; NaN is no number at all
PROCESSES = 1_024  # AWS: processes and threads of an environment; here a tree of more processes is ended


def interval(size: int, limit: int, rate: float = RATE) -> float:
    """Seconds until a busy process of this size must be looked at again."""
    return min(max((limit - size + SLACK) / rate, SHORTEST), LONGEST)


class Watched:
    """One registered process and its descendants. Owned by the guardian's only thread."""

    __slots__ = (
        "awake", "children", "confirm_due", "cpu_share", "due", "files", "generation", "group", "group_due", "largest",
        "largest_pid", "limit", "pid", "pidfd", "report_due", "reuse", "role", "settled", "size", "slot", "statm", "throttle",
        "tmp_bytes", "tree_due",
    )  # fmt: skip

    def __init__(self, pid: int, hello: dict[str, Any]) -> None:
        """From what a process said at its start.

        Raises:
            ValueError, KeyError, TypeError, OverflowError: that was no hello.
            ProcessLookupError, FileNotFoundError: the process is gone.
            OSError: it cannot be watched: no descriptors left.
        """
        self.pid = self.largest_pid = pid
        self.slot, self.generation, self.role = int(hello["slot"]), int(hello["generation"]), str(hello["role"])
        self.limit, self.tmp_bytes = int(hello["memory_bytes"]), int(hello.get("tmp_bytes", 0))
        # AWS does not throttle init, and a template does nothing else
        self.cpu_share = float(hello.get("cpu_share", 0.0)) if self.role == "environment" else 0.0
        self.reuse = bool(hello.get("reuse"))
        if not (0 <= self.cpu_share < _MOST and 0 <= self.limit < _MOST and 0 <= self.tmp_bytes < _MOST):
            raise ValueError("no such limits")
        self.awake = monotonic() + AWAKE if hello.get("initialises") else 0.0
        self.files = memfiles.Files()
        self.children: tuple[int, ...] = ()
        self.due = self.tree_due = self.confirm_due = self.report_due = self.group_due = 0.0
        self.size = self.largest = 0
        self.settled = False  # a template that has forked: its init is over
        self.group: str | None = None
        self.throttle: Throttle | None = None
        self.pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        try:
            self.statm = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC) if SIGHTED else -1
        except OSError:
            self.statm = -1
            self.close()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """The process and its descendants, as last seen."""
        return (self.pid, *self.children)

    def close(self) -> None:
        """Let go of the descriptors."""
        for fd in (self.pidfd, self.statm):
            if fd >= 0:
                os.close(fd)

    def look(self, now: float, forked: bool, others: Container[int] = ()) -> int:
        """Upper bound of the tree's resident memory, bytes.

        Args:
            now: seconds, monotonic.
            forked: has anything been forked since the last look?
            others: processes that are watched for themselves; they and what is below them do not belong to this tree.
        """
        if forked or now >= self.tree_due:
            self.children = tuple(descendants(self.pid, others))
            self.tree_due = now + TREE_INTERVAL if not self.children else now + TREE_INTERVAL / 2
        size = self.largest = resident(self.statm)
        self.largest_pid = self.pid
        for child in self.children:
            own = resident_of(child)
            size += own
            if own > self.largest:
                self.largest, self.largest_pid = own, child
        self.size = size
        return size

    def alone_over(self) -> int:
        """Memory that counts of the largest process, bytes, if that alone is over the limit; otherwise 0."""
        if self.largest <= self.limit:
            return 0
        size = unreclaimable(self.largest_pid)
        return size if size > self.limit else 0

    def confirm(self) -> int:
        """The tree's memory that counts, bytes."""
        return shared_once(self.pid, self.children, self.files.size)


def resident(statm: int) -> int:
    """Resident bytes by an open `statm`; 0 once the process is gone."""
    if statm < 0:
        return 0
    try:
        return int(os.pread(statm, 128, 0).split(b" ", 2)[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def resident_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read(128).split(b" ", 2)[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _fields(pid: int, name: str) -> dict[bytes, int]:
    """Bytes by field of `status` or `smaps_rollup`; empty if the process is gone or the kernel has no such file."""
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
            lines = file.read(8192).splitlines()
    except OSError:
        return {}
    return {line.split(b":", 1)[0]: int(line.split()[-2]) * 1024 for line in lines if line.endswith(b" kB")}


def unreclaimable(pid: int, files: int = 0) -> int:
    """Anonymous and shared memory of one process, bytes: what the kernel cannot drop. Pages of files are not in it.

    ``files``: bytes of memory files that it has open. What it has mapped of them must not count twice, so the greater counts.
    """
    fields = _fields(pid, "status")
    if b"RssAnon" not in fields:  # before Linux 4.5, or gone
        return resident_of(pid) + files
    return fields[b"RssAnon"] + max(fields[b"RssShmem"], files)


def shared_once(pid: int, children: tuple[int, ...], files: int = 0) -> int:
    """Memory of a tree that the kernel cannot drop, bytes; ``files`` of which are in memory files, mapped or not.

    Two estimates, neither of which counts a page twice; the greater is returned. What the root has and what only one
    descendant has leaves out what descendants share with each other; proportional shares leave out what is shared with
    other trees.
    """
    if not children:
        return unreclaimable(pid, files)
    whole, parts, mapped = unreclaimable(pid), 0, 0
    for one in (pid, *children):
        fields = _fields(one, "smaps_rollup")
        parts += fields.get(b"Pss_Anon", fields.get(b"Pss", 0))
        mapped += fields.get(b"Pss_Shmem", 0)
        if one != pid:
            # A process that made itself unreadable (PR_SET_DUMPABLE) counts as a whole: it may not hide by that.
            whole += fields[b"Private_Dirty"] if fields else unreclaimable(one)
    return max(whole, parts + max(mapped, files))


def stopped(pid: int) -> bool:
    """Has somebody stopped it (SIGSTOP), or is it gone?"""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return file.read(512).rpartition(b")")[2][1:2] in b"TtZX"
    except OSError:
        return True


def parent(pid: int) -> int:
    """The parent's process id; 0 if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read(512).rpartition(b")")[2].split(None, 2)[1])
    except OSError:
        return 0


def descendants(pid: int, others: Container[int] = ()) -> list[int]:
    """All descendants, parents before children. Threads fork too, so every task's list is read.

    Those in ``others``, and what is below them, are left out.
    """
    found, at = [pid], 0
    while at < len(found):
        found += [child for child in _children(found[at]) if child not in others]
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
