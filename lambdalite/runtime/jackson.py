"""How AWS's front door words its refusal of an event that is not JSON; imported only when one is refused.

AWS parses events with a Java library, and its answer carries that library's message with the source and the place.
Python's parser finds the same fault; here it is said in the other's words. (S: the frame of the message; U: the words
of each case, which follow that library's published messages.)
"""

from __future__ import annotations

import json
import re

__all__ = ["NotStandard", "refusal"]

_SNIPPET = 500  # bytes of the source that are quoted
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_LANDMARKS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|-?Infinity|NaN|[\[\]{}]', re.DOTALL)  # whole strings, to skip them


class NotStandard(ValueError):
    """NaN, Infinity or -Infinity: numbers to Python, not to JSON."""

    def __init__(self, token: str) -> None:
        super().__init__(token)
        self.token = token


def refusal(payload: bytes, error: Exception) -> str | None:
    """The message for a payload that Python's parser could not read; None if it is JSON, only not to Python's taste."""
    if isinstance(error, UnicodeDecodeError):
        return _invalid_utf8(payload, error)
    text = payload.decode("utf-8")
    if isinstance(error, NotStandard):
        words = f"Non-standard token '{error.token}': enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to allow"
        return words + _at(payload, text, _place_of_constant(text, error.token) + len(error.token))
    if not isinstance(error, json.JSONDecodeError) or text.startswith("\ufeff"):
        return None
    return _syntax(payload, text, error)


def _invalid_utf8(payload: bytes, error: UnicodeDecodeError) -> str:
    part = "middle" if "continuation" in error.reason or "end of data" in error.reason else "start"
    place = error.start + (part == "middle")
    byte = payload[place] if place < len(payload) else payload[-1]
    before = payload[:place].decode("utf-8", "replace")
    return f"Invalid UTF-8 {part} byte 0x{byte:x}" + _at(payload, before, len(before))


def _syntax(payload: bytes, text: str, error: json.JSONDecodeError) -> str:
    place = error.pos
    if error.msg.startswith("Unterminated string"):
        words, place = "Unexpected end-of-input: was expecting closing quote for a string value", len(text) - 1
    elif place >= len(text):
        words, place = _end_of_input(payload, text), len(text) - 1
    elif error.msg.startswith("Invalid control character"):
        words = (
            f"Illegal unquoted character ((CTRL-CHAR, code {ord(text[place])})): has to be escaped using backslash to "
            "be included in string value"
        )
    elif error.msg.startswith("Invalid \\"):
        place = min(place + 1, len(text) - 1)
        words = f"Unrecognized character escape {_character(text[place])}"
    else:
        words, place = _unexpected(text, place, error.msg)
    return words + _at(payload, text, place + 1)


def _unexpected(text: str, place: int, message: str) -> tuple[str, int]:
    """Words and place of a character that should not be there."""
    character = f"Unexpected character ({_character(text[place])})"
    if message.startswith("Expecting property name"):
        return f"{character}: was expecting double-quote to start field name", place
    if message.startswith("Expecting ':'"):
        return f"{character}: was expecting a colon to separate field name and value", place
    if message.startswith("Expecting ','"):
        kind = _kind(text, _open_places(text[:place]))
        return f"{character}: was expecting comma to separate {kind} entries", place
    if text[place].isalpha():
        end = place
        while end < len(text) and (text[end].isalnum() or text[end] in "_$"):
            end += 1
        return f"Unrecognized token '{text[place:end]}': was expecting {_VALUES}", end - 1
    return f"{character}: expected a valid value {_VALUES}", place


def _character(character: str) -> str:
    code = ord(character)
    return f"(CTRL-CHAR, code {code})" if code < 32 else f"'{character}' (code {code})"


def _end_of_input(payload: bytes, text: str) -> str:
    opened = _open_places(text)
    if not opened:
        return "No content to map due to end-of-input"
    start = _at(payload, text, opened[-1], lead="start marker at ")
    return f"Unexpected end-of-input: expected close marker for {_kind(text, opened)} ({start})"


def _kind(text: str, opened: list[int]) -> str:
    return "Object" if opened and text[opened[-1]] == "{" else "Array"


def _open_places(text: str) -> list[int]:
    """Where the brackets stand that are still open, outermost first."""
    opened: list[int] = []
    for found in _LANDMARKS.finditer(text):
        if found[0] in "[{":
            opened.append(found.start())
        elif found[0] in "]}" and opened:
            opened.pop()
    return opened


def _place_of_constant(text: str, token: str) -> int:
    return next(found.start() for found in _LANDMARKS.finditer(text) if found[0] == token)


def _at(payload: bytes, text: str, place: int, lead: str = "\n at ") -> str:
    line = text.count("\n", 0, place) + 1
    column = place - (text.rfind("\n", 0, place) + 1) + 1
    quoted = payload[:_SNIPPET].decode("utf-8", "replace")
    rest = len(payload) - _SNIPPET
    truncated = f"[truncated {rest} bytes]" if rest > 0 else ""
    return f'{lead}[Source: (byte[])"{quoted}"{truncated}; line: {line}, column: {column}]'
