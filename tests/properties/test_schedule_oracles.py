"""Cron against three others: a naive one that tries every minute of real time, aws-croniter, and cronsim."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import re
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lambdalite.schedules import next_after, schedule, upcoming

WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)

# --- a naive oracle ---------------------------------------------------------------------------------------------------


def number(text: str) -> int:
    for names in (WEEKDAYS, MONTHS):
        if text.upper() in names:
            return names.index(text.upper()) + 1
    return int(text)


def allows(field: str, value: int, low: int, high: int) -> bool:
    """Does a field of plain values allow one? By walking from its start, round the end if need be."""
    for part in field.split(","):
        base, slash, step = part.partition("/")
        first, dash, last = base.partition("-")
        at = low if base == "*" else number(first)
        end = number(last) if dash else high if base == "*" or slash else at
        walked = [at]
        while at != end:
            at = low if at == high else at + 1
            walked.append(at)
        if value in walked[:: int(step or 1)]:
            return True
    return False


def is_workday(day: dt.date) -> bool:
    return day.isoweekday() < 6


@functools.cache
def month_from(first: dt.date) -> list[dt.date]:
    return [each for n in range(31) if (each := first + n * DAY).month == first.month]


def month_of(day: dt.date) -> list[dt.date]:
    return month_from(day.replace(day=1))


def allows_day(rule: str, day: dt.date) -> bool:
    """Does the field day-of-month allow a day?"""
    month = month_of(day)
    rule = rule.upper()
    if rule == "L":
        return day == month[-1]
    if rule.startswith("L-"):
        return day + int(rule[2:]) * DAY == month[-1]
    if rule == "LW":
        return day == [each for each in month if is_workday(each)][-1]
    if rule.endswith("W"):
        wanted = int(rule[:-1])
        workdays = [each for each in month if is_workday(each)]
        return wanted <= len(month) and day == min(workdays, key=lambda each: abs(each.day - wanted))
    return allows(rule, day.day, 1, 31)


def allows_weekday(rule: str, day: dt.date) -> bool:
    """Does the field day-of-week allow a day?"""
    weekday = day.isoweekday() % 7 + 1
    same = [each for each in month_of(day) if each.isoweekday() == day.isoweekday()]
    if rule.upper() == "L":
        return weekday == 7
    if "#" in rule:
        name, _, count = rule.partition("#")
        return weekday == number(name) and same.index(day) + 1 == int(count)
    if rule.upper().endswith("L"):
        return weekday == number(rule[:-1]) and day == same[-1]
    return allows(rule, weekday, 1, 7)


def allows_date(fields: tuple[str, ...], day: dt.date) -> bool:
    _, _, monthday, month, weekday, year = fields
    dates = allows_weekday(weekday, day) if monthday == "?" else allows_day(monthday, day)
    return dates and allows(month, day.month, 1, 12) and allows(year, day.year, 1970, 2199)


# --- expressions ------------------------------------------------------------------------------------------------------


def plain(low: int, high: int, *, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """A field of plain values: lists of numbers, names, ranges (round the end, too) and steps."""
    value = st.integers(low, high)
    word = st.one_of(value.map(str), st.sampled_from(names)) if names else value.map(str)
    span = st.tuples(value, value)
    part = st.one_of(
        st.just("*"),
        word,
        span.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(span, st.integers(1, 9)).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}"),
        st.tuples(value, st.integers(1, 9)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.integers(1, 9).map(lambda step: f"*/{step}"),
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


any_case = st.sampled_from([str.upper, str.lower])
monthday_rules = st.one_of(
    st.sampled_from(["L", "LW", "lw"]),
    st.integers(1, 31).map(lambda n: f"L-{n}"),
    st.integers(1, 31).map(lambda n: f"{n}W"),
    plain(1, 31),
)
weekday_words = st.one_of(st.integers(1, 7).map(str), st.sampled_from(WEEKDAYS))
weekday_rules = st.one_of(
    st.just("L"),
    weekday_words.map(lambda word: f"{word}L"),
    st.tuples(weekday_words, st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}"),
    plain(1, 7, names=WEEKDAYS),
)
day_fields = st.one_of(monthday_rules.map(lambda rule: (rule, "?")), weekday_rules.map(lambda rule: ("?", rule)))


@settings(max_examples=60, deadline=None)
@given(day_fields, plain(1, 12, names=MONTHS), st.integers(1970, 2190), any_case)
@example(("31W", "?"), "*", 2026, str.upper)
@example(("1W", "?"), "8", 2026, str.upper)  # a Saturday, whose Friday is last month's
@example(("29", "?"), "FEB", 2096, str.lower)  # 2100 is no leap year
@example(("?", "SAT#5"), "2", 2032, str.upper)
def test_days_are_those_that_a_calendar_gives(days: tuple[str, str], month: str, year: int, case: object) -> None:
    """Every rule, day by day over four years."""
    assert callable(case)
    fields = ("0", "0", case(days[0]), case(month), case(days[1]), "*")
    made = schedule(f"cron({' '.join(fields)})", name="s")
    first, last = dt.date(year, 1, 1), dt.date(year + 3, 12, 31)
    expected = [day for n in range((last - first).days + 1) if allows_date(fields, day := first + n * DAY)]
    begin = dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp() - 1
    fired = (dt.datetime.fromtimestamp(at, dt.UTC).date() for at in upcoming(made, begin, len(expected) + 1))

    assert expected == list(itertools.takewhile(lambda day: day <= last, fired))


CHANGES = [  # a zone, and a day on which its clocks are moved
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-10-04"),  # by half an hour
    ("Australia/Lord_Howe", "2026-04-05"),
    ("America/Sao_Paulo", "2018-11-04"),  # at midnight, forward
    ("America/Sao_Paulo", "2018-02-18"),  # at midnight, back into the day before
    ("Asia/Beirut", "2026-03-29"),
    ("Pacific/Apia", "2011-12-30"),  # a day that never was
    ("Africa/Casablanca", "2026-02-15"),
    ("UTC", "2026-02-28"),
]


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(CHANGES),
    st.one_of(st.sampled_from(["0", "30", "*/15", "45-15/10"]), plain(0, 59)),
    st.one_of(st.sampled_from(["0", "1", "2", "3", "23", "0-2", "23-1"]), plain(0, 23)),  # where clocks are moved
    st.one_of(st.just(("*", "?")), day_fields),
    st.integers(0, 1500),
)
@example(("Europe/Berlin", "2026-03-29"), "30", "2", ("*", "?"), 0)
@example(("Europe/Berlin", "2026-10-25"), "30", "2", ("*", "?"), 0)
@example(("America/Sao_Paulo", "2018-11-04"), "0", "0", ("*", "?"), 0)
def test_zones_fire_at_each_local_minute_once(
    change: tuple[str, str], minute: str, hour: str, days: tuple[str, str], offset: int
) -> None:
    """Minute by minute of real time, in the days round a change of clocks: the second pass of an hour does not count."""
    name, day = change
    zone = ZoneInfo(name)
    fields = (minute, hour, days[0], "*", days[1], "*")
    made = schedule(f"cron({' '.join(fields)})", name="s", timezone=name)
    begin = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) - DAY + offset * MINUTE
    minutes = [(begin + n * MINUTE).astimezone(zone) for n in range(1, 2 * 1440)]
    dates = {date for date in {time.date() for time in minutes} if allows_date(fields, date)}
    expected = [
        time.timestamp()
        for time in minutes
        if time.date() in dates
        and not time.fold
        and allows(hour, time.hour, 0, 23)
        and allows(minute, time.minute, 0, 59)
    ]
    end = minutes[-1].timestamp()
    found = list(itertools.takewhile(lambda at: at <= end, upcoming(made, begin.timestamp(), len(minutes))))

    assert expected == found


# --- other people's ---------------------------------------------------------------------------------------------------


def common(low: int, high: int, *, steps: bool = True) -> st.SearchStrategy[str]:
    """What they all read in the same way: `*` stands alone, and a range is longer than one.

    Of the days of the week nobody else takes steps as we do: aws-croniter none, cronsim with Sunday at both ends.
    """
    value, step = st.integers(low, high), st.integers(1, 9)
    span = st.tuples(st.integers(low, high - 1), st.integers(1, high)).map(
        lambda pair: f"{pair[0]}-{min(pair[0] + pair[1], high)}"
    )
    listed = st.one_of(value.map(str), span)
    stepped = [
        step.map(lambda n: f"*/{n}"),
        st.tuples(span, step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.tuples(st.integers(low, high - 1), step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    ]
    lists = st.lists(listed, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), lists, *(stepped if steps else []))


fields_in_common = st.tuples(
    common(0, 59),
    common(0, 23),
    st.one_of(
        st.one_of(st.just("L"), common(1, 31)).map(lambda rule: (rule, "?")),
        st.one_of(
            st.integers(1, 7).map(lambda n: f"{n}L"),
            st.tuples(st.integers(1, 7), st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}"),
            common(1, 7, steps=False),
        ).map(lambda rule: ("?", rule)),
    ),
    common(1, 12),
)


def next_times(expression: str, begin: dt.datetime, count: int) -> list[dt.datetime]:
    made = schedule(expression, name="s")
    return [dt.datetime.fromtimestamp(at, dt.UTC) for at in upcoming(made, begin.timestamp(), count)]


@settings(max_examples=150, deadline=None)
@given(fields_in_common, st.integers(0, 500_000))
def test_aws_croniter_agrees(fields: tuple[str, str, tuple[str, str], str], offset: int) -> None:
    """In everything that it knows."""
    croniter = pytest.importorskip("aws_croniter").AwsCroniter
    minute, hour, (day, weekday), month = fields
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + offset * MINUTE
    text = f"{minute} {hour} {day} {month} {weekday} *"
    found = next_times(f"cron({text})", begin, 3)
    time, expected = begin, []
    for _ in found:
        time = croniter(text).occurrence(time).next()
        expected.append(time)

    assert expected == found


@settings(max_examples=150, deadline=None)
@given(fields_in_common, st.integers(0, 500_000))
def test_cronsim_agrees(fields: tuple[str, str, tuple[str, str], str], offset: int) -> None:
    """Once the days of the week are renumbered: Unix counts Sunday as 0."""
    cronsim = pytest.importorskip("cronsim")
    minute, hour, (day, weekday), month = fields
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + offset * MINUTE
    found = next_times(f"cron({minute} {hour} {day} {month} {weekday} *)", begin, 3)
    renumbered = re.sub(r"(?<![/#\d])\d", lambda digit: str(int(digit[0]) - 1), weekday)
    text = f"{minute} {hour} {'*' if day == '?' else day} {month} {'*' if weekday == '?' else renumbered}"
    time = begin.replace(tzinfo=None)
    expected = [each.replace(tzinfo=dt.UTC) for each in itertools.islice(cronsim.CronSim(text, time), len(found))]

    assert expected == found


def test_last_year_that_cron_knows_is_the_last() -> None:
    """2199, however often it would fire."""
    made = schedule("cron(* * * * ? *)", name="s")
    end = dt.datetime(2199, 12, 31, 23, 59, tzinfo=dt.UTC).timestamp()

    assert end == next_after(made, end - 1)
    assert next_after(made, end) is None
