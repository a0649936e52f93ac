"""Landlock: which files may be written, and whom signals may reach, decided by the kernel without any privilege.

Landlock never covers metadata (chmod, utime, setxattr), covers truncate(path) from ABI 3 and signals from ABI 6.
Rights by ABI: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lambdalite.runtime.linux import landlock

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Fence", "scope"]

_WRITE_FILE = 1 << 1
# remove directory and file; make character device, directory, file, socket, fifo, block device, symbolic link
_CHANGE_DIRECTORY = sum(1 << bit for bit in range(4, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14  # ABI 2, ABI 3
_MAKE_DEVICE = 1 << 6 | 1 << 11
_BIND_TCP_CONNECT_TCP = 3  # ABI 4
_ABSTRACT_SOCKETS_SIGNALS = 3  # ABI 6

#: What programs write to although the file system is closed.
_DEVICES = ("null", "zero", "full", "tty", "ptmx", "pts")


class Fence:
    """The rules of one function; its environments put them on, each on its own (a ruleset cannot be shared: /tmp differs).

    `fds` are open on what is writable for everybody. They are O_PATH: nothing can be read or written through them.
    """

    def __init__(self, writable: Iterable[str], *, network: bool) -> None:
        self.abi = landlock.abi()
        self.fds: list[int] = []
        self._rules: list[tuple[int, int]] = []
        if not self.abi:
            return
        self._handled = _WRITE_FILE | _CHANGE_DIRECTORY
        if self.abi >= 2:
            self._handled |= _REFER
        if self.abi >= 3:
            self._handled |= _TRUNCATE
        self._on_file = self._handled & (_WRITE_FILE | _TRUNCATE)
        self._on_directory = self._handled & ~_MAKE_DEVICE
        self._net = _BIND_TCP_CONNECT_TCP if self.abi >= 4 and not network else 0
        self._scoped = _ABSTRACT_SOCKETS_SIGNALS if self.abi >= 6 else 0
        for path in [*(f"/dev/{name}" for name in _DEVICES), *writable]:
            self._keep(path)

    def _keep(self, path: str) -> None:
        if os.path.exists(path):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            self.fds.append(fd)
            self._rules.append((self._on_directory if os.path.isdir(path) else self._on_file, fd))

    def enter(self, *directories: str) -> None:
        """Close the fence, leaving these directories writable too. Raises OSError."""
        ruleset = landlock.create(self.abi, self._handled, self._net, self._scoped)
        for access, fd in self._rules:
            landlock.allow(ruleset, access, fd)
        for path in directories:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            landlock.allow(ruleset, self._on_directory, fd)
            os.close(fd)
        landlock.restrict(ruleset)
        os.close(ruleset)

    def forget(self) -> None:
        """Close the descriptors; the rules stay in force."""
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()
        self._rules.clear()


def scope(abi: int) -> bool:
    """Signals and abstract sockets reach only the own descendants; files stay as they are. False before ABI 6.

    Mounting stays possible, which rules about files would forbid.
    """
    if abi < 6:
        return False
    ruleset = landlock.create(abi, 0, 0, _ABSTRACT_SOCKETS_SIGNALS)
    landlock.restrict(ruleset)
    os.close(ruleset)
    return True
