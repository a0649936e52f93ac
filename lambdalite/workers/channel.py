"""The host's end of an environment: its frames and its output, never blocking, trusting nothing.

Reading is incremental: a head decides whether the rest is wanted at all, so a child that announces 200 MB is refused
before a byte of it is read. Output is kept up to a bound; beyond it the pipe is still drained, but slowly, so that a
flood slows its writer and not the host.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lambdalite import limits
from lambdalite.clock import monotonic
from lambdalite.runtime import frames
from lambdalite.workers.waiting import Wait

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lambdalite.workers.waiting import Plan

__all__ = ["Channel"]

_CHUNK = 65_536
_FIRST = 16_384  # of a frame: most are smaller, and what is asked for is allocated
_LARGE = 1 << 20  # a read of a large frame; what is allocated for it is bounded by the frame's head
_NOTHING = memoryview(b"")
_READS = 32  # chunks that one drain may take: a wake-up must come to an end
_FLOOD_READS = 2  # the same beyond the bound of output, every
_FLOOD_PAUSE = 0.005  # seconds


class Channel:
    """A socket for frames and a pipe for output; owned by whoever holds the environment."""

    __slots__ = (
        "_buffer",
        "_need",
        "_read",
        "_rest",
        "_write",
        "dropped",
        "eof",
        "log_fd",
        "output",
        "refused",
        "size",
        "sock",
        "tail",
    )

    def __init__(self, sock: socket.socket, log_fd: int) -> None:
        sock.setblocking(False)
        os.set_blocking(log_fd, False)
        self.sock, self.log_fd = sock, log_fd
        self._buffer = bytearray()
        self._need = frames.HEAD_SIZE
        fd = sock.fileno()
        self._read = Wait((fd, log_fd), kept=True)
        self._write = Wait((fd,), writable=True, kept=True)
        self._rest = _NOTHING
        self.output: list[bytes] = []
        self.size = 0
        self.dropped = 0
        self.eof = False
        self.refused = False
        self.tail: Callable[[bytes], None] | None = None

    def readable(self, deadline: float | None) -> Wait:
        """Until there is a frame, output, or an end."""
        if self.dropped:
            return self._patiently(deadline)
        wait = self._read
        wait.deadline = deadline
        return wait

    def _patiently(self, deadline: float | None) -> Wait:
        """Beyond the bound of output: wait for frames only, and look at the pipe now and then.

        Its writer waits meanwhile, so a flood is slowed to some megabytes a second, and costs the host next to nothing.
        """
        if len(self._read.fds) > 1:
            self._read_from(*self._read.fds[:1])
        soon = monotonic() + _FLOOD_PAUSE
        return self._read.until(soon if deadline is None else min(soon, deadline))

    def try_send_all(self, head: bytes, payload: bytes) -> bool:
        """Write a frame given as head-and-meta and payload, without waiting; False if something is left to send."""
        data = head + payload if len(payload) < _CHUNK else None
        try:
            sent = self.sock.send(data) if data is not None else self.sock.sendmsg((head, payload))
        except BlockingIOError:
            sent = 0
        except OSError:
            self.refused = True  # the process is gone and has seen nothing; how it went is read from the channel next
            return True
        if sent == len(head) + len(payload):
            return True
        self._rest = memoryview(head + payload)[sent:]
        return False

    def send_rest(self, deadline: float) -> Plan[None]:
        """Write what `try_send_all` left, until all is taken, the process is gone, or the deadline has passed."""
        while self._rest and monotonic() < deadline:
            yield self._write.until(deadline)
            self.drain()  # the child may be stuck in a write of its own output
            try:
                self._rest = self._rest[self.sock.send(self._rest) :]
            except BlockingIOError:
                continue
            except OSError:
                break  # as above
        self._rest = _NOTHING

    def reply(self, number: int, meta: bytes, payload: bytes, deadline: float) -> Plan[None]:
        """Answer a CALL; a process that does not read it has until the deadline, one that is gone needs none."""
        head = frames.HEAD.pack(frames.REPLY, number, len(meta), len(payload)) + meta
        if not self.try_send_all(head, payload):
            yield from self.send_rest(deadline)
        self.refused = False  # that is about the event, and the event has been taken

    @property
    def ahead(self) -> bool:
        """Has more been read than the frame that was asked for, other than the parent's last word or a part of it?"""
        return bool(self._buffer) and self._buffer[0] != frames.EXIT

    def ended(self) -> bool:
        """Is the process gone, that waits for a reply? It has nothing else to say meanwhile.

        Raises:
            frames.ProtocolError: it has said something.
        """
        if not self.eof and self.receive() is not None:
            raise frames.ProtocolError("a frame from a process that waits for a reply")
        return self.eof

    def receive(self) -> frames.Frame | None:
        """The next frame if it is all there. Sets `eof` when the process and all who held its channel are gone.

        Raises:
            frames.ProtocolError: what came is not a frame, or is over the limit.
        """
        buffer = self._buffer
        while True:
            try:
                data = self.sock.recv(_FIRST if not buffer else min(max(self._need - len(buffer), _FIRST), _LARGE))
            except BlockingIOError:
                return None
            except ConnectionResetError:
                self.refused = True  # it ended without having read all that was sent
                data = b""
            except ConnectionError:
                data = b""
            if not data:
                self.eof = True
                return None
            if not buffer:
                # Nearly always this is exactly one frame, and then nothing has to be copied together.
                kind, number, meta, payload = frames.sizes(data)
                if len(data) == frames.HEAD_SIZE + meta + payload and kind != frames.EXIT:
                    meta += frames.HEAD_SIZE
                    return frames.Frame(kind, number, data[frames.HEAD_SIZE : meta], data[meta:])
            buffer += data
            if len(buffer) >= self._need:
                frame = self._cut()
                if frame is not None or self.eof:
                    return frame

    def _cut(self) -> frames.Frame | None:
        """The first frame of the buffer, if it is all there; else how much is needed."""
        buffer = self._buffer
        kind, number, meta, payload = frames.sizes(buffer)
        if kind == frames.EXIT:
            self.eof = True  # the parent's last word: nothing can follow
            return None
        middle = frames.HEAD_SIZE + meta
        total = middle + payload
        if len(buffer) < total:
            self._need = total
            return None
        with memoryview(buffer) as view:
            frame = frames.Frame(kind, number, bytes(view[frames.HEAD_SIZE : middle]), bytes(view[middle:total]))
        del buffer[:total]
        self._need = frames.HEAD_SIZE
        return frame

    def discard(self) -> None:
        """Read on without caring for what is read, until the end: for a process that is being killed."""
        try:
            while data := self.sock.recv(_CHUNK):
                self._buffer = self._buffer[-frames.EXIT_SIZE :] + data
        except BlockingIOError:
            return
        except ConnectionError:
            pass  # an end like any other
        self.eof = True

    def collect(self) -> frames.Frame | None:
        """After a wait: the frame, if it is all there, and the output so far.

        What a handler prints is written before its answer, so if the answer is there and the pipe was not found readable
        by the same poll, there is nothing to read: one system call less on the way of most invocations.

        Raises:
            frames.ProtocolError: as `receive`.
        """
        frame = self.receive()
        ready = self._read.ready
        if self.dropped or ready is None or len(ready) != 1 or ready[0][0] == self.log_fd:
            self.drain()
        return frame

    def last_word(self) -> dict[str, int] | None:
        """What the parent wrote when the process ended, perhaps behind a frame that its death cut short."""
        return frames.find_exit(self._buffer)

    def drain(self) -> None:
        """Take what the process has printed so far."""
        reads = 0
        while reads < (_FLOOD_READS if self.dropped else _READS):
            try:
                data = os.read(self.log_fd, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._silence()
                return
            reads += 1
            self._keep(data)

    def _silence(self) -> None:
        """Every writer of the pipe is gone: stop polling it, or its end would be reported for ever."""
        self._read_from(self.sock.fileno())

    def _read_from(self, *fds: int) -> None:
        self._read.close()
        self._read = Wait(fds, kept=True)

    def _keep(self, data: bytes) -> None:
        room = limits.OUTPUT_BYTES - self.size
        kept = data if len(data) <= room else data[: max(room, 0)]
        if kept:
            self.output.append(kept)
            self.size += len(kept)
            if self.tail is not None:
                self.tail(kept)
        self.dropped += len(data) - len(kept)

    def take_output(self) -> tuple[bytes, int]:
        """What was printed since the last call, and how many bytes more were dropped."""
        if not self.output and not self.dropped:
            return b"", 0
        taken = b"".join(self.output), self.dropped
        if self.dropped and self.log_fd >= 0:
            self._read_from(self.sock.fileno(), self.log_fd)
        self.output, self.size, self.dropped = [], 0, 0
        return taken

    def close(self) -> None:
        """Close both descriptors; safe to call twice."""
        self._read.close()
        self._write.close()
        self.sock.close()
        if self.log_fd >= 0:
            os.close(self.log_fd)
            self.log_fd = -1
