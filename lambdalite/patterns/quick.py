"""The short way to a verdict for one alternative: along the event's objects, asking each value on the spot.

It knows ordinary events only: each field spelled step by step, strings and integers where the pattern wants values.
Anything else (an array, a key with dots in it) makes it say "not sure", and the long way decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambdalite.patterns.fields import MAX_SPELLED
from lambdalite.patterns.numeric import HIGHEST, LOWEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lambdalite.patterns.pattern import Test

__all__ = ["Quick", "decide", "prepare"]


class Quick:
    """What is wanted of one object: its values, its objects, and the keys that must not be there to be sure."""

    __slots__ = ("dotted", "objects", "values")

    def __init__(self) -> None:
        self.values: tuple[tuple[str, Callable[[Any], bool]], ...] = ()
        self.objects: dict[str, Quick] = {}
        self.dotted: tuple[str, ...] = ()


def prepare(tests: Sequence[Test]) -> Quick | None:
    """The short way for an alternative; None if it has none, as with ``exists: false``."""
    top = Quick()
    for test in tests:
        steps = test.name.split(".")
        if test.absent or len(steps) > MAX_SPELLED:
            return None
        _want(top, steps, test.admits)
    return top


def _want(top: Quick, steps: list[str], admits: Callable[[Any], bool]) -> None:
    at = top
    for depth, step in enumerate(steps[:-1]):
        spelled = [".".join(steps[depth:end]) for end in range(depth + 2, len(steps) + 1)]
        at.dotted = tuple(dict.fromkeys((*at.dotted, *spelled)))
        at = at.objects.setdefault(step, Quick())
    at.values = (*at.values, (steps[-1], admits))


def decide(wanted: Quick, event: dict[str, Any]) -> bool | None:  # noqa: PLR0911  (one loop's worth of ways out)
    """Whether the event has what is wanted; None if that cannot be said the short way."""
    for key in wanted.dotted:
        if key in event:
            return None
    for name, admits in wanted.values:
        if name not in event:
            return False
        value = event[name]
        kind = value.__class__
        if kind is not str and (kind is not int or not LOWEST <= value <= HIGHEST):
            return None
        if not admits(value):
            return False
    for name, inner in wanted.objects.items():
        if name not in event:
            return False
        value = event[name]
        verdict = decide(inner, value) if value.__class__ is dict else None
        if not verdict:
            return verdict
    return True
