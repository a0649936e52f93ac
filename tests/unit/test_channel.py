"""The host's end of an environment: pieces, excess and ends, all without a process."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from lambdalite import limits
from lambdalite.runtime import frames
from lambdalite.workers.channel import Channel

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
