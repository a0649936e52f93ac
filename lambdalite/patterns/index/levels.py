"""The levels of the index: how a rule finds its place, and how an event finds the rules.

An *entry* is one alternative of a rule: some tests, all to be passed. It waits under the anchors of just *one* of its
tests, the one with the least company there. An event follows its own values: those lead to few slots, and only the
entries waiting in them are asked for the rest of their tests. A slot that becomes crowded turns into a level of its
own, where entries wait under another of their tests; so it is two or three values together that lead to an entry.

Who may change what: readers follow what they find and never look back; an *edit* changes only levels, tables and maps
that it made or copied itself, and is published by replacing one reference (:mod:`lambdalite.patterns.index.rules`).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lambdalite.patterns.index.anchors import WEIGHTS
from lambdalite.patterns.index.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lambdalite.patterns.fields import Found
    from lambdalite.patterns.index.anchors import Anchor, Ask, Choice, Criterion

__all__ = ["Edit", "Entry", "Level", "Waiting", "collect", "insert", "waiting_for"]

CROWDED = 12  # entries in one slot: from here on, another lookup costs less than asking them all
DEEPEST = 8  # levels below each other; rules alike in more fields than that wait together


Popularity = dict[tuple[int, str, Any], int]


class Edit:
    """One change of the index. What carries it as its ``edit`` may still be changed in place."""

    __slots__ = ("popularity",)

    def __init__(self, popularity: Popularity) -> None:
        self.popularity = popularity  # of each anchor: how many entries could wait there


class Entry:
    """One alternative, as tests in the order of their fields' names. Rules with equal alternatives share it."""

    __slots__ = ("tests",)

    def __init__(self, tests: tuple[Criterion, ...]) -> None:
        self.tests = tests


# A test that an entry may wait under, and by which anchors.
Option = tuple["Criterion", "tuple[Choice, ...]"]
# An entry in its slot: itself, its options further down, the tests still to be asked.
Waiting = tuple[Entry, "tuple[Option, ...]", "tuple[Ask, ...]"]


def waiting_for(entry: Entry) -> Waiting:
    """An entry before it has found its place; the cheapest of its tests are to be asked first."""
    asked = tuple(test.ask for test in sorted(entry.tests, key=lambda test: test.cost))
    return entry, tuple((test, test.choices) for test in entry.tests if test.choices), asked


class Level:
    """Tables by field, and the entries that no value leads to: they are asked for every event."""

    __slots__ = ("depth", "edit", "loose", "size", "tables")

    def __init__(self, edit: Edit, depth: int = 0) -> None:
        self.edit = edit
        self.depth = depth
        self.size = 0
        self.tables: dict[int, Table] = {}
        self.loose: tuple[Waiting, ...] = ()

    def copy(self, edit: Edit) -> Level:
        """The same level for another edit; its tables are shared until that changes them."""
        twin = Level(edit, self.depth)
        twin.size = self.size
        twin.tables = dict(self.tables)
        twin.loose = self.loose
        return twin


# --- a rule finds its place


def insert(level: Level, waiting: Waiting, edit: Edit) -> None:
    """Let an entry wait in a level, which the edit owns."""
    entry, options, asked = waiting
    level.size += 1
    found = _choose(level, options, edit.popularity)
    if found is None:
        level.loose = (*level.loose, waiting)
        return
    option, anchors = found
    test = option[0]
    table = _own_table(level, test.number, edit)
    others = tuple(other for other in options if other is not option)
    finer = (*others, (test, test.finer)) if test.finer and option[1] is not test.finer else others
    still_asked = tuple(ask for ask in asked if ask is not test.ask)
    for anchor in anchors:
        placed = (entry, others, still_asked) if anchor.exact else (entry, finer, asked)
        table.put(anchor.kind, anchor.key, _grown(table.slot(anchor.kind, anchor.key), placed, level.depth, edit))


def _choose(level: Level, options: Iterable[Option], popularity: Popularity) -> tuple[Option, Choice] | None:
    """The test to wait under and its anchors: those that the fewest events should lead to, with the least company.

    What many rules ask for, many events have: so an anchor is taken to be met as often as it is asked for.
    """
    best: tuple[Option, Choice] | None = None
    least = sys.maxsize
    for option in options:
        number = option[0].number
        table = level.tables.get(number)
        for anchors in option[1]:
            cost = sum(popularity[number, *anchor.pool] + _company(table, anchor) for anchor in anchors)
            if cost < least:
                best, least = (option, anchors), cost
    return best


def _company(table: Table | None, anchor: Anchor) -> int:
    """What asking the entries of a slot costs; in a level, not all are asked."""
    slot = None if table is None else table.slot(anchor.kind, anchor.key)
    if slot is None:
        return 0 if table is not None and table.uses(anchor.kind) else WEIGHTS[anchor.kind]
    return len(slot) if slot.__class__ is tuple else CROWDED // 2 + slot.size.bit_length()


def _own_table(level: Level, number: int, edit: Edit) -> Table:
    table = level.tables.get(number)
    if table is None or table.edit is not edit:
        table = Table(edit) if table is None else table.copy(edit)
        level.tables[number] = table
    return table


def _grown(slot: Any, waiting: Waiting, depth: int, edit: Edit) -> Any:
    """A slot with one entry more: a longer tuple, or a level."""
    if slot is None:
        return (waiting,)
    if slot.__class__ is tuple:
        together = (*slot, waiting)
        return together if len(together) < CROWDED or depth >= DEEPEST else _divided(together, depth, edit)
    level = slot if slot.edit is edit else slot.copy(edit)
    insert(level, waiting, edit)
    return level


def _divided(together: tuple[Waiting, ...], depth: int, edit: Edit) -> Any:
    if sum(bool(options) for _, options, _ in together) < CROWDED // 2:
        return together
    level = Level(edit, depth + 1)
    for waiting in together:
        insert(level, waiting, edit)
    return level


# --- an event finds the rules


def collect(top: Level, found: Found, *, loosely: bool = False) -> list[Entry]:
    """The entries that the values match, some perhaps more than once.

    Args:
        top: The topmost level.
        found: The event's values by field number.
        loosely: Leave out the tests that the lack of a value passes; the caller asks again.
    """
    matched: list[Entry] = []
    levels = [top]
    for level in levels:  # grows on the way
        slots: list[Any] = [level.loose] if level.loose else []
        _lead(level.tables, found, slots)
        for slot in slots:
            if slot.__class__ is tuple:
                _ask(slot, found, matched, loosely=loosely)
            else:
                levels.append(slot)
    return matched


def _lead(tables: dict[int, Table], found: Found, slots: list[Any]) -> None:
    for number in tables if len(tables) <= len(found) else found:
        if number in tables and number in found:
            value = found[number]
            if value.__class__ is list:
                for each in value:
                    tables[number].lead(each, slots)
            else:
                tables[number].lead(value, slots)


def _ask(slot: tuple[Waiting, ...], found: Found, matched: list[Entry], *, loosely: bool) -> None:
    for entry, _, asked in slot:
        for number, admits, absent in asked:
            if number not in found:
                if not absent:
                    break
            elif (value := found[number]).__class__ is list:
                if not any(map(admits, value)) and not (loosely and absent):
                    break
            elif not admits(value) and not (loosely and absent):
                break
        else:
            matched.append(entry)
