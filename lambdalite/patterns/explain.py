"""Why an event matches, or not: each field that failed, what it wanted, what was there, and the likely reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lambdalite.errors import InvalidParameterValue
from lambdalite.patterns.fields import Sighting, survey
from lambdalite.patterns.leaves import Absent, Address, AnythingBut, Cidr, Constant, Leaf, Number, Range, Raw, is_number
from lambdalite.patterns.numeric import RawNumber
from lambdalite.patterns.pattern import Pattern, holds, load_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambdalite.patterns.leaves import Scalar
    from lambdalite.patterns.pattern import Test

__all__ = ["Explanation", "Failure", "explain"]

_SHOWN = 60  # characters of a value


@frozen
class Failure:
    """One field that failed."""

    field: str
    """Its full name, steps joined by dots; empty if it is the event as a whole."""
    wanted: str
    """The leaves in the pattern, as JSON."""
    found: tuple[str, ...]
    """The event's values there, as JSON."""
    reason: str
    """Why none of them passed, in a sentence."""

    def __str__(self) -> str:
        return f"{self.field or 'the event'}: {self.reason}"


@frozen
class Explanation:
    """The verdict. True if the event matches."""

    matched: bool
    failures: tuple[Failure, ...]
    """The fields that failed; with ``$or``, those of the alternative that came closest."""
    alternatives: tuple[tuple[Failure, ...], ...]
    """The failures of each alternative, in the pattern's order."""

    def __bool__(self) -> bool:
        return self.matched

    def __str__(self) -> str:
        if self.matched:
            return "The event matches the pattern."
        others = len(self.alternatives) - 1
        closest = f" (the closest of {others + 1} alternatives)" if others > 0 else ""
        lines = (f"  - {failure}" for failure in self.failures)
        return "\n".join([f"The event does not match the pattern{closest}:", *lines])


def explain(pattern: Pattern, event: Mapping[str, Any] | str | bytes) -> Explanation:
    """Explain the verdict of ``pattern.matches(event)``; text that is no JSON object matches nothing."""
    try:
        loaded = load_event(event)
    except InvalidParameterValue as fault:
        reason = f"it is text, and not a JSON object ({fault.__cause__ or 'it is another kind of JSON'})"
        failures = (Failure("", "", (), reason),)
        return Explanation(matched=False, failures=failures, alternatives=(failures,))
    sightings = survey(pattern.root, loaded)
    alternatives = tuple(_failures(tests, sightings, loaded) for tests in pattern.alternatives)
    closest = min(alternatives, key=len)
    return Explanation(not closest, closest, alternatives)


def _failures(
    tests: Sequence[Test], sightings: Mapping[int, list[Sighting]], event: Mapping[str, Any]
) -> tuple[Failure, ...]:
    if holds(tests, sightings):
        return ()
    failed = [test for test in tests if not holds((test,), sightings)]
    if failed:
        return tuple(_failure(test, sightings.get(test.number, []), event) for test in failed)
    return (_apart(tests, sightings),)


def _apart(tests: Sequence[Test], sightings: Mapping[int, list[Sighting]]) -> Failure:
    """Each field alone passes: then it is the array they are in."""
    inside = [test for test in tests if any(membership for _, membership in sightings.get(test.number, []))]
    fields = " and ".join(test.name for test in inside)
    reason = f"{fields} pass, but in different elements of one array: a match must come from one element"
    return Failure(inside[-1].name if inside else "", _wanted(inside[-1].leaves) if inside else "", (), reason)


def _failure(test: Test, seen: list[Sighting], event: Mapping[str, Any]) -> Failure:
    values = [value for value, _ in seen]
    reason = _why_not(test.leaves, values) if values else _why_missing(test.name, event)
    return Failure(test.name, _wanted(test.leaves), tuple(_shown(value) for value in values), reason)


def _wanted(leaves: Sequence[Leaf]) -> str:
    return f"[{', '.join(leaf.wanted() for leaf in leaves)}]"


def _shown(value: Scalar) -> str:
    text = repr(value) if isinstance(value, RawNumber) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


# --- no value there


def _why_missing(name: str, event: Mapping[str, Any]) -> str:
    """The event has no value under this name: find out how far it goes."""
    steps = name.split(".")
    value: Any = event
    for at, step in enumerate(steps):
        if isinstance(value, (list, tuple)):
            return f"no element of {'.'.join(steps[:at])} has {'.'.join(steps[at:])}" if value else _empty(steps[:at])
        if not isinstance(value, Mapping):
            return _not_an_object(".".join(steps[:at]), value)
        if step not in value:
            return _no_key(".".join(steps[:at]), step, value)
        value = value[step]
    return f"{name} is an object; only scalars are matched" if isinstance(value, Mapping) else _empty(steps)


def _empty(steps: list[str]) -> str:
    return f"{'.'.join(steps)} is an empty array, which counts as no value"


def _no_key(where: str, step: str, value: Mapping[str, Any]) -> str:
    holder = where or "the event"
    alike = [key for key in value if isinstance(key, str) and key.lower() == step.lower()]
    if alike:
        return f"{holder} has no {step!r}, but {alike[0]!r}: names are case-sensitive"
    return f"{holder} has no {step!r}; it has {', '.join(map(repr, value)) or 'nothing'}"


def _not_an_object(where: str, value: object) -> str:
    if not isinstance(value, (str, bytes)):
        return f"{where} is {json.dumps(value, default=repr)}, not an object"
    try:
        loaded = json.loads(value)
    except ValueError as fault:
        return f"{where} is text, not an object, and not JSON either ({fault})"
    if isinstance(loaded, dict):
        return f"{where} is text that holds a JSON object; decode it before matching"
    return f"{where} is text that holds JSON, but no object"


# --- values there, and none passes


def _why_not(leaves: Sequence[Leaf], values: Sequence[Scalar]) -> str:
    shown = ", ".join(map(_shown, values))
    hints = dict.fromkeys(hint for leaf in leaves for value in values if (hint := _hint(leaf, value)))
    wanted = " or ".join(leaf.wanted() for leaf in leaves)
    return f"wanted {wanted}, found {shown}" + (f" ({'; '.join(hints)})" if hints else "")


def _hint(leaf: Leaf, value: Scalar) -> str:
    """What about this value makes it fail this leaf, beyond being another one; empty if there is nothing to say."""
    if isinstance(leaf, Absent):
        return "the field must be missing"
    if isinstance(leaf, AnythingBut):
        return "it is excluded"
    if isinstance(leaf, (Number, Range, Raw)):
        return _number_hint(value)
    if isinstance(leaf, Constant):
        quoted = isinstance(value, str) and value.lower() in ("true", "false", "null")
        return f"{_shown(value)} is a string" if quoted else ""
    return _text_hint(leaf, value)


def _number_hint(value: Scalar) -> str:
    if isinstance(value, str):
        return f"{_shown(value)} is a string, not a number"
    if isinstance(value, RawNumber):
        return f"{value!r} is not between -5e9 and 5e9 with at most 6 decimals, so it is not compared as a number"
    return "" if is_number(value) else f"{_shown(value)} is not a number"


def _text_hint(leaf: Leaf, value: Scalar) -> str:
    if not isinstance(value, str):
        kind = "a number" if is_number(value) or isinstance(value, RawNumber) else _shown(value)
        return f"{_shown(value)} is {kind}, not a string"
    if isinstance(leaf, (Cidr, Address)):
        return ""
    text = getattr(leaf, "text", "")
    return "they differ only in case" if text.lower() == value.lower() and text != value else ""
