"""Own children: who they are, and how none of them is left.

A subreaper inherits every orphan below it. So a child that its parent does not know is, by construction, what an ended
environment left behind.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from lambdalite.runtime import linux

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["become_subreaper", "children", "sweep"]


def become_subreaper() -> bool:
    """Orphans below this process become its children. False where the operating system has no such thing."""
    try:
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    except OSError:
        return False
    return True


def children() -> list[int]:
    """Pids of the calling process's direct children, zombies included."""
    tasks = _tasks()
    if tasks is None:
        return _children_elsewhere()
    found: list[int] = []
    for task in tasks:
        listed = _read(f"/proc/self/task/{task}/children")
        if listed is None:  # the thread has ended, or the kernel was built without this file
            if not _has_children_file():
                return _children_by_scan()
            continue
        found.extend(map(int, listed.split()))
    return found


def _tasks() -> list[str] | None:
    """Ids of this process's threads; None without /proc."""
    try:
        return os.listdir("/proc/self/task")
    except OSError:
        return None


def _read(path: str) -> bytes | None:
    """A /proc file's whole content; None if it is not there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
    except ProcessLookupError:  # it ended between open and read
        return None
    finally:
        os.close(fd)
    return b"".join(parts)


def _has_children_file() -> bool:
    return os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _children_by_scan() -> list[int]:
    """By the parent's pid in every /proc/<pid>/stat, for kernels without CONFIG_PROC_CHILDREN."""
    me, found = str(os.getpid()).encode(), []
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := _read(f"/proc/{name}/stat")) is not None:
            # "pid (comm) state ppid …": comm may hold spaces and brackets, so count from the last bracket
            parent = stat.rpartition(b")")[2].split()[1]
            found += [int(name)] if parent == me else []
    return found


def _children_elsewhere() -> list[int]:
    """macOS: from libproc. Elsewhere nothing can be known, and nothing is claimed."""
    if sys.platform != "darwin":
        return []
    import ctypes

    libproc = ctypes.CDLL("/usr/lib/libproc.dylib", use_errno=True)
    room = 1024
    while True:
        pids = (ctypes.c_int * room)()
        count = libproc.proc_listchildpids(os.getpid(), pids, ctypes.sizeof(pids))
        if count < room:
            return list(pids[: max(0, count)])
        room *= 4


def sweep(keep: Container[int]) -> int:
    """SIGKILL and reap every child not in `keep`, and what they leave behind, until there is none.

    Returns how many were reaped. Input: the pids that live on. A process group is killed as a whole: the kernel does that in one
    step, so a group that forks as fast as it can has no time between being seen and being killed. A stopped process
    dies of SIGKILL too.
    """
    reaped = 0
    while leftovers := [pid for pid in _waitable() if pid not in keep]:
        for group in {_group(pid) for pid in leftovers}:
            if group > 1 and group != os.getpgrp() and group not in keep:
                _kill(-group)
        for pid in leftovers:
            _kill(pid)
        reaped += sum(map(_reap, leftovers))
    return reaped


def _waitable() -> list[int]:
    """The children, with one cheap system call when there are none at all."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []
    return children()


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _kill(target: int) -> None:
    try:
        os.kill(target, signal.SIGKILL)
    except ProcessLookupError:
        return  # it is gone, which is what we want


def _reap(pid: int) -> int:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:  # a thread's child, already reaped by somebody else
        return 0
    return 1
