r"""Wildcards: ``*`` stands for any characters, ``\*`` and ``\\`` for an asterisk and a backslash.

Matching never backtracks: the text before the first ``*`` must begin the value, the text behind the last must end it,
and the pieces between are found from left to right. That is linear, whatever the pattern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambdalite.patterns.refusal import PatternValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["COMPLEXITY_LIMIT", "complexity", "matches", "parse"]

# AWS does not publish its limit. Recorded from AWS: "*:*:*:*:*:event-bus/*" (11 by the count below) and four of
# "*:stack/NAME/*" on one field (12) are too complex; three of the latter (9) are accepted.
COMPLEXITY_LIMIT = 10

TOO_COMPLEX = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a "
    "wildcard character"
)


def parse(text: str) -> tuple[str, ...]:
    """Split a wildcard into the pieces between its asterisks: ``a*b`` is ``("a", "b")``.

    Raises:
        PatternValue: two asterisks in a row, or a backslash before anything else; the position counts bytes of UTF-8
            and the value's opening quote.
    """
    pieces = [""]
    at = 0
    while at < len(text):
        character = text[at]
        if character == "*":
            if text[at + 1 : at + 2] == "*":
                raise PatternValue(f"Consecutive wildcard characters at pos {_position(text, at)}")
            pieces.append("")
        elif character == "\\":
            at += 1
            pieces[-1] += _escaped(text, at)
        else:
            pieces[-1] += character
        at += 1
    return tuple(pieces)


def _escaped(text: str, at: int) -> str:
    if text[at : at + 1] not in ("*", "\\"):
        raise PatternValue(f"Invalid escape character at pos {_position(text, at - 1)}")
    return text[at]


def _position(text: str, at: int) -> int:
    return 1 + len(text[:at].encode("utf-8", "replace"))


def matches(pieces: Sequence[str], text: str) -> bool:
    """Whether ``text`` is the pieces with anything between them."""
    if len(pieces) == 1:
        return text == pieces[0]
    head, *middle, tail = pieces
    end = len(text) - len(tail)
    if len(head) > end or not text.startswith(head) or not text.endswith(tail):
        return False
    at = len(head)
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def complexity(wildcards: Iterable[Sequence[str]]) -> int:
    """How much work the wildcards of one field can make for the worst of values, as AWS counts it.

    It is the largest number of places within the wildcards that one value can have reached at the same moment: each
    asterisk that was reached stays so, and so does each beginning of the text behind an asterisk that the value's last
    characters spell. Those beginnings are endings of the longest of them, so trying each beginning suffices.
    """
    parsed = [list(pieces) for pieces in dict.fromkeys(map(tuple, wildcards)) if len(pieces) > 1]
    heads = {pieces[0] for pieces in parsed}
    return max((_reached([p for p in parsed if head.startswith(p[0])]) for head in heads), default=0)


def _reached(together: list[list[str]]) -> int:
    """The count for wildcards whose beginnings do not exclude each other."""
    asterisks = sum(len(pieces) - 1 for pieces in together)
    runs = [piece for pieces in together for piece in [*pieces[1:-1], pieces[-1] + '"']]
    return asterisks + _most_beginnings(runs)


def _most_beginnings(runs: list[str]) -> int:
    """The most beginnings of ``runs`` that are all endings of one text (an Aho-Corasick automaton, breadth first)."""
    following: list[dict[str, int]] = [{}]  # the tree of beginnings; 0 is the empty one
    shared = [0]  # how many runs begin so
    for run in runs:
        _grow(following, shared, run)
    longest = [0] * len(following)  # the longest beginning that is a proper ending of this one
    counts = [0] * len(following)
    queue = [0]
    for node in queue:
        for character, child in following[node].items():
            if node:
                longest[child] = _step(following, longest, longest[node], character)
            counts[child] = shared[child] + counts[longest[child]]
            queue.append(child)
    return max(counts)


def _grow(following: list[dict[str, int]], shared: list[int], run: str) -> None:
    node = 0
    for character in run:
        if character not in following[node]:
            following[node][character] = len(following)
            following.append({})
            shared.append(0)
        node = following[node][character]
        shared[node] += 1


def _step(following: list[dict[str, int]], longest: list[int], node: int, character: str) -> int:
    while node and character not in following[node]:
        node = longest[node]
    return following[node].get(character, 0)
