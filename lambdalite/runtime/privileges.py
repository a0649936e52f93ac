"""Capabilities, user namespaces and limits: what a process may do, and how it gives that up.

Two ways to be allowed to mount a private /tmp:

*own*: the process holds CAP_SYS_ADMIN (root). The template keeps it in the permitted set only, out of effect; an environment
puts it into effect, mounts, and drops everything for ever.

*user*: an unprivileged user namespace. The template holds nothing; each environment makes a user namespace of its own, in
which it may mount, and in which everything inherited is locked by the kernel: read-only stays read-only.
"""

from __future__ import annotations

import os
import resource

from lambdalite.runtime import linux

__all__ = ["Identity", "drop_all", "hold_back", "limit", "lower_own_priority", "no_core_dumps", "restrict_users"]

# keep no capability across exec for uid 0, and lock that: SECBIT_NOROOT, SECBIT_NOROOT_LOCKED
_SECUREBITS = 0b11


class Identity:
    """Uid and gid as they are mapped, one to one, into a new user namespace."""

    def __init__(self) -> None:
        self._uid = b"%d %d 1" % (os.getuid(), os.getuid())
        self._gid = b"%d %d 1" % (os.getgid(), os.getgid())

    def map(self) -> None:
        """In a fresh user namespace: the same numbers as outside. Raises OSError."""
        _write("/proc/self/setgroups", b"deny")  # the kernel's condition for writing gid_map without privilege
        _write("/proc/self/uid_map", self._uid)
        _write("/proc/self/gid_map", self._gid)


def restrict_users() -> None:
    """No further user namespace can be made below this one. Raises OSError."""
    _write("/proc/sys/user/max_user_namespaces", b"0")


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)


def hold_back(permitted: int) -> None:
    """Keep these capabilities within reach but out of effect; lose the others for ever. Raises OSError."""
    linux.drop_bounding()
    if linux.capabilities()[0]:
        linux.prctl(linux.PR_SET_SECUREBITS, _SECUREBITS)
    linux.set_capabilities(0, permitted & linux.capabilities()[1])


def drop_all(*, bounding: bool) -> None:
    """No capability, now or after any exec (no_new_privs sees to that).

    `bounding`: empty the bounding set too, which a new user namespace has filled; 0.14 ms for what no_new_privs implies.
    """
    if bounding:
        linux.drop_bounding()
    linux.set_capabilities(0, 0)


def limit(files: int, processes: int | None) -> None:
    """Open files (soft and hard), processes if that can be counted for us alone."""
    _lower(resource.RLIMIT_NOFILE, files)
    if processes is not None:
        _lower(resource.RLIMIT_NPROC, processes)


def no_core_dumps() -> None:
    """A crash leaves no file behind; inherited."""
    _lower(resource.RLIMIT_CORE, 0)


def _lower(which: int, wanted: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (value, value))


def lower_own_priority() -> bool:
    """When the machine runs out of memory, the kernel takes a handler before anything else. False where it cannot be said."""
    try:
        _write("/proc/self/oom_score_adj", b"1000")
    except OSError:
        return False
    return True
