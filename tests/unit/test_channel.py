"""The host's end of an environment: pieces, excess and ends, all without a process."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from lambdalite import limits
from lambdalite.clock import monotonic
from lambdalite.runtime import frames
from lambdalite.workers.channel import Channel
from lambdalite.workers.waiting import block

if TYPE_CHECKING:
    from collections.abc import Iterator

Ends = tuple[Channel, socket.socket, int]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A channel, the child's socket, and the child's end of the pipe."""
    near, far = socket.socketpair()
    read, write = os.pipe()
    channel = Channel(near, read)
    yield channel, far, write
    channel.close()
    far.close()
    os.close(write)


def test_frame_in_pieces_is_put_together(ends: Ends) -> None:
    """A frame is there when its last byte is."""
    channel, far, _ = ends
    data = frames.encode(frames.ANSWER, b"12", b"payload", 3)
    for at in range(len(data) - 1):
        far.sendall(data[at : at + 1])
        assert None is channel.receive()
    far.sendall(data[-1:])

    assert frames.Frame(frames.ANSWER, 3, b"12", b"payload") == channel.receive()


def test_oversize_is_refused_from_the_head(ends: Ends) -> None:
    """A frame that announces too much is refused before its payload is there."""
    channel, far, _ = ends
    far.sendall(frames.HEAD.pack(frames.ANSWER, 0, 0, frames.PAYLOAD_BYTES + 1))

    with pytest.raises(frames.ProtocolError):
        channel.receive()


def test_exit_behind_a_cut_frame_is_found(ends: Ends) -> None:
    """A death in the middle of an answer still has its cause."""
    channel, far, _ = ends
    far.sendall(frames.encode(frames.ANSWER, b"1", b"x" * 1000)[:500] + frames.exit_frame(9, at=1.0))
    far.shutdown(socket.SHUT_WR)

    assert None is channel.receive()
    assert channel.eof
    assert {"status": 9, "maxrss": 0, "cpu": 0, "at": 1.0} == channel.last_word()


def test_output_is_bounded_and_the_rest_counted(ends: Ends) -> None:
    """What is over the bound is drained and counted, not kept."""
    channel, _, write = ends
    channel.size = limits.OUTPUT_BYTES - 4
    os.write(write, b"kept, not kept")
    channel.drain()

    assert (b"kept", 10) == channel.take_output()
    assert (b"", 0) == channel.take_output()


def test_what_follows_a_call_is_seen(ends: Ends) -> None:
    """More than was asked for is told from the parent's last word, of which a part may be there."""
    channel, far, _ = ends
    call = frames.encode(frames.CALL, b"{}", b"", 1)
    last = frames.exit_frame(9, at=1.0)

    far.sendall(call)
    assert (frames.CALL, False) == (channel.receive().kind, channel.ahead)  # type: ignore[union-attr]
    far.sendall(call + last[:5])
    assert (frames.CALL, False) == (channel.receive().kind, channel.ahead)  # type: ignore[union-attr]
    far.sendall(last[5:])
    assert (None, True) == (channel.receive(), channel.eof)


def test_frame_behind_a_call_is_seen(ends: Ends) -> None:
    """Nobody of ours writes on before the reply has come."""
    channel, far, _ = ends
    far.sendall(2 * frames.encode(frames.CALL, b"{}", b"", 1))

    assert (frames.CALL, True) == (channel.receive().kind, channel.ahead)  # type: ignore[union-attr]


def test_process_that_waits_for_a_reply_is_silent_or_gone(ends: Ends) -> None:
    """A piece of a frame is nothing yet, a whole one breaks the protocol."""
    channel, far, _ = ends
    frame = frames.encode(frames.ANSWER, b"12", b"payload", 1)

    assert not channel.ended()
    far.sendall(frame[:-1])
    assert not channel.ended()
    far.sendall(frame[-1:])
    with pytest.raises(frames.ProtocolError, match="waits for a reply"):
        channel.ended()


def test_end_of_a_process_that_waits_for_a_reply_is_seen(ends: Ends) -> None:
    """By its parent's last word, again and again."""
    channel, far, _ = ends
    far.sendall(frames.exit_frame(9))

    assert (True, True) == (channel.ended(), channel.ended())
    assert 9 == (channel.last_word() or {}).get("status")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
@pytest.mark.parametrize(("read", "refused"), [(0, True), (4, True), (5, False)])
def test_event_that_was_not_taken_whole_is_known(ends: Ends, read: int, refused: bool) -> None:
    """A process that ends with a part of it unread cannot have run it: another one may."""
    channel, far, _ = ends
    channel.try_send_all(b"head", b"+")
    far.recv(read)
    far.close()

    assert (None, True, refused) == (channel.receive(), channel.eof, channel.refused)


def test_reply_to_a_process_that_is_gone_says_nothing_of_its_event(ends: Ends) -> None:
    """`refused` would have the event sent to another environment, though this one has run it."""
    channel, far, _ = ends
    far.close()
    block(channel.reply(1, b"{}", b"", monotonic() + 60))

    assert not channel.refused


def test_large_reply_waits_for_its_reader(ends: Ends) -> None:
    """It goes out as fast as it is read."""
    channel, far, _ = ends
    read: list[frames.Frame] = []
    reader = threading.Thread(target=lambda: read.append(frames.read_frame(far)))
    reader.start()
    block(channel.reply(5, b"{}", b"x" * 3_000_000, monotonic() + 60))
    reader.join()

    assert [(frames.REPLY, 5, b"{}", 3_000_000)] == [(one.kind, one.number, one.meta, len(one.payload)) for one in read]


def test_reply_that_nobody_reads_ends_with_its_deadline(ends: Ends) -> None:
    """A handler that only writes holds up its own invocation, until its time is over."""
    channel, _far, _ = ends

    assert block(channel.reply(5, b"{}", b"x" * 3_000_000, monotonic() + 0.01)) is None
