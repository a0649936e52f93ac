"""How bytes cross: frames and messages arrive as they were sent, and what is none is refused."""

from __future__ import annotations

import json
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdalite.runtime import frames


@given(st.binary(max_size=300), st.binary(max_size=3000), st.integers(0, 2**32 - 1))
def test_frame_arrives_as_it_was_sent(meta: bytes, payload: bytes, number: int) -> None:
    """Kind, number, meta and payload make the round trip, whatever the first read takes."""
    near, far = frames.pair()
    with near, far:
        near.sendall(frames.encode(frames.ANSWER, meta, payload, number))

        assert (frames.ANSWER, number, meta, payload) == tuple(frames.read_frame(far, frames.HEAD_SIZE))


def test_message_brings_its_descriptors_and_blob() -> None:
    """Body, blob and descriptors travel together; the descriptors are not inheritable."""
    near, far = frames.pair()
    read, write = os.pipe()
    with near, far:
        frames.send(near, {"do": "it"}, (write,), b"raw")
        message = frames.receive(far)

        assert message is not None
        os.write(message.fds[0], b"x")
        assert ({"do": "it", "blob": b"raw"}, b"x") == (message.body, os.read(read, 1))
        assert not os.get_inheritable(message.fds[0])
    for fd in (read, write, *message.fds):
        os.close(fd)


@pytest.mark.parametrize(
    "head",
    [
        frames.HEAD.pack(99, 0, 0, 0),
        frames.HEAD.pack(frames.ANSWER, 0, frames.META_BYTES + 1, 0),
        frames.HEAD.pack(frames.ANSWER, 0, 0, frames.PAYLOAD_BYTES + 1),
    ],
)
def test_head_over_the_limit_is_refused(head: bytes) -> None:
    """An unknown kind or a size over the limit is refused from the head alone."""
    with pytest.raises(frames.ProtocolError):
        frames.sizes(head)


def test_exit_is_found_behind_a_cut_frame() -> None:
    """The parent's last word is found whatever precedes it, and nothing else is taken for it."""
    word = frames.exit_frame(9, 5, 7, at=1.5)

    assert {"status": 9, "maxrss": 5, "cpu": 7, "at": 1.5} == frames.find_exit(b"half a fra" + word)
    assert None is frames.find_exit(word[:-1])


def test_closed_stream_is_an_end() -> None:
    """The end of the stream is told from a frame."""
    near, far = socket.socketpair()
    with far:
        near.close()
        with pytest.raises(frames.EndOfStream):
            frames.read_frame(far)
        assert None is frames.receive(far)


@pytest.mark.parametrize(
    "forged",
    [
        {"status": "9"},
        {"status": -1},
        {"status": 1 << 40},
        {"status": True},
        {"maxrss": None},
        {"maxrss": -1},
        {"at": "x"},
    ],
    ids=str,
)
def test_last_word_holds_numbers(forged: dict[str, object]) -> None:
    """What user code wrote in the form of a last word is none, if its numbers are not such as a parent would write."""
    meta = json.dumps({"status": 9, "maxrss": 5, "cpu": 7, "at": 1.5, **forged}).encode()
    room = len(frames.exit_frame(9)) - frames.HEAD_SIZE

    assert None is frames.find_exit(frames.encode(frames.EXIT, meta.ljust(room)))
