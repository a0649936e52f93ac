"""Colours, on terminals that want them."""

from __future__ import annotations

import os
from typing import IO

__all__ = ["Paint"]


class Paint:
    """Wraps text in colour codes if the stream is a terminal and NO_COLOR is not set (no-color.org)."""

    def __init__(self, stream: IO[str]) -> None:
        self._on = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text

    def bold(self, text: str) -> str:
        """Headings."""
        return self._wrap("1", text)

    def dim(self, text: str) -> str:
        """Asides."""
        return self._wrap("2", text)

    def red(self, text: str) -> str:
        """What went wrong."""
        return self._wrap("31", text)

    def green(self, text: str) -> str:
        """What is well."""
        return self._wrap("32", text)

    def yellow(self, text: str) -> str:
        """What to look at."""
        return self._wrap("33", text)
