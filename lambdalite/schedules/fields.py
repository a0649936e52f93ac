"""The six fields of AWS's cron: what each may say, and what it then means.

A field is a list of parts: ``5``, ``1-5``, ``FRI-MON`` (ranges wrap), ``*``, ``*/15``, ``10/15`` (from ten on), ``1-30/2``.
The two fields of days also know ``?`` (no opinion: exactly one of them says it), ``L`` (the last), ``LW`` and ``15W`` (the
nearest weekday within the month), ``L-3`` (three days before the last), ``6L`` (the last Friday), ``6#3`` (the third).
"""

from __future__ import annotations

import calendar
import datetime as dt
import functools
from typing import NamedTuple, TypeAlias

__all__ = ["FIELDS", "Days", "Fault", "Field", "days_of_month", "parse_days", "parse_field"]

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class Fault(ValueError):
    """What is wrong with a field, in words for the one who wrote it."""


class Field(NamedTuple):
    """A field's name, its lowest and highest value, and the names that stand for values from the lowest up."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def value(self, text: str) -> int:
        """A number or a name.

        Raises:
            Fault: it is neither, or out of range.
        """
        upper = text.upper()
        if upper in self.names:
            return self.low + self.names.index(upper)
        if not (text.isascii() and text.isdigit()):
            also = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
            raise Fault(f"{self.name}: {text!r} is no number from {self.low} to {self.high}{also}")
        number = int(text)
        if not self.low <= number <= self.high:
            raise Fault(f"{self.name}: {number} is not from {self.low} to {self.high}")
        return number


MINUTES, HOURS = Field("minutes", 0, 59), Field("hours", 0, 23)
DAY_OF_MONTH, MONTH = Field("day-of-month", 1, 31), Field("month", 1, 12, _MONTHS)
DAY_OF_WEEK, YEAR = Field("day-of-week", 1, 7, _WEEKDAYS), Field("year", 1970, 2199)
FIELDS = (MINUTES, HOURS, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR)


def parse_field(text: str, field: Field) -> frozenset[int]:
    """The values that a field means.

    Raises:
        Fault: it means nothing.
    """
    found: set[int] = set()
    for part in text.split(","):
        found |= _part(part, field)
    return frozenset(found)


def _part(part: str, field: Field) -> set[int]:
    if not part:
        raise Fault(f"{field.name}: there is an empty part")
    base, slash, step_text = part.partition("/")
    if slash and not (step_text.isascii() and step_text.isdigit() and int(step_text)):
        raise Fault(f"{field.name}: the step of {part!r} is no number from 1 up")
    step = int(step_text) if slash else 1
    low_text, dash, high_text = base.partition("-")
    if base == "*":
        values = list(range(field.low, field.high + 1))
    elif dash:
        values = _range(field.value(low_text), field.value(high_text), field)
    else:
        first = field.value(base)
        values = list(range(first, field.high + 1)) if slash else [first]
    return set(values[::step])


def _range(low: int, high: int, field: Field) -> list[int]:
    if low <= high:
        return list(range(low, high + 1))
    if field is YEAR:
        raise Fault(f"{field.name}: {low}-{high} goes backwards, and years do not come round")
    return [*range(low, field.high + 1), *range(field.low, high + 1)]


# --- days ---------------------------------------------------------------------------------------------------------


class Days(NamedTuple):
    """Which days of a month: numbers, and rules that only a calendar can answer."""

    numbers: frozenset[int] = frozenset()  # days of the month
    weekdays: frozenset[int] = frozenset()  # 1 Sunday … 7 Saturday
    rules: tuple[tuple[str, int, int], ...] = ()  # (kind, value, count): see `_by_rule`


def parse_days(day: str, weekday: str) -> Days:
    """Both fields of days together.

    Raises:
        Fault: not exactly one of them is ``?``, or one means nothing.
    """
    if (day == "?") == (weekday == "?"):
        raise Fault("one of day-of-month and day-of-week must be ?, and the other must not")
    return _weekdays(weekday) if day == "?" else _numbers(day)


def _numbers(text: str) -> Days:
    numbers: set[int] = set()
    rules: list[tuple[str, int, int]] = []
    for part in text.split(","):
        upper = part.upper()
        if upper == "L":
            rules.append(("last", 0, 0))
        elif upper == "LW":
            rules.append(("last weekday", 0, 0))
        elif upper.startswith("L-"):
            rules.append(("last", DAY_OF_MONTH.value(part[2:]), 0))
        elif upper.endswith("W"):
            rules.append(("nearest weekday", DAY_OF_MONTH.value(part[:-1]), 0))
        else:
            numbers |= _part(part, DAY_OF_MONTH)
    return Days(numbers=frozenset(numbers), rules=tuple(rules))


def _weekdays(text: str) -> Days:
    weekdays: set[int] = set()
    rules: list[tuple[str, int, int]] = []
    parts = text.split(",")
    if "#" in text and len(parts) > 1:
        raise Fault(f"day-of-week: {text!r}: with # there is room for one expression only")  # D: "3#1,6#3" is not valid
    for part in parts:
        upper = part.upper()
        name, hash_, count = part.partition("#")
        if upper == "L":
            weekdays.add(7)  # the last day of the week: Saturday
        elif hash_:
            if count not in ("1", "2", "3", "4", "5"):
                raise Fault(f"day-of-week: {part!r}: after # comes a number from 1 to 5")
            rules.append(("nth", DAY_OF_WEEK.value(name), int(count)))
        elif upper.endswith("L") and len(part) > 1:
            rules.append(("nth", DAY_OF_WEEK.value(part[:-1]), -1))
        else:
            weekdays |= _part(part, DAY_OF_WEEK)
    return Days(weekdays=frozenset(weekdays), rules=tuple(rules))


def days_of_month(days: Days, year: int, month: int) -> tuple[int, ...]:
    """The days of one month that are meant, in order."""
    first = dt.date(year, month, 1).isoweekday() % 7 + 1  # 1 is Sunday, as AWS counts
    length = 29 if month == 2 and calendar.isleap(year) else _LENGTHS[month - 1]
    return _days_of(days, first, length)


@functools.lru_cache(maxsize=2048)
def _days_of(days: Days, first: int, length: int) -> tuple[int, ...]:
    """Of a month of ``length`` days that begins on weekday ``first``."""
    # There are only 28 kinds of months: remembering them makes looking centuries ahead cheap.
    found = {day for day in days.numbers if day <= length}
    if days.weekdays:
        found |= {day for day in range(1, length + 1) if _weekday(day, first) in days.weekdays}
    found |= {day for rule in days.rules if (day := _by_rule(rule, first, length))}
    return tuple(sorted(found))


def _weekday(day: int, first: int) -> int:
    return (first + day - 2) % 7 + 1


def _by_rule(rule: _Rule, first: int, length: int) -> int:
    """The day that a rule means in a month that begins on weekday ``first``; 0 if there is none."""
    kind, value, count = rule
    if kind == "last":
        return max(length - value, 0)
    if kind == "last weekday":
        return _nearest(length, first, length)
    if kind == "nearest weekday":
        return _nearest(value, first, length) if value <= length else 0
    start = (value - first) % 7 + 1  # the first of this weekday
    if count < 0:
        return start + (length - start) // 7 * 7
    day = start + (count - 1) * 7
    return day if day <= length else 0


def _nearest(day: int, first: int, length: int) -> int:
    """The weekday nearest to a day, in the same month."""
    weekday = _weekday(day, first)
    if weekday == 7:  # Saturday: Friday, unless that is last month's
        return day - 1 if day > 1 else day + 2
    if weekday == 1:  # Sunday: Monday, unless that is next month's
        return day + 1 if day < length else day - 2
    return day


_Rule: TypeAlias = tuple[str, int, int]
