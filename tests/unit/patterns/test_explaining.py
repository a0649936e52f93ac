# ruff: noqa: E501  (the tables are easier to read row by row)
"""What an explanation says."""

from __future__ import annotations

from typing import Any

import pytest

from lambdalite.patterns import explain

REASONS: list[tuple[Any, Any, list[tuple[str, str]]]] = [
    ({"a": [5]}, {"a": "5"}, [("a", 'wanted 5, found "5" ("5" is a string, not a number)')]),
    ({"a": ["5"]}, {"a": 5}, [("a", 'wanted "5", found 5 (5 is a number, not a string)')]),
    ({"a": [True]}, {"a": "true"}, [("a", 'wanted true, found "true" ("true" is a string)')]),
    ({"a": ["x", "y"]}, {"a": "z"}, [("a", 'wanted "x" or "y", found "z"')]),
    ({"a": ["Paid"]}, {"a": "paid"}, [("a", 'wanted "Paid", found "paid" (they differ only in case)')]),
    ({"a": [{"prefix": "x"}]}, {"a": ["y", "z"]}, [("a", 'wanted {"prefix": "x"}, found "y", "z"')]),
    ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": 7}, [("a", 'wanted {"numeric": [">", 0, "<=", 5]}, found 7')]),
    ({"a": [{"numeric": [">", 0]}]}, {"a": 1e10}, [("a", 'wanted {"numeric": [">", 0]}, found 10000000000.0 (10000000000.0 is not between -5e9 and 5e9 with at most 6 decimals, so it is not compared as a number)')]),
    ({"a": [{"anything-but": ["x"]}]}, {"a": "x"}, [("a", 'wanted {"anything-but": ["x"]}, found "x" (it is excluded)')]),
    ({"a": [{"exists": False}]}, {"a": 1}, [("a", 'wanted {"exists": false}, found 1 (the field must be missing)')]),
    ({"a": {"b": [1]}}, {"a": {"c": 1}}, [("a.b", "a has no 'b'; it has 'c'")]),
    ({"a": {"b": [1]}}, {}, [("a.b", "the event has no 'a'; it has nothing")]),
    ({"Detail": {"b": [1]}}, {"detail": {"b": 1}}, [("Detail.b", "the event has no 'Detail', but 'detail': names are case-sensitive")]),
    ({"a": [1]}, {"a": {"b": 1}}, [("a", "a is an object; only scalars are matched")]),
    ({"a": [1]}, {"a": []}, [("a", "a is an empty array, which counts as no value")]),
    ({"a": {"b": [1]}}, {"a": []}, [("a.b", "a is an empty array, which counts as no value")]),
    ({"a": {"b": [1]}}, {"a": [{"c": 1}]}, [("a.b", "no element of a has b")]),
    ({"a": {"b": [1]}}, {"a": 5}, [("a.b", "a is 5, not an object")]),
    ({"body": {"b": [1]}}, {"body": '{"b": 1}'}, [("body.b", "body is text that holds a JSON object; decode it before matching")]),
    ({"body": {"b": [1]}}, {"body": "hello"}, [("body.b", "body is text, not an object, and not JSON either (Expecting value: line 1 column 1 (char 0))")]),
    ({"body": {"b": [1]}}, {"body": "[1]"}, [("body.b", "body is text that holds JSON, but no object")]),
    ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1}, {"c": 2}]}, [("a.c", "a.b and a.c pass, but in different elements of one array: a match must come from one element")]),
    ({"a": [1], "b": [2], "c": [3]}, {"a": 1, "b": 3}, [("b", "wanted 2, found 3"), ("c", "the event has no 'c'; it has 'a', 'b'")]),
    ({"a": [1]}, "no JSON", [("", "it is text, and not a JSON object (Expecting value: line 1 column 1 (char 0))")]),
    ({"a": [1]}, "[]", [("", "it is text, and not a JSON object (it is another kind of JSON)")]),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "event", "expected"), REASONS)
def test_reason(pattern: Any, event: Any, expected: list[tuple[str, str]]) -> None:
    """PAT-120: each field that failed is named, with what it wanted, what was there, and the likely reason."""
    explanation = explain(pattern, event)

    assert [(failure.field, failure.reason) for failure in explanation.failures] == expected
    assert not explanation


def test_the_closest_alternative_is_explained() -> None:
    """PAT-121: with ``$or``, the failures are those of the alternative with the fewest; all are there to be read."""
    explanation = explain({"$or": [{"a": [1], "b": [1]}, {"c": [1]}, {"d": [1], "e": [1]}]}, {"x": 0})

    assert [failure.field for failure in explanation.failures] == ["c"]
    assert [len(failures) for failures in explanation.alternatives] == [2, 1, 2]
    assert str(explanation) == (
        "The event does not match the pattern (the closest of 3 alternatives):\n  - c: the event has no 'c'; it has 'x'"
    )


def test_a_match_has_nothing_to_explain() -> None:
    """An explanation of a match is true and has no failures."""
    explanation = explain({"a": [1]}, {"a": 1})

    assert explanation
    assert explanation.failures == ()
    assert str(explanation) == "The event matches the pattern."


def test_a_failure_carries_the_facts() -> None:
    """What was wanted and found are JSON; long values are cut."""
    failure = explain({"a": ["x"]}, {"a": ["y" * 100, None]}).failures[0]

    assert failure.wanted == '["x"]'
    assert failure.found == (f'"{"y" * 59}…', "null")
