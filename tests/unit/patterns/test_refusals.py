# ruff: noqa: E501  (the tables are easier to read row by row)
"""Patterns that AWS refuses, and its words.

The messages with a position were recorded from AWS, or from the parser and the matcher that AWS uses.
"""

from __future__ import annotations

from typing import Any

import pytest

from lambdalite.errors import ServiceError
from lambdalite.patterns import InvalidPattern, compile, matches  # noqa: A004

EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
COMPLEX = "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character"
IGNORE_CASE = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
PLAIN_LIST = "Inside anything but list, start|null|boolean is not supported."
MIXED = "Inside anything but list, either all values are number or string, mixed type is not supported"
ONE_KEY = "Only one key allowed in match expression"
BETWEEN = "Value must be between -5.0E9 and 5.0E9, inclusive"

# Promise, pattern, reason, column of the position on line 1 (None: no position).
REFUSED: list[tuple[str, str, str, int | None]] = [
    ("PAT-1", '["not", "a", "dict", "but valid json"]', "Filter is not an object", 2),
    ("PAT-1", '"text"', "Filter is not an object", 2),
    ("PAT-1", "42 ", "Filter is not an object", 4),
    ("PAT-1", "", "Filter is not an object", 1),
    ("PAT-2", '{"int": 42}', '"int" must be an object or an array', 11),
    ("PAT-2", '{"string": "my-value"}', '"string" must be an object or an array', 13),
    ("PAT-2", '{"a": null}', '"a" must be an object or an array', 11),
    ("PAT-2", '{"resources": []}', "Empty arrays are not allowed", 17),
    ("PAT-2", "{}", "Empty objects are not allowed", 3),
    ("PAT-2", '{"a": {}}', "Empty objects are not allowed", 9),
    ("PAT-2", '{"a": [["x"]]}', "Match value must be String, number, true, false, or null", 9),
    ("PAT-2", '{"a": [{}]}', "Match expression name not found", 10),
    ("PAT-2", '{"my_key": [{"EXISTS": true}]}', "Unrecognized match type EXISTS", 28),
    ("PAT-2", '{"detail": {"equal": [{"NUMERIC": ["=", 5]}]}}', "Unrecognized match type NUMERIC", 36),
    ("PAT-2", '{"a": [{"prefix": "x", "suffix": "y"}]}', ONE_KEY, 35),
    ("PAT-25", '{"a": [{"exactly": 1}]}', "exact match pattern must be a string", 21),
    ("PAT-30", '{"time": [{"prefix": 123}]}', "prefix match pattern must be a string", 25),
    ("PAT-30", '{"time": [{"prefix": ["2022-07-13"]}]}', "prefix match pattern must be a string", 23),
    ("PAT-31", '{"FileName": [{"suffix": 123}]}', "suffix match pattern must be a string", 29),
    (
        "PAT-32",
        '{"detail-type": [{"equals-ignore-case": ["x"]}]}',
        "equals-ignore-case match pattern must be a string",
        42,
    ),
    ("PAT-33", '{"a": [{"prefix": {"suffix": "x"}}]}', "Unsupported prefix pattern: suffix", 31),
    ("PAT-33", '{"a": [{"suffix": {}}]}', "Suffix expression name not found", 21),
    (
        "PAT-37",
        '{"EventBusArn": [{"wildcard": "arn:aws:events:us-east-1:**:event-bus/*"}]}',
        "Consecutive wildcard characters at pos 26",
        72,
    ),
    ("PAT-37", '{"a": [{"wildcard": "é**"}]}', "Consecutive wildcard characters at pos 3", 26),
    ("PAT-37", '{"a": [{"wildcard": "x\\\\y"}]}', "Invalid escape character at pos 2", 27),
    ("PAT-37", '{"a": [{"wildcard": "x\\\\"}]}', "Invalid escape character at pos 2", 26),
    ("PAT-37", '{"EventBusArn": [{"wildcard": 123}]}', "wildcard match pattern must be a string", 34),
    ("PAT-38", '{"EventBusArn": [{"wildcard": "*:*:*:*:*:event-bus/*"}]}', COMPLEX, None),
    (
        "PAT-40",
        '{"a": [{"anything-but": null}]}',
        "Value of anything-but must be an array or single string/number value.",
        29,
    ),
    ("PAT-40", '{"a": [{"anything-but": {"cidr": "x"}}]}', "Unsupported anything-but pattern: cidr", 35),
    ("PAT-40", '{"a": [{"anything-but": {}}]}', "Anything-But expression name not found", 27),
    ("PAT-41", '{"a": [{"anything-but": []}]}', MIXED, 27),
    ("PAT-41", '{"a": [{"anything-but": ["x", 1]}]}', MIXED, 33),
    ("PAT-42", '{"detail": {"state": [{"anything-but": {"equals-ignore-case": 123}}]}}', IGNORE_CASE, 66),
    (
        "PAT-42",
        '{"detail": {"FilePath": [{"anything-but": {"wildcard": 123}}]}}',
        "wildcard match pattern must be a string",
        59,
    ),
    (
        "PAT-42",
        '{"detail": {"FileName": [{"anything-but": {"prefix": {"equals-ignore-case": "file"}}}]}}',
        "Value of anything-but must be an array or single string/number value.",
        55,
    ),
    (
        "PAT-42",
        '{"a": [{"anything-but": {"prefix": "x", "suffix": "y"}}]}',
        "Too many elements in numeric expression",
        52,
    ),
    ("PAT-43", '{"a": [{"anything-but": {"prefix": ""}}]}', "Null prefix/suffix not allowed", 38),
    ("PAT-50", '{"a": [{"numeric": 5}]}', "Value of numeric must be an array.", 21),
    ("PAT-50", '{"a": [{"numeric": []}]}', "Invalid member in numeric match: ]", 22),
    ("PAT-50", '{"a": [{"numeric": [5]}]}', "Invalid member in numeric match: 5", 22),
    ("PAT-50", '{"a": [{"numeric": ["!", 5]}]}', "Unrecognized numeric range operator: !", 27),
    ("PAT-50", '{"a": [{"numeric": ["=", "5"]}]}', "Value of equals must be numeric", 27),
    ("PAT-50", '{"a": [{"numeric": ["<", 5, ">", 3]}]}', "Too many elements in numeric expression", 30),
    ("PAT-51", '{"detail": {"c-count": [{"numeric": [">", 0, ">", 0]}]}}', "Bad numeric range operator: >", 49),
    ("PAT-51", '{"detail": {"c-count": [{"numeric": [">", 0, "<"]}]}}', "Value of < must be numeric", 50),
    ("PAT-51", '{"a": [{"numeric": [">", 0, 5]}]}', "Bad value in numeric range: 5", 30),
    ("PAT-51", '{"a": [{"numeric": [">", 0, "<", 5, "<", 6]}]}', "Too many terms in numeric range expression", 38),
    ("PAT-51", '{"a": [{"numeric": [">", 5, "<", 5]}]}', "Bottom must be less than top", 36),
    ("PAT-51", '{"a": [{"numeric": [">", 5000000000]}]}', "Bottom must be less than top", 37),
    ("PAT-52", '{"a": [{"numeric": [">", -5000000001]}]}', BETWEEN, 38),
    ("PAT-52", '{"a": [{"numeric": ["=", 0.0000001]}]}', "Only values upto 6 decimals are supported", 36),
    ("PAT-52", '{"a": [{"anything-but": 6e9}]}', BETWEEN, None),
    ("PAT-52", '{"a": [{"anything-but": [6e9]}]}', BETWEEN, 29),
    ("PAT-52", '{"a": [{"numeric": ["<", 1e300]}]}', "Overflow", None),
    ("PAT-60", '{"a": [{"cidr": "bad-filter"}]}', "Malformed CIDR, one '/' required", None),
    ("PAT-60", '{"a": [{"cidr": "10.0.0.0/"}]}', "Malformed CIDR, one '/' required", None),
    ("PAT-60", '{"a": [{"cidr": "bad-/64filter"}]}', "Malformed CIDR, mask bits must be an integer", None),
    ("PAT-60", '{"a": [{"cidr": "10.0.0.0/-1"}]}', "Malformed CIDR, mask bits must not be negative", None),
    ("PAT-60", '{"a": [{"cidr": "xx.11.xx/8"}]}', "Nonstandard IP address: xx.11.xx", None),
    ("PAT-60", '{"a": [{"cidr": "xxxx:db8:1234:1a00::/64"}]}', "Nonstandard IP address: xxxx:db8:1234:1a00::", None),
    ("PAT-60", '{"a": [{"cidr": "10.0.0.256/8"}]}', "Invalid IP address: 10.0.0.256", None),
    ("PAT-60", '{"a": [{"cidr": "10.0.0.0/32"}]}', "IPv4 mask bits must be < 32", None),
    ("PAT-60", '{"a": [{"cidr": "::/128"}]}', "IPv6 mask bits must be < 128", None),
    (
        "PAT-60",
        '{"detail": {"sourceIPAddress": [{"cidr": ["bad-type"]}]}}',
        "prefix match pattern must be a string",
        43,
    ),
    (
        "PAT-70",
        '{"detail-type":["dual"],"detail":{"delaySeconds":[{"exists":"false"}]}}',
        "exists match pattern must be either true or false.",
        62,
    ),
    ("PAT-82", '{"$or": [{"a": [1]}]}', "There must have at least 2 Objects in $or relationship.", 21),
    (
        "PAT-82",
        '{"$or": [{"prefix": [1]}, {"a": [1]}]}',
        "prefix is Ruler reserved fieldName which cannot be used inside $or.",
        22,
    ),
    ("PAT-82", '{"$or": [{"a": [1]}, 5]}', "Only JSON object is allowed in array of $or relationship.", 23),
    ("PAT-82", '{"a": [1], "$or": 5}', "It must be an Array followed with $or.", 20),
    ("PAT-90", "this is valid json but not a dict", f"Unrecognized token 'this': was expecting {EXPECTED}", 5),
    (
        "PAT-90",
        "{'bad': 'quotation'}",
        "Unexpected character (''' (code 39)): was expecting double-quote to start field name",
        2,
    ),
    ("PAT-90", '{"not": closed mark"', f"Unrecognized token 'closed': was expecting {EXPECTED}", 15),
    (
        "PAT-90",
        '{"a": ["x"}',
        'Unexpected close marker \'}\': expected \']\' (for Array starting at [Source: (String)"{"a": ["x"}"; line: 1, column: 7])',
        11,
    ),
    ("PAT-90", '{"a": ["x', "Unexpected end-of-input: was expecting closing quote for a string value", 10),
]


@pytest.mark.parametrize(("pattern", "reason", "column"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_refused(pattern: str, reason: str, column: int | None) -> None:
    """A wrong pattern gets AWS's reason, and the position at which AWS's parser stood."""
    place = "" if column is None else f'\n at [Source: (String)"{pattern}"; line: 1, column: {column}]'

    with pytest.raises(InvalidPattern) as refused:
        compile(pattern)

    assert str(refused.value) == f"Event pattern is not valid. Reason: {reason}{place}"
    assert refused.value.code == "InvalidEventPatternException"
    assert isinstance(refused.value, ServiceError)


@pytest.mark.parametrize(
    ("pattern", "reason", "column"),
    [
        ('{"detail": {"state": [{"anything-but": {"equals-ignore-case": [123, 456]}}]}}', IGNORE_CASE, 67),
        (
            '{"detail": {"state": [{"anything-but": {"wildcard": [123, "*/dir/*"]}}]}}',
            "wildcard match pattern must be a string",
            57,
        ),
        (
            '{"detail": {"state": [{"anything-but": {"prefix": [123, "test"]}}]}}',
            "prefix/suffix match pattern must be a string",
            55,
        ),
        ('{"a": [{"anything-but": [null]}]}', PLAIN_LIST, 30),
    ],
)
def test_a_position_within_a_list_is_given_twice(pattern: str, reason: str, column: int) -> None:
    """PAT-91: what is wrong within a list under anything-but, AWS wraps once more."""
    place = f'\n at [Source: (String)"{pattern}"; line: 1, column: {column}]'

    with pytest.raises(InvalidPattern) as refused:
        compile(pattern)

    assert str(refused.value) == f"Event pattern is not valid. Reason: {reason}{place}{place}"


def test_a_long_pattern_is_quoted_in_part() -> None:
    """PAT-93: the message quotes 500 characters, and says how many it leaves out."""
    pattern = '{"a": ["' + "x" * 600 + '"], "b": 1}'

    with pytest.raises(InvalidPattern) as refused:
        compile(pattern)

    expected = f'"b" must be an object or an array\n at [Source: (String)"{pattern[:500]}"[truncated 119 chars]; line: 1, column: 619]'
    assert str(refused.value) == f"Event pattern is not valid. Reason: {expected}"


def test_lines_and_columns_are_those_of_the_text() -> None:
    """PAT-90: lines count from 1, columns from the line's beginning, in UTF-16 units."""
    with pytest.raises(InvalidPattern) as refused:
        compile('{\n "a": ["x"],\r\n "\U0001f600": 1}')

    assert str(refused.value).endswith("; line: 3, column: 9]")


def test_an_object_is_refused_as_its_json() -> None:
    """A pattern given as an object is quoted as ``json.dumps`` writes it; what JSON cannot carry is refused."""
    with pytest.raises(InvalidPattern) as refused:
        compile({"a": 1})
    assert '[Source: (String)"{"a": 1}"; line: 1, column: 8]' in str(refused.value)

    with pytest.raises(InvalidPattern) as refused:
        compile({"a": {1, 2}})
    assert str(refused.value) == "Event pattern is not valid. Reason: Object of type set is not JSON serializable"


@pytest.mark.parametrize("accepted", [
    '{"a": [{"wildcard": "/Users/*/dir/dir/dir/dir/dir/doc.txt"}]}',
    '{"a": [{"wildcard": "arn:aws:events:*:*:event-bus/*"}]}',
    '{"a": [{"wildcard": "*:stack/One/*"}, {"wildcard": "*:stack/Two/*"}, {"wildcard": "*:stack/Three/*"}]}',
])  # fmt: skip
def test_wildcards_that_aws_accepts(accepted: str) -> None:
    """PAT-38: these are known to be accepted by AWS."""
    assert compile(accepted)


def test_wildcards_of_one_field_count_together() -> None:
    """PAT-38: four wildcards with two asterisks each are known to be too complex for one field, three are not."""
    with pytest.raises(InvalidPattern) as refused:
        compile({"a": [{"wildcard": f"*:stack/{name}/*"} for name in ("One", "Two", "Three", "Four")]})

    assert str(refused.value) == f"Event pattern is not valid. Reason: {COMPLEX}"


def test_too_many_combinations_are_refused() -> None:
    """PAT-84: ``$or`` may make 1000 alternatives, not more."""
    ten = [{f"f{n}": [1]} for n in range(10)]
    assert len(compile({"$or": ten, "a": {"$or": ten}, "b": {"$or": ten}}).alternatives) == 1000

    with pytest.raises(InvalidPattern) as refused:
        compile({"$or": ten, "a": {"$or": ten}, "b": {"$or": ten}, "c": {"$or": ten}})
    assert (
        str(refused.value)
        == "Event pattern is not valid. Reason: Event pattern contains more than 1000 rule combinations"
    )


@pytest.mark.parametrize("pattern", [
    {"a": [{"wildcard": "x*"}]},
    {"a": [{"cidr": "10.0.0.0/8"}]},
    {"a": [{"anything-but": {"prefix": "x"}}]},
    {"a": [{"anything-but": {"suffix": "x"}}]},
    {"a": [{"anything-but": {"equals-ignore-case": "x"}}]},
    {"a": [{"anything-but": {"wildcard": "x"}}]},
    {"a": ["x" * 4096]},
    {"a": "x"},
    "null",
    "[]",
    "text",
])  # fmt: skip
def test_event_source_mappings_take_less(pattern: Any) -> None:
    """PAT-100 to PAT-102: the smaller language is refused with AWS's only words, our reason being the cause."""
    with pytest.raises(InvalidPattern) as refused:
        compile(pattern, dialect="event-source-mapping")

    assert str(refused.value) == "Invalid filter pattern definition."
    assert isinstance(refused.value.__cause__, InvalidPattern)


@pytest.mark.parametrize("leaf", [
    "x", 1, None, "", {"prefix": "x"}, {"suffix": "x"}, {"equals-ignore-case": "x"}, {"numeric": [">", 1]}, {"exists": True},
    {"anything-but": "x"}, {"anything-but": ["x", "y"]}, {"anything-but": [1, 2]}, {"prefix": {"equals-ignore-case": "x"}},
])  # fmt: skip
def test_event_source_mappings_take_the_rest(leaf: Any) -> None:
    """PAT-100: everything else is the same language."""
    assert compile({"body": {"a": [leaf]}}, dialect="event-source-mapping").dialect == "event-source-mapping"


def test_an_unknown_dialect_is_a_mistake() -> None:
    """There are two dialects."""
    with pytest.raises(ValueError, match="no pattern dialect 'sns'"):
        compile({"a": [1]}, dialect="sns")  # type: ignore[arg-type]


@pytest.mark.parametrize("event", ["", "plain text", "[1]", '"x"', "{"])
def test_a_text_that_is_no_object_is_no_event(event: str) -> None:
    """PAT-17: matching against it is refused as AWS refuses it."""
    with pytest.raises(ServiceError) as refused:
        matches({"a": [1]}, event)

    assert str(refused.value) == "Parameter Event is not valid."
