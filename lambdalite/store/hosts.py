"""Which process has claimed something, and whether it is still there."""

from __future__ import annotations

import os
import socket
from functools import cache

__all__ = ["alive", "machine", "started"]


@cache
def machine() -> str:
    """Where process ids mean what they mean here: this boot of this machine, this PID namespace."""
    parts = [socket.gethostname(), _read("/proc/sys/kernel/random/boot_id").strip()]
    try:
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # no Linux: a boot has one namespace
        parts.append("")
    if not parts[1]:
        import psutil

        parts[1] = str(int(psutil.boot_time()))
    return " ".join(parts)


os.register_at_fork(after_in_child=machine.cache_clear)  # it may have another namespace


def started(pid: int) -> str | None:
    """When a process of this machine began, as a text to compare.

    Empty if it is over and only not reaped yet; None if it cannot be looked at: gone, or hidden from us.
    """
    text = _read(f"/proc/{pid}/stat")
    if text:
        fields = text.rpartition(")")[2].split()  # the name before may hold anything
        return "" if fields[0] in "ZX" else fields[19]
    return None if os.path.isdir("/proc/self") else _started_elsewhere(pid)


def _started_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None


def alive(where: str, pid: int, start: str) -> bool:
    """False if a process is known to be gone; one of another machine may be there."""
    if where != machine():
        return True
    found = started(pid)
    return _exists(pid) if found is None else found == start


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, and /proc hides it: if it is another, its claims end with its lease
        return True
    return True


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
