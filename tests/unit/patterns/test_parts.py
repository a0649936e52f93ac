# ruff: noqa: E501  (the tables are easier to read row by row)
"""The parts that patterns are made of: the scanner, numbers, addresses, casing and wildcards."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import pytest

from lambdalite.errors import UsageError
from lambdalite.patterns import addresses, compile, matches, numeric, wildcards  # noqa: A004
from lambdalite.patterns.leaves import Constant, Number
from lambdalite.patterns.numeric import RawNumber
from lambdalite.patterns.refusal import PatternOverflow, PatternRefused, PatternSyntax, PatternValue
from lambdalite.patterns.scanner import Scanner

EXPECTED = "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
NAME = "was expecting double-quote to start field name"
NON_STANDARD = "enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
PLUS = "JSON spec does not allow numbers to have plus signs: enable `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow"
COMMENT = (
    "maybe a (non-standard) comment? (not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for parser)"
)

# Recorded from the parser that AWS uses: a text, what it says, and the column it names.
SYNTAX = [
    ('{"a"', "Unexpected end-of-input within/between Object entries", 5),
    ('{"a":', "Unexpected end-of-input within/between Object entries", 6),
    ('["a",', "Unexpected end-of-input within/between Array entries", 6),
    ('{"a', "Unexpected end-of-input in field name", 4),
    ('{"a" 1}', "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value", 6),
    ('{"a":1 "b":2}', "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries", 8),
    ("[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", 4),
    ("[1,]", f"Unexpected character (']' (code 93)): {EXPECTED}", 4),
    ("[,1]", f"Unexpected character (',' (code 44)): {EXPECTED}", 2),
    ('{"a":1,}', f"Unexpected character ('}}' (code 125)): {NAME}", 8),
    ('{"a" : }', "Unexpected character ('}' (code 125)): expected a value", 8),
    ("{1:2}", f"Unexpected character ('1' (code 49)): {NAME}", 2),
    ("[01]", "Invalid numeric value: Leading zeroes not allowed", 3),
    ("[-]", "Unexpected character (']' (code 93)) in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value", 3),
    ("[-.5]", f"Unexpected character ('.' (code 46)): {EXPECTED}", 3),
    ("[12.x]", "Unexpected character ('x' (code 120)) in numeric value: Decimal point not followed by a digit", 4),
    ("[1.5e+x]", "Unexpected character ('x' (code 120)) in numeric value: Exponent indicator not followed by a digit", 3),
    ("[0.]", "Unexpected character (']' (code 93)) in numeric value: Decimal point not followed by a digit", 4),
    ("[1.", "Unexpected character ('.' (code 46)) in numeric value: Decimal point not followed by a digit", 3),
    ("[1e", "Unexpected end-of-inputexpected a digit for number exponent", 4),
    ("[-", "Unexpected end-of-inputNo digit following sign", 3),
    ("[+1]", f"Unexpected character ('+' (code 43)) in numeric value: {PLUS}", 3),
    ("[+", "Unexpected end-of-input in a Number value", 3),
    ("[-I]", "Unexpected character (']' (code 93)) in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value", 4),
    ("[NaN]", f"Non-standard token 'NaN': {NON_STANDARD}", 5),
    ("[-Infinity]", f"Non-standard token '-Infinity': {NON_STANDARD}", 11),
    ("42x", "Unexpected character ('x' (code 120)): Expected space separating root-level values", 3),
    ('["\\q"]', "Unrecognized character escape 'q' (code 113)", 4),
    ('["\\u12g4"]', "Unexpected character ('g' (code 103)): expected a hex-digit for character escape sequence", 7),
    ('["\\u1', "Unexpected end-of-input in character escape sequence", 6),
    ('["\\', "Unexpected end-of-input in character escape sequence", 4),
    ('["\t"]', "Illegal unquoted character ((CTRL-CHAR, code 9)): has to be escaped using backslash to be included in string value", 3),
    ("[\x0b1]", "Illegal character ((CTRL-CHAR, code 11)): only regular white space (\\r, \\n, \\t) is allowed between tokens", 3),
    ("/* c */ {}", f"Unexpected character ('/' (code 47)): {COMMENT}", 1),
    ("[\ufeff]", f"Unexpected character ('\ufeff' (code 65279 / 0xfeff)): {EXPECTED}", 2),
    ("[" + "z" * 300 + "]", f"Unrecognized token '{'z' * 256}...': was {EXPECTED.removeprefix('expected a valid value ')}", 258),
]  # fmt: skip


def _scan(text: str) -> list[tuple[str, str]]:
    scanner, found = Scanner(text), []
    while (token := scanner.next()) is not None:
        found.append((token, scanner.text()))
    return found


@pytest.mark.parametrize(("text", "reason", "column"), SYNTAX)
def test_what_is_no_json_is_told_as_aws_tells_it(text: str, reason: str, column: int) -> None:
    """PAT-90: the reasons and positions of the parser that AWS uses."""
    with pytest.raises(PatternSyntax) as refused:
        _scan(text)

    said, _, place = str(refused.value).partition("\n at ")
    assert said == reason.replace("was (JSON", "was expecting (JSON")
    assert place.endswith(f"line: 1, column: {column}]")


def test_json_is_read() -> None:
    """All kinds of values, escapes, halves of a surrogate pair, and white space."""
    text = '{"a\\n": [ "\\ud83d\\ude00\\/\\b", -1.5E+3, 0, true,\tfalse ,null], "b":{}}'

    assert _scan(text) == [
        *(("{", "{"), ("name", "a\n"), ("[", "["), ("string", "\U0001f600/\b"), ("float", "-1.5E+3"), ("int", "0")),
        *(("true", "true"), ("false", "false"), ("null", "null"), ("]", "]"), ("name", "b"), ("{", "{"), ("}", "}")),
        ("}", "}"),
    ]


def test_nesting_has_the_limit_of_the_original() -> None:
    """A thousand levels, not more."""
    assert len(_scan("[" * 1000 + "]" * 1000)) == 2000
    with pytest.raises(PatternRefused, match=r"Document nesting depth \(1001\) exceeds the maximum allowed \(1000"):
        _scan("[" * 1001)


@pytest.mark.parametrize(("text", "expected"), [
    ("0", 0), ("-0.0", 0), ("300", 300), ("3.0e2", 300), ("0.000001", 0.000001), ("-5e9", -5_000_000_000),
    ("4999999999.999999", 4999999999.999999), ("1.50", 1.5), ("0e99999999", 0), ("10e-1", 1),
])  # fmt: skip
def test_comparable_numbers(text: str, expected: float) -> None:
    """PAT-52: within 5e9 and with up to six decimals, however they are written."""
    assert numeric.number_in_pattern(text) == expected
    assert numeric.parse_float(text) == expected


@pytest.mark.parametrize(("text", "kind"), [
    ("5000000000.000001", PatternValue), ("0.0000001", PatternValue), ("1e10", PatternValue), ("1e13", PatternOverflow),
    ("1e300", PatternOverflow), ("1e99999999999999999999", PatternOverflow), ("9223372036855", PatternOverflow),
])  # fmt: skip
def test_numbers_beyond(text: str, kind: type[Exception]) -> None:
    """PAT-52: others are refused where a number is to be compared, and kept as written elsewhere."""
    with pytest.raises(kind):
        numeric.number_in_pattern(text)
    assert numeric.parse_float(text) == RawNumber(text)


@pytest.mark.parametrize(("value", "expected"), [
    (5, 5), (2.5, 2.5), (0.1 + 0.2, RawNumber("0.30000000000000004")), (10**10, RawNumber(10**10)),
    (4999999999.999999, 4999999999.999999), (1234567890.123457, 1234567890.123457), (1e300, RawNumber("1e+300")),
    (Decimal("1.5"), 1.5), (Decimal("1E+20"), RawNumber("1E+20")), (float("nan"), RawNumber("nan")),
])  # fmt: skip
def test_numbers_of_events(value: Any, expected: Any) -> None:
    """PAT-23: a number of an event is comparable, or stands for what is written alike."""
    assert numeric.number_in_event(value) == expected


def test_every_micro_number_has_its_own_float() -> None:
    """Six decimals near the limits survive the way through a float."""
    for micro in range(4_999_900_000_000_000, 4_999_999_999_999_999, 99_999_989):
        text = f"{micro // 10**6}.{micro % 10**6:06}"
        assert numeric.number_in_event(float(text)) == float(text) == numeric.number_in_pattern(text)


def test_true_is_not_one() -> None:
    """PAT-21: Python's True equals 1, JSON's does not."""
    assert not Number(1).admits(True)
    assert not Constant(True).admits(1)
    assert not matches({"a": [{"anything-but": [0]}]}, {"a": 0})
    assert matches({"a": [{"anything-but": [0]}]}, {"a": False})


@pytest.mark.parametrize(("text", "expected"), [
    ("10.0.0.1", (32, 0x0A000001)), ("010.0.0.1", (32, 0x0A000001)), ("10.0.0.256", None), ("10.0.0", None),
    ("10.0.0.1.1", None), ("0000000010.0.0.1", None), ("", None), ("x", None), ("1", None), ("::1", (128, 1)),
    ("::ffff:0a00:1", (32, 0x0A000001)), ("::ffff:10.0.0.1", None), (":", None), ("1::2::3", None), ("fe80::1%eth0", None),
    ("\u0661\u0660.0.0.1", None), ("10.0.0.1\n", None),
])  # fmt: skip
def test_addresses(text: str, expected: tuple[int, int] | None) -> None:
    """PAT-61: what counts as an address."""
    assert addresses.parse_address(text) == expected


def test_complexity_counts_places_reached_at_once() -> None:
    """PAT-38: each asterisk reached, and each beginning of the text behind one that the last characters spell."""
    counts = [
        wildcards.complexity([wildcards.parse(text)]) for text in ("x", "*", "a*", "*:*:*:*:*:event-bus/*", "*abab")
    ]

    assert counts == [0, 2, 2, 11, 3]


class Number7(IntEnum):
    """A number that is not of class int."""

    SEVEN = 7


def test_unusual_classes_are_taken_for_what_they_are() -> None:
    """Subclasses, tuples and decimals are matched like the JSON they would become; other things are a mistake."""

    class Text(str):
        __slots__ = ()

    assert matches(
        {"a": [7], "b": ["x"], "c": {"d": [1.5]}},
        {"a": Number7.SEVEN, "b": (Text("x"), 2), "c": {"d": Decimal("1.50")}},
    )
    with pytest.raises(UsageError, match="The event holds <object"):
        matches({"a": [1]}, {"a": object()})
    with pytest.raises(UsageError, match="The event has the key 1, a int"):
        matches({"a": {"b": [1]}}, {"a": [{1: 2}]})


@pytest.mark.parametrize(("text", "reason", "column"), [
    ("[", 'Unexpected end-of-input: expected close marker for Array (start marker at [Source: (String)"["; line: 1, column: 1])', 2),
    ('{"a":1', 'Unexpected end-of-input: expected close marker for Object (start marker at [Source: (String)"{"a":1"; line: 1, column: 1])', 7),
    ("[-Inf]", "Unrecognized token '-Inf': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", 6),
    ("[-I", "Unexpected end-of-input in a Number value", 4),
    ("[1}", "Unexpected close marker '}': expected ']' (for Array starting at [Source: (String)\"[1}\"; line: 1, column: 1])", 3),
])  # fmt: skip
def test_where_brackets_were_opened(text: str, reason: str, column: int) -> None:
    """PAT-90: a bracket that misses its partner is told with the place of the partner."""
    with pytest.raises(PatternSyntax) as refused:
        _scan(text)

    assert str(refused.value) == f'{reason}\n at [Source: (String)"{text}"; line: 1, column: {column}]'


def test_a_number_alone_is_read_with_the_space_behind_it() -> None:
    """The parser looks at the character behind a lone number."""
    assert [_scan(text) for text in ("42", "42\n ", "42\r\n", "42 ")] == [[("int", "42")]] * 4


@pytest.mark.parametrize(("operator", "matching", "other"), [
    ({"prefix": {"equals-ignore-case": "ÄB"}}, "äbc", "abc"),
    ({"suffix": {"equals-ignore-case": "ÄB"}}, "cäB", "cab"),
    ({"suffix": {"equals-ignore-case": "ab"}}, "cAB", "b"),
    ({"equals-ignore-case": "\U00010400x"}, "\U00010400X", "\U00010428x"),
])  # fmt: skip
def test_casing_beyond_ascii(operator: Any, matching: str, other: str) -> None:
    """PAT-34: beginnings and ends follow the same rule; characters beyond UTF-16's first plane have no case."""
    assert matches({"a": [operator]}, {"a": matching})
    assert not matches({"a": [operator]}, {"a": other})


def test_other_mappings_are_objects() -> None:
    """Patterns and events may be made of any mapping."""
    frozen = MappingProxyType({"a": MappingProxyType({"b": ["x"]})})

    assert matches(frozen, {"a": MappingProxyType({"b": "x"})})
    assert repr(compile(frozen)) == '<Pattern {"a": {"b": ["x"]}}>'
