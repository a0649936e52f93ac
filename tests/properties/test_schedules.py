"""Cron against an oracle that tries every minute, and the laws of `due`."""

from __future__ import annotations

import calendar
import datetime as dt
import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from lambdalite.schedules import due, next_after, schedule, upcoming

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp()


def ranges(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    part = st.one_of(
        st.just("*"),
        number.map(str),
        st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.tuples(number, st.integers(1, 7)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.integers(1, 7).map(lambda step: f"*/{step}"),
    )
    return st.lists(part, min_size=1, max_size=2).map(",".join)


def values(text: str, low: int, high: int) -> set[int]:
    """What a field of the generated kinds means, told in another way than the library does."""
    found = set()
    for part in text.split(","):
        base, _, step = part.partition("/")
        first, _, last = base.partition("-")
        begin = low if base == "*" else int(first)
        end = high if base == "*" or (step and not last) else int(last or first)
        found |= {value for value in range(begin, end + 1) if (value - begin) % int(step or 1) == 0}
    return found


day_rules = st.one_of(ranges(1, 31).map(lambda text: (text, "?")), ranges(1, 7).map(lambda text: ("?", text)))


@settings(max_examples=60, deadline=None)
@given(ranges(0, 59), ranges(0, 23), day_rules, ranges(1, 12), st.integers(0, 400))
def test_cron_fires_exactly_when_every_field_allows(
    minute: str, hour: str, days: tuple[str, str], month: str, offset: int
) -> None:
    """Within the next 40 days, minute by minute."""
    made = schedule(f"cron({minute} {hour} {days[0]} {month} {days[1]} *)", name="s")
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=offset, minutes=offset)
    allowed = (values(minute, 0, 59), values(hour, 0, 23), values(month, 1, 12))
    expected: list[float] = []
    time = begin
    while len(expected) < 5 and time < begin + dt.timedelta(days=40):
        time += dt.timedelta(minutes=1)
        if time.hour not in allowed[1] or time.month not in allowed[2] or not on_day(time, days):
            time = time.replace(minute=59)
            continue
        if time.minute in allowed[0]:
            expected.append(time.timestamp())
    horizon = (begin + dt.timedelta(days=40)).timestamp()

    assert expected == [at for at in upcoming(made, begin.timestamp(), 5) if at < horizon][: len(expected)]
    first = next_after(made, begin.timestamp())
    assert (expected[0] if expected else None) == (first if first is not None and first < horizon else None)


def on_day(time: dt.datetime, days: tuple[str, str]) -> bool:
    if days[1] == "?":
        return time.day in values(days[0], 1, calendar.monthrange(time.year, time.month)[1] or 31)
    return (time.isoweekday() % 7 + 1) in values(days[1], 1, 7)


expressions = st.sampled_from(
    [
        "rate(1 minute)",
        "rate(7 minutes)",
        "rate(3 hours)",
        "cron(*/7 * * * ? *)",
        "cron(0 4 ? * SUN *)",
        "cron(30 2 L * ? *)",
    ]
)


@settings(max_examples=100, deadline=None)
@given(expressions, st.lists(st.floats(0, 50_000), min_size=1, max_size=8), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_all_fires_every_instant_once_however_often_one_looks(expression: str, steps: list[float], zone: str) -> None:
    """Looking at any moments in between gives the same instants as looking once at the end."""
    made = schedule(expression, name="s", timezone=zone, missed="all")
    last = now = START
    found: list[float] = []
    for step in steps:
        now += step
        while True:
            step_due = due(made, last, now, 50)
            found += step_due.fire
            last = step_due.until
            if len(step_due.fire) < 50:
                break
    expected = list(itertools.takewhile(lambda at: at <= now, upcoming(made, START, 10**9)))

    assert expected == found


@settings(max_examples=150, deadline=None)
@given(
    expressions,
    st.floats(0, 400_000),
    st.sampled_from(["UTC", "Europe/Berlin"]),
    st.one_of(st.none(), st.floats(-1, 9e5)),
)
def test_policies_differ_in_the_missed_runs_alone(expression: str, away: float, zone: str, start: float | None) -> None:
    """One look after a while: `skip` takes those on time, `once` the latest of the others too, `all` every one."""
    begin = None if start is None else START + start
    now = START + away
    fired = {
        missed: due(schedule(expression, name="s", timezone=zone, start=begin, missed=missed), START, now, 10**6).fire
        for missed in ("skip", "once", "all")
    }
    on_time = tuple(at for at in fired["all"] if at > now - 60)
    missed = tuple(at for at in fired["all"] if at <= now - 60)

    assert (on_time, missed[-1:] + on_time) == (fired["skip"], fired["once"])
