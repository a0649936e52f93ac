"""The index as its users see it: rules under keys, and the keys that an event matches.

Readers take no lock. A writer prepares the next *snapshot* aside, sharing with the present one whatever does not
change, and swaps one reference; a reader sees the rules before the change or behind it, never between. Writers queue
for one lock.

What is dropped is only forgotten: its entry stays in its place, owned by no rule, until such entries outnumber the
living; then the index is built anew. That keeps both adding and removing cheap on average, however many rules there
are.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from lambdalite.patterns.fields import Found, Node, add_field, gather, survey
from lambdalite.patterns.index.anchors import Criterion
from lambdalite.patterns.index.levels import Edit, Entry, Level, collect, insert, waiting_for
from lambdalite.patterns.pattern import Pattern, Test, compile_pattern, holds, load_event

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from lambdalite.patterns.leaves import Leaf

__all__ = ["RuleIndex"]

Key = TypeVar("Key", bound="Hashable")
Owners = dict[Entry, "tuple[tuple[int, Any], ...]"]  # for each entry, the rules that own it: place in the order, key

FEW = 3
SPARE = 64  # forgotten entries that are never worth a rebuild


class _Snapshot(NamedTuple):
    """All that readers need. Never changed."""

    root: Node
    top: Level
    owners: Owners
    few: tuple[tuple[Any, Callable[[Any], bool]], ...] | None
    """All rules if there are but a few: these are asked one by one, which costs less than any lookup."""


class _Rule(NamedTuple):
    """A rule as writers know it."""

    place: int
    pattern: Pattern
    entries: tuple[Entry, ...]


class RuleIndex(Generic[Key]):
    """Rules under keys. Adding one to 10,000 takes under a millisecond; matching takes as long as there are matches."""

    def __init__(self, rules: Mapping[Key, Pattern | str | bytes | Mapping[str, Any]] | None = None) -> None:
        """Start with these rules, if any: faster than adding one by one.

        Raises:
            InvalidPattern: AWS would refuse one of the patterns.
        """
        self._lock = Lock()  # held by writers; guards everything below but `_snapshot`, which readers take as it is
        self._rules: dict[Key, _Rule] = {}
        self._snapshot: _Snapshot
        self._next_place = 0
        self._build({key: (place, _compiled(pattern)) for place, (key, pattern) in enumerate((rules or {}).items())})

    # --- readers

    def match(self, event: Mapping[str, Any] | str | bytes) -> list[Key]:
        """The keys of the rules that an event matches, in the order in which they were first added.

        Raises:
            InvalidParameterValue: the event is text, but not a JSON object.
            UsageError: the event holds something that JSON cannot carry, where a rule looks.
        """
        snapshot = self._snapshot
        if event.__class__ is not dict:
            event = load_event(event)
        if snapshot.few is not None:
            few = []
            for key, matches in snapshot.few:  # not a comprehension, which would cost another call
                if matches(event):
                    few.append(key)
            return few
        found: Found = {}
        if snapshot.root.spelled and gather(snapshot.root, event, found):  # type: ignore[arg-type]
            matched = collect(snapshot.top, found)
        else:
            matched = _match_anyhow(snapshot, event)
        return _keys(snapshot.owners, matched) if matched else []

    def __len__(self) -> int:
        return len(self._rules)

    def __contains__(self, key: object) -> bool:
        return key in self._rules

    def __iter__(self) -> Iterator[Key]:
        """The keys, in the order in which they were first added."""
        return iter(list(self._rules))

    def pattern(self, key: Key) -> Pattern:
        """The pattern under a key. Raises KeyError if there is none."""
        return self._rules[key].pattern

    # --- writers

    def add(self, key: Key, pattern: Pattern | str | bytes | Mapping[str, Any]) -> None:
        """Put a rule under a key, in the place of the rule that is there, if one is.

        Raises:
            InvalidPattern: AWS would refuse the pattern. The index is as before.
        """
        compiled = _compiled(pattern)
        with self._lock:
            old = self._rules.get(key)
            place = self._next_place if old is None else old.place
            owners = dict(self._snapshot.owners)
            if old is not None:
                _disown(owners, old)
            new: list[Entry] = []
            root = self._own(self._snapshot.root, owners, new, key, _Rule(place, compiled, ()))
            top = _placed(self._snapshot.top, new, Edit(self._popularity)) if new else self._snapshot.top
            self._snapshot = _Snapshot(root, top, owners, self._few())
            self._rebuild_if_sparse()

    def remove(self, key: Key) -> None:
        """Drop the rule under a key. Raises KeyError if there is none."""
        with self._lock:
            old = self._rules.pop(key)
            owners = dict(self._snapshot.owners)
            _disown(owners, old)
            self._snapshot = self._snapshot._replace(owners=owners, few=self._few())
            self._rebuild_if_sparse()

    def _build(self, rules: dict[Key, tuple[int, Pattern]]) -> None:
        """Start over with these rules, in one edit."""
        self._numbers: dict[str, int] = {}  # field to number
        self._criteria: dict[tuple[int, tuple[Leaf, ...]], Criterion] = {}
        self._entries: dict[tuple[Criterion, ...], Entry] = {}
        self._popularity: Counter[tuple[int, str, Any]] = Counter()
        self._rules = {}
        edit = Edit(self._popularity)
        root, owners, new = Node(), dict[Entry, "tuple[tuple[int, Any], ...]"](), list[Entry]()
        for key, (place, pattern) in rules.items():
            root = self._own(root, owners, new, key, _Rule(place, pattern, ()))
        self._snapshot = _Snapshot(root, _placed(Level(edit), new, edit), owners, self._few())

    def _own(self, root: Node, owners: Owners, new: list[Entry], key: Key, rule: _Rule) -> Node:
        """Give a rule its entries, noting those that are ``new``; returns the tree of fields with the rule's."""
        entries: dict[Entry, None] = {}
        for alternative in rule.pattern.alternatives:
            root = self._with_fields(root, alternative)
            entries[self._entry(tuple(self._criterion(test) for test in alternative), new)] = None
        for entry in entries:
            owners[entry] = (*owners.get(entry, ()), (rule.place, key))
        self._rules[key] = rule._replace(entries=tuple(entries))
        self._next_place = max(self._next_place, rule.place + 1)
        return root

    def _with_fields(self, root: Node, alternative: tuple[Test, ...]) -> Node:
        for test in alternative:
            if test.name not in self._numbers:
                number = self._numbers[test.name] = len(self._numbers)
                root = add_field(root, test.name, number)
        return root

    def _criterion(self, test: Test) -> Criterion:
        """The one object for equal tests of one field."""
        number = self._numbers[test.name]
        known = self._criteria.get((number, test.leaves))
        if known is None:
            known = self._criteria[number, test.leaves] = Criterion(number, test.name, test.leaves)
        return known

    def _entry(self, tests: tuple[Criterion, ...], new: list[Entry]) -> Entry:
        """The one object for equal alternatives."""
        entry = self._entries.get(tests)
        if entry is None:
            entry = self._entries[tests] = Entry(tests)
            new.append(entry)
            for test in tests:
                self._popularity.update(test.pools)
        return entry

    def _few(self) -> tuple[tuple[Key, Callable[[Any], bool]], ...] | None:
        few = len(self._rules) <= FEW
        return tuple((key, rule.pattern.matches) for key, rule in self._rules.items()) if few else None

    def _rebuild_if_sparse(self) -> None:
        living = len(self._snapshot.owners)
        if len(self._entries) - living > living + SPARE:
            self._build({key: (rule.place, rule.pattern) for key, rule in self._rules.items()})


def _compiled(pattern: Pattern | str | bytes | Mapping[str, Any]) -> Pattern:
    return pattern if isinstance(pattern, Pattern) else compile_pattern(pattern)


def _placed(top: Level, entries: list[Entry], edit: Edit) -> Level:
    """The level with these entries in it; the level itself stays as it is, unless it is the edit's own."""
    top = top if top.edit is edit else top.copy(edit)
    for entry in entries:
        insert(top, waiting_for(entry), edit)
    return top


def _disown(owners: Owners, rule: _Rule) -> None:
    for entry in rule.entries:
        left = tuple(owner for owner in owners[entry] if owner[0] != rule.place)
        if left:
            owners[entry] = left
        else:
            del owners[entry]


def _match_anyhow(snapshot: _Snapshot, event: Mapping[str, Any]) -> list[Entry]:
    """For events with arrays of objects: find who may match by values alone, then ask them properly."""
    sightings = survey(snapshot.root, event)
    found: Found = {number: [value for value, _ in seen] for number, seen in sightings.items()}
    return [entry for entry in {*collect(snapshot.top, found, loosely=True)} if holds(entry.tests, sightings)]


def _keys(owners: Owners, matched: list[Entry]) -> list[Any]:
    if len(matched) == 1:
        return [key for _, key in owners.get(matched[0], ())]
    found = dict([owner for entry in matched for owner in owners.get(entry, ())])
    return [found[place] for place in sorted(found)]
