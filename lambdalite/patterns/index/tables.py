# ruff: noqa: PERF401  (the loops are short; in CPython 3.11 a comprehension would cost another call)
"""The tables of one field: from a value to the rules it leads to.

A table holds one map for each kind of anchor, from key to *slot*: a tuple of rules waiting there, or a level of further
tables (:mod:`lambdalite.patterns.index.levels`). Maps are replaced, never changed, once an edit has ended; see there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, Any

from lambdalite.patterns.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Table"]

Slots = dict[Any, Any]  # from an anchor's key to what waits there

_NOTHING: Slots = {}
_MAPS = (
    *("texts", "numbers", "raws", "constants", "nets", "folded", "prefixes", "suffixes", "folded_prefixes"),
    *("folded_suffixes", "cells", "grams", "above", "below", "strings", "present"),
)
# For these, the sizes of the keys in use: each is a lookup.
_SIZES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "prefixes": ("prefix_sizes", len),
    "suffixes": ("suffix_sizes", len),
    "folded_prefixes": ("folded_prefix_sizes", len),
    "folded_suffixes": ("folded_suffix_sizes", len),
    "grams": ("gram_sizes", len),
    "cells": ("cell_sizes", lambda key: key[0]),
    "nets": ("net_sizes", lambda key: key[:2]),
}
_SORTED = {"above": "above_keys", "below": "below_keys"}
_BEYOND_TEXTS = frozenset(
    {"nets", "folded", "folded_prefixes", "folded_suffixes", "grams", "prefixes", "strings", "suffixes"}
)
_BEYOND_NUMBERS = frozenset({"cells", "above", "below"})


class Table:
    """One field's maps. ``edit`` is the edit that may still change it in place, ``owned`` the maps it has copied."""

    __slots__ = (
        *_MAPS,
        *(sizes for sizes, _ in _SIZES.values()),
        *_SORTED.values(),
        *("edit", "owned", "richer_numbers", "richer_texts"),
    )

    texts: Slots
    numbers: Slots
    raws: Slots
    constants: Slots
    nets: Slots
    folded: Slots
    prefixes: Slots
    suffixes: Slots
    folded_prefixes: Slots
    folded_suffixes: Slots
    cells: Slots
    grams: Slots
    above: Slots
    below: Slots
    strings: Slots
    present: Slots
    prefix_sizes: tuple[int, ...]
    suffix_sizes: tuple[int, ...]
    folded_prefix_sizes: tuple[int, ...]
    folded_suffix_sizes: tuple[int, ...]
    gram_sizes: tuple[int, ...]
    cell_sizes: tuple[float, ...]
    net_sizes: tuple[tuple[int, int], ...]
    above_keys: list[tuple[float, int]]
    below_keys: list[tuple[float, int]]

    def __init__(self, edit: object) -> None:
        for name in _MAPS:
            setattr(self, name, _NOTHING)
        for name, _ in _SIZES.values():
            setattr(self, name, ())
        for name in _SORTED.values():
            setattr(self, name, [])
        self.richer_texts = False
        self.richer_numbers = False
        self.edit = edit
        self.owned: set[str] = set()

    def copy(self, edit: object) -> Table:
        """The same table for another edit; the maps are shared until it changes them."""
        twin = Table(edit)
        for name in (*_MAPS, *(sizes for sizes, _ in _SIZES.values()), *_SORTED.values()):
            setattr(twin, name, getattr(self, name))
        twin.richer_texts, twin.richer_numbers = self.richer_texts, self.richer_numbers
        return twin

    def slot(self, kind: str, key: object) -> Any:
        """What is under an anchor; None if nothing is."""
        return getattr(self, kind).get(key)

    def uses(self, kind: str) -> bool:
        """Whether anything waits under an anchor of a kind."""
        return bool(getattr(self, kind))

    def put(self, kind: str, key: Any, slot: object) -> None:
        """Set what is under an anchor. Only the edit that owns the table may."""
        if kind not in self.owned:
            setattr(self, kind, dict(getattr(self, kind)))
            self.owned.add(kind)
        slots = getattr(self, kind)
        if key not in slots:
            self._note(kind, key)
        slots[key] = slot

    def _note(self, kind: str, key: Any) -> None:
        self.richer_texts |= kind in _BEYOND_TEXTS
        self.richer_numbers |= kind in _BEYOND_NUMBERS
        if kind in _SIZES:
            name, measure = _SIZES[kind]
            setattr(self, name, tuple(sorted({*getattr(self, name), measure(key)})))
        if kind in _SORTED:
            keys = list(getattr(self, _SORTED[kind]))
            insort(keys, key)
            setattr(self, _SORTED[kind], keys)

    def lead(self, value: Any, slots: list[Any]) -> None:
        """Append the slots that a value leads to."""
        kind = value.__class__
        if kind is str:
            if value in self.texts:
                slots.append(self.texts[value])
            if self.richer_texts:
                self._lead_text(value, slots)
        elif kind is int or kind is float:
            if value in self.numbers:
                slots.append(self.numbers[value])
            if self.richer_numbers:
                self._lead_number(value, slots)
        elif kind is bool or value is None:
            if value in self.constants:
                slots.append(self.constants[value])
        elif value in self.raws:
            slots.append(self.raws[value])
        if self.present:
            slots.append(self.present[None])

    def _lead_text(self, value: str, slots: list[Any]) -> None:
        if self.strings:
            slots.append(self.strings[None])
        for size in self.prefix_sizes:
            if (piece := value[:size]) in self.prefixes:
                slots.append(self.prefixes[piece])
        for size in self.suffix_sizes:
            if (piece := value[-size:]) in self.suffixes:
                slots.append(self.suffixes[piece])
        if self.grams:
            self._lead_grams(value, slots)
        if self.nets:
            self._lead_address(value, slots)
        if self.folded or self.folded_prefixes or self.folded_suffixes:
            self._lead_folded(value, slots)

    def _lead_grams(self, value: str, slots: list[Any]) -> None:
        grams = self.grams
        if len(grams) <= 2 * len(value):  # fewer than the pieces of the value: look for each
            for gram in grams:
                if gram in value:
                    slots.append(grams[gram])
            return
        for size in self.gram_sizes:
            pieces = {value[at : at + size] for at in range(len(value) - size + 1)}
            slots += [grams[piece] for piece in pieces if piece in grams]

    def _lead_address(self, value: str, slots: list[Any]) -> None:
        found = parse_address(value)
        if found is None:
            return
        bits, number = found
        for family, length in self.net_sizes:
            if family == bits and (key := (bits, length, number >> (bits - length))) in self.nets:
                slots.append(self.nets[key])

    def _lead_folded(self, value: str, slots: list[Any]) -> None:
        if value.isascii() and (lower := value.lower()) in self.folded:
            slots.append(self.folded[lower])
        for size in self.folded_prefix_sizes:
            piece = value[:size]
            if piece.isascii() and (lower := piece.lower()) in self.folded_prefixes:
                slots.append(self.folded_prefixes[lower])
        for size in self.folded_suffix_sizes:
            piece = value[-size:]
            if piece.isascii() and (lower := piece.lower()) in self.folded_suffixes:
                slots.append(self.folded_suffixes[lower])

    def _lead_number(self, value: float, slots: list[Any]) -> None:
        for size in self.cell_sizes:
            key = (size, value // size)
            if key in self.cells:
                slots.append(self.cells[key])
        if self.above:
            slots += map(self.above.__getitem__, self.above_keys[: bisect_right(self.above_keys, (value, 0))])
        if self.below:
            slots += map(self.below.__getitem__, self.below_keys[bisect_left(self.below_keys, (value, 1)) :])
