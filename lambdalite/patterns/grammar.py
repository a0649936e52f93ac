"""From a pattern's text to its alternatives, refusing what AWS refuses in AWS's words.

A pattern is an object of objects whose ends are arrays of leaves. It compiles to *alternatives*: a dict from a field's
full name, its steps joined by dots, to its leaves. Without ``$or`` there is one; each ``$or`` multiplies them. A field
named twice keeps what was written last, wherever it was written.

The walk keeps its own stack: a pattern may nest deeper than Python's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambdalite.patterns import operators, scanner
from lambdalite.patterns.refusal import PatternSyntax, PatternValue
from lambdalite.patterns.scanner import Scanner

if TYPE_CHECKING:
    from lambdalite.patterns.leaves import Leaf

__all__ = ["MAX_COMBINATIONS", "Alternatives", "parse"]

Alternatives = list["dict[str, tuple[Leaf, ...]]"]

OR = "$or"
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html#eb-filtering-or-matching:
# "EventBridge throws an exception if there are over 1000 rule combinations."
MAX_COMBINATIONS = 1000

# Words that AWS keeps for its language, so they cannot name a field inside $or.
RESERVED_IN_OR = frozenset(
    {
        *("exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr"),
        *("=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case"),
        *("date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"),
        *("ip-address-in-range", "ip-address-not-in-range"),
    }
)


def parse(source: str) -> Alternatives:
    """The alternatives of the pattern in JSON text ``source``; what follows the object is not looked at, as by AWS.

    A pattern that fails although ``$or`` means "or" is tried once more with ``$or`` as a field like any other, because
    AWS still takes the patterns of the time before ``$or``.

    Raises:
        PatternRefused: one of its kinds, with AWS's reason.
    """
    try:
        return _Walk(source, or_aware=True).run()
    except PatternSyntax:
        if OR not in source:
            raise
        plain = _parse_without_or(source)
        if plain is None:
            raise
        return plain


def _parse_without_or(source: str) -> Alternatives | None:
    try:
        return _Walk(source, or_aware=False).run()
    except PatternSyntax:
        return None


class _Object:
    """An object being read: the alternatives that its fields go into, shared with the object around it."""

    __slots__ = ("alternatives", "empty", "in_or", "steps")

    def __init__(self, alternatives: Alternatives, steps: tuple[str, ...], *, in_or: bool) -> None:
        self.alternatives = alternatives
        self.steps = steps
        self.in_or = in_or
        self.empty = True


class _Or:
    """A ``$or`` being read: each of its objects starts from what was there before."""

    __slots__ = ("before", "count", "current", "found", "parent")

    def __init__(self, parent: _Object) -> None:
        self.parent = parent
        self.before = list(parent.alternatives)
        self.found: Alternatives = []
        self.current: Alternatives = []
        self.count = 0


class _Walk:
    """One reading of one pattern."""

    def __init__(self, source: str, *, or_aware: bool) -> None:
        self.scanner = Scanner(source)
        self.or_aware = or_aware
        self.stack: list[_Object | _Or] = []

    def run(self) -> Alternatives:
        alternatives: Alternatives = []
        if self.scanner.next() != scanner.START_OBJECT:
            raise self.scanner.refuse("Filter is not an object")
        self.stack.append(_Object(alternatives, (), in_or=False))
        while self.stack:
            top = self.stack[-1]
            if isinstance(top, _Object):
                self._field(top)
            else:
                self._member(top)
        return alternatives

    def _field(self, current: _Object) -> None:
        if self.scanner.next() == scanner.END_OBJECT:
            self._end_object(current)
            return
        current.empty = False
        name = self.scanner.name
        if name == OR and self.or_aware:
            self._begin_or(current)
            return
        if current.in_or and name in RESERVED_IN_OR:
            raise self.scanner.refuse(f"{name} is Ruler reserved fieldName which cannot be used inside {OR}.")
        self._field_value(current, name)

    def _field_value(self, current: _Object, name: str) -> None:
        token = self.scanner.next()
        steps = (*current.steps, name)
        if token == scanner.START_OBJECT:
            self.stack.append(_Object(current.alternatives, steps, in_or=current.in_or))
        elif token == scanner.START_ARRAY:
            self._write(current.alternatives, ".".join(steps), operators.read_leaves(self.scanner))
        else:
            raise self.scanner.refuse(f'"{name}" must be an object or an array')

    def _write(self, alternatives: Alternatives, field: str, leaves: tuple[Leaf, ...]) -> None:
        if not alternatives:
            alternatives.append({})
        for alternative in alternatives:
            alternative[field] = leaves

    def _end_object(self, current: _Object) -> None:
        if current.empty:
            raise self.scanner.refuse("Empty objects are not allowed")
        self.stack.pop()
        parent = self.stack[-1] if self.stack else None
        if isinstance(parent, _Or):
            parent.found.extend(parent.current)
            if len(parent.found) > MAX_COMBINATIONS:
                raise PatternValue(f"Event pattern contains more than {MAX_COMBINATIONS} rule combinations")

    def _begin_or(self, current: _Object) -> None:
        if self.scanner.next() != scanner.START_ARRAY:
            raise self.scanner.refuse(f"It must be an Array followed with {OR}.")
        self.stack.append(_Or(current))

    def _member(self, current: _Or) -> None:
        token = self.scanner.next()
        if token == scanner.END_ARRAY:
            self._end_or(current)
        elif token == scanner.START_OBJECT:
            current.count += 1
            current.current = [dict(alternative) for alternative in current.before] or [{}]
            self.stack.append(_Object(current.current, current.parent.steps, in_or=True))
        else:
            raise self.scanner.refuse(f"Only JSON object is allowed in array of {OR} relationship.")

    def _end_or(self, current: _Or) -> None:
        if current.count < 2:
            raise self.scanner.refuse(f"There must have at least 2 Objects in {OR} relationship.")
        self.stack.pop()
        current.parent.alternatives[:] = current.found
