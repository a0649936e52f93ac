"""Where a test can be looked up: its anchors.

A test *can pass* only for values under one of its anchors; if an anchor is *exact*, being under it is passing. Tests
that the lack of a value passes have no anchors: there is nothing to look up.
"""

from __future__ import annotations

from math import frexp
from typing import TYPE_CHECKING, Any, NamedTuple

from lambdalite.patterns.leaves import (
    Absent,
    Address,
    AnythingBut,
    Cidr,
    Constant,
    Exists,
    Folded,
    FoldedPrefix,
    FoldedSuffix,
    Number,
    Prefix,
    Range,
    Raw,
    Suffix,
    Text,
    Wildcard,
)
from lambdalite.patterns.numeric import HIGHEST, LOWEST
from lambdalite.patterns.pattern import Test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lambdalite.patterns.leaves import Leaf, Scalar

__all__ = ["WEIGHTS", "Anchor", "Ask", "Choice", "Criterion", "anchors_of"]

# What looking up each kind of anchor costs, in entries asked instead, roughly; paid once, whatever waits there.
WEIGHTS = {
    "texts": 0,
    "numbers": 0,
    "raws": 0,
    "constants": 0,
    "present": 0,
    "strings": 0,
    "prefixes": 1,
    "suffixes": 1,
    "cells": 1,
    "above": 1,
    "below": 1,
    "nets": 4,
    "folded": 1,
    "folded_prefixes": 2,
    "folded_suffixes": 2,
    "grams": 200,
}
# For these a value leads to about half of the anchors of its field, whichever they are; so they are popular together.
POOLED = frozenset({"above", "below"})
GRAM = 5  # characters of a wildcard's text that it is looked up by
GRAM_STEP = 2  # which of them are considered: every other is choice enough
_ADDRESS_BITS = (32, 128)


# What it takes to ask a value, roughly: of several tests the cheap ones are asked first.
_COSTS: dict[type, int] = {Absent: 0, Exists: 0, Text: 0, AnythingBut: 1, Range: 1, Prefix: 2, Suffix: 2}
_DEAR = 5

# A test as it is asked: of which field, by which function, and whether the lack of a value passes.
Ask = tuple[int, "Callable[[Scalar], bool]", bool]


# A way to find a test: the anchors, all of which are needed.
Choice = tuple["Anchor", ...]


class Anchor(NamedTuple):
    """A place in a table: of which kind, under which key, and whether being there is passing."""

    kind: str
    key: Any
    exact: bool

    @property
    def pool(self) -> tuple[str, Any]:
        """What it shares its popularity with."""
        return (self.kind, None) if self.kind in POOLED else (self.kind, self.key)


class Criterion(Test):
    """A test as the index holds it: one object for all rules that have it, with its anchors."""

    __slots__ = ("ask", "choices", "cost", "finer", "pools")

    def __init__(self, number: int, name: str, leaves: tuple[Leaf, ...]) -> None:
        super().__init__(number, name, leaves)
        self.choices, self.finer = ((), ()) if self.absent else _choices(leaves)
        self.pools = frozenset((number, *anchor.pool) for anchors in (*self.choices, *self.finer) for anchor in anchors)
        self.ask: Ask = (number, self.admits, self.absent)
        self.cost = max(_COSTS.get(type(leaf), _DEAR) for leaf in leaves) + len(leaves)


def _choices(leaves: tuple[Leaf, ...]) -> tuple[tuple[Choice, ...], tuple[Choice, ...]]:
    """The ways to find a test, and the finer ones for when that has been done: a lone wildcard by what is in it."""
    choice = tuple({anchor: None for leaf in leaves for anchor in anchors_of(leaf)})
    lone = leaves[0] if len(leaves) == 1 else None
    if not isinstance(lone, Wildcard) or len(lone.pieces) == 1:
        return (choice,), ()
    finer: tuple[Choice, ...] = tuple((Anchor("grams", gram, exact=False),) for gram in _grams(lone))
    return (finer, ()) if choice[0].kind == "grams" else ((choice,), finer)


def _grams(leaf: Wildcard) -> Iterable[str]:
    whole = [piece for piece in leaf.pieces if piece]
    return dict.fromkeys(p[at : at + GRAM] for p in whole for at in range(0, max(1, len(p) - GRAM + 1), GRAM_STEP))


def anchors_of(leaf: Leaf) -> tuple[Anchor, ...]:
    """The anchors of a leaf; any leaf that has no better one is under all values of its field."""
    find = _FINDERS.get(type(leaf))
    return (Anchor("present", None, isinstance(leaf, Exists)),) if find is None else find(leaf)


def _one(kind: str, attribute: str) -> Callable[[Any], tuple[Anchor, ...]]:
    return lambda leaf: (Anchor(kind, getattr(leaf, attribute), exact=True),)


def _affix(kind: str, text: str, *, exact: bool) -> tuple[Anchor, ...]:
    return (Anchor(kind, text, exact),) if text else (Anchor("strings", None, exact),)


def _folded(kind: str) -> Callable[[Any], tuple[Anchor, ...]]:
    def find(leaf: Folded | FoldedPrefix | FoldedSuffix) -> tuple[Anchor, ...]:
        if not leaf.text.isascii():  # casings beyond ASCII follow no one form
            return (Anchor("strings", None, exact=False),)
        if kind == "folded":
            return (Anchor(kind, leaf.text.lower(), exact=True),)
        return _affix(kind, leaf.text.lower(), exact=True)

    return find


def _wildcard(leaf: Wildcard) -> tuple[Anchor, ...]:
    if len(leaf.pieces) == 1:
        return (Anchor("texts", leaf.pieces[0], exact=True),)
    head, *middle, tail = leaf.pieces
    alone = not middle and not (head and tail)
    if head:
        return _affix("prefixes", head, exact=alone)
    if tail or not middle:
        return _affix("suffixes", tail, exact=alone)
    return (Anchor("grams", max(middle, key=len)[:GRAM], exact=False),)


def _range(leaf: Range) -> tuple[Anchor, ...]:
    if (leaf.high, leaf.high_included) == (HIGHEST, True):
        return (Anchor("above", (leaf.low, 0 if leaf.low_included else 1), exact=True),)
    if (leaf.low, leaf.low_included) == (LOWEST, True):
        return (Anchor("below", (leaf.high, 1 if leaf.high_included else 0), exact=True),)
    return _cells(leaf)


def _cells(leaf: Range) -> tuple[Anchor, ...]:
    """A range lies in one or two cells of the grid whose cells are just wider than it."""
    size = 2.0 ** frexp(leaf.high - leaf.low)[1]
    first, last = leaf.low // size, leaf.high // size
    return tuple(Anchor("cells", (size, cell), exact=False) for cell in sorted({first, last}))


def _address(leaf: Address) -> tuple[Anchor, ...]:
    bits, number = leaf.address
    return (Anchor("nets", (bits, bits, number), exact=True),)


_FINDERS: dict[type, Callable[[Any], tuple[Anchor, ...]]] = {
    Address: _address,
    Cidr: _one("nets", "block"),
    Constant: _one("constants", "value"),
    Folded: _folded("folded"),
    FoldedPrefix: _folded("folded_prefixes"),
    FoldedSuffix: _folded("folded_suffixes"),
    Number: _one("numbers", "number"),
    Prefix: lambda leaf: _affix("prefixes", leaf.text, exact=True),
    Range: _range,
    Raw: _one("raws", "number"),
    Suffix: lambda leaf: _affix("suffixes", leaf.text, exact=True),
    Text: _one("texts", "text"),
    Wildcard: _wildcard,
}
