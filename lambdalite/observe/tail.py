"""The live tail: log bytes to a terminal or a file, whole lines at a time, each behind its function's name."""

from __future__ import annotations

import os
import sys
import threading
import zlib
from typing import TYPE_CHECKING, TextIO

from lambdalite.observe.lines import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Tail"]

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)  # O: the readable ones on dark and on light; red is kept for errors
_LINE_BYTES = 64 * 1024  # O: a line that does not end is printed in pieces of this size


class Tail:
    """A follower for `LogStore.follow`. Coloured, and stripped of control sequences, only on a terminal.

    Args:
        stream: where to write; standard error, as it is at each write, if not given.
        environment: where ``NO_COLOR`` (any value but "" forbids colour) and ``TERM`` (``dumb`` knows none) are looked up;
            the process's own if not given.
    """

    def __init__(self, stream: TextIO | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._stream = stream
        found = os.environ if environment is None else environment
        self._colour = not found.get("NO_COLOR") and found.get("TERM") != "dumb"
        self._partial: dict[tuple[str, str], bytes] = {}  # owned by _lock: unfinished lines of each function and stream
        self._lock = threading.Lock()

    def __call__(self, chunk: bytes, function: str, stream: str) -> None:
        """Print the lines that `chunk` completes; keep the rest until more comes."""
        with self._lock:
            whole, newline, rest = (self._partial.pop((function, stream), b"") + chunk).rpartition(b"\n")
            if len(rest) > _LINE_BYTES:
                whole, newline, rest = whole + newline + rest, b"\n", b""
            if rest:
                self._partial[function, stream] = rest
            if newline:
                self._write(whole.decode("utf-8", "replace"), function)

    def flush(self) -> None:
        """Print what no newline has ended."""
        with self._lock:
            left, self._partial = self._partial, {}
            for (function, _), rest in left.items():
                self._write(rest.decode("utf-8", "replace"), function)

    def _write(self, text: str, function: str) -> None:
        stream = sys.stderr if self._stream is None else self._stream
        if stream is None:  # a host without standard error has nobody to show it to
            return
        prefix = f"{function} | "
        if stream.isatty():
            text = printable(text)
            if self._colour:
                colour = _COLOURS[zlib.crc32(function.encode()) % len(_COLOURS)]  # the same in every run
                prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        stream.write("".join(f"{prefix}{line}\n" for line in text.split("\n")))
        stream.flush()
