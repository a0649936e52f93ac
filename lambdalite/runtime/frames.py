"""How bytes cross between the host and its children: the only place that knows.

Two kinds of traffic:

*Frames*, on an environment's channel. A frame is a fixed head (kind, number of the invocation, length of meta, length of
payload), a little JSON *meta*, and *payload*, bytes that only the end user of the payload decodes. Sizes are refused from
the head, before anything is read. There is never a pickle from child to host. Meta is an object, except that of ANSWER,
which is one number, ru_maxrss in KiB: most frames are answers, and a JSON library would cost as much as the rest. While a
handler runs it may ask the host for something: CALL, and then REPLY before anything else (see `line`).

*Messages*, on control sockets (guardian, zygote, template): a length, a JSON object, and file descriptors that travel with
the length's first byte.

An environment's last frame comes from its parent: when the process ends, the template writes `EXIT` into its own copy of
the channel and closes it. So the host waits for one descriptor only, and learns of an answer, of a death and of its
cause in the order in which they happened. `EXIT` has a fixed size, so it can be found behind a frame that death cut short.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections import namedtuple
from time import monotonic
from typing import Any

__all__ = [
    "ANSWER", "CALL", "EXIT", "FAULT", "FORK", "HEAD", "INVOKE", "READY", "REPLY", "SPEC", "UNSAFE",
    "EndOfStream", "Frame", "Message", "ProtocolError",
    "decode_meta", "encode", "exit_frame", "find_exit", "pair", "read_frame", "receive", "send",
]  # fmt: skip

HEAD = struct.Struct("!BIII")
HEAD_SIZE = HEAD.size
_LENGTH = struct.Struct("!I")

# host → child
INVOKE, SPEC, FORK, REPLY = 1, 2, 3, 4
# child → host
READY, ANSWER, FAULT, UNSAFE, EXIT, CALL = 16, 17, 18, 19, 20, 21

_KINDS = frozenset((INVOKE, SPEC, FORK, REPLY, READY, ANSWER, FAULT, UNSAFE, EXIT, CALL))

META_BYTES = 1024 * 1024  # our own small JSON, with room for a bounded traceback and init's output
PAYLOAD_BYTES = 6 * 1024 * 1024 + 100 + 64 * 1024  # AWS's response limit and slack for an error document
MESSAGE_BYTES = 256 * 1024
_STATUS_MAX = 0xFFFF  # wait(2): exit status and signal, a byte each
_EXIT_META = 128  # fixed size of EXIT's meta, padded with spaces
EXIT_SIZE = HEAD_SIZE + _EXIT_META


class ProtocolError(Exception):
    """The other side wrote something that is not a frame."""


class EndOfStream(Exception):
    """The other side closed the channel."""


Frame = namedtuple("Frame", "kind number meta payload")
Message = namedtuple("Message", "body fds")


def encode(kind: int, meta: bytes, payload: bytes = b"", number: int = 0) -> bytes:
    """One frame as bytes; ``meta`` is JSON already, ``number`` the invocation's within its environment."""
    return b"".join((HEAD.pack(kind, number, len(meta), len(payload)), meta, payload))


def sizes(head: bytes | bytearray | memoryview) -> tuple[int, int, int, int]:
    """Kind, number, meta length and payload length of a head. Less than a head counts as a frame that is not all there.

    Raises:
        ProtocolError: an unknown kind, or a size over the limit.
    """
    if len(head) < HEAD_SIZE:
        return 0, 0, 0, HEAD_SIZE
    kind, number, meta, payload = HEAD.unpack_from(head)
    if kind not in _KINDS or meta > META_BYTES or payload > PAYLOAD_BYTES:
        raise ProtocolError(f"a frame of kind {kind} with {meta} + {payload} bytes is unknown, or over the limit")
    return kind, number, meta, payload


def decode_meta(meta: bytes) -> dict[str, Any]:
    """Meta as a dict.

    Raises:
        ProtocolError: it is not a JSON object.
    """
    try:
        found = json.loads(meta)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"meta is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ProtocolError("meta is not a JSON object")
    return found


def read_frame(sock: socket.socket, first: int = 65536) -> Frame:
    """Block until a whole frame is there (the child's side; the host never blocks here).

    Args:
        sock: the channel.
        first: bytes of the first read. `HEAD_SIZE` where something else may follow the frame: descriptors that travel
            with what follows would be lost by reading too far.

    Raises:
        EndOfStream: the host closed the channel.
        ProtocolError: not a frame.
    """
    data = sock.recv(first)
    if not data:
        raise EndOfStream
    while len(data) < HEAD_SIZE:
        data += _more(sock, HEAD_SIZE - len(data))
    kind, number, meta, payload = sizes(data)
    total = HEAD_SIZE + meta + payload
    if len(data) < total:
        data = _fill(sock, data, total)
    middle = HEAD_SIZE + meta
    return Frame(kind, number, data[HEAD_SIZE:middle], data[middle:total])


def _more(sock: socket.socket, size: int) -> bytes:
    data = sock.recv(size)
    if not data:
        raise EndOfStream
    return data


def _fill(sock: socket.socket, start: bytes, total: int) -> bytes:
    buffer = bytearray(total)
    buffer[: len(start)] = start
    view, at = memoryview(buffer), len(start)
    while at < total:
        count = sock.recv_into(view[at:])
        if not count:
            raise EndOfStream
        at += count
    return bytes(buffer)


def exit_frame(status: int, maxrss_kib: int = 0, cpu_us: int = 0, at: float | None = None) -> bytes:
    """The parent's last word on a dead process: its wait status, ru_maxrss, CPU time, and when it was found dead.

    The time is on the machine's monotonic clock, which all processes share: an environment that was found dead before
    its event was sent has not seen the event, and another one can be asked.
    """
    found = {"status": status, "maxrss": maxrss_kib, "cpu": cpu_us, "at": monotonic() if at is None else at}
    meta = json.dumps(found).encode().ljust(_EXIT_META)
    return encode(EXIT, meta)


def find_exit(tail: bytes | bytearray | memoryview) -> dict[str, Any] | None:
    """The EXIT frame at the very end of what was received, if there is one."""
    if len(tail) < EXIT_SIZE:
        return None
    last = bytes(tail[-EXIT_SIZE:])
    if HEAD.unpack_from(last) != (EXIT, 0, _EXIT_META, 0):
        return None
    try:
        found = decode_meta(last[HEAD_SIZE:])
    except ProtocolError:
        return None
    return found if _is_exit(found) else None


def _is_exit(found: dict[str, Any]) -> bool:
    """User code can write here what looks like one: are they all numbers that can be?"""
    status, maxrss, at = found.get("status"), found.get("maxrss"), found.get("at")
    whole = type(status) is int and 0 <= status <= _STATUS_MAX and type(maxrss) is int and 0 <= maxrss < 1 << 48
    return whole and type(at) in (int, float)


# --- control sockets ----------------------------------------------------------------------------------------------


def pair() -> tuple[socket.socket, socket.socket]:
    """A connected stream pair for control messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def send(sock: socket.socket, body: dict[str, Any], fds: tuple[int, ...] = (), blob: bytes = b"") -> None:
    """Write one message, with descriptors; ``blob`` is appended raw and its length told in the message.

    Raises:
        OSError: the other side is gone.
    """
    if blob:
        body = {**body, "blob": len(blob)}
    data = json.dumps(body).encode()
    data = _LENGTH.pack(len(data)) + data
    if fds:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = sock.sendmsg([data], rights)
        data = data[sent:]
    if data or blob:
        sock.sendall(data + blob if blob else data)


def receive(sock: socket.socket, max_fds: int = 4) -> Message | None:
    """Block until a whole message is there; None at the end of the stream. The blob, if any, is in ``body["blob"]``.

    Raises:
        ProtocolError: not a message.
    """
    fds = array.array("i")
    data, ancillary, _flags, _address = sock.recvmsg(_LENGTH.size, socket.CMSG_SPACE(max_fds * fds.itemsize))
    if not data:
        return None
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    for fd in fds:
        os.set_inheritable(fd, False)
    try:
        body = _body(sock, data)
    except (EndOfStream, ProtocolError):
        for fd in fds:
            os.close(fd)
        raise
    return Message(body, tuple(fds))


def _body(sock: socket.socket, start: bytes) -> dict[str, Any]:
    data = start if len(start) == _LENGTH.size else _fill(sock, start, _LENGTH.size)
    (length,) = _LENGTH.unpack(data)
    if length > MESSAGE_BYTES:
        raise ProtocolError(f"a message of {length} bytes is over the limit")
    body = decode_meta(_fill(sock, b"", length))
    if "blob" in body:
        body["blob"] = _fill(sock, b"", int(body["blob"]))
    return body
