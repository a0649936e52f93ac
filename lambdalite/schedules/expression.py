"""Schedule expressions: ``rate(5 minutes)``, ``cron(0 10 ? * MON-FRI *)``, ``at(2026-12-31T23:59:59)``."""

from __future__ import annotations

import bisect
import datetime as dt
import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from lambdalite.errors import InvalidParameterValue, UsageError
from lambdalite.schedules.fields import FIELDS, YEAR, Days, Fault, days_of_month, parse_days, parse_field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["At", "Cron", "Expression", "Rate", "parse"]

_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_LONGEST = 366 * 200 * 86400  # seconds; O: AWS does not say, and beyond it there is no date left to add it to
_LENGTH = 256  # B: ScheduleExpression, of Scheduler and of rules
_AT = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})", re.ASCII)


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
    months: tuple[int, ...]
    years: tuple[int, ...]

    def local_times(self, start: dt.datetime) -> Iterator[dt.datetime]:
        """Every local time from the minute of ``start`` on, in order."""
        begin = (start.year, start.month, start.day)
        for year in self.years[bisect.bisect_left(self.years, start.year) :]:
            for month in self.months:
                if (year, month) < begin[:2]:
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
        UsageError: there is no such dialect.
    """
    if dialect not in {"scheduler", "rule"}:
        raise UsageError(f"dialect takes 'scheduler' or 'rule', not {dialect!r}")
    if isinstance(text, str) and len(text) > _LENGTH:
        raise InvalidParameterValue(
            f"1 validation error detected: Value '{text[:40]}…' at 'scheduleExpression' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_LENGTH}"
        )
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
    found = _AT.fullmatch(inside)
    if not found:
        raise Fault("at takes yyyy-mm-ddThh:mm:ss, without a zone: the schedule's own time zone counts")
    year, month, day, hour, minute, second = map(int, found.groups())
    if not YEAR.low <= year <= YEAR.high:  # O: AWS does not say; as cron
        raise Fault(f"year: {year} is not from {YEAR.low} to {YEAR.high}")
    try:
        return At(text, dt.datetime(year, month, day, hour, minute, second))  # noqa: DTZ001 - local
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
    return Cron(text, tuple(sorted(minutes)), tuple(sorted(hours)), days, tuple(sorted(month)), tuple(sorted(year)))


_READERS: dict[str, Callable[[str, str], Expression]] = {"rate": _rate, "at": _at, "cron": _cron}
