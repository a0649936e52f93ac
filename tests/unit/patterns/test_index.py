"""Many rules together: what an index answers while it changes."""

from __future__ import annotations

import random
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite.patterns import InvalidPattern, RuleIndex, compile  # noqa: A004
from lambdalite.patterns.index.levels import CROWDED

if TYPE_CHECKING:
    from collections.abc import Callable

EVENT = {"source": "shop", "detail": {"total": 250, "state": "paid", "tags": ["a", "b"]}}


def test_keys_come_in_the_order_of_their_adding() -> None:
    """PAT-111: the keys that match are listed by when their rules came, whatever the keys are."""
    index: RuleIndex[object] = RuleIndex()
    for key in ("z", 1, ("a", 2)):
        index.add(key, {"source": ["shop"]})

    assert index.match(EVENT) == ["z", 1, ("a", 2)]
    assert list(index) == ["z", 1, ("a", 2)]


def test_adding_under_a_key_replaces_its_rule() -> None:
    """PAT-112: a key has one rule, which keeps its place in the order when it is replaced."""
    index = RuleIndex({"a": {"source": ["shop"]}, "b": {"source": ["shop"]}})
    index.add("a", {"detail": {"state": ["paid"]}})

    assert index.match(EVENT) == ["a", "b"]
    assert index.match({"source": "shop"}) == ["b"]
    assert len(index) == 2
    assert index.pattern("a").text == '{"detail": {"state": ["paid"]}}'


def test_a_removed_rule_matches_no_more() -> None:
    """Removing takes the rule out at once; removing it again is a KeyError."""
    index = RuleIndex({"a": {"source": ["shop"]}, "b": {"source": ["shop"]}})
    index.remove("a")

    assert index.match(EVENT) == ["b"]
    assert "a" not in index
    with pytest.raises(KeyError):
        index.remove("a")


def test_a_refused_pattern_changes_nothing() -> None:
    """What AWS refuses leaves the index as it was."""
    index = RuleIndex({"a": {"source": ["shop"]}})
    with pytest.raises(InvalidPattern):
        index.add("a", {"source": "shop"})

    assert index.match(EVENT) == ["a"]


def test_an_alternative_matched_twice_names_its_rule_once() -> None:
    """A rule is listed once, through however many alternatives and values the event comes."""
    rule = {"$or": [{"source": ["shop"]}, {"detail": {"tags": ["a", "b"]}}, {"detail": {"state": ["paid"]}}]}

    assert RuleIndex(dict.fromkeys(range(5), rule)).match(EVENT) == [0, 1, 2, 3, 4]


def test_an_empty_index_matches_nothing() -> None:
    """No rules, no keys."""
    assert RuleIndex[str]().match(EVENT) == []


def test_equal_rules_are_told_apart() -> None:
    """Rules with one pattern share their place, and are removed one by one."""
    index = RuleIndex({n: {"source": ["shop"], "detail": {"total": [250.0]}} for n in range(100)})
    for n in range(0, 100, 2):
        index.remove(n)

    assert index.match(EVENT) == list(range(1, 100, 2))


def test_crowded_slots_divide() -> None:
    """Rules alike in all but one field are found, and the fields that are alike lead to only those that match."""
    index = RuleIndex({n: {"source": ["shop"], "detail": {"id": [n], "state": ["paid"]}} for n in range(20 * CROWDED)})

    assert index.match({"source": "shop", "detail": {"id": 7, "state": "paid"}}) == [7]
    assert index.match({"source": "shop", "detail": {"id": 7, "state": "open"}}) == []


def test_levels_divide_again_and_go_on_growing() -> None:
    """Where no field alone tells the rules apart, several do together; later rules find the levels that are there."""

    def rule(n: int) -> dict[str, Any]:
        return {"a": [n % 10], "b": [n // 10 % 10], "c": [{"anything-but": n // 100}]}

    index = RuleIndex({n: rule(n) for n in range(500)})
    for n in range(500, 1_000):
        index.add(n, rule(n))

    assert index.match({"a": 3, "b": 7, "c": 4}) == [73, 173, 273, 373, 573, 673, 773, 873, 973]
    assert index.match({"a": [3, 4], "b": 7, "c": 4})[:4] == [73, 74, 173, 174]


def test_rules_without_any_value_to_look_up_are_found() -> None:
    """Rules that want nothing but a lack are asked for every event."""
    index = RuleIndex({n: {f"f{n}": [{"exists": False}]} for n in range(50)})

    assert index.match({"f7": 1}) == [n for n in range(50) if n != 7]


def test_a_very_long_name_does_not_hide_the_other_rules() -> None:
    """One rule whose name is too long for the fast way leaves the answers of all as they are."""
    index: RuleIndex[str] = RuleIndex({f"r{n}": {"source": [f"s{n}"]} for n in range(9)})
    index.add("long", {".".join("abcdefghijklmnop"): ["x"]})

    assert index.match({"source": "s3"}) == ["r3"]
    assert index.match({".".join("abcdefghijklmnop"): "x"}) == ["long"]


def test_forgotten_rules_do_not_pile_up() -> None:
    """Adding and removing without end leaves an index no larger than its rules need."""
    index: RuleIndex[int] = RuleIndex()
    for n in range(600):
        index.add(n % 10, {"detail": {"id": [f"id-{n}"]}})

    assert len(index._entries) < 200
    assert index.match({"detail": {"id": "id-599"}}) == [9]
    assert index.match({"detail": {"id": "id-589"}}) == []


def test_readers_see_a_rule_before_or_behind_its_change() -> None:
    """PAT-113: while a rule is replaced again and again, every event matches exactly one of its versions."""
    index: RuleIndex[str] = RuleIndex({"other": {"b": [{"exists": True}]}})
    even, odd = ({"a": [{"numeric": ["=", n]}, str(n)], "$or": [{"b": [n]}, {"c": [n]}]} for n in (0, 1))
    index.add("rule", even)
    event = {"a": [0, "1"], "b": 0, "c": 1}  # matches by b with the one, by c with the other
    stop, wrong = Event(), []

    def read() -> None:
        while not stop.is_set():
            found = index.match(event)
            if found != ["other", "rule"]:
                wrong.append(found)

    readers = [Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(100):
        index.add("rule", odd if n % 2 else even)
        index.add(f"more-{n}", {"a": [f"no-{n}"], "b": [n]}) if n else None
    stop.set()
    for reader in readers:
        reader.join()

    assert wrong == []


def test_a_large_index_agrees_with_its_rules() -> None:
    """Four hundred rules of all kinds, and events near them."""
    rng = random.Random(3)
    texts = [f"{a}/{b}.{c}" for a in "abcde" for b in range(12) for c in ("json", "png")]
    kinds: list[Callable[[], Any]] = [
        lambda: rng.choice(texts),
        lambda: {"prefix": rng.choice(texts)[:3]},
        lambda: {"suffix": rng.choice(texts)[-6:]},
        lambda: {"equals-ignore-case": rng.choice(texts).upper()},
        lambda: {"prefix": {"equals-ignore-case": rng.choice(texts)[:4].upper()}},
        lambda: {"suffix": {"equals-ignore-case": rng.choice(texts)[-5:].upper()}},
        lambda: {"wildcard": f"*{rng.randrange(12)}.*"},
        lambda: {"wildcard": f"{rng.choice('abcde')}*{rng.randrange(10)}.*g"},
        lambda: {"anything-but": {"suffix": rng.choice(texts)[-5:]}},
        lambda: {"numeric": [">", rng.randrange(50), "<=", 50 + rng.randrange(50)]},
        lambda: {"numeric": [rng.choice("<>"), rng.randrange(100)]},
        lambda: rng.randrange(100),
        lambda: {"cidr": f"10.{rng.randrange(3)}.0.0/{rng.choice((8, 15, 16, 24))}"},
        lambda: {"exists": rng.random() < 0.7},
    ]
    names = ["a", "b.c", "b.d", "e"]
    rules = {
        n: compile(
            {
                name: [rng.choice(kinds)() for _ in range(rng.choice((1, 1, 2)))]
                for name in rng.sample(names, rng.choice((1, 2, 3)))
            }
        )
        for n in range(400)
    }
    index = RuleIndex(rules)
    values: list[Callable[[], Any]] = [
        lambda: rng.choice(texts),
        lambda: rng.randrange(100),
        lambda: f"10.{rng.randrange(4)}.0.{rng.randrange(3)}",
        lambda: rng.choice(texts).title(),
    ]

    for _ in range(40):
        event: dict[str, Any] = {
            "a": rng.choice(values)(),
            "b": {"c": rng.choice(values)(), "d": [rng.choice(values)() for _ in range(2)]},
        }
        if rng.random() < 0.5:
            event["e"] = rng.choice(values)()
        assert index.match(event) == [n for n, rule in rules.items() if rule.matches(event)]


def test_many_wildcards_are_found_by_what_is_in_them() -> None:
    """Wildcards that begin and end with an asterisk are looked up by a piece of their text."""
    index = RuleIndex({n: {"a": [{"wildcard": f"*<{n:04}>*"}]} for n in range(300)})

    assert index.match({"a": "x<0007><0211>y"}) == [7, 211]
    assert index.match({"a": "<7>"}) == []
