"""A compiled pattern, and the plain way to match it: every field, one after the other.

This is the reference that the index is held to. It follows event-ruler, AWS's own matcher: an alternative matches if
each of its fields, taken in the order of their names, passes one of its leaves, and all values that do so can stand
together: no two of them come from different elements of one array.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from attrs import define, field

from lambdalite.errors import InvalidParameterValue, InvalidPattern
from lambdalite.patterns import grammar, wildcards
from lambdalite.patterns.admission import admission
from lambdalite.patterns.fields import Found, Membership, Node, Sighting, add_field, gather, survey
from lambdalite.patterns.leaves import Absent, AnythingBut, Cidr, Leaf, Text, Wildcard
from lambdalite.patterns.numeric import parse_float
from lambdalite.patterns.quick import Quick, decide, prepare
from lambdalite.patterns.refusal import PatternRefused, PatternValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lambdalite.patterns.leaves import Scalar

__all__ = ["Dialect", "Pattern", "Test", "compile_pattern", "holds", "load_event"]

Dialect = Literal["eventbridge", "event-source-mapping"]

# https://docs.aws.amazon.com/lambda/latest/api/API_Filter.html: Pattern, maximum length of 4096.
MAX_MAPPING_PATTERN = 4096
_CACHED = 256


@define(eq=False)
class Test:
    """One field of one alternative: which it is, its leaves, and what they come to."""

    number: int
    name: str
    leaves: tuple[Leaf, ...]
    admits: Callable[[Scalar], bool] = field(init=False)
    absent: bool = field(init=False)
    """Whether the lack of a value passes."""

    def __attrs_post_init__(self) -> None:
        self.admits = admission(self.leaves)
        self.absent = any(isinstance(leaf, Absent) for leaf in self.leaves)

    def passes(self, found: Found) -> bool:
        """Whether the field's values pass, its place in arrays left aside."""
        if self.number not in found:
            return self.absent
        value = found[self.number]
        return any(map(self.admits, value)) if value.__class__ is list else self.admits(value)


@define(eq=False)
class Pattern:
    """A pattern ready to match. Immutable; share it between threads."""

    text: str
    """The pattern as JSON text."""
    dialect: Dialect
    alternatives: tuple[tuple[Test, ...], ...]
    """One or, with ``$or``, several; within each, the fields in the order of their names."""
    names: tuple[str, ...]
    """The fields by their numbers."""
    root: Node
    _quick: tuple[Quick | None, ...] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._quick = tuple(map(prepare, self.alternatives))

    def matches(self, event: Mapping[str, Any] | str | bytes) -> bool:
        """Whether the event matches. Text is read as JSON.

        Raises:
            InvalidParameterValue: the text is not a JSON object.
            UsageError: the event holds something that JSON cannot carry, where the pattern looks.
        """
        if event.__class__ is not dict:
            event = load_event(event)
        sure = True
        for wanted in self._quick:
            verdict = None if wanted is None else decide(wanted, event)  # type: ignore[arg-type]
            if verdict:
                return True
            sure = sure and verdict is not None
        return not sure and self._matches_surely(event)

    def _matches_surely(self, event: Mapping[str, Any]) -> bool:
        found: Found = {}
        if not self.root.spelled or not gather(self.root, event, found):  # type: ignore[arg-type]
            sightings = survey(self.root, event)
            return any(holds(tests, sightings) for tests in self.alternatives)
        return any(all(test.passes(found) for test in tests) for tests in self.alternatives)

    def __repr__(self) -> str:
        return f"<Pattern {self.text}>"


def holds(tests: Sequence[Test], sightings: Mapping[int, list[Sighting]]) -> bool:
    """Whether all tests pass together, each value consistent with those chosen before it.

    Instead of trying one choice of values after the other, it carries all memberships that are still possible, and
    forgets about an array once no later field has values in it; so the work stays bounded by the event.
    """
    possible: list[Membership] = [{}]
    for at, test in enumerate(tests):
        seen = sightings.get(test.number, ())
        needed = _arrays(tests[at + 1 :], sightings)
        possible = _distinct(_extended(test, seen, possible), needed)
        if not possible:
            return False
    return True


def _extended(test: Test, seen: Sequence[Sighting], possible: list[Membership]) -> Iterable[Membership]:
    passing = [membership for value, membership in seen if test.admits(value)]
    for so_far in possible:
        for membership in passing:
            if _consistent(so_far, membership):
                yield {**so_far, **membership}
        if test.absent and not any(_consistent(so_far, membership) for _, membership in seen):
            yield so_far


def _consistent(one: Membership, other: Membership) -> bool:
    return all(one.get(array, element) == element for array, element in other.items())


def _arrays(tests: Sequence[Test], sightings: Mapping[int, list[Sighting]]) -> set[int]:
    return {array for test in tests for _, membership in sightings.get(test.number, ()) for array in membership}


def _distinct(memberships: Iterable[Membership], needed: set[int]) -> list[Membership]:
    kept = {frozenset(pair for pair in membership.items() if pair[0] in needed) for membership in memberships}
    return [dict(pairs) for pairs in kept]


# --- compiling


def compile_pattern(pattern: str | bytes | Mapping[str, Any], dialect: Dialect = "eventbridge") -> Pattern:
    """Compile a pattern. The texts met last are kept compiled.

    Raises:
        InvalidPattern: AWS would refuse it.
        ValueError: there is no such dialect.
    """
    if dialect not in _FRAMES:
        raise ValueError(f"There is no pattern dialect {dialect!r}. Use 'eventbridge' or 'event-source-mapping'.")
    try:
        return _compile(_as_text(pattern), dialect)
    except PatternRefused as fault:
        detail = InvalidPattern(f"Event pattern is not valid. Reason: {fault}")
        raise _FRAMES[dialect](detail) from (None if dialect == "eventbridge" else detail)


_FRAMES: dict[str, Callable[[InvalidPattern], InvalidPattern]] = {
    "eventbridge": lambda detail: detail,
    # AWS tells no reason here; ours is the cause of the exception.
    "event-source-mapping": lambda _: InvalidPattern("Invalid filter pattern definition."),
}


def _as_text(pattern: str | bytes | Mapping[str, Any]) -> str:
    if isinstance(pattern, str):
        return pattern
    try:
        return pattern.decode() if isinstance(pattern, (bytes, bytearray)) else json.dumps(pattern, default=_as_dict)
    except (UnicodeDecodeError, TypeError, ValueError) as fault:
        raise PatternValue(str(fault)) from fault


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


@lru_cache(maxsize=_CACHED)
def _compile(text: str, dialect: Dialect) -> Pattern:
    alternatives = grammar.parse(text)
    fields = {leaves: None for alternative in alternatives for leaves in alternative.values()}
    for leaves in fields:
        _check_complexity(leaves)
    if dialect == "event-source-mapping":
        _check_mapping(text, fields)
    return _build(text, dialect, alternatives)


def _build(text: str, dialect: Dialect, alternatives: grammar.Alternatives) -> Pattern:
    names = sorted({name for alternative in alternatives for name in alternative}, key=_utf16)
    numbers = {name: number for number, name in enumerate(names)}
    root = Node()
    for name, number in numbers.items():
        root = add_field(root, name, number)
    tests = tuple(
        tuple(Test(numbers[name], name, alternative[name]) for name in names if name in alternative)
        for alternative in alternatives
    )
    return Pattern(text, dialect, tests, tuple(names), root)


def _utf16(name: str) -> bytes:
    """Java's order of strings."""
    return name.encode("utf-16-be", "surrogatepass")


def _check_complexity(leaves: Iterable[Leaf]) -> None:
    found = [leaf for leaf in _flattened(leaves) if isinstance(leaf, Wildcard)]
    if found and wildcards.complexity(leaf.pieces for leaf in found) >= wildcards.COMPLEXITY_LIMIT:
        raise PatternValue(wildcards.TOO_COMPLEX)


def _flattened(leaves: Iterable[Leaf]) -> Iterable[Leaf]:
    for leaf in leaves:
        yield from leaf.excluded if isinstance(leaf, AnythingBut) else (leaf,)


def _check_mapping(text: str, fields: Iterable[tuple[Leaf, ...]]) -> None:
    if len(text) > MAX_MAPPING_PATTERN:
        raise PatternValue(f"The pattern has {len(text)} characters; a filter may have {MAX_MAPPING_PATTERN}")
    for leaf in (leaf for leaves in fields for leaf in leaves):
        if not _in_mapping(leaf):
            raise PatternValue(f"An event source mapping does not have {leaf.wanted()}")


def _in_mapping(leaf: Leaf) -> bool:
    if isinstance(leaf, AnythingBut):
        return all(isinstance(inner, Text) or hasattr(inner, "number") for inner in leaf.excluded)
    return not isinstance(leaf, (Wildcard, Cidr))


# --- events


def load_event(event: Mapping[str, Any] | str | bytes) -> Mapping[str, Any]:
    """The event as an object, its numbers readable as patterns need them.

    Raises:
        InvalidParameterValue: it is text, but no JSON object (AWS's TestEventPattern says the same).
    """
    if isinstance(event, Mapping):
        return event
    try:
        loaded = json.loads(event, parse_float=parse_float)
    except ValueError as fault:
        raise InvalidParameterValue("Parameter Event is not valid.") from fault
    if not isinstance(loaded, dict):
        raise InvalidParameterValue("Parameter Event is not valid.")
    return loaded
