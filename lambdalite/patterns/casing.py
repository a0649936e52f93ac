"""Ignoring case as AWS does: character by character, each may be its lower or its upper form, and nothing else.

For ASCII that is what everybody expects. Beyond, it is not symmetrical: the Kelvin sign in a pattern matches ``k``,
while ``k`` in a pattern does not match the Kelvin sign; ``ß`` matches ``SS``.
"""

from __future__ import annotations

import re

__all__ = ["equals", "is_prefix", "is_suffix"]


def equals(wanted: str, text: str) -> bool:
    """Whether ``text`` is ``wanted`` in some casing."""
    if wanted.isascii():
        return text.isascii() and text.lower() == wanted.lower()
    return _either(wanted).fullmatch(text) is not None


def is_prefix(wanted: str, text: str) -> bool:
    """Whether ``text`` begins with ``wanted`` in some casing."""
    if wanted.isascii():
        return equals(wanted, text[: len(wanted)])
    return _either(wanted).match(text) is not None


def is_suffix(wanted: str, text: str) -> bool:
    """Whether ``text`` ends with ``wanted`` in some casing."""
    if wanted.isascii():
        return len(text) >= len(wanted) and equals(wanted, text[len(text) - len(wanted) :])
    return re.search(f"(?:{_either(wanted).pattern})\\Z", text) is not None


def _either(wanted: str) -> re.Pattern[str]:
    return re.compile("".join(map(_forms, wanted)))  # the re module keeps the compiled expression


def _forms(character: str) -> str:
    if character > "\uffff":  # half a surrogate pair has no case: the original works on UTF-16 units
        return re.escape(character)
    return f"(?:{re.escape(character.lower())}|{re.escape(character.upper())})"
