"""An environment's line to its host, without a process: a thread answers as a host would."""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite.runtime import frames
from lambdalite.runtime.line import Line, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Line, socket.socket]]:
    """A line with an invocation, and the host's socket."""
    near, far = socket.socketpair()
    line = Line(near)
    line.open(7)
    yield line, far
    near.close()
    far.close()


def answering(
    far: socket.socket, count: int, hold: threading.Event | None = None
) -> tuple[threading.Thread, list[Any]]:
    """A host that replies to so many calls with their own payloads."""
    seen: list[Any] = []

    def serve() -> None:
        for _ in range(count):
            frame = frames.read_frame(far)
            seen.append((frame.kind, frame.number, json.loads(frame.meta), len(frame.payload)))
            if hold is not None:
                hold.wait(10)
            number = json.loads(frame.meta)["call"]
            far.sendall(frames.encode(frames.REPLY, b'{"number": %d}' % number, frame.payload, number))

    thread = threading.Thread(target=serve)
    thread.start()
    return thread, seen


class Interrupting:
    """A socket on which an exception arrives after so many reads and writes, as an alarm's would."""

    def __init__(self, sock: socket.socket, after: int, piece: int) -> None:
        self.sock, self.left, self.piece = sock, after, piece

    def _count(self) -> None:
        self.left -= 1
        if not self.left:
            raise TimeoutError("alarm")

    def send(self, data: memoryview) -> int:
        self._count()
        return self.sock.send(data[: self.piece])

    def recv(self, size: int) -> bytes:
        self._count()
        return self.sock.recv(min(size, self.piece))


@pytest.mark.parametrize("size", [0, 10, 2_000_000])
def test_call_is_answered(ends: tuple[Line, socket.socket], size: int) -> None:
    """Invocation and call are numbered, and the reply's meta and payload come back."""
    line, far = ends
    host, seen = answering(far, 2)

    assert ({"number": 1}, b"x" * size) == line.call({"op": "a"}, b"x" * size)
    assert ({"number": 2}, b"y") == line.call({"op": "b"}, b"y")
    host.join()
    assert [
        (frames.CALL, 7, {"op": "a", "call": 1}, size),
        (frames.CALL, 7, {"op": "b", "call": 2}, 1),
    ] == seen


@pytest.mark.parametrize("after", range(1, 26))
def test_exception_anywhere_in_a_call_costs_that_call_only(ends: tuple[Line, socket.socket], after: int) -> None:
    """Half written or half read, it is finished by the next one, which gets its own answer."""
    line, far = ends
    host, seen = answering(far, 2)
    sock = line._sock
    line._sock = Interrupting(sock, after, 7)  # type: ignore[assignment]

    with pytest.raises(TimeoutError):
        line.call({"op": "first"}, b"1" * 100)
    assert ({"number": 2}, b"second") == line.call({}, b"second")
    line._sock = sock
    line.close()
    host.join()
    assert [1, 2] == [meta["call"] for _, _, meta, _ in seen]


def test_close_reads_the_reply_to_an_abandoned_call(ends: tuple[Line, socket.socket]) -> None:
    """The next event comes by the same channel, and nothing stands before it."""
    line, far = ends
    hold = threading.Event()
    host, _ = answering(far, 1, hold)
    sock = line._sock
    line._sock = Interrupting(sock, 2, 1_000)  # type: ignore[assignment]
    with pytest.raises(TimeoutError):
        line.call({}, b"abandoned")
    line._sock = sock
    hold.set()

    line.close()
    host.join()
    far.sendall(b"next")
    assert b"next" == sock.recv(100)


def test_call_outside_an_invocation_is_refused(ends: tuple[Line, socket.socket]) -> None:
    """Before the first and after each, nothing goes out."""
    line, far = ends
    line.close()
    far.setblocking(False)

    with pytest.raises(Refused, match="no invocation is running"):
        line.call({}, b"")
    with pytest.raises(BlockingIOError):
        far.recv(1)


def test_call_from_a_forked_process_is_refused(
    ends: tuple[Line, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told by its process id, before it could wait for a lock that another process holds."""
    line, _ = ends
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)

    with pytest.raises(Refused, match="forked"):
        line.call({}, b"")
    line._lock.acquire()
    line.close()
    line._lock.release()


def test_end_of_the_host_is_an_end(ends: tuple[Line, socket.socket]) -> None:
    """Nobody waits for a reply that cannot come."""
    line, far = ends

    def vanish() -> None:
        frames.read_frame(far)
        far.shutdown(socket.SHUT_RDWR)

    host = threading.Thread(target=vanish)
    host.start()

    with pytest.raises(frames.EndOfStream):
        line.call({}, b"")
    host.join()


@pytest.mark.parametrize(
    ("meta", "payload"), [({"a": "x" * frames.META_BYTES}, b""), ({}, b"x" * (frames.PAYLOAD_BYTES + 1))]
)
def test_question_that_is_too_large_is_not_asked(ends: tuple[Line, socket.socket], meta: Any, payload: bytes) -> None:
    """The host would end the environment for it; so it is refused here, and the line is in order."""
    line, far = ends
    with pytest.raises(ValueError, match="too large"):
        line.call(meta, payload)
    host, _ = answering(far, 1)

    assert ({"number": 1}, b"fine") == line.call({}, b"fine")
    host.join()


def test_threads_take_turns(ends: tuple[Line, socket.socket]) -> None:
    """Each gets the reply to its own call."""
    line, far = ends
    host, _ = answering(far, 40)
    found: list[bool] = []

    def ask(which: int) -> None:
        found.extend(line.call({}, b"%d-%d" % (which, n))[1] == b"%d-%d" % (which, n) for n in range(10))

    threads = [threading.Thread(target=ask, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in (*threads, host):
        thread.join()

    assert 40 * [True] == found
