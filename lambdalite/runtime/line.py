"""An environment's line to its host while a handler runs: one call at a time, over the channel that events come by.

A CALL carries the invocation's number in its head and its own in meta; the REPLY carries the call's. The host answers each
before it reads on, so replies come in the order of the calls, and the answer to the event goes out after the last of them.

An exception may arrive at any point of a call: a handler's own alarm, Ctrl-C. What has been written and read by then is
kept here, so that whoever comes next goes on where it stopped, and no frame is ever cut short or taken for another one.
"""

from __future__ import annotations

import json
import os
from _thread import allocate_lock, get_ident  # not `threading`: an environment pays for no module that it may not need
from typing import TYPE_CHECKING, Any

from lambdalite.runtime import frames

if TYPE_CHECKING:
    import socket

__all__ = ["Line", "Refused", "current", "running"]

_PIECE = 1 << 20  # O: bytes of one read: what is asked for is allocated

#: The line of this process, if it is an environment.
current: Line | None = None


def running() -> bool:
    """Does a handler run here, that could call?"""
    return current is not None and current.busy


class Refused(Exception):
    """This call cannot be made from here; the message says why."""


class Line:
    """Owned by the environment's `Server`; any thread of the handler's may call."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._process = sock, os.getpid()
        self._lock = allocate_lock()  # held for a whole call: guards everything below
        self._caller = 0  # the thread that holds it
        self._invocation = 0  # the number of the one that runs; 0: none
        self._asked = self._heard = 0  # numbers of the last call and of the last reply
        self._outgoing: tuple[bytes, list[int]] = (b"", [])  # the last call's frame, and how much of it each write took
        self._incoming: list[bytes] = []  # pieces of the reply that is being read

    @property
    def busy(self) -> bool:
        """Is there an invocation?"""
        return bool(self._invocation)

    def open(self, invocation: int) -> None:
        """An invocation begins: it may call."""
        self._invocation = invocation

    def close(self) -> None:
        """It is over: wait for calls that its threads have under way, and take no more."""
        self._invocation = 0  # before the lock is had: a thread that goes on calling would not let go of it
        if self._heard == self._asked and not self._lock.locked():
            return  # nobody calls, and whoever takes the lock from here on finds no invocation
        if self._process != os.getpid():
            return  # a process that the handler forked has come out of the handler too: it has no line
        with self._lock:
            self._settle()

    def call(self, meta: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """Ask the host, and wait for what it says.

        Raises:
            Refused: no invocation runs, another process than the environment's asks, or a call within a call.
            ValueError: the question is too large to be asked.
            EndOfStream: the host is gone.
        """
        if self._process != os.getpid():
            raise Refused("it was used in a process that the handler forked; only the environment itself can call")
        if self._caller == get_ident():
            raise Refused("it was used within another call of the same thread, as from a signal handler")
        with self._lock:
            try:
                self._caller = get_ident()
                return self._ask(meta, payload)
            finally:
                self._caller = 0

    def _ask(self, meta: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        invocation = self._invocation
        if not invocation:
            raise Refused("no invocation is running: call from inside the handler, before it has answered")
        self._settle()
        number = self._asked + 1
        head = json.dumps({**meta, "call": number}).encode()
        if len(head) > frames.META_BYTES or len(payload) > frames.PAYLOAD_BYTES:
            raise ValueError("the question is too large")
        self._asked, self._outgoing = number, (frames.encode(frames.CALL, head, payload, invocation), [])
        answer = self._settle()
        return frames.decode_meta(answer.meta), answer.payload

    def _settle(self) -> frames.Frame:
        """Finish what is under way; the last reply."""
        answer = frames.Frame(frames.REPLY, 0, b"", b"")
        while self._heard < self._asked:
            self._write()
            answer = self._read()
        return answer

    def _write(self) -> None:
        """Send the rest of the call.

        Python runs a signal's handler between two instructions; `extend` writes and takes note in one.
        """
        frame, sent = self._outgoing
        while (at := sum(sent)) < len(frame):
            sent.extend(map(self._sock.send, (memoryview(frame)[at:],)))

    def _read(self) -> frames.Frame:
        """The next reply; never a byte more, since the next event comes by the same channel."""
        _kind, number, meta, payload = frames.sizes(self._until(frames.HEAD_SIZE))
        middle = frames.HEAD_SIZE + meta
        data = self._until(middle + payload)
        self._heard, self._incoming = number, []
        return frames.Frame(frames.REPLY, number, data[frames.HEAD_SIZE : middle], data[middle:])

    def _until(self, total: int) -> bytes:
        """What has come, when so much of it is there; `extend` as in `_write`."""
        pieces = self._incoming
        while (size := sum(map(len, pieces))) < total:
            pieces.extend(map(self._sock.recv, (min(total - size, _PIECE),)))
            if not pieces[-1]:
                raise frames.EndOfStream
        return b"".join(pieces)
