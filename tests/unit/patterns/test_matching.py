"""The verdicts of the language, one row for each promise of docs/reference/patterns.md."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambdalite.patterns import RuleIndex, compile, explain, matches  # noqa: A004

# Promise, pattern, events that match, events that do not. A string is JSON text, for what objects cannot say.
VERDICTS: list[tuple[str, Any, list[Any], list[Any]]] = [
    # shape
    ("PAT-1", '{"a": ["x"]} and what follows', [{"a": "x"}], [{"a": "y"}]),
    ("PAT-3", {"a": ["x", "y"], "b": [1]}, [{"a": "y", "b": 1, "c": 0}], [{"a": "x"}, {"a": "z", "b": 1}]),
    ("PAT-4", {"a": {"b": ["x"]}}, [{"a": {"b": "x"}}], [{"A": {"b": "x"}}, {"a": {"b": "X"}}, {"b": "x"}]),
    ("PAT-5", {"a": {"b": {"c": ["x"]}}}, [{"a.b": {"c": "x"}}, {"a": {"b.c": "x"}}, {"a.b.c": "x"}], [{"b.c": "x"}]),
    ("PAT-5", {"a.b": {"c": ["x"]}}, [{"a": {"b": {"c": "x"}}}], [{"a": {"c": "x"}}]),
    ("PAT-5", {"a": {"b": ["x"]}}, [{"a.b": "x", "a": {"b": "y"}}, {"a.b": "y", "a": {"b": "x"}}], [{"a.b": "y"}]),
    ("PAT-6", '{"a": ["x"], "a": ["y"]}', [{"a": "y"}], [{"a": "x"}]),
    ("PAT-6", '{"a": {"b": ["x"]}, "a.b": ["y"]}', [{"a": {"b": "y"}}], [{"a": {"b": "x"}}]),
    ("PAT-6", '{"a": ["x"], "$or": [{"a": ["y"]}, {"b": [1]}]}', [{"a": "y"}, {"a": "x", "b": 1}], [{"a": "x"}]),
    # values
    ("PAT-10", {"a": [{"exists": True}]}, [{"a": None}, {"a": 0}], [{"a": {"b": 1}}, {"a": {}}, {}]),
    ("PAT-11", {"a": ["x", "y"]}, [{"a": ["z", "y"]}, {"a": ["x"]}], [{"a": ["z"]}]),
    ("PAT-12", {"a": ["x"]}, [{"a": [["z", ["x"]]]}], [{"a": [[]]}]),
    ("PAT-12", {"a": {"b": ["x"]}}, [{"a": [{"b": "z"}, [{"b": ["x"]}]]}], [{"a": [{"c": "x"}]}]),
    ("PAT-13", {"a": [None]}, [{"a": None}, {"a": [None]}], [{"a": []}, {}]),
    ("PAT-13", {"a": [{"exists": False}]}, [{"a": []}, {"a": {}}, {}], [{"a": [0]}]),
    ("PAT-14", {"a": {"b": [1], "c": [2]}}, [{"a": [{"b": 1, "c": 2}, {"b": 3}]}], [{"a": [{"b": 1}, {"c": 2}]}]),
    (
        "PAT-14",
        {"a": {"b": {"c": [1]}, "d": [2]}},
        [{"a": [{"b": [{"c": 1}], "d": 2}]}],
        [{"a": [{"b": {"c": 1}}, {"d": 2}]}],
    ),
    ("PAT-14", {"a": {"x": [1]}, "b": {"x": [2]}}, [{"a": [{"x": 1}], "b": [{"x": 0}, {"x": 2}]}], [{"a": [{"x": 1}]}]),
    ("PAT-15", {"a": ["x"], "b": ["y"]}, [{"a": ["q", "x"], "b": ["y", "q"]}], [{"a": ["x"], "b": ["x"]}]),
    (
        "PAT-16",
        {"a": {"y": ["1"], "z": [{"exists": False}]}},
        [{"a": [{"z": 1, "y": "2"}, {"y": "1"}]}],
        [{"a": [{"z": 1, "y": "1"}]}],
    ),
    (
        "PAT-16",
        {"a": {"x": [{"exists": False}], "y": ["1"]}},
        [{"a": [{"y": "1"}]}],
        [{"a": [{"x": 1, "y": "2"}, {"y": "1"}]}],
    ),
    # exact
    ("PAT-20", {"a": ["x"]}, [{"a": "x"}], [{"a": "xx"}, {"a": "X"}, {"a": None}, {"a": 1}]),
    ("PAT-20", {"a": [""]}, [{"a": ""}], [{"a": None}, {"a": " "}, {}]),
    ("PAT-21", {"a": [True]}, [{"a": True}], [{"a": "true"}, {"a": 1}, {"a": False}]),
    ("PAT-21", {"a": [None]}, [{"a": None}], [{"a": "null"}, {"a": 0}, {"a": ""}]),
    ("PAT-22", {"a": [300]}, [{"a": 300}, {"a": 300.0}, '{"a": 3.0e2}'], [{"a": "300"}, {"a": 300.5}, {"a": True}]),
    ("PAT-22", '{"a": [1.50]}', [{"a": 1.5}, '{"a": 15e-1}'], [{"a": 1.500001}]),
    ("PAT-22", {"a": [1]}, [{"a": 1}], [{"a": True}, {"a": "1"}]),
    ("PAT-23", {"a": [123456789012]}, [{"a": 123456789012}], ['{"a": 1.23456789012e11}', {"a": 123456789012.0}]),
    ("PAT-23", '{"a": [1e12]}', ['{"a": 1e12}'], [{"a": 10**12}, '{"a": 1.0e12}']),
    ("PAT-23", '{"a": [0.1234567]}', [{"a": 0.1234567}], ['{"a": 1.234567e-1}']),
    ("PAT-24", {"a": ["::1"]}, [{"a": "::1"}, {"a": "0:0:0:0:0:0:0:1"}], [{"a": "::2"}, {"a": "0.0.0.1"}]),
    ("PAT-24", {"a": ["10.0.0.1"]}, [{"a": "10.0.0.1"}, {"a": "10.0.0.001"}], [{"a": "10.0.0.2"}, {"a": "10.0.0.1 "}]),
    ("PAT-25", {"a": [{"exactly": "10.0.0.1"}]}, [{"a": "10.0.0.1"}], [{"a": "10.0.0.001"}]),
    # strings
    ("PAT-30", {"a": [{"prefix": "ab"}]}, [{"a": "ab"}, {"a": "abc"}], [{"a": "a"}, {"a": "cab"}, {"a": "AB"}]),
    ("PAT-30", {"a": [{"prefix": ""}]}, [{"a": ""}, {"a": "x"}], [{"a": 1}, {"a": None}, {}]),
    ("PAT-31", {"a": [{"suffix": ".png"}]}, [{"a": ".png"}, {"a": "x.png"}], [{"a": "x.PNG"}, {"a": 1}]),
    ("PAT-32", {"a": [{"equals-ignore-case": "aLiCe"}]}, [{"a": "ALICE"}, {"a": "alice"}], [{"a": "alicee"}]),
    ("PAT-32", {"a": [{"equals-ignore-case": ""}]}, [{"a": ""}], [{"a": "x"}, {"a": None}]),
    ("PAT-33", {"a": [{"prefix": {"equals-ignore-case": "EventB"}}]}, [{"a": "eVENTbridge"}], [{"a": "event"}]),
    ("PAT-33", {"a": [{"suffix": {"equals-ignore-case": ".Png"}}]}, [{"a": "x.pNG"}], [{"a": "png"}]),
    ("PAT-34", {"a": [{"equals-ignore-case": "straße"}]}, [{"a": "STRASSE"}, {"a": "STRAßE"}], [{"a": "strasse"}]),
    ("PAT-34", {"a": [{"equals-ignore-case": "k"}]}, [{"a": "K"}], [{"a": "\u212a"}]),
    ("PAT-34", {"a": [{"equals-ignore-case": "\u212a"}]}, [{"a": "k"}, {"a": "\u212a"}], [{"a": "K"}]),
    ("PAT-35", {"a": [{"wildcard": "a*c"}]}, [{"a": "ac"}, {"a": "abc"}, {"a": "acc"}], [{"a": "acd"}, {"a": "bac"}]),
    ("PAT-35", {"a": [{"wildcard": "*"}]}, [{"a": ""}, {"a": "x\ny"}], [{"a": 1}, {"a": None}, {}]),
    ("PAT-35", {"a": [{"wildcard": "a*b*a"}]}, [{"a": "aba"}, {"a": "axbxa"}], [{"a": "ab"}, {"a": "aa"}, {"a": "a"}]),
    ("PAT-35", {"a": [{"wildcard": "a*a"}]}, [{"a": "aa"}], [{"a": "a"}]),
    ("PAT-35", {"a": [{"wildcard": "x"}]}, [{"a": "x"}], [{"a": "xx"}]),
    ("PAT-36", {"a": [{"wildcard": "a\\*\\\\*"}]}, [{"a": "a*\\"}, {"a": "a*\\b"}], [{"a": "ax\\"}, {"a": "a*"}]),
    # anything-but
    ("PAT-40", {"a": [{"anything-but": "x"}]}, [{"a": "y"}, {"a": None}, {"a": 1}], [{"a": "x"}, {}, {"a": []}]),
    (
        "PAT-40",
        {"a": [{"anything-but": 0}]},
        [{"a": 789}, {"a": "0"}, {"a": False}],
        [{"a": 0}, {"a": 0.0}, {"a": -0.0}],
    ),
    ("PAT-41", {"a": [{"anything-but": ["x", "y"]}]}, [{"a": "z"}, {"a": ["x", "z"]}], [{"a": "y"}, {"a": ["x", "y"]}]),
    ("PAT-41", {"a": [{"anything-but": [1, 2]}]}, [{"a": 3}, {"a": True}], [{"a": 2.0}]),
    ("PAT-42", {"a": [{"anything-but": {"prefix": "in"}}]}, [{"a": "x"}, {"a": 12}, {"a": None}], [{"a": "init"}, {}]),
    ("PAT-42", {"a": [{"anything-but": {"suffix": [".a", ".b"]}}]}, [{"a": "x.c"}], [{"a": "x.a"}, {"a": ".b"}]),
    ("PAT-42", {"a": [{"anything-but": {"equals-ignore-case": ["A", "b"]}}]}, [{"a": "c"}], [{"a": "a"}, {"a": "B"}]),
    ("PAT-42", {"a": [{"anything-but": {"wildcard": "*/lib/*"}}]}, [{"a": "/bin/"}, {"a": 1}], [{"a": "/lib/x"}]),
    ("PAT-42", {"a": [{"anything-but": {"wildcard": ""}}]}, [{"a": "x"}], [{"a": ""}]),
    # numeric
    ("PAT-50", {"a": [{"numeric": [">", 100]}]}, [{"a": 101}, {"a": 100.5}], [{"a": 100}, {"a": "101"}, {"a": None}]),
    ("PAT-50", {"a": [{"numeric": ["=", 3.018e2]}]}, [{"a": 301.8}], [{"a": 301.81}]),
    ("PAT-50", {"a": [{"numeric": ["<=", 5]}]}, [{"a": 5}, {"a": -5e9}], [{"a": 5.000001}]),
    ("PAT-51", {"a": [{"numeric": [">=", 0, "<", 5]}]}, [{"a": 0}, {"a": 4.999999}], [{"a": 5}, {"a": -0.000001}]),
    ("PAT-52", {"a": [{"numeric": [">", 0]}]}, [{"a": 5e9}, {"a": 0.000001}], [{"a": 5_000_000_001}, {"a": 0.0000011}]),
    # addresses
    ("PAT-60", {"a": [{"cidr": "10.0.0.0/24"}]}, [{"a": "10.0.0.255"}], [{"a": "10.0.1.0"}, {"a": "x"}, {"a": 10}]),
    ("PAT-60", {"a": [{"cidr": "10.0.0.77/24"}]}, [{"a": "10.0.0.1"}], [{"a": "10.0.1.77"}]),
    (
        "PAT-60",
        {"a": [{"cidr": "2001:db8::/32"}]},
        [{"a": "2001:db8:1::"}],
        [{"a": "2001:db9::"}, {"a": "32.1.13.184"}],
    ),
    (
        "PAT-61",
        {"a": [{"cidr": "10.0.0.0/8"}]},
        [{"a": "10.00.01.1"}, {"a": "::ffff:0a00:0001"}],
        [{"a": "10.0.0.256"}],
    ),
    # exists
    (
        "PAT-70",
        {"a": {"b": [{"exists": True}]}},
        [{"a": {"b": ""}}, {"a": [{"c": 1}, {"b": 1}]}],
        [{"a": {"b": {"c": 1}}}],
    ),
    ("PAT-71", {"a": {"b": [{"exists": False}]}}, [{}, {"a": 1}, {"a": {"b": {"c": 1}}}], [{"a": {"b": None}}]),
    ("PAT-72", {"a": [{"exists": False}, "x"]}, [{}, {"a": "x"}], [{"a": "y"}]),
    # $or
    ("PAT-80", {"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}, [{"a": 1, "c": 3}, {"b": 2, "c": 3}], [{"a": 1}, {"c": 3}]),
    ("PAT-80", {"x": {"$or": [{"a": [1]}, {"b": [2]}]}}, [{"x": {"a": 1}}, {"x": {"b": 2}}], [{"a": 1}]),
    (
        "PAT-81",
        {"$or": [{"a": [1], "$or": [{"b": [2]}, {"c": [3]}]}, {"d": [4]}]},
        [{"a": 1, "c": 3}, {"d": 4}],
        [{"a": 1}, {"c": 3}],
    ),
    (
        "PAT-81",
        {"$or": [{"a": [1]}, {"b": [1]}], "x": {"$or": [{"c": [1]}, {"d": [1]}]}},
        [{"b": 1, "x": {"c": 1}}],
        [{"a": 1, "b": 1}],
    ),
    ("PAT-83", {"$or": {"a": [1]}}, [{"$or": {"a": 1}}], [{"a": 1}]),
    ("PAT-83", {"$or": ["x"]}, [{"$or": "x"}], [{"a": "x"}]),
    ("PAT-83", {"$or": [{"prefix": "x"}]}, [{"$or": "xy"}], [{"prefix": "x"}]),
]


@pytest.mark.parametrize(("pattern", "event", "expected"), [
    pytest.param(pattern, event, expected, id=promise)
    for promise, pattern, yes, no in VERDICTS
    for expected, events in ((True, yes), (False, no))
    for event in events
])  # fmt: skip
def test_verdict(pattern: Any, event: Any, expected: bool) -> None:
    """A pattern matches the events it should, and no others, by every way to ask."""
    as_text = event if isinstance(event, str) else json.dumps(event)
    crowd: RuleIndex[Any] = RuleIndex({n: {"other": [n]} for n in range(50)})
    crowd.add("rule", pattern)

    assert matches(pattern, event) == expected
    assert matches(pattern, as_text) == expected
    assert bool(explain(pattern, event)) == expected
    assert crowd.match(event) == (["rule"] if expected else [])
    assert RuleIndex({"rule": pattern}).match(event) == (["rule"] if expected else [])


def test_a_name_may_have_very_many_steps() -> None:
    """PAT-5 holds however deep the name: the long ones only take the long way."""
    steps = [f"s{n}" for n in range(300)]
    pattern, event = compile("".join(f'{{"{s}":' for s in steps) + '["x"]' + "}" * 300), "x"
    for step in reversed(steps):
        event = {step: event}  # type: ignore[assignment]

    assert pattern.matches(event)
    assert pattern.matches({".".join(steps): "x"})
    assert not pattern.matches({"s0": "x"})


def test_many_arrays_do_not_explode() -> None:
    """Consistency is decided in bounded work, though the choices of elements multiply."""
    pattern = compile({f"f{n}": {"x": [{"exists": True}], "y": [1]} for n in range(8)})
    event = {f"f{n}": [{"x": k, "y": int(k == 59)} for k in range(60)] for n in range(8)}

    assert pattern.matches(event)
    assert not pattern.matches({**event, "f7": [{"x": 1}, {"y": 1}]})


def test_a_wildcard_does_not_backtrack() -> None:
    """A value made to be hard takes no longer than any other of its length."""
    pattern = compile({"a": [{"wildcard": "*a*a*a*b"}]})

    assert not pattern.matches({"a": "a" * 100_000})
