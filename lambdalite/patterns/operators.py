"""Reading the array of leaves that ends a field: exact values and match expressions.

The order of the checks, and where the scanner stands when one fails, decide AWS's message; so each function here reads
and checks in the original's order, even where another would be more natural.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from lambdalite.patterns import wildcards
from lambdalite.patterns.addresses import parse_address, parse_cidr
from lambdalite.patterns.leaves import (
    Absent,
    Address,
    AnythingBut,
    Cidr,
    Constant,
    Exists,
    Folded,
    FoldedPrefix,
    FoldedSuffix,
    Number,
    Prefix,
    Range,
    Raw,
    Suffix,
    Text,
    Wildcard,
)
from lambdalite.patterns.numeric import HIGHEST, LOWEST, RawNumber, number_in_pattern
from lambdalite.patterns.refusal import PatternOverflow, PatternSyntax, PatternValue
from lambdalite.patterns.scanner import (
    END_ARRAY,
    END_OBJECT,
    FALSE,
    FLOAT,
    INT,
    NAME,
    NULL,
    START_ARRAY,
    START_OBJECT,
    STRING,
    TRUE,
    Scanner,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.patterns.leaves import Leaf

__all__ = ["read_leaves"]

_CONSTANTS = {TRUE: True, FALSE: False, NULL: None}
_NUMBERS = (INT, FLOAT)
# Python converts no longer text to an int, and so no event holds a longer one.
MAX_INT_DIGITS = sys.int_info.default_max_str_digits
_ONE_KEY = "Only one key allowed in match expression"
_TOO_MANY = "Too many elements in numeric expression"
_LIST_ONLY = "Inside anything but list, start|null|boolean is not supported."
_ONE_TYPE = "Inside anything but list, either all values are number or string, mixed type is not supported"


def read_leaves(scanner: Scanner) -> tuple[Leaf, ...]:
    """Read an array of leaves; the scanner stands on its opening bracket, and ends on the closing one."""
    leaves: list[Leaf] = []
    while scanner.next() != END_ARRAY:
        leaves.append(_read_leaf(scanner))
    if not leaves:
        raise scanner.refuse("Empty arrays are not allowed")
    return tuple(leaves)


def _read_leaf(scanner: Scanner) -> Leaf:
    token = str(scanner.token)
    if token == START_OBJECT:
        return _read_expression(scanner)
    if token == STRING:
        return _exact_text(scanner.text())
    if token in _NUMBERS:
        return _exact_number(token, scanner.text())
    if token in _CONSTANTS:
        return Constant(_CONSTANTS[token])
    raise scanner.refuse("Match value must be String, number, true, false, or null")


def _exact_text(text: str) -> Leaf:
    address = parse_address(text)
    return Text(text) if address is None else Address(text, address)


def _exact_number(token: str, text: str) -> Leaf:
    try:
        return Number(number_in_pattern(text))
    except (PatternValue, PatternOverflow):
        return Raw(_raw(token, text))


def _raw(token: str, text: str) -> RawNumber:
    return RawNumber(int(text)) if token == INT and len(text) <= MAX_INT_DIGITS else RawNumber(text)


def _read_expression(scanner: Scanner) -> Leaf:
    if scanner.next() != NAME:
        raise scanner.refuse("Match expression name not found")
    read = _OPERATORS.get(scanner.name)
    if read is None:
        raise scanner.refuse(f"Unrecognized match type {scanner.name}")
    return read(scanner)


def _end(scanner: Scanner, otherwise: str = _ONE_KEY) -> None:
    if scanner.next() != END_OBJECT:
        raise scanner.refuse(otherwise)


def _require_string(scanner: Scanner, token: str | None, message: str) -> str:
    if token != STRING:
        raise scanner.refuse(message)
    return scanner.text()


# --- one string


def _read_exactly(scanner: Scanner) -> Leaf:
    text = _require_string(scanner, scanner.next(), "exact match pattern must be a string")
    _end(scanner)
    return Text(text)


def _read_prefix(scanner: Scanner) -> Leaf:
    if scanner.next() == START_OBJECT:
        return FoldedPrefix(_read_folded(scanner, "prefix"))
    text = _require_string(scanner, scanner.token, "prefix match pattern must be a string")
    _end(scanner)
    return Prefix(text)


def _read_suffix(scanner: Scanner) -> Leaf:
    if scanner.next() == START_OBJECT:
        return FoldedSuffix(_read_folded(scanner, "suffix"))
    text = _require_string(scanner, scanner.token, "suffix match pattern must be a string")
    _end(scanner)
    return Suffix(text)


def _read_folded(scanner: Scanner, where: str) -> str:
    if scanner.next() != NAME:
        raise scanner.refuse(f"{where.capitalize()} expression name not found")
    if scanner.name != "equals-ignore-case":
        raise scanner.refuse(f"Unsupported {where} pattern: {scanner.name}")
    text = _require_string(scanner, scanner.next(), "equals-ignore-case match pattern must be a string")
    _end(scanner)
    _end(scanner)
    return text


def _read_equals_ignore_case(scanner: Scanner) -> Leaf:
    text = _require_string(scanner, scanner.next(), "equals-ignore-case match pattern must be a string")
    _end(scanner)
    return Folded(text)


def _read_wildcard(scanner: Scanner) -> Leaf:
    text = _require_string(scanner, scanner.next(), "wildcard match pattern must be a string")
    leaf = _wildcard(scanner, text)
    _end(scanner)
    return leaf


def _wildcard(scanner: Scanner, text: str) -> Leaf:
    try:
        return Wildcard(text, wildcards.parse(text))
    except PatternValue as fault:
        raise scanner.refuse(str(fault)) from fault


def _read_cidr(scanner: Scanner) -> Leaf:
    text = _require_string(scanner, scanner.next(), "prefix match pattern must be a string")  # AWS's own slip
    block = parse_cidr(text)
    _end(scanner)
    return Cidr(text, block)


def _read_exists(scanner: Scanner) -> Leaf:
    token = scanner.next()
    if token not in (TRUE, FALSE):
        raise scanner.refuse("exists match pattern must be either true or false.")
    _end(scanner)
    return Exists() if token == TRUE else Absent()


# --- numeric


def _read_numeric(scanner: Scanner) -> Leaf:
    if scanner.next() != START_ARRAY:
        raise scanner.refuse("Value of numeric must be an array.")
    leaf = _read_comparison(scanner)
    _end(scanner, _TOO_MANY)
    return leaf


def _read_comparison(scanner: Scanner) -> Leaf:
    if scanner.next() != STRING:
        raise scanner.refuse(f"Invalid member in numeric match: {scanner.text()}")
    operator = scanner.text()
    scanner.next()
    read = _COMPARISONS.get(operator)
    if read is None:
        raise scanner.refuse(f"Unrecognized numeric range operator: {operator}")
    try:
        return read(scanner, operator)
    except PatternValue as fault:
        raise scanner.refuse(str(fault)) from fault


def _require_number(scanner: Scanner, operator: str) -> str:
    if scanner.token not in _NUMBERS:
        raise scanner.refuse(f"Value of {operator} must be numeric")
    return scanner.text()


def _end_comparison(scanner: Scanner) -> None:
    if scanner.next() != END_ARRAY:
        raise scanner.refuse(_TOO_MANY)


def _read_equal(scanner: Scanner, _operator: str) -> Leaf:
    text = _require_number(scanner, "equals")
    _end_comparison(scanner)
    return Number(number_in_pattern(text))


def _read_below(scanner: Scanner, operator: str) -> Leaf:
    text = _require_number(scanner, operator)
    _end_comparison(scanner)
    return _range(LOWEST, number_in_pattern(text), low_included=True, high_included=operator == "<=")


def _read_above(scanner: Scanner, operator: str) -> Leaf:
    low = _require_number(scanner, operator)
    if scanner.next() == END_ARRAY:
        return _range(number_in_pattern(low), HIGHEST, low_included=operator == ">=", high_included=True)
    second = _read_second_operator(scanner)
    high = scanner.text()
    if scanner.next() != END_ARRAY:
        raise scanner.refuse("Too many terms in numeric range expression")
    bounds = number_in_pattern(low), number_in_pattern(high)
    return _range(*bounds, low_included=operator == ">=", high_included=second == "<=")


def _read_second_operator(scanner: Scanner) -> str:
    if scanner.token != STRING:
        raise scanner.refuse(f"Bad value in numeric range: {scanner.text()}")
    operator = scanner.text()
    if operator not in ("<", "<="):
        raise scanner.refuse(f"Bad numeric range operator: {operator}")
    scanner.next()
    _require_number(scanner, operator)
    return operator


def _range(low: int | float, high: int | float, *, low_included: bool, high_included: bool) -> Range:  # noqa: PYI041
    if low >= high:
        raise PatternValue("Bottom must be less than top")
    return Range(low, low_included, high, high_included)


_COMPARISONS: dict[str, Callable[[Scanner, str], Leaf]] = {
    "=": _read_equal,
    "<": _read_below,
    "<=": _read_below,
    ">": _read_above,
    ">=": _read_above,
}


# --- anything-but


def _read_anything_but(scanner: Scanner) -> Leaf:
    nested = _read_nested_operator(scanner) if scanner.next() == START_OBJECT else None
    if scanner.token not in (START_ARRAY, STRING, *_NUMBERS):
        raise scanner.refuse("Value of anything-but must be an array or single string/number value.")
    listed = scanner.token == START_ARRAY
    excluded = _read_excluded_list(scanner, nested) if listed else (_read_excluded(scanner, nested),)
    _end(scanner, _TOO_MANY)
    if nested is not None:
        _end(scanner, _TOO_MANY)
    return AnythingBut(excluded, _anything_but_json(excluded, nested, listed=listed))


def _read_nested_operator(scanner: Scanner) -> str:
    if scanner.next() != NAME:
        raise scanner.refuse("Anything-But expression name not found")
    if scanner.name not in _NESTED:
        raise scanner.refuse(f"Unsupported anything-but pattern: {scanner.name}")
    nested = scanner.name
    scanner.next()
    return nested


def _read_excluded(scanner: Scanner, nested: str | None) -> Leaf:
    """One value that is not to be: of the plain form a string or number, of a nested form what its operator takes."""
    if nested is None:
        return _read_plain(scanner)
    text = _require_string(scanner, scanner.token, _NOT_A_STRING[nested])
    if not text and nested in ("prefix", "suffix"):
        raise scanner.refuse("Null prefix/suffix not allowed")
    return _wildcard(scanner, text) if nested == "wildcard" else _NESTED[nested](text)


def _read_plain(scanner: Scanner) -> Leaf:
    if scanner.token == STRING:
        return Text(scanner.text())
    if scanner.token in _NUMBERS:
        return Number(number_in_pattern(scanner.text()))
    raise scanner.refuse(_LIST_ONLY)


def _read_excluded_list(scanner: Scanner, nested: str | None) -> tuple[Leaf, ...]:
    try:
        leaves = _read_members(scanner, nested)
    except (PatternSyntax, PatternValue) as fault:
        raise scanner.refuse(str(fault)) from fault  # AWS wraps it, so a position is given twice
    if nested is None and len({type(leaf) for leaf in leaves}) != 1:
        raise scanner.refuse(_ONE_TYPE)
    if nested == "wildcard":
        return tuple(_wildcard(scanner, leaf.text) for leaf in leaves if isinstance(leaf, Text))
    return leaves


def _read_members(scanner: Scanner, nested: str | None) -> tuple[Leaf, ...]:
    leaves: list[Leaf] = []
    while scanner.next() != END_ARRAY:
        if nested == "wildcard":  # checked after the whole list, unlike a single one
            leaves.append(Text(_require_string(scanner, scanner.token, _NOT_A_STRING[nested])))
        else:
            leaves.append(_read_excluded(scanner, nested))
    return tuple(leaves)


def _anything_but_json(excluded: tuple[Leaf, ...], nested: str | None, *, listed: bool) -> str:
    values = [leaf.number if isinstance(leaf, Number) else leaf.text for leaf in excluded]  # type: ignore[union-attr]
    operand: object = values if listed else values[0]
    return json.dumps({"anything-but": operand if nested is None else {nested: operand}})


_NESTED: dict[str, Callable[[str], Leaf]] = {
    "prefix": Prefix,
    "suffix": Suffix,
    "equals-ignore-case": Folded,
    "wildcard": Text,
}
_NOT_A_STRING = {
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "equals-ignore-case": "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    "wildcard": "wildcard match pattern must be a string",
}
_OPERATORS: dict[str, Callable[[Scanner], Leaf]] = {
    "anything-but": _read_anything_but,
    "cidr": _read_cidr,
    "equals-ignore-case": _read_equals_ignore_case,
    "exactly": _read_exactly,
    "exists": _read_exists,
    "numeric": _read_numeric,
    "prefix": _read_prefix,
    "suffix": _read_suffix,
    "wildcard": _read_wildcard,
}
