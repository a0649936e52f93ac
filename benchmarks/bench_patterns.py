"""Event patterns against moto's matcher: ``python benchmarks/bench_patterns.py [--quick]``.

Only ratios are promises; both sides run in this process, in turns, on the same rules and events, already parsed. The
median of the rounds counts. moto has no index: it asks each rule, as its put_events does.

Sets (rule number i):

one      one rule: a prefix of the source, a list of detail types, a list on the detail; two events in five match
exact    source i % 200, detail-type i % 20, detail.id i: all exact
mixed    source i % 200, and by turns a prefix, suffix, numeric range, anything-but, exists, equals-ignore-case, cidr or
         wildcard on the detail; an event matches about one rule in 800
hard     nothing exact: a wildcard with two asterisks, a list under anything-but, and a numeric range, all to be passed
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lambdalite.patterns import RuleIndex, compile  # noqa: A004

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STATES = ("pending", "running", "stopping", "stopped", "terminated")
SEED = 7
EVENTS = 256


def event(rng: random.Random) -> dict[str, Any]:
    """An event of about 700 bytes."""
    number = rng.randrange(10_000)
    detail = {
        "id": f"id-{number}",
        "state": rng.choice(STATES),
        "size": rng.randrange(100_000),
        "ratio": round(rng.random(), 3),
        "key": f"uploads/{number % 500}/part-{number}.json",
        "owner": f"User-{number % 300}",
        "ip": f"10.{number % 200}.{number % 7}.{number % 250}",
        "requestParameters": {"bucketName": f"bucket-{number % 40}", "host": "example.com"},
    }
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": f"Type {number % 20}",
        "source": f"service.{number % 200}",
        "account": "111122223333",
        "time": "2026-11-22T18:43:48Z",
        "region": "eu-central-1",
        "resources": [f"arn:aws:ec2:eu-central-1:111122223333:instance/i-{number:08x}"],
        "detail": detail,
    }


def one(_: int) -> dict[str, Any]:
    types = [f"Type {n}" for n in range(20)]
    return {"source": [{"prefix": "service."}], "detail-type": types, "detail": {"state": ["running", "stopped"]}}


def exact(i: int) -> dict[str, Any]:
    return {"source": [f"service.{i % 200}"], "detail-type": [f"Type {i % 20}"], "detail": {"id": [f"id-{i}"]}}


def mixed(i: int) -> dict[str, Any]:
    turns: tuple[tuple[str, Any], ...] = (
        ("key", {"prefix": f"uploads/{i % 500}/"}),
        ("key", {"suffix": f"-{i}.json"}),
        ("size", {"numeric": [">=", i * 10, "<", i * 10 + 2000]}),
        ("owner", {"anything-but": [f"User-{n}" for n in range(i % 290, i % 290 + 3)]}),
        ("missing" if i % 16 < 8 else "state", {"exists": True}),
        ("owner", {"equals-ignore-case": f"USER-{i % 300}"}),
        ("ip", {"cidr": f"10.{i % 200}.0.0/16"}),
        ("key", {"wildcard": f"*/{i % 500}/part-*{i % 10}.json"}),
    )
    name, leaf = turns[i // 200 % 8]
    return {"source": [f"service.{i % 200}"], "detail": {name: [leaf]}}


def hard(i: int) -> dict[str, Any]:
    return {
        "detail": {
            "key": [{"wildcard": f"uploads/{i % 500}/*-{i}*.json"}],
            "state": [{"anything-but": [STATES[i % 5], STATES[i % 3]]}],
            "size": [{"numeric": [">", i * 3, "<=", i * 3 + 50_000]}],
        }
    }


def rate(work: Callable[[Any], object], events: Iterable[Any], seconds: float) -> float:
    """Calls per second over about so many seconds, at least one call."""
    done = 0
    began = perf_counter()
    while True:
        for item in events:
            work(item)
            done += 1
            if not done % 16 or seconds < 1:
                took = perf_counter() - began
                if took >= seconds:
                    return done / took


def batch_rate(work: Callable[[Any], object], events: list[Any], seconds: float) -> float:
    """As :func:`rate`, for fast work: looks at the clock once per batch."""
    done = 0
    began = perf_counter()
    while (took := perf_counter() - began) < seconds:
        for item in events:
            work(item)
        done += len(events)
    return done / took


def moto_matcher(rules: list[dict[str, Any]]) -> Callable[[Any], object] | None:
    try:
        from moto.events.models import EventPattern
    except ImportError:
        return None
    loaded = [EventPattern.load(json.dumps(rule)) for rule in rules]
    return lambda item: [number for number, rule in enumerate(loaded) if rule.matches_event(item)]


def row(name: str, count: int, make: Callable[[int], dict[str, Any]], rounds: int, seconds: float) -> list[str]:
    rng = random.Random(SEED)
    events = [event(rng) for _ in range(EVENTS)]
    rules = [make(i) for i in range(count)]
    index: RuleIndex[int] = RuleIndex(dict(enumerate(rules)))
    moto = moto_matcher(rules)
    texts = [json.dumps(item) for item in events]
    ours, theirs, parsed = [], [], []
    for _ in range(rounds):
        ours.append(batch_rate(index.match, events, seconds))
        parsed.append(batch_rate(index.match, texts, seconds / 2))
        if moto is not None:
            theirs.append(rate(moto, events, seconds))
    fast, with_parsing = statistics.median(ours), statistics.median(parsed)
    matches = statistics.mean(len(index.match(item)) for item in events)
    slow = statistics.median(theirs) if theirs else None
    ratio = "moto not installed" if slow is None else f"{fast / slow:,.0f} x"
    return [
        name,
        f"{count:,}",
        f"{matches:.1f}",
        f"{fast:,.0f}",
        f"{with_parsing:,.0f}",
        "-" if slow is None else f"{slow:,.1f}",
        ratio,
    ]


def single(rounds: int, seconds: float) -> list[str]:
    rng = random.Random(SEED)
    events = [event(rng) for _ in range(EVENTS)]
    compiled = compile(one(0))
    moto = moto_matcher([one(0)])
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(batch_rate(compiled.matches, events, seconds))
        if moto is not None:
            theirs.append(batch_rate(moto, events, seconds))
    fast = statistics.median(ours)
    ratio = f"{fast / statistics.median(theirs):,.0f} x" if theirs else "moto not installed"
    return [
        "Pattern.matches",
        "1",
        "-",
        f"{fast:,.0f}",
        "-",
        f"{statistics.median(theirs):,.0f}" if theirs else "-",
        ratio,
    ]


def adding(count: int, make: Callable[[int], dict[str, Any]], more: int) -> tuple[float, float]:
    """Microseconds per add, mean and worst, of rules compiled before, to an index of ``count``."""
    index: RuleIndex[int] = RuleIndex({i: make(i) for i in range(count)})
    compiled = [compile(make(i)) for i in range(count, count + more)]
    took = []
    gc.collect()
    for i, pattern in enumerate(compiled, count):
        began = perf_counter()
        index.add(i, pattern)
        took.append(perf_counter() - began)
    return statistics.mean(took) * 1e6, max(took) * 1e6


def table(rows: list[list[str]]) -> str:
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |" for cells in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rounds, seconds = (1, 0.2) if options.quick else (options.rounds, 0.6)
    rows = [["set", "rules", "matches/event", "events/s", "with parsing", "moto events/s", "ratio"]]
    rows.append(single(rounds, seconds))
    rows.append(row("one", 1, one, rounds, seconds))
    for name, make in (("exact", exact), ("mixed", mixed), ("hard", hard)):
        rows += [row(name, count, make, rounds, seconds) for count in (1_000, 10_000)]
    print(f"CPython {platform.python_version()}, medians of {rounds} interleaved rounds; only ratios are comparable.\n")
    print(table(rows))
    print("\nadding one compiled rule to an index of 10,000, microseconds:")
    for name, make in (("exact", exact), ("mixed", mixed), ("hard", hard)):
        mean, worst = adding(10_000, make, 200 if options.quick else 1_000)
        print(f"  {name}: mean {mean:,.0f}, worst {worst:,.0f}")


if __name__ == "__main__":
    main()
