"""Schedule expressions and schedules: AWS's documented examples, its refusals, calendars and daylight saving."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import sys
import zoneinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from lambdalite.errors import InvalidParameterValue, UsageError
from lambdalite.schedules import Cron, Rate, default_name, describe, due, jitter, next_after, parse, schedule, upcoming

if TYPE_CHECKING:
    from collections.abc import Iterator

BERLIN = ZoneInfo("Europe/Berlin")
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp()


def fires(
    expression: str, count: int, *, after: str = "2026-01-01T00:00", zone: str = "UTC", **options: Any
) -> list[str]:
    """The next local times of a schedule."""
    made = schedule(expression, name="s", timezone=zone, **options)
    begin = dt.datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone)).timestamp()
    return [f"{dt.datetime.fromtimestamp(at, ZoneInfo(zone)):%Y-%m-%dT%H:%M}" for at in upcoming(made, begin, count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # D: EventBridge's and Scheduler's examples
        ("cron(0 10 * * ? *)", ["2026-01-01T10:00", "2026-01-02T10:00"]),
        ("cron(15 12 * * ? *)", ["2026-01-01T12:15", "2026-01-02T12:15"]),
        ("cron(0 18 ? * MON-FRI *)", ["2026-01-01T18:00", "2026-01-02T18:00", "2026-01-05T18:00"]),
        ("cron(0 8 1 * ? *)", ["2026-01-01T08:00", "2026-02-01T08:00"]),
        ("cron(0/15 * * * ? *)", ["2026-01-01T00:15", "2026-01-01T00:30"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", ["2026-01-01T08:00", "2026-01-01T08:05"]),
        ("cron(0/30 20-2 ? * MON-FRI *)", ["2026-01-01T00:30", "2026-01-01T01:00", "2026-01-01T01:30"]),
        ("cron(0 9 ? * 2#1 *)", ["2026-01-05T09:00", "2026-02-02T09:00"]),
        ("cron(15 10 ? * 6L 2027-2028)", ["2027-01-29T10:15", "2027-02-26T10:15"]),
        # our own: every sign there is
        ("cron(0 0 L * ? *)", ["2026-01-31T00:00", "2026-02-28T00:00"]),
        ("cron(0 0 L-2 * ? *)", ["2026-01-29T00:00", "2026-02-26T00:00"]),
        ("cron(0 0 LW * ? *)", ["2026-01-30T00:00", "2026-02-27T00:00"]),
        ("cron(0 0 15W * ? *)", ["2026-01-15T00:00", "2026-02-16T00:00", "2026-03-16T00:00"]),
        ("cron(0 0 1W * ? *)", ["2026-02-02T00:00"]),
        ("cron(0 0 31W * ? *)", ["2026-01-30T00:00", "2026-03-31T00:00"]),
        ("cron(0 0 ? * L *)", ["2026-01-03T00:00", "2026-01-10T00:00"]),
        ("cron(0 0 ? * FRI-MON *)", ["2026-01-02T00:00", "2026-01-03T00:00", "2026-01-04T00:00", "2026-01-05T00:00"]),
        ("cron(0 0 ? * tue#5 *)", ["2026-03-31T00:00", "2026-06-30T00:00"]),
        ("cron(0 0 29 FEB ? *)", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("cron(0 0 1 nov-jan ? *)", ["2026-11-01T00:00", "2026-12-01T00:00", "2027-01-01T00:00"]),
        (
            "cron(1,2-4/2,58 0 1 2 ? *)",
            ["2026-02-01T00:01", "2026-02-01T00:02", "2026-02-01T00:04", "2026-02-01T00:58"],
        ),
        ("cron(0 0 30 2 ? *)", []),
        ("cron(0 0 1 1 ? 2025)", []),
        ("rate(5 minutes)", ["2026-01-01T00:05", "2026-01-01T00:10"]),
        ("rate(1 day)", ["2026-01-02T00:00", "2026-01-03T00:00"]),
        ("at(2026-12-31T23:59:59)", ["2026-12-31T23:59"]),
        ("at(2025-12-31T23:59:59)", []),
    ],
)
def test_expression_means_these_times(expression: str, expected: list[str]) -> None:
    """The first instants after the beginning of 2026, in UTC."""
    assert expected == fires(expression, max(len(expected), 1))


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "must be rate"),
        ("rate(5 minute)", "rate(5 minutes)"),
        ("rate(1 minutes)", "rate(1 minute)"),
        ("rate(0 minutes)", "from 1 up"),
        ("rate(5 seconds)", "no unit"),
        ("rate(1.5 hours)", "whole number"),
        ("rate(-1 hours)", "whole number"),
        ("rate(5  minutes)", "no unit"),
        ("rate(99999999999999 days)", "over 200 years"),
        ("RATE(5 minutes)", "in lower case"),
        ("rate(5 minutes", "nothing around"),
        ("cron(0 10 * * *)", "here are 5"),
        ("cron(0 10 * * * *)", "must be ?"),
        ("cron(0 10 ? * ? *)", "must be ?"),
        ("cron(60 10 * * ? *)", "minutes: 60"),
        ("cron(0 24 * * ? *)", "hours: 24"),
        ("cron(0 10 0 * ? *)", "day-of-month: 0"),
        ("cron(0 10 * 13 ? *)", "month: 13"),
        ("cron(0 10 ? * 8 *)", "day-of-week: 8"),
        ("cron(0 10 ? * MON#6 *)", "from 1 to 5"),
        ("cron(0 10 ? * BLA *)", "'BLA'"),
        ("cron(0 10 * * ? 1969)", "year: 1969"),
        ("cron(0 10 * * ? 2030-2026)", "backwards"),
        ("cron(0/0 10 * * ? *)", "the step"),
        ("cron(, 10 * * ? *)", "empty part"),
        ("cron(² 10 * * ? *)", "minutes"),
        ("at(2026-12-31T23:59:59Z)", "without a zone"),
        ("at(2026-02-30T00:00:00)", "no such time"),
        ("at(2026-01-01T24:00:00)", "no such time"),
        ("at(2026-01-01 00:00:00)", "yyyy-mm-ddThh:mm:ss"),
        ("at(1969-01-01T00:00:00)", "year: 1969"),
        ("at(9999-12-31T23:59:59)", "year: 9999"),
        ("cron(0 0 ? * 3#1,6#3 *)", "one expression only"),
        ("cron(0 0 ? * MON#0 *)", "from 1 to 5"),
        ("cron(0 0 ? * 15W *)", "day-of-week: '15W'"),
        ("cron(0 0 6#3 * ? *)", "day-of-month: '6#3'"),
        ("cron(0 0 32W * ? *)", "day-of-month: 32"),
        ("cron(0 0 W * ? *)", "day-of-month: ''"),
        ("cron(0 0 L-0 * ? *)", "day-of-month: 0"),
        ("cron(0 0 L-3W * ? *)", "day-of-month: '3W'"),
        ("cron(0 0 1-5W * ? *)", "day-of-month: '1-5'"),
        ("cron(? 0 * * ? *)", "minutes: '?'"),
        ("cron(L 0 * * ? *)", "minutes: 'L'"),
        ("cron(0 0 * JANUARY ? *)", "month: 'JANUARY'"),
        ("cron(0 0 * * ? 2200)", "year: 2200"),
        ("cron(*/ 0 * * ? *)", "the step"),
        ("cron(*/-5 0 * * ? *)", "the step"),
        ("cron(1-2-3 0 * * ? *)", "minutes: '2-3'"),
        ("cron(*-5 0 * * ? *)", "minutes: '*'"),
        ("cron(-5 0 * * ? *)", "minutes: ''"),
        ("cron()", "here are 0"),
        ("cron(0 10 * * ? * *)", "here are 7"),
        (" cron(0 10 * * ? *)", "nothing around"),
        ("rate(minutes)", "whole number"),
        ("rate(2 weeks)", "no unit"),
        ("0 10 * * ? *", "must be rate"),
    ],
)
def test_what_means_nothing_is_refused_in_aws_s_words(expression: str, why: str) -> None:
    """AWS's sentence first, then what exactly is wrong."""
    with pytest.raises(InvalidParameterValue) as caught:
        parse(expression)

    assert str(caught.value).startswith(f"Invalid Schedule Expression {expression}. (")
    assert why in str(caught.value)


def test_rules_have_words_of_their_own_and_know_no_at() -> None:
    """PutRule says it differently."""
    with pytest.raises(InvalidParameterValue, match=r"^Parameter ScheduleExpression is not valid\."):
        parse("at(2026-12-31T23:59:59)", dialect="rule")
    assert isinstance(parse("rate(1 hour)", dialect="rule"), Rate)
    assert isinstance(parse("cron(0 10 * * ? *)", dialect="rule"), Cron)


@pytest.mark.parametrize("dialect", ["scheduler", "rule"])
@pytest.mark.parametrize("text", [f"rate({'9' * 5000} minutes)", f"cron({'9' * 5000} 0 * * ? *)"])
def test_endless_expression_is_refused_by_its_length(text: str, dialect: str) -> None:
    """In the words of AWS's own check, and without repeating it all."""
    with pytest.raises(InvalidParameterValue, match="length less than or equal to 256") as caught:
        parse(text, dialect=dialect)

    assert 250 > len(str(caught.value))


def test_unknown_dialect_is_refused() -> None:
    """Or a misspelt one would quietly allow what the other forbids."""
    with pytest.raises(UsageError, match="'scheduler' or 'rule', not 'Rule'"):
        parse("rate(1 hour)", dialect="Rule")


def test_run_that_falls_into_the_gap_of_spring_is_skipped() -> None:
    """D: a time that does not exist does not fire; the days around it do."""
    found = fires("cron(30 2 * * ? *)", 3, after="2026-03-27T12:00", zone="Europe/Berlin")

    assert ["2026-03-28T02:30", "2026-03-30T02:30", "2026-03-31T02:30"] == found


@pytest.mark.parametrize(
    ("zone", "day", "local"),
    [
        ("Europe/Berlin", "2026-10-24T12:00", "2026-10-25T02:30"),
        ("America/New_York", "2026-10-31T12:00", "2026-11-01T01:30"),
        ("Australia/Lord_Howe", "2026-04-04T12:00", "2026-04-05T01:45"),
    ],
)
def test_time_that_exists_twice_fires_once_the_first_time(zone: str, day: str, local: str) -> None:
    """D: and the next run is a day later; where a clock goes back by half an hour too."""
    time = dt.datetime.fromisoformat(local)
    made = schedule(f"cron({time.minute} {time.hour} * * ? *)", name="s", timezone=zone)
    begin = dt.datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).timestamp()
    first, second = upcoming(made, begin, 2)

    assert time.replace(tzinfo=ZoneInfo(zone), fold=0).timestamp() == first
    assert 25 * 3600 >= second - first > 23 * 3600
    assert second == next_after(made, first + 1800)


def test_day_without_midnight_fires_at_none() -> None:
    """Beirut puts its clocks forward at midnight."""
    found = fires("cron(0 0 * * ? *)", 2, after="2026-03-28T12:00", zone="Asia/Beirut")

    assert ["2026-03-30T00:00", "2026-03-31T00:00"] == found


@pytest.mark.parametrize(
    ("zone", "after", "expected"),
    [
        ("America/New_York", "2026-03-08T01:30", ["2026-03-08T01:45", "2026-03-08T03:00", "2026-03-08T03:15"]),
        ("Australia/Lord_Howe", "2026-10-04T01:30", ["2026-10-04T01:45", "2026-10-04T02:30", "2026-10-04T02:45"]),
        ("America/Sao_Paulo", "2018-11-03T23:30", ["2018-11-03T23:45", "2018-11-04T01:00", "2018-11-04T01:15"]),
        ("Pacific/Apia", "2011-12-29T23:30", ["2011-12-29T23:45", "2011-12-31T00:00", "2011-12-31T00:15"]),
    ],
)
def test_gap_is_left_out_and_not_a_minute_more(zone: str, after: str, expected: list[str]) -> None:
    """Of an hour, of half an hour, over midnight, and of the day that Samoa never had."""
    assert expected == fires("cron(*/15 * * * ? *)", 3, after=after, zone=zone)


def test_repeated_hour_is_silent_the_second_time() -> None:
    """Whichever of its two passes one asks in."""
    made = schedule("cron(*/30 * * * ? *)", name="s", timezone="Europe/Berlin")
    first = dt.datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN).timestamp()
    three = dt.datetime(2026, 10, 25, 3, tzinfo=BERLIN).timestamp()

    assert [first + 900, three] == list(upcoming(made, first, 2))
    assert three == next_after(made, first + 3600) == next_after(made, first + 3600 + 1800)


def test_schedule_that_only_ever_falls_into_a_gap_ends() -> None:
    """Half past two on the last Sunday of March is never in Berlin; the search stops with the last year."""
    assert [] == fires("cron(* 2 ? 3 SUNL *)", 1, zone="Europe/Berlin")


@pytest.mark.parametrize("start", [2.0**31 - 1000.1, 1e9 + 0.3, 0.1])
def test_rate_goes_on_when_instants_lose_precision(start: float) -> None:
    """As they do in January 2038: no instant comes twice, and none is left out."""
    made = schedule("rate(7 minutes)", name="s", start=start)
    found = list(upcoming(made, start, 20))

    assert all(420 - 1e-3 < later - earlier < 420 + 1e-3 for earlier, later in itertools.pairwise(found))
    assert all(later == next_after(made, earlier) for earlier, later in itertools.pairwise(found))


def test_rate_ignores_daylight_saving() -> None:
    """A day is 24 hours."""
    made = schedule("rate(1 day)", name="s", timezone="Europe/Berlin")
    begin = dt.datetime(2026, 3, 28, 12, tzinfo=BERLIN).timestamp()

    assert begin + 86400 == next_after(made, begin)


def test_start_and_end_bound_a_schedule() -> None:
    """Both belong to it; a rate fires at its start and counts from there."""
    made = schedule("rate(1 hour)", name="s", start=START + 100, end=START + 100 + 7200)

    assert [START + 100, START + 3700, START + 7300] == list(upcoming(made, START, 9))
    assert START + 3700 == next_after(made, START + 101)


def test_naive_start_is_meant_in_the_schedule_s_zone() -> None:
    """As Scheduler's console has it."""
    made = schedule("rate(1 day)", name="s", timezone="Europe/Berlin", start=dt.datetime(2026, 7, 1, 8))  # noqa: DTZ001

    assert dt.datetime(2026, 7, 1, 6, tzinfo=dt.UTC).timestamp() == next_after(made, START)


def test_disabled_schedule_never_fires() -> None:
    """However long one waits."""
    assert next_after(schedule("rate(1 minute)", name="s", enabled=False), START) is None


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"timezone": "Berlin"}, "The time zone 'Berlin' is invalid"),
        ({"timezone": 5}, "time zone"),
        ({"timezone": "../etc/passwd"}, "time zone"),
        ({"flexible_minutes": 0}, "flexible_minutes takes a whole number from 1 to 1440"),
        ({"missed": "some"}, "missed takes"),
        ({"enabled": "yes"}, "enabled takes"),
        ({"maximum_retry_attempts": 186}, "from 0 to 185"),
        ({"maximum_event_age": 59}, "from 60 to 86400"),
        ({"start": "now"}, "start takes"),
        ({"start": 5.0, "end": 4.0}, "before its StartDate"),
        ({"input": {1, 2}}, "input takes what JSON can say"),
        ({"input": float("nan")}, "input takes"),
        ({"input": "x" * 262_144}, "carries up to 262,144"),
        ({"timezone": ""}, "time zone"),
        ({"timezone": "Europe"}, "time zone"),
        ({"timezone": None}, "time zone"),
        ({"interval": 5}, "unknown option 'interval'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], why: str) -> None:
    """By name, with what they take."""
    with pytest.raises(InvalidParameterValue, match=why.replace("(", r"\(").replace("'", ".")):
        schedule("rate(1 minute)", name="s", **options)


def test_all_faults_come_in_one_error() -> None:
    """So that nobody mends one after the other."""
    with pytest.raises(InvalidParameterValue) as caught:
        schedule("rate(5 minute)", name="no spaces", timezone="X", missed="?")

    assert 4 == len(str(caught.value).split(" · "))


def test_at_a_time_that_is_skipped_is_refused() -> None:
    """It could never fire."""
    with pytest.raises(InvalidParameterValue, match="no such time in Europe/Berlin"):
        schedule("at(2026-03-29T02:30:00)", name="s", timezone="Europe/Berlin")


# --- what is due --------------------------------------------------------------------------------------------------


def minutes(*numbers: float) -> tuple[float, ...]:
    return tuple(START + 60 * number for number in numbers)


@pytest.mark.parametrize(
    ("missed", "expected"),
    [("skip", minutes(10)), ("once", minutes(9, 10)), ("all", minutes(*range(1, 11)))],
)
def test_what_was_missed_is_up_to_the_schedule(missed: str, expected: tuple[float, ...]) -> None:
    """Ten minutes without a host: the last run is on time, nine were missed."""
    made = schedule("rate(1 minute)", name="s", missed=missed)
    found = due(made, START, START + 600, 1000)

    assert (expected, START + 600) == (found.fire, found.until)


def test_missed_runs_come_in_portions() -> None:
    """So that a year of them is not one transaction."""
    made = schedule("rate(1 minute)", name="s", missed="all")
    first = due(made, START, START + 600, 4)
    second = due(made, first.until, START + 600, 4)

    assert (minutes(1, 2, 3, 4), minutes(5, 6, 7, 8)) == (first.fire, second.fire)


def test_a_year_of_missed_runs_is_skipped_at_once() -> None:
    """A rate keeps its beat; the last one missed is found without walking through the others."""
    made = schedule("rate(7 minutes)", name="s", missed="once")
    now = START + 365 * 86400
    found = due(made, START, now, 1000)

    assert 1 == len(found.fire)
    assert 0 == (found.fire[0] - START) % 420 == (found.until - START) % 420
    assert now - 60 - 420 < found.fire[0] <= now - 60


def test_nothing_is_due_when_the_clock_went_back() -> None:
    """It waits until the time comes again; nothing fires twice."""
    for text in ("cron(0 * * * ? *)", "rate(7 minutes)"):
        made = schedule(text, name="s", missed="all")

        assert ((), START + 7200) == due(made, START + 7200, START, 1000)


@pytest.mark.parametrize(
    ("rate", "last", "count"),
    [
        ("rate(1 minute)", 2147483613.4860613, 4),
        ("rate(7 minutes)", 2147483561.1202624, 3),
        ("rate(1 hour)", 2147476174.6764967, 3),
        ("rate(1 day)", 2147464180.7686942, 5),
    ],
)
def test_no_run_is_doubled_when_instants_lose_precision(rate: str, last: float, count: int) -> None:
    """Looked at exactly when one is due, across January 2038: that one is dealt with."""
    made = schedule(rate, name="s", missed="all")
    instants = tuple(upcoming(made, last, count))
    found = due(made, last, instants[-1], 100)

    assert (instants, instants[-1]) == (found.fire, found.until)
    assert () == due(made, found.until, instants[-1], 100).fire


def test_due_of_nothing_at_once_is_refused() -> None:
    """It would never come to an end."""
    with pytest.raises(UsageError, match="from 1 up, not 0"):
        due(schedule("rate(1 minute)", name="s"), START, START + 60, 0)


def test_flexible_window_spreads_runs_the_same_way_everywhere() -> None:
    """Within the window, decided by name and instant alone."""
    made = schedule("rate(1 hour)", name="s", flexible_minutes=15)
    spread = [jitter(made, START + 3600 * n) for n in range(200)]

    assert all(0 <= one < 900 for one in spread)
    assert len(set(spread)) == 200
    assert spread == [
        jitter(schedule("rate(1 hour)", name="s", flexible_minutes=15), START + 3600 * n) for n in range(200)
    ]
    assert 0.0 == jitter(schedule("rate(1 hour)", name="s"), START)


def test_default_names_tell_schedules_apart() -> None:
    """The same declaration has the same name, another one another."""
    names = [
        default_name("f" * 64, text, options)
        for text in ("rate(1 hour)", "rate(2 hours)")
        for options in ({}, {"input": 1})
    ]

    assert 4 == len(set(names))
    assert names[0] == default_name("f" * 64, "rate(1 hour)", {})
    assert all(schedule("rate(1 hour)", name=name).name == name for name in names)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("rate(5 minutes)", "every 5 minutes"),
        ("at(2026-12-31T23:59:59)", "once, on 2026-12-31 at 23:59:59"),
        ("rate(1 day)", "every day"),
        ("cron(0 10 ? * MON-FRI *)", "at 10:00 on Monday to Friday"),
        ("cron(0 10 ? * 1,wed *)", "at 10:00 on Sunday and Wednesday"),
        ("cron(0,30 8,17 1 JAN ? 2027)", "at 08:00, 08:30, 17:00 and 17:30 on day 1 in January of 2027"),
        ("cron(0/5 8-17 * * ? *)", "every 5 minutes of hours 8 to 17 every day"),
        ("cron(* * * * ? *)", "every minute"),
        ("cron(* 9 * * ? *)", "every minute of hour 9 every day"),
        ("cron(0,30 * * * ? *)", "at minutes 0 and 30 of every hour every day"),
        ("cron(*/7 * * * ? *)", "every 7th minute from minute 0 of every hour every day"),
        ("cron(*/20 */2 * * ? *)", "every 20 minutes of every 2nd hour from hour 0 every day"),
        ("cron(0 0 L * ? *)", "at 00:00 on the last day of the month"),
        ("cron(0 0 LW * ? *)", "at 00:00 on the last weekday of the month"),
        ("cron(0 0 L-3 * ? *)", "at 00:00 on the day 3 days before the last of the month"),
        ("cron(0 0 L-1 * ? *)", "at 00:00 on the day 1 day before the last of the month"),
        ("cron(0 0 15W * ? *)", "at 00:00 on the weekday nearest to day 15"),
        ("cron(0 0 1-7/3 * ? *)", "at 00:00 on every 3rd day from day 1 to day 7"),
        ("cron(0 0 ? * L *)", "at 00:00 on Saturday"),
        ("cron(0 0 ? * FRIL 2027-2028)", "at 00:00 on the last Friday of the month in 2027 to 2028"),
        ("cron(0 0 ? 3,11-12 2#1 *)", "at 00:00 on the first Monday of the month in March and November to December"),
    ],
)
def test_expressions_can_be_said_in_english(expression: str, words: str) -> None:
    """For listings."""
    assert words == describe(parse(expression))


def test_sentences_name_the_time_zone_where_it_matters() -> None:
    """A rate knows none."""
    assert describe(parse("cron(0 10 * * ? *)"), "Europe/Berlin") == "at 10:00 every day, Europe/Berlin"
    assert describe(parse("at(2026-12-31T23:59:59)"), "UTC") == "once, on 2026-12-31 at 23:59:59, UTC"
    assert describe(parse("rate(2 hours)"), "Europe/Berlin") == "every 2 hours"


@pytest.fixture
def no_time_zones(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A system without time zone data, as some containers are."""
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.mark.usefixtures("no_time_zones")
def test_missing_time_zone_data_is_said_with_what_installs_it() -> None:
    """And UTC needs none."""
    with pytest.raises(UsageError, match=r"'Europe/Berlin' cannot be looked up.*pip install tzdata"):
        schedule("cron(0 10 * * ? *)", name="s", timezone="Europe/Berlin")

    assert START + 36_000 == next_after(schedule("cron(0 10 * * ? *)", name="s"), START)


def test_importing_lambdalite_loads_no_time_zones() -> None:
    """Nor does declaring a function."""
    code = "import sys, lambdalite\n@lambdalite.App().function\ndef f(event, context): ...\nprint('zoneinfo' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)

    assert "False" == done.stdout.strip()
