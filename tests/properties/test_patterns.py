"""Patterns: the fast matcher and the index agree with an oracle that tries every choice of values."""

from __future__ import annotations

import json
from itertools import product
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdalite.patterns import InvalidPattern, Pattern, RuleIndex, compile, explain, matches  # noqa: A004
from lambdalite.patterns.fields import scalar
from lambdalite.patterns.index import levels

pytestmark = pytest.mark.slow

# Few names and few values, so that patterns and events often meet.
NAMES = st.sampled_from(["a", "b", "c", "a.b", "b.c", "A"])
TEXTS = st.sampled_from(
    [
        "",
        "x",
        "y",
        "xy",
        "yx",
        "xyx",
        "X",
        "xY",
        "10.0.0.1",
        "10.0.0.01",
        "10.0.1.9",
        "::1",
        "0:0::1",
        "ß",
        "SS",
        "k",
        "\u212a",
        "xß",
    ]
)
NUMBERS = st.sampled_from(
    [0, 1, 1.0, -1, 2, 2.5, 1e3, 5_000_000_000, 5_000_000_001, 1e12, 0.1234567, -0.0, 123456789012]
)
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())

# --- patterns


def one(operator: str, operand: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A match expression."""
    return operand.map(lambda value: {operator: value})


def listed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One value or a list of them."""
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


FILLED = TEXTS.filter(bool)
PLAIN_NUMBERS = NUMBERS.filter(lambda n: abs(n) <= 5e9 and n != 0.1234567)
WILDCARDS = st.sampled_from(["*", "x*", "*x", "x*x", "*y*", "x*y*x", "xy", "", "10.*"])
BOUNDS = st.sampled_from([-2, 0, 0.5, 1, 2, 2.5, 1000])
FOLDED = one("equals-ignore-case", TEXTS)
RANGES = st.one_of(
    st.tuples(st.sampled_from(["=", "<", "<=", ">", ">="]), BOUNDS).map(list),
    st.tuples(st.sampled_from([">", ">="]), BOUNDS, st.sampled_from(["<", "<="]), BOUNDS)
    .filter(lambda r: r[1] < r[3])
    .map(list),
)
EXPRESSIONS = st.one_of(
    one("prefix", st.one_of(TEXTS, FOLDED)),
    one("suffix", st.one_of(TEXTS, FOLDED)),
    FOLDED,
    one("exactly", TEXTS),
    one("wildcard", WILDCARDS),
    one("numeric", RANGES),
    one("cidr", st.sampled_from(["10.0.0.0/24", "10.0.0.0/8", "::/16"])),
    one("exists", st.booleans()),
    one("anything-but", st.one_of(listed(TEXTS), listed(PLAIN_NUMBERS))),
    one("anything-but", one("prefix", listed(FILLED))),
    one("anything-but", one("suffix", listed(FILLED))),
    one("anything-but", one("equals-ignore-case", listed(TEXTS))),
    one("anything-but", one("wildcard", listed(WILDCARDS))),
)
LEAVES = st.lists(st.one_of(SCALARS, EXPRESSIONS), min_size=1, max_size=3)


def fields(members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of one to three fields."""
    return st.dictionaries(NAMES, members, min_size=1, max_size=3)


NESTED = st.one_of(LEAVES, LEAVES, fields(st.one_of(LEAVES, fields(LEAVES))))
EITHER = st.lists(fields(NESTED), min_size=2, max_size=3).map(lambda either: {"$or": either})
NESTED_EITHER = st.lists(st.one_of(fields(NESTED), EITHER), min_size=2, max_size=2).map(lambda either: {"$or": either})


def accepted(pattern: dict[str, Any]) -> bool:
    """Whether a pattern compiles: several wildcards on one field may be too complex together."""
    try:
        compile(pattern)
    except InvalidPattern:
        return False
    return True


PATTERNS = st.one_of(
    fields(NESTED),
    fields(NESTED),
    EITHER,
    NESTED_EITHER,
    st.builds(lambda before, either, after: {**before, **either, **after}, fields(NESTED), EITHER, fields(NESTED)),
    st.builds(lambda name, either: {name: either}, NAMES, EITHER),
).filter(accepted)

# --- events

VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=4)
FLAT_EVENTS = st.dictionaries(NAMES, st.one_of(SCALARS, st.dictionaries(NAMES, SCALARS, max_size=3)), max_size=4)


# --- the oracle: event-ruler's rules, by brute force


def values_of(value: Any, path: tuple[str, ...], places: tuple[tuple[int, int], ...], counter: list[int]) -> list[Any]:
    """All (name, scalar, places in arrays) of an event."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in values_of(inner, (*path, key), places, counter)]
    if isinstance(value, list):
        counter[0] += 1
        array = counter[0]
        found = []
        for at, inner in enumerate(value):
            nested = isinstance(inner, (dict, list))
            found += values_of(inner, path, (*places, (array, at)) if nested else places, counter)
        return found
    return [(".".join(path), value, dict(places))]


def passes(leaf: Any, value: Any) -> bool:
    """Whether a scalar passes a leaf, both as parsed JSON; asks the compiled leaf only about single values."""
    return matches({"v": [leaf]}, {"v": value})


def oracle(pattern: Pattern, event: dict[str, Any]) -> bool:
    """Try every choice of one value (or its lack) per field."""
    sightings = values_of(event, (), (), [0])
    return any(_some_choice(alternative, sightings) for alternative in pattern.alternatives)


def _some_choice(tests: Any, sightings: Any) -> bool:
    choices = []
    for test in tests:
        seen = [(value, places) for name, value, places in sightings if name == test.name]
        choices.append(
            [
                places
                for value, places in seen
                if any(
                    passes(json.loads(leaf.wanted()), value)
                    for leaf in test.leaves
                    if leaf.wanted() != '{"exists": false}'
                )
            ]
        )
        if test.absent:
            choices[-1].append(("absent", [places for _, places in seen]))
    return any(_stands(choice) for choice in product(*choices))


def _stands(choice: Any) -> bool:
    so_far: dict[int, int] = {}
    for places in choice:
        if isinstance(places, tuple):
            if any(all(so_far.get(a, i) == i for a, i in other.items()) for other in places[1]):
                return False
        elif any(so_far.get(a, i) != i for a, i in places.items()):
            return False
        else:
            so_far.update(places)
    return True


@settings(max_examples=150, deadline=None)
@given(PATTERNS, st.one_of(EVENTS, FLAT_EVENTS))
def test_a_pattern_matches_what_the_oracle_says(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """Choosing values cleverly finds the same verdict as trying all choices."""
    compiled = compile(pattern)

    assert compiled.matches(event) == oracle(compiled, event)


@settings(max_examples=80, deadline=None)
@given(st.lists(PATTERNS, max_size=40), st.lists(st.one_of(EVENTS, FLAT_EVENTS), min_size=1, max_size=6))
def test_the_index_matches_what_each_pattern_matches(patterns: list[Any], events: list[Any]) -> None:
    """An index, built at once or rule by rule, answers as its patterns one after the other."""
    at_once = RuleIndex(dict(enumerate(patterns)))
    by_and_by: RuleIndex[int] = RuleIndex()
    for key, pattern in enumerate(patterns):
        by_and_by.add(key, pattern)

    for event in events:
        expected = [key for key, pattern in enumerate(patterns) if matches(pattern, event)]
        assert (expected, expected) == (at_once.match(event), by_and_by.match(event))


@settings(max_examples=60, deadline=None)
@given(st.lists(PATTERNS, max_size=40), st.lists(st.one_of(EVENTS, FLAT_EVENTS), min_size=1, max_size=4))
def test_a_crowded_index_matches_what_each_pattern_matches(patterns: list[Any], events: list[Any]) -> None:
    """The same where every slot that two rules share becomes a level of its own."""
    by_and_by: RuleIndex[int] = RuleIndex()
    with patch.object(levels, "CROWDED", 2):
        at_once = RuleIndex(dict(enumerate(patterns)))
        for key, pattern in enumerate(patterns):
            by_and_by.add(key, pattern)

    for event in events:
        expected = [key for key, pattern in enumerate(patterns) if matches(pattern, event)]
        assert (expected, expected) == (at_once.match(event), by_and_by.match(event))


@settings(max_examples=300, deadline=None)
@given(LEAVES, SCALARS)
def test_fast_leaves_say_what_the_leaves_say(leaves: list[Any], value: Any) -> None:
    """The closures that are asked agree with the leaves that define the language."""
    pattern = {"a": leaves}
    if accepted(pattern):
        test = compile(pattern).alternatives[0][0]

        assert bool(test.admits(scalar(value))) == any(leaf.admits(scalar(value)) for leaf in test.leaves)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), PATTERNS)), max_size=60),
    st.lists(st.one_of(EVENTS, FLAT_EVENTS), min_size=1, max_size=4),
)
def test_the_index_follows_changes(changes: list[Any], events: list[Any]) -> None:
    """Adding, replacing and removing leave an index that answers like a dict of patterns."""
    index: RuleIndex[int] = RuleIndex()
    model: dict[int, Any] = {}
    for key, pattern in changes:
        if pattern is not None:
            model[key] = pattern
            index.add(key, pattern)
        elif key in model:
            del model[key]
            index.remove(key)

    assert list(index) == list(model)
    for event in events:
        assert sorted(key for key in model if matches(model[key], event)) == sorted(index.match(event))


@settings(max_examples=80, deadline=None)
@given(PATTERNS, st.one_of(EVENTS, FLAT_EVENTS))
def test_an_explanation_agrees_with_the_verdict(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """An explanation is true exactly if the event matches, and otherwise names a failure for every alternative."""
    compiled = compile(pattern)
    explanation = explain(compiled, event)

    assert bool(explanation) == compiled.matches(event)
    assert all(explanation.alternatives) == (not explanation)
    assert str(explanation)


@settings(max_examples=80, deadline=None)
@given(PATTERNS, st.one_of(EVENTS, FLAT_EVENTS))
def test_text_and_objects_are_the_same(pattern: dict[str, Any], event: dict[str, Any]) -> None:
    """An event given as JSON text is matched like the object it stands for."""
    assert matches(pattern, json.dumps(event)) == matches(json.dumps(pattern), event)
