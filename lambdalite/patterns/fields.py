"""Where the values are that a pattern looks at: a tree of its fields, walked along an event.

- A field's name is its steps joined by dots, in patterns and events alike: ``{"a": {"b": 1}}`` and ``{"a.b": 1}`` hold
  the same field.
- Arrays vanish from names: the elements of an array are values of its field, objects within it are looked into.
- Only scalars are values. A field that holds an object, or an empty array, holds no value.

There are two ways through an event. :func:`gather` is fast, and enough for events without arrays of objects on the
way. :func:`survey` handles everything and remembers which element of which array each value came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lambdalite.errors import UsageError
from lambdalite.patterns.numeric import HIGHEST, LOWEST, RawNumber, number_in_event

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lambdalite.patterns.leaves import Scalar

__all__ = ["MISSING", "Found", "Membership", "Node", "Sighting", "add_field", "gather", "scalar", "survey"]

Found = dict[int, Any]  # field number to its value, or to the list of its values
Membership = dict[int, int]  # array to the element of it that a value came from
Sighting = tuple["Scalar", Membership]

MISSING: Any = object()
# A field of n steps can be spelled in 2 ** (n - 1) ways, found by n * (n + 1) / 2 keys. For longer names those are too
# many to keep, and `survey` is used instead, which splits an event's keys at their dots as it meets them.
MAX_SPELLED = 12


class Node:
    """What may follow a step: ``children`` by any spelling, ``steps`` one by one; and which field ends here, or -1."""

    __slots__ = ("children", "field", "spelled", "steps")

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.steps: dict[str, Node] = {}
        self.field = -1
        self.spelled = True  # on the root: whether every field can be found by `gather`

    def copy(self) -> Node:
        """The same node, to be changed."""
        twin = Node()
        twin.children = dict(self.children)
        twin.steps = dict(self.steps)
        twin.field = self.field
        twin.spelled = self.spelled
        return twin


def add_field(root: Node, name: str, number: int) -> Node:
    """A tree with one field more. ``root`` and its nodes stay as they are; only the nodes on the way are new."""
    steps = name.split(".")
    fresh = root.copy()
    chain = [fresh]
    for step in steps:
        old = chain[-1].steps.get(step)
        chain.append(Node() if old is None else old.copy())
        chain[-2].steps[step] = chain[-1]
    chain[-1].field = number
    if len(steps) <= MAX_SPELLED:
        _spell(chain, steps)
    else:
        fresh.spelled = False
    return fresh


def _spell(chain: list[Node], steps: list[str]) -> None:
    for begin in range(len(steps)):
        for end in range(begin + 1, len(steps) + 1):
            chain[begin].children[".".join(steps[begin:end])] = chain[end]


def gather(node: Node, event: dict[str, Any], found: Found) -> bool:
    """Put the values of ``event`` into ``found``. False if it takes :func:`survey`: ``found`` is then useless."""
    children = node.children
    for key in children if len(children) <= len(event) else event:
        if key not in event or key not in children:
            continue
        value = event[key]
        child = children[key]
        kind = value.__class__
        if kind is str:
            if (field := child.field) >= 0:
                if field in found:
                    return False  # spelled in two ways
                found[field] = value
        elif kind is dict:
            if child.children and not gather(child, value, found):
                return False
        elif not _gather_other(child, value, kind, found):
            return False
    return True


def _gather_other(child: Node, value: Any, kind: type, found: Found) -> bool:
    if kind is list:
        return _gather_elements(child, value, found)
    if kind not in _PLAIN:
        return False  # of an unusual class
    field = child.field
    if field < 0:
        return True
    if kind is int:
        value = value if LOWEST <= value <= HIGHEST else RawNumber(value)
    elif kind is float:
        value = number_in_event(value)
    if field in found:
        return False
    found[field] = value
    return True


_PLAIN = frozenset({str, bool, int, float, type(None)})


def _gather_elements(child: Node, elements: list[Any], found: Found) -> bool:
    for element in elements:
        if element.__class__ not in _PLAIN:
            return False
    if child.field >= 0 and elements:
        if child.field in found:
            return False
        found[child.field] = [scalar(element) for element in elements] if len(elements) > 1 else scalar(elements[0])
    return True


def survey(root: Node, event: Mapping[str, Any]) -> dict[int, list[Sighting]]:
    """All values of an event by field number, each with its place in the arrays around it."""
    found: dict[int, list[Sighting]] = {}
    arrays = 0
    pending: list[tuple[Node, Any, Membership]] = [(root, event, {})]
    while pending:
        node, value, membership = pending.pop()
        if isinstance(value, Mapping):
            pending += reversed([(child, inner, membership) for child, inner in _entries(node, value)])
        elif isinstance(value, (list, tuple)):
            inside = [(node, each, _within(membership, arrays, at, each)) for at, each in enumerate(value)]
            pending += reversed(inside)
            arrays += 1
        elif node.field >= 0:
            found.setdefault(node.field, []).append((scalar(value), membership))
    return found


def _within(membership: Membership, array: int, at: int, element: object) -> Membership:
    """Objects and arrays within an array belong to their element; scalars belong to the array as a whole."""
    return {**membership, array: at} if isinstance(element, (Mapping, list, tuple)) else membership


def _entries(node: Node, value: Mapping[str, Any]) -> Iterator[tuple[Node, Any]]:
    for key, inner in value.items():
        if not isinstance(key, str):
            raise UsageError(
                f"The event has the key {key!r}, a {type(key).__name__}. In JSON keys are strings: convert it."
            )
        child = _descend(node, key.split("."))
        if child is not None:
            yield child, inner


def _descend(node: Node, steps: Iterable[str]) -> Node | None:
    for step in steps:
        following = node.steps.get(step)
        if following is None:
            return None
        node = following
    return node


def scalar(value: object) -> Scalar:
    """One leaf of an event as the leaves of patterns expect it.

    Raises:
        UsageError: it is nothing that JSON can carry.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if value.__class__ is str else str.__str__(value)
    if isinstance(value, int):
        return number_in_event(int(value))
    if isinstance(value, (float, Decimal)):
        return number_in_event(value)
    if isinstance(value, RawNumber):
        return value
    raise UsageError(
        f"The event holds {value!r}, a {type(value).__name__}. Events carry only what JSON can: convert it."
    )
