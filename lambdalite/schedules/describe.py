"""Schedule expressions in English, one sentence each, for listings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lambdalite.schedules.expression import At, Rate
from lambdalite.schedules.fields import DAY_OF_MONTH, DAY_OF_WEEK, HOURS, MINUTES, MONTH, YEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lambdalite.schedules.expression import Cron, Expression
    from lambdalite.schedules.fields import Field

__all__ = ["describe"]

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_NTH = ("last", "first", "second", "third", "fourth", "fifth")
_TIMES = 4  # O: so many times of day are listed one by one; more are told by their rule


def describe(expression: Expression, timezone: str | None = None) -> str:
    """One line of English.

    Args:
        expression: what `parse` gave.
        timezone: named at the end, unless the expression is a rate, which knows none.

    Returns:
        Such as ``at 10:00 on Monday to Friday, UTC``.
    """
    if isinstance(expression, Rate):
        return _rate(expression)
    zone = "" if timezone is None else f", {timezone}"
    if isinstance(expression, At):
        return f"once, on {expression.local:%Y-%m-%d at %H:%M:%S}{zone}"
    told = (_time(expression), _days(expression), _season(expression))
    return " ".join(filter(None, told)).replace("every minute every day", "every minute") + zone


def _rate(expression: Rate) -> str:
    number, unit = expression.text.removeprefix("rate(").removesuffix(")").split()
    return f"every {unit}" if int(number) == 1 else f"every {int(number)} {unit}"


def _fields(expression: Cron) -> list[str]:
    return expression.text.removeprefix("cron(").removesuffix(")").upper().split()


def _time(expression: Cron) -> str:
    """The times of day."""
    minutes, hours, *_ = _fields(expression)
    if len(expression.hours) * len(expression.minutes) <= _TIMES:
        times = [f"{hour:02}:{minute:02}" for hour in expression.hours for minute in expression.minutes]
        return f"at {_listed(times)}"
    step = re.fullmatch(r"(?:\*|0)/(\d+)", minutes)
    if len(expression.minutes) == MINUTES.high + 1:
        when = "every minute"
    elif step and (MINUTES.high + 1) % int(step[1]) == 0:
        when = f"every {int(step[1])} minutes"
    else:
        told = _spoken(minutes, MINUTES, "minute")
        when = told if told.startswith("every") else f"at {told}"
        if len(expression.hours) == HOURS.high + 1:
            return f"{when} of every hour"
    if len(expression.hours) == HOURS.high + 1:
        return when
    return f"{when} of {_spoken(hours, HOURS, 'hour')}"


def _days(expression: Cron) -> str:
    _, _, day, _, weekday, _ = _fields(expression)
    if "*" in {day, weekday}:
        return "every day"
    if weekday == "?":
        return f"on {_listed([_day(part) for part in day.split(',')])}"
    return f"on {_listed([_weekday(part) for part in weekday.split(',')])}"


def _day(part: str) -> str:
    """A part of the field day-of-month."""
    if part == "L":
        return "the last day of the month"
    if part == "LW":
        return "the last weekday of the month"
    if part.startswith("L-"):
        count = int(part[2:])
        return f"the day {count} {'day' if count == 1 else 'days'} before the last of the month"
    if part.endswith("W"):
        return f"the weekday nearest to day {int(part[:-1])}"
    return _part(part, DAY_OF_MONTH, lambda value: f"day {value}", "day")


def _weekday(part: str) -> str:
    """A part of the field day-of-week."""
    if part == "L":
        return _WEEKDAYS[-1]
    name, hash_, count = part.partition("#")
    if hash_ or part.endswith("L"):
        weekday = _WEEKDAYS[DAY_OF_WEEK.value(name.removesuffix("L")) - 1]
        return f"the {_NTH[int(count or 0)]} {weekday} of the month"
    return _part(part, DAY_OF_WEEK, lambda value: _WEEKDAYS[value - 1], "day")


def _season(expression: Cron) -> str:
    """Months and years, unless all."""
    *_, month, _, year = _fields(expression)
    told = []
    if month != "*":
        told.append(f"in {_listed([_part(one, MONTH, lambda v: _MONTHS[v - 1], 'month') for one in month.split(',')])}")
    if year != "*":
        told.append(f"{'of' if told else 'in'} {_listed([_part(one, YEAR, str, 'year') for one in year.split(',')])}")
    return " ".join(told)


def _spoken(text: str, field: Field, noun: str) -> str:
    """A field of plain numbers."""
    if re.fullmatch(r"[\d,]+", text):
        values = [str(int(part)) for part in text.split(",")]
        return f"{noun if len(values) == 1 else noun + 's'} {_listed(values)}"
    if re.fullmatch(r"\d+-\d+", text):
        low, high = map(int, text.split("-"))
        return f"{noun}s {low} to {high}"
    return _listed([_part(part, field, lambda value: f"{noun} {value}", noun) for part in text.split(",")])


def _part(part: str, field: Field, say: Callable[[int], str], noun: str) -> str:
    """A number, a range, or steps."""
    base, _, step = part.partition("/")
    low, _, high = base.partition("-")
    if base == "*":
        told = say(field.low) if step else f"any {noun}"
    elif high:
        told = f"{say(field.value(low))} to {say(field.value(high))}"
    else:
        told = say(field.value(low))
    if not step or int(step) == 1:
        return told
    return f"every {_ordinal(int(step))} {noun} from {told}"


def _ordinal(number: int) -> str:
    tail = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{tail}"


def _listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
