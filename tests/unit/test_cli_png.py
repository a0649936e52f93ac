"""The demo's PNG reader and writer."""

from __future__ import annotations

import struct
import zlib

import pytest

from lambdalite.demo import png

ROWS = [bytes((x * 7 + y * 13 + c * 29) % 256 for x in range(5) for c in range(3)) for y in range(6)]


def filtered(kind: int) -> bytes:
    """ROWS as a PNG whose every row is filtered by ``kind``, written straight from RFC 2083, chapter 6."""
    lines = []
    above = bytes(15)
    for row in ROWS:
        line = bytearray()
        for i, sample in enumerate(row):
            left, corner = (row[i - 3], above[i - 3]) if i >= 3 else (0, 0)
            up = above[i]
            guess = left + up - corner
            near = [abs(guess - one) for one in (left, up, corner)]
            paeth = (left, up, corner)[near.index(min(near))]
            line.append((sample - (0, left, up, (left + up) // 2, paeth)[kind]) % 256)
        lines.append(bytes([kind]) + line)
        above = row
    header = struct.pack("!IIBBBBB", 5, 6, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")]
    return png.SIGNATURE + b"".join(chunk(kind, body) for kind, body in parts)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Length, kind, content, checksum."""
    return struct.pack("!I", len(body)) + kind + body + struct.pack("!I", zlib.crc32(kind + body))


@pytest.mark.parametrize("kind", range(5))
def test_every_filter_is_undone(kind: int) -> None:
    """None, Sub, Up, Average and Paeth rows all decode to the picture."""
    found = png.decode(filtered(kind))

    assert (5, 6, 3, ROWS) == (found.width, found.height, found.channels, found.rows)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_is_written_can_be_read(channels: int) -> None:
    """Grey, grey with alpha, colour, and colour with alpha."""
    rows = [bytes(range(y, y + 4 * channels)) for y in range(3)]

    found = png.decode(png.encode(png.Picture(4, 3, channels, rows)))

    assert (4, 3, channels, rows) == (found.width, found.height, found.channels, found.rows)


def test_shrinking_averages_boxes() -> None:
    """Every pixel of the smaller picture is the mean of a square of the larger one."""
    picture = png.Picture(4, 2, 1, [bytes([0, 10, 100, 104]), bytes([20, 30, 108, 112])])

    small = png.shrink(picture, 2)

    assert (2, 1, [bytes([15, 106])]) == (small.width, small.height, small.rows)


def test_a_flat_picture_keeps_a_row() -> None:
    """A picture lower than the box keeps at least one row."""
    small = png.shrink(png.Picture(8, 2, 1, [bytes(8), bytes(8)]), 1)

    assert (4, 1) == (small.width, small.height)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GIF89a", "not a PNG file"),
        (filtered(0)[:60], "not a whole PNG file"),
        (filtered(0)[:-1], "not a whole PNG file"),
        (png.SIGNATURE + chunk(b"IEND", b""), "not a whole PNG file"),
        (filtered(0).replace(b"IDAT", b"IDAX"), "chunk IDAX is damaged"),
        (png.SIGNATURE + chunk(b"IHDR", struct.pack("!IIBBBBB", 5, 6, 16, 2, 0, 0, 0)), "only 8-bit"),
        (png.SIGNATURE + chunk(b"IHDR", struct.pack("!IIBBBBB", 5, 6, 8, 2, 0, 0, 1)), "not interlaced"),
    ],
)
def test_other_bytes_are_refused_in_a_sentence(data: bytes, said: str) -> None:
    """Not a PNG, cut short, damaged, or of a kind that the demo does not read: a ValueError that says so."""
    with pytest.raises(ValueError) as caught:
        png.decode(data)

    assert said in str(caught.value)


def test_no_width_is_refused() -> None:
    """A thumbnail of no width cannot be made."""
    with pytest.raises(ValueError) as caught:
        png.shrink(png.Picture(1, 1, 1, [b"\0"]), 0)

    assert "a picture is at least 1 pixel wide, not 0" == str(caught.value)
