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


def started(pid: int) -> str:
    """When a process of this machine began, as a text to compare; empty if there is none, or it is only not reaped yet."""
    text = _read(f"/proc/{pid}/stat")
    if text:
        fields = text.rpartition(")")[2].split()  # the name before may hold anything
        return "" if fields[0] in "ZX" else fields[19]
    if os.path.isdir("/proc/self"):
        return ""
    return _started_elsewhere(pid)


def _started_elsewhere(pid: int) -> str:
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return ""


def alive(where: str, pid: int, start: str) -> bool:
    """False if a process is known to be gone; one of another machine may be there."""
    return where != machine() or started(pid) == start


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
