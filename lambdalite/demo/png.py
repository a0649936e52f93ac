"""PNG with the standard library: enough to read and write 8-bit pictures, and to make a smaller one (RFC 2083)."""

from __future__ import annotations

import struct
import zlib

__all__ = ["Picture", "decode", "encode", "shrink"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # colour type → samples a pixel


class Picture:
    """Rows of 8-bit samples."""

    def __init__(self, width: int, height: int, channels: int, rows: list[bytes]) -> None:
        self.width, self.height, self.channels, self.rows = width, height, channels, rows


def decode(data: bytes) -> Picture:
    """Read a PNG of 8 bits a sample, not interlaced.

    Raises:
        ValueError: not a PNG, or one of another kind.
    """
    if not data.startswith(SIGNATURE):
        raise ValueError("not a PNG file")
    try:
        return _picture(_chunks(data))
    except (struct.error, zlib.error, IndexError, KeyError) as error:
        raise ValueError(f"not a whole PNG file: {type(error).__name__}: {error}") from error


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """Kind → content; several of a kind are joined, as IDAT wants it."""
    chunks: dict[bytes, bytes] = {}
    at = len(SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from("!I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if struct.unpack_from("!I", data, at + 8 + length)[0] != zlib.crc32(kind + body):
            raise ValueError(f"chunk {kind.decode('latin-1')} is damaged: its checksum does not fit")
        chunks[kind] = chunks.get(kind, b"") + body
        at += length + 12
    return chunks


def _picture(chunks: dict[bytes, bytes]) -> Picture:
    width, height, depth, colour, _, _, interlace = struct.unpack("!IIBBBBB", chunks[b"IHDR"])
    if depth != 8 or interlace or colour not in _CHANNELS:
        raise ValueError(f"only 8-bit, not interlaced pictures: this has depth {depth}, colour type {colour}")
    channels = _CHANNELS[colour]
    rows = _unfilter(zlib.decompress(chunks[b"IDAT"]), width * channels, height, channels)
    return Picture(width, height, channels, rows)


def _unfilter(raw: bytes, stride: int, height: int, channels: int) -> list[bytes]:
    rows: list[bytes] = []
    above = bytes(stride)
    for y in range(height):
        start = y * (stride + 1)
        above = _FILTERS[raw[start]](bytearray(raw[start + 1 : start + 1 + stride]), above, channels)
        rows.append(above)
    return rows


def _none(row: bytearray, _above: bytes, _channels: int) -> bytes:
    return bytes(row)


def _sub(row: bytearray, _above: bytes, channels: int) -> bytes:
    for i in range(channels, len(row)):
        row[i] = (row[i] + row[i - channels]) & 255
    return bytes(row)


def _up(row: bytearray, above: bytes, _channels: int) -> bytes:
    return bytes((a + b) & 255 for a, b in zip(row, above, strict=True))


def _average(row: bytearray, above: bytes, channels: int) -> bytes:
    for i, up in enumerate(above):
        left = row[i - channels] if i >= channels else 0
        row[i] = (row[i] + (left + up) // 2) & 255
    return bytes(row)


def _paeth(row: bytearray, above: bytes, channels: int) -> bytes:
    for i, up in enumerate(above):
        left, corner = (row[i - channels], above[i - channels]) if i >= channels else (0, 0)
        guess = left + up - corner
        near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
        row[i] = (row[i] + near) & 255
    return bytes(row)


_FILTERS = (_none, _sub, _up, _average, _paeth)


def encode(picture: Picture) -> bytes:
    """Write a PNG."""
    colour = {channels: colour for colour, channels in _CHANNELS.items()}[picture.channels]
    header = struct.pack("!IIBBBBB", picture.width, picture.height, 8, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\x00" + row for row in picture.rows))
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack("!I", len(body)) + kind + body + struct.pack("!I", zlib.crc32(kind + body))


def shrink(picture: Picture, width: int) -> Picture:
    """A smaller picture, by averaging square boxes of pixels; at least ``width`` wide, unless the picture is not.

    Raises:
        ValueError: no width at all.
    """
    if width < 1:
        raise ValueError(f"a picture is at least 1 pixel wide, not {width}")
    factor = max(min(picture.width // width, picture.height), 1)
    width, height, channels = picture.width // factor, picture.height // factor, picture.channels
    area = factor * factor
    rows = []
    for y in range(height):
        band = picture.rows[y * factor : (y + 1) * factor]
        row = bytearray(width * channels)
        for x in range(width):
            for c in range(channels):
                first = x * factor * channels + c
                last = first + factor * channels
                row[x * channels + c] = sum(sum(line[first:last:channels]) for line in band) // area
        rows.append(bytes(row))
    return Picture(width, height, channels, rows)
