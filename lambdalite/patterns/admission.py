"""Leaves made fast: one function for "passes one of these leaves".

The leaves say what is right (:mod:`lambdalite.patterns.leaves`); these closures say the same in fewer steps, and
property tests hold the two to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambdalite.patterns.leaves import Absent, AnythingBut, Number, Prefix, Range, Suffix, Text, Wildcard

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.patterns.leaves import Leaf

    Admits = Callable[[Any], bool]

__all__ = ["admission"]


def admission(leaves: tuple[Leaf, ...]) -> Admits:
    """The function for these leaves."""
    texts = frozenset(leaf.text for leaf in leaves if isinstance(leaf, Text))
    others = [_fast(leaf) for leaf in leaves if not isinstance(leaf, (Text, Absent))]
    if not others:
        return texts.__contains__
    if not texts and len(others) == 1:
        return others[0]
    return lambda value: value in texts or any(admits(value) for admits in others)


def _fast(leaf: Leaf) -> Admits:
    if isinstance(leaf, AnythingBut):
        return _anything_but(leaf)
    if isinstance(leaf, Range):
        return _range(leaf)
    if isinstance(leaf, Wildcard):
        return _wildcard(leaf)
    if isinstance(leaf, Prefix):
        prefix = leaf.text
        return lambda value: value.__class__ is str and value.startswith(prefix)
    if isinstance(leaf, Suffix):
        suffix = leaf.text
        return lambda value: value.__class__ is str and value.endswith(suffix)
    return leaf.admits


def _anything_but(leaf: AnythingBut) -> Admits:
    if all(isinstance(inner, Text) for inner in leaf.excluded):
        texts = frozenset(inner.text for inner in leaf.excluded if isinstance(inner, Text))
        return lambda value: value not in texts
    if all(isinstance(inner, Number) for inner in leaf.excluded):
        numbers = frozenset(inner.number for inner in leaf.excluded if isinstance(inner, Number))
        return lambda value: value.__class__ is bool or value not in numbers  # True is 1 to a set
    admits = admission(leaf.excluded)
    return lambda value: not admits(value)


def _range(leaf: Range) -> Admits:
    low, high = leaf.low, leaf.high
    if leaf.low_included and leaf.high_included:
        return lambda value: (value.__class__ is int or value.__class__ is float) and low <= value <= high
    if leaf.low_included:
        return lambda value: (value.__class__ is int or value.__class__ is float) and low <= value < high
    if leaf.high_included:
        return lambda value: (value.__class__ is int or value.__class__ is float) and low < value <= high
    return lambda value: (value.__class__ is int or value.__class__ is float) and low < value < high


def _wildcard(leaf: Wildcard) -> Admits:
    if len(leaf.pieces) == 1:
        return frozenset(leaf.pieces).__contains__
    head, *middle, tail = leaf.pieces
    begin, behind = len(head), len(tail)

    def admits(value: Any) -> bool:
        if value.__class__ is not str or not value.endswith(tail) or not value.startswith(head):
            return False
        at, end = begin, len(value) - behind
        for piece in middle:
            at = value.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return at <= end

    return admits
