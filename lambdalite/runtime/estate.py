"""The /tmp of a reused environment that died, for the one that takes its place.

On AWS only the process is replaced after a timeout or a crash: module globals are new, /tmp is the old one (S). Here each
environment has a tmpfs of its own, which would vanish with its process. So it sends a descriptor of it to its template at
birth: the descriptor lies in a socket's buffer, keeps the tmpfs alive when the process dies, and costs nothing otherwise.
The next environment copies what it finds there. An environment that is retired in peace says so, and leaves nothing.

One estate is kept for a function, the latest; it counts as the machine's memory until somebody inherits it.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Estate", "Testament"]

_TMP = "/tmp"
_WILL, _REVOKED = b"w", b"r"


class Testament:
    """The environment's side."""

    def __init__(self, sock: socket.socket | None, inherited: int | None) -> None:
        self._sock, self._inherited = sock, inherited

    def enter(self) -> None:
        """Take what is inherited, and make our own will. Call when /tmp is ours.

        Raises:
            OSError: the inheritance does not fit (ENOSPC).
        """
        if self._inherited is not None:
            from lambdalite.runtime import copying

            # What is in a fresh /tmp already is no file of the handler's: code that lies below the host's /tmp shows there.
            ours = {os.path.join(_TMP, name) for name in os.listdir(_TMP)}
            copying.copy_tree(self._inherited, _TMP, ours)
            os.close(self._inherited)
        if self._sock is not None:
            fd = os.open(_TMP, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            socket.send_fds(self._sock, [_WILL], [fd])
            os.close(fd)

    def revoke(self) -> None:
        """We end in peace: nothing is to be inherited."""
        if self._sock is not None:
            self._sock.send(_REVOKED)


class Estate:
    """The template's side."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._socks: dict[int, socket.socket] = {}
        self._fd: int | None = None

    def fork(self, fork: Callable[[], int]) -> tuple[int, Testament]:
        """Fork with a testament: (pid, testament); the testament is of use in the child only.

        Raises:
            OSError: no process, or no descriptors; nothing is lost.
        """
        if not self._wanted:
            return fork(), Testament(None, None)
        ours, theirs = socket.socketpair()
        try:
            pid = fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        inherited, self._fd = self._fd, None
        if not pid:
            ours.close()
            self._forget_others()
            return 0, Testament(theirs, inherited)
        theirs.close()
        self._socks[pid] = ours
        if inherited is not None:
            os.close(inherited)
        return pid, Testament(None, None)

    def _forget_others(self) -> None:
        for sock in self._socks.values():
            sock.close()
        self._socks.clear()

    def settle(self, pid: int) -> None:
        """The environment ``pid`` has ended: keep its /tmp, unless it ended in peace."""
        sock = self._socks.pop(pid, None)
        if sock is None:
            return
        with sock:
            sock.setblocking(False)
            try:
                words, fds, _flags, _address = socket.recv_fds(sock, 16, 1)
                words += sock.recv(16)
            except BlockingIOError:
                words, fds = b"", []  # it died before its /tmp was its own
        if self._fd is not None and fds:
            os.close(self._fd)
            self._fd = None
        for fd in fds:
            if _REVOKED in words:
                os.close(fd)
            else:
                self._fd = fd
