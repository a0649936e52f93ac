"""JSON as AWS's Python runtime speaks it."""

# Helpers speak for themselves, and `expected == actual` is the order of the house.

from __future__ import annotations

import collections
import decimal
import enum
import json
import math
from typing import Any

import pytest

from lambdalite.runtime import marshal
from lambdalite.runtime.faults import Fault

Point = collections.namedtuple("Point", "x y")  # noqa: PYI024 - what users write


class Colour(enum.IntEnum):
    RED = 1


class Tagged(list[Any]):
    """A list that calls itself a dict."""

    def _asdict(self) -> Any:
        return {"tag": list(self)}


class Shaped:
    def _asdict(self) -> Any:
        return {"shape": Point(1, decimal.Decimal("2.50"))}


class Wanting(list[Any]):
    def _asdict(self, how: Any) -> Any:
        raise AssertionError(how)


def circular() -> Any:
    value: Any = []
    value.append({"again": value})
    return value


def nested(depth: Any) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, "null"),
        (True, "true"),
        ("a", '"a"'),
        ({"a": [1, 2.5, None, (3, "x")]}, '{"a": [1, 2.5, null, [3, "x"]]}'),
        ({}, "{}"),
        ([], "[]"),
        (Point(1, {2: Point(3, 4)}), '{"x": 1, "y": {"2": {"x": 3, "y": 4}}}'),
        ([Tagged([1])], '[{"tag": [1]}]'),
        (Wanting([1]), "[1]"),
        (Shaped(), '{"shape": {"x": 1, "y": 2.50}}'),
        (Colour.RED, "1"),
        (collections.OrderedDict(b=1, a=2), '{"b": 1, "a": 2}'),
        (decimal.Decimal("1.10"), "1.10"),
        ([decimal.Decimal("1E+2")], "[1E+2]"),
        (decimal.Decimal("sNaN"), "NaN"),
        (decimal.Decimal("-Infinity"), "-Infinity"),
        ([math.nan, math.inf, -math.inf], "[NaN, Infinity, -Infinity]"),
        ({"k": b"v"}, '{"k": "v"}'),
        ({b"k": b"v", "k": 1}, '{"k": "v", "k": 1}'),
        ({7: 0, None: 1, True: 2, 1.5: 3}, '{"7": 0, "null": 1, "true": 2, "1.5": 3}'),
    ],
)
def test_encode_writes_what_awss_runtime_writes(answer: Any, expected: Any) -> None:
    """Named tuples are objects, Decimals bare numbers, bytes strings, tuples arrays, keys strings, NaN bare."""
    assert expected.encode() == marshal.encode(answer)


def test_encode_sends_bytes_as_they_are() -> None:
    """An answer of bytes is not JSON to the runtime, and goes out untouched."""
    assert b"\x00\xff" == marshal.encode(b"\x00\xff")


@pytest.mark.parametrize(("ascii_only", "expected"), [(True, b'"\\u00e9\\ud83d\\ude00"'), (False, '"é😀"'.encode())])
def test_encode_escapes_as_the_runtime_version_does(ascii_only: Any, expected: Any) -> None:
    """Runtimes up to python3.11 escape what is not ASCII, later ones write UTF-8."""
    assert expected == marshal.encode("é😀", ascii_only)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({1: {2}}, "Object of type set is not JSON serializable"),
        (bytearray(b"a"), "Object of type bytearray is not JSON serializable"),
        (int, "Object of type type is not JSON serializable"),
        ({(1,): 2}, "keys must be str, int, float, bool or None, not tuple"),
        ([b"\xff"], "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (circular(), "Circular reference detected"),
    ],
)
def test_encode_refuses_in_awss_words(answer: Any, message: Any) -> None:
    """What cannot be written is a Runtime.MarshalError with an empty stack."""
    with pytest.raises(Fault) as caught:
        marshal.encode(answer)

    fault = caught.value
    assert ("Runtime.MarshalError", f"Unable to marshal response: {message}", []) == (
        fault.type,
        fault.message,
        fault.stack,
    )


def test_encode_refuses_what_is_nested_too_deeply() -> None:
    """A hundred thousand levels end as a MarshalError, not as a crash."""
    with pytest.raises(Fault) as caught:
        marshal.encode(nested(100_000))

    assert caught.value.message.startswith("Unable to marshal response: maximum recursion depth exceeded")


def test_encode_refuses_a_lone_surrogate_that_has_no_utf8() -> None:
    """A lone surrogate can be escaped, but not written as UTF-8."""
    assert b'"\\ud83d"' == marshal.encode("\ud83d", True)
    with pytest.raises(Fault) as caught:
        marshal.encode("\ud83d", False)

    assert "surrogates not allowed" in caught.value.message


def test_encode_tells_people_where_the_culprit_is() -> None:
    """The fault's trace, which AWS does not have, names the path."""
    with pytest.raises(Fault) as caught:
        marshal.encode([1, {"a": [1, {2}]}])

    assert 'answer[1]["a"][1]: TypeError: Object of type set is not JSON serializable\n' == caught.value.trace


def test_decode_reads_an_event() -> None:
    """An event is what its JSON says."""
    assert {"a": [1, 2.5, None, "é"]} == marshal.decode('{"a": [1, 2.5, null, "é"]}'.encode())


def test_decode_takes_no_payload_for_an_empty_object() -> None:
    """As on AWS, an invocation without a payload has the event {}."""
    assert {} == marshal.decode(b"")


def test_decode_skips_a_byte_order_mark() -> None:
    """A byte order mark is taken, as by AWS's parser."""
    assert 1 == marshal.decode(b"\xef\xbb\xbf1")


def test_decode_accepts_an_escaped_lone_surrogate() -> None:
    """A lone surrogate is a legal escape, and reaches the handler."""
    assert "\ud800" == marshal.decode(b'"\\ud800"')


_NAN = "enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to allow"
_ESCAPE = "has to be escaped using backslash to be included in string value"
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.parametrize(
    ("payload", "words", "column"),
    [
        (b"foo", f"Unrecognized token 'foo': was expecting {_VALUES}", 4),
        (b"{'a':1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name", 3),
        (b'{"a" 1}', "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value", 7),
        (b"[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", 5),
        (b'{"]":1 "b":2}', "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries", 9),
        (b"[,1]", f"Unexpected character (',' (code 44)): expected a valid value {_VALUES}", 3),
        (b'["a', "Unexpected end-of-input: was expecting closing quote for a string value", 4),
        (b'"\\x"', "Unrecognized character escape 'x' (code 120)", 4),
        (b'"a\tb"', f"Illegal unquoted character ((CTRL-CHAR, code 9)): {_ESCAPE}", 4),
        (b"\xff", "Invalid UTF-8 start byte 0xff", 1),
        (b"   ", "No content to map due to end-of-input", 4),
        (b'{"s":"NaN","a":NaN}', f"Non-standard token 'NaN': {_NAN}", 19),
        (b"[-Infinity]", f"Non-standard token '-Infinity': {_NAN}", 11),
    ],
)
def test_decode_refuses_what_is_not_json_as_awss_front_door(payload: Any, words: Any, column: Any) -> None:
    """The request is refused, with the message of AWS's parser, the source and the place."""
    with pytest.raises(Fault) as caught:
        marshal.decode(payload)

    source = payload.decode("utf-8", "replace")
    front = "Could not parse request body into json: Could not parse payload into json: "
    expected = f'{front}{words}\n at [Source: (byte[])"{source}"; line: 1, column: {column}]'
    assert (True, expected) == (caught.value.request_error, caught.value.message)


def test_decode_names_the_bracket_that_was_never_closed() -> None:
    """An event that ends too early is told where it began."""
    with pytest.raises(Fault) as caught:
        marshal.decode(b'{"a":[')

    start = 'expected close marker for Array (start marker at [Source: (byte[])"{"a":["; line: 1, column: 6])'
    assert (
        f'Unexpected end-of-input: {start}\n at [Source: (byte[])"{{"a":["; line: 1, column: 7]' in caught.value.message
    )


def test_decode_counts_lines_and_quotes_no_more_than_500_bytes() -> None:
    """The place is in lines and columns, and a long source is cut."""
    payload = b"[\n" + b"1,\n" * 300 + b"x]"
    with pytest.raises(Fault) as caught:
        marshal.decode(payload)

    assert caught.value.message.endswith("[truncated 404 bytes]; line: 302, column: 2]")


@pytest.mark.parametrize("payload", [b"[" * 100_000, b"1" * 5_000])
def test_decode_leaves_to_the_runtime_what_only_python_cannot_hold(payload: Any) -> None:
    """JSON that is well formed is not the request's fault: the runtime reports it."""
    with pytest.raises(Fault) as caught:
        marshal.decode(payload)

    fault = caught.value
    assert (False, "Runtime.UnmarshalError") == (fault.request_error, fault.type)
    assert fault.message.startswith("Unable to unmarshal input: ")


def test_encode_event_is_json_in_ascii() -> None:
    """An event travels as a JSON round trip: tuples become arrays, keys strings, all of it ASCII."""
    event = {"a": (1, "é"), 2: Point(1, decimal.Decimal("0.1")), "b": b"x"}

    assert b'{"a": [1, "\\u00e9"], "2": {"x": 1, "y": 0.1}, "b": "x"}' == marshal.encode_event(event)


def test_encode_event_takes_bytes_for_json() -> None:
    """Bytes are a payload already."""
    assert b'{"a":1}' == marshal.encode_event(b'{"a":1}')


@pytest.mark.parametrize("event", [{"a": [math.nan]}, {"a": [decimal.Decimal("NaN")]}])
def test_encode_event_refuses_nan_as_awss_front_door(event: Any) -> None:
    """NaN is no JSON, whichever type it came from; the words are those AWS would have for the payload."""
    with pytest.raises(ValueError) as caught:
        marshal.encode_event(event)

    words = "Non-standard token 'NaN': enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to allow"
    assert (
        f"Could not parse request body into json: Could not parse payload into json: {words}\n"
        ' at [Source: (byte[])"{"a": [NaN]}"; line: 1, column: 11]'
    ) == str(caught.value)


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        ({"a": [0, 1, 2, {3}]}, TypeError, 'event["a"][3]: Object of type set is not JSON serializable'),
        (object(), TypeError, "event: Object of type object is not JSON serializable"),
        ({"p": Point(1, {2})}, TypeError, 'event["p"].y: Object of type set is not JSON serializable'),
        (circular(), ValueError, 'event[0]["again"]: Circular reference detected'),
        ({"a": {(1,): 2}}, TypeError, 'event["a"]: keys must be str, int, float, bool or None, not tuple'),
    ],
)
def test_encode_event_says_what_is_wrong_and_where(event: Any, kind: Any, message: Any) -> None:
    """The message begins with the path of the part that cannot be written."""
    with pytest.raises(kind) as caught:
        marshal.encode_event(event)

    assert message == str(caught.value)


def test_the_two_ways_of_encoding_agree() -> None:
    """The quick way, for built-in types only, and the slow one write the same text."""
    answer = {"a": [1, 2.5, True, None, 'é\u2028\x7f"\\'], "b": {"c": [], "d": {}}, "e": 10**30, "f": 1e-7}

    assert json.dumps(answer) == marshal.encode(answer, True).decode() == marshal.dumps(answer, ascii_only=True)
