"""Schedule expressions: ``rate(5 minutes)``, ``cron(0 10 ? * MON-FRI *)``, ``at(2026-12-31T23:59:59)``."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lambdalite.errors import InvalidParameterValue
from lambdalite.schedules.fields import FIELDS, Days, Fault, days_of_month, parse_days, parse_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["At", "Cron", "Expression", "Rate", "describe", "parse"]

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_LONGEST = 366 * 200 * 86400  # seconds; O: AWS does not say, and beyond it there is no date left to add it to
_AT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


class Rate(NamedTuple):
    """Every so many seconds."""

    text: str
    seconds: int


class At(NamedTuple):
    """Once, at a local time."""

    text: str
    local: dt.datetime


class Cron(NamedTuple):
    """At the local times that six fields allow."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: Days
    months: frozenset[int]
    years: tuple[int, ...]

    def local_times(self, start: dt.datetime) -> Iterator[dt.datetime]:
        """Every local time from the minute of ``start`` on, in order."""
        begin = (start.year, start.month, start.day)
        for year in self.years:
            if year < start.year:
                continue
            for month in range(1, 13):
                if month not in self.months or (year, month) < begin[:2]:
                    continue
                for day in days_of_month(self.days, year, month):
                    if (year, month, day) >= begin:
                        today = start if (year, month, day) == begin else None
                        yield from self._of_day(dt.datetime(year, month, day), today)  # noqa: DTZ001 - local

    def _of_day(self, day: dt.datetime, start: dt.datetime | None) -> Iterator[dt.datetime]:
        earliest = (0, 0) if start is None else (start.hour, start.minute)
        for hour in self.hours:
            if hour < earliest[0]:
                continue
            for minute in self.minutes:
                if (hour, minute) >= earliest:
                    yield day.replace(hour=hour, minute=minute)


Expression: TypeAlias = Rate | At | Cron


def parse(text: str, *, dialect: str = "scheduler") -> Expression:
    """What a schedule expression means.

    Args:
        text: the expression.
        dialect: ``"scheduler"`` (EventBridge Scheduler) or ``"rule"`` (an EventBridge rule, which knows no ``at``): whose
            words an error begins with.

    Raises:
        InvalidParameterValue: AWS's sentence, then what exactly is wrong.
    """
    try:
        if not isinstance(text, str):
            raise Fault(f"it must be text, not {type(text).__name__}")
        kind, bracket, rest = text.partition("(")
        reader = _READERS.get(kind)
        if reader is None or not bracket or not rest.endswith(")") or (kind == "at" and dialect == "rule"):
            allowed = "rate(…) or cron(…)" if dialect == "rule" else "rate(…), cron(…) or at(…)"
            raise Fault(f"it must be {allowed}, in lower case and with nothing around")
        return reader(text, rest[:-1])
    except Fault as fault:
        words = (
            "Parameter ScheduleExpression is not valid."
            if dialect == "rule"
            else f"Invalid Schedule Expression {text}."
        )
        raise InvalidParameterValue(f"{words} ({fault})") from None


def _rate(text: str, inside: str) -> Rate:
    value, space, unit = inside.partition(" ")
    if not (value.isascii() and value.isdigit() and space) or int(value) < 1:
        raise Fault("rate takes a whole number from 1 up, a space, and a unit, such as rate(5 minutes)")
    number, singular = int(value), unit.removesuffix("s")
    if singular not in _UNITS:
        raise Fault(f"{unit!r} is no unit: minute(s), hour(s) or day(s)")
    if unit != (singular if number == 1 else f"{singular}s"):
        raise Fault(f"AWS insists on grammar: rate({number} {singular if number == 1 else singular + 's'})")
    seconds = number * _UNITS[singular]
    if seconds > _LONGEST:
        raise Fault(f"{number} {unit} are over 200 years")
    return Rate(text, seconds)


def _at(text: str, inside: str) -> At:
    if not _AT.fullmatch(inside):
        raise Fault("at takes yyyy-mm-ddThh:mm:ss, without a zone: the schedule's own time zone counts")
    try:
        return At(text, dt.datetime.fromisoformat(inside))
    except ValueError as error:
        raise Fault(f"there is no such time: {error}") from None


def _cron(text: str, inside: str) -> Cron:
    parts = inside.split()
    if len(parts) != len(FIELDS):
        names = " ".join(field.name for field in FIELDS)
        raise Fault(f"cron takes six fields ({names}), and here are {len(parts)}")
    minutes, hours, _, month, _, year = (
        frozenset() if field.name.startswith("day") else parse_field(part, field)
        for part, field in zip(parts, FIELDS, strict=True)
    )
    days = parse_days(parts[2], parts[4])
    return Cron(text, tuple(sorted(minutes)), tuple(sorted(hours)), days, month, tuple(sorted(year)))


_READERS: dict[str, Callable[[str, str], Expression]] = {"rate": _rate, "at": _at, "cron": _cron}


# --- for people ---------------------------------------------------------------------------------------------------


def describe(expression: Expression) -> str:
    """One line of English, such as ``at 10:00 on MON-FRI``."""
    if isinstance(expression, Rate):
        return expression.text.removeprefix("rate(").removesuffix(")").join(("every ", ""))
    if isinstance(expression, At):
        return f"once, on {expression.local:%Y-%m-%d at %H:%M:%S}"
    minutes, hours, day, month, weekday, year = expression.text.removeprefix("cron(").removesuffix(")").split()
    if len(expression.hours) * len(expression.minutes) <= 4:
        when = "at " + ", ".join(f"{hour:02}:{minute:02}" for hour in expression.hours for minute in expression.minutes)
    else:
        every = "every minute" if minutes == "*" else f"at minute {minutes}"
        when = f"{every} of every hour" if hours == "*" else f"{every} of hour {hours}"
    which = f"on {weekday.upper()}" if day == "?" else f"on day {day}" if day != "*" else "every day"
    if weekday == "*":
        which = "every day"
    rest = [] if month == "*" else [f"in month {month.upper()}"]
    rest += [] if year == "*" else [f"in {year}"]
    return " ".join([when, which, *rest])
