"""The tests that a pattern can put to one value of an event: its leaves.

A *value* here is a scalar of an event as :mod:`lambdalite.patterns.fields` hands it out: a string, True, False, None,
an int or float within the comparable numbers, or a :class:`RawNumber`. A leaf never sees an object or an array.

Each kind answers two questions: ``admits`` (does this value pass?) and ``wanted`` (the leaf in JSON, for explanations).
How the index finds leaves without asking each of them is the index's own affair.
"""

from __future__ import annotations

import json
from typing import Union

from attrs import frozen

from lambdalite.patterns import casing, wildcards
from lambdalite.patterns.addresses import parse_address
from lambdalite.patterns.numeric import HIGHEST, LOWEST, RawNumber

__all__ = ["Absent", "Address", "AnythingBut", "Cidr", "Constant", "Exists", "Folded", "FoldedPrefix", "FoldedSuffix"]
__all__ += ["Leaf", "Number", "Prefix", "Range", "Raw", "Scalar", "Suffix", "Text", "Wildcard", "is_number"]

Scalar = Union[str, bool, int, float, RawNumber, None]  # noqa: UP007  (evaluated at run time)


def is_number(value: Scalar) -> bool:
    """Whether a value is a comparable number; True and False are not, though Python counts them among the ints."""
    return value.__class__ is int or value.__class__ is float


@frozen
class Text:
    """Equal to a string."""

    text: str

    def admits(self, value: Scalar) -> bool:
        return value.__class__ is str and value == self.text

    def wanted(self) -> str:
        return json.dumps(self.text) if parse_address(self.text) is None else _operator("exactly", self.text)


@frozen
class Address:
    """The same IP address as the pattern's string, in whatever spelling."""

    text: str
    address: tuple[int, int]

    def admits(self, value: Scalar) -> bool:
        return isinstance(value, str) and parse_address(value) == self.address

    def wanted(self) -> str:
        return json.dumps(self.text)


@frozen
class Number:
    """Equal to a number, as decimals."""

    number: int | float

    def admits(self, value: Scalar) -> bool:
        return is_number(value) and value == self.number

    def wanted(self) -> str:
        return json.dumps(self.number)


@frozen
class Raw:
    """Equal to a number beyond the comparable ones: only if it is written alike."""

    number: RawNumber

    def admits(self, value: Scalar) -> bool:
        return value == self.number

    def wanted(self) -> str:
        return repr(self.number)


@frozen
class Constant:
    """true, false or null."""

    value: bool | None

    def admits(self, value: Scalar) -> bool:
        return value is self.value

    def wanted(self) -> str:
        return json.dumps(self.value)


@frozen
class Prefix:
    """Begins with a string. The empty one is the beginning of every string, and of nothing else."""

    text: str

    def admits(self, value: Scalar) -> bool:
        return isinstance(value, str) and value.startswith(self.text)

    def wanted(self) -> str:
        return _operator("prefix", self.text)


@frozen
class Suffix:
    """Ends with a string."""

    text: str

    def admits(self, value: Scalar) -> bool:
        return isinstance(value, str) and value.endswith(self.text)

    def wanted(self) -> str:
        return _operator("suffix", self.text)


@frozen
class Folded:
    """Equal to a string in some casing."""

    text: str

    def admits(self, value: Scalar) -> bool:
        return isinstance(value, str) and casing.equals(self.text, value)

    def wanted(self) -> str:
        return _operator("equals-ignore-case", self.text)


@frozen
class FoldedPrefix:
    """Begins with a string in some casing."""

    text: str

    def admits(self, value: Scalar) -> bool:
        return isinstance(value, str) and casing.is_prefix(self.text, value)

    def wanted(self) -> str:
        return _operator("prefix", {"equals-ignore-case": self.text})


@frozen
class FoldedSuffix:
    """Ends with a string in some casing."""

    text: str

    def admits(self, value: Scalar) -> bool:
        return isinstance(value, str) and casing.is_suffix(self.text, value)

    def wanted(self) -> str:
        return _operator("suffix", {"equals-ignore-case": self.text})


@frozen
class Wildcard:
    """A string with anything in the place of each asterisk."""

    text: str
    pieces: tuple[str, ...]

    def admits(self, value: Scalar) -> bool:
        return isinstance(value, str) and wildcards.matches(self.pieces, value)

    def wanted(self) -> str:
        return _operator("wildcard", self.text)


@frozen
class Range:
    """A number between two others, each included or not; an open end is the lowest or highest comparable number."""

    low: int | float
    low_included: bool
    high: int | float
    high_included: bool

    def admits(self, value: Scalar) -> bool:
        if value.__class__ is not int and value.__class__ is not float:
            return False
        low_passed = value >= self.low if self.low_included else value > self.low
        return low_passed and (value <= self.high if self.high_included else value < self.high)

    def wanted(self) -> str:
        low = [">=" if self.low_included else ">", self.low]
        high = ["<=" if self.high_included else "<", self.high]
        below = (self.low, self.low_included) == (LOWEST, True)
        above = (self.high, self.high_included) == (HIGHEST, True)
        return _operator("numeric", high if below else low if above else low + high)


@frozen
class Cidr:
    """An IP address within a block."""

    text: str
    block: tuple[int, int, int]

    def admits(self, value: Scalar) -> bool:
        found = parse_address(value) if isinstance(value, str) else None
        bits, length, prefix = self.block
        return found is not None and found[0] == bits and found[1] >> (bits - length) == prefix

    def wanted(self) -> str:
        return _operator("cidr", self.text)


@frozen
class Exists:
    """Any value at all: the field holds a leaf."""

    def admits(self, value: Scalar) -> bool:  # noqa: ARG002  (each leaf is asked alike)
        return True

    def wanted(self) -> str:
        return _operator("exists", True)


@frozen
class Absent:
    """No value: passed by the lack of one, so no value ever passes it."""

    def admits(self, value: Scalar) -> bool:  # noqa: ARG002
        return False

    def wanted(self) -> str:
        return _operator("exists", False)


@frozen
class AnythingBut:
    """Any value that passes none of the leaves within; a value of another type passes too."""

    excluded: tuple[Leaf, ...]
    json: str

    def admits(self, value: Scalar) -> bool:
        return not any(leaf.admits(value) for leaf in self.excluded)

    def wanted(self) -> str:
        return self.json


Leaf = Union[  # noqa: UP007
    Text, Address, Number, Raw, Constant, Prefix, Suffix, Folded, FoldedPrefix, FoldedSuffix, Wildcard, Range, Cidr,
    Exists, Absent, AnythingBut,
]  # fmt: skip


def _operator(name: str, operand: object) -> str:
    return json.dumps({name: operand})
