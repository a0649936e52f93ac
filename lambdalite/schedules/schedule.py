"""A schedule: an expression, the time zone that it is meant in, and what happens to what was missed."""

from __future__ import annotations

import bisect
import datetime as dt
import hashlib
import itertools
import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import attrs

from lambdalite.errors import InvalidParameterValue, UsageError
from lambdalite.schedules.expression import At, Rate, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lambdalite.schedules.expression import Cron, Expression

__all__ = ["Due", "Schedule", "default_name", "due", "jitter", "next_after", "schedule", "upcoming"]

_NAME = re.compile(r"[0-9a-zA-Z-_.]{1,64}")  # B: Scheduler's Name
_WINDOW = (1, 1440)  # B: FlexibleTimeWindow.MaximumWindowInMinutes
_RETRIES = (0, 185)  # B: RetryPolicy.MaximumRetryAttempts
_AGE = (60, 86_400)  # B: RetryPolicy.MaximumEventAgeInSeconds
_INPUT = 262_144  # B: Target.Input, bytes
PUNCTUAL = 60.0  # O: seconds after its instant in which a run is on time and not missed; D: AWS promises a minute


@attrs.frozen(kw_only=True, repr=False)
class Schedule:
    """When a function is invoked. Make it with `schedule`, which checks everything.

    Attributes:
        expression: what `parse` made of the text.
        name: unique among the schedules of a store, up to 64 characters.
        timezone: IANA name that local times are meant in; ``rate`` knows no zone.
        start: nothing fires before it, seconds since the epoch; a rate counts from it, and fires at it.
        end: nothing fires after it.
        flexible_minutes: each run comes at a random moment within so many minutes, the same on every host; None: at once.
        input: the event as JSON bytes; None: EventBridge's own.
        missed: runs while no host was up: ``"skip"``, ``"once"`` for all of them together, or ``"all"``.
        enabled: False: fires nothing, and what passes meanwhile is not missed.
        maximum_retry_attempts: for its events, 0 to 185; None: as the function says.
        maximum_event_age: for its events, seconds, 60 to 86,400; None: as the function says.
    """

    expression: Expression
    name: str
    timezone: str = "UTC"
    start: float | None = None
    end: float | None = None
    flexible_minutes: int | None = None
    input: bytes | None = None
    missed: str = "skip"
    enabled: bool = True
    maximum_retry_attempts: int | None = None
    maximum_event_age: int | None = None
    zone: dt.tzinfo = attrs.field(eq=False)

    def __repr__(self) -> str:
        off = "" if self.enabled else ", disabled"
        return f"<Schedule {self.name} {self.expression.text} {self.timezone}{off}>"


class Due(NamedTuple):
    """What `due` found.

    Attributes:
        fire: the instants to fire for, in order.
        until: up to where the schedule has then been dealt with.
    """

    fire: tuple[float, ...]
    until: float


def schedule(expression: str, *, name: str, **options: Any) -> Schedule:
    """Check everything and make a schedule.

    Args:
        expression: ``rate(…)``, ``cron(…)`` or ``at(…)``.
        name: see `Schedule`.
        **options: see `Schedule`; ``start`` and ``end`` take a datetime (without a zone: the schedule's own) or
            seconds since the epoch, ``input`` anything that JSON can say.

    Raises:
        InvalidParameterValue: with every fault in one message.
    """
    known = {field.name for field in attrs.fields(Schedule)} - {"expression", "name", "zone"}
    faults = [f"unknown option '{one}': use one of {', '.join(sorted(known))}" for one in options if one not in known]
    parsed = None
    try:
        parsed = parse(expression)
    except InvalidParameterValue as error:
        faults.append(str(error))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        faults.append(f"Value '{name}' at 'name' failed to satisfy constraint: Member must satisfy regular expression "
                      f"pattern: ^{_NAME.pattern}$")  # fmt: skip
    zone = None
    try:
        zone = _zone(options.get("timezone", "UTC"))
    except InvalidParameterValue as error:
        faults.append(str(error))
    made = dict(options)
    for option in ("start", "end"):
        if zone is not None and options.get(option) is not None:
            try:
                made[option] = _moment(option, options[option], zone)
            except InvalidParameterValue as error:
                faults.append(str(error))
    faults += _check(made)
    if not faults and isinstance(parsed, At) and _timestamp(parsed.local, zone) is None:
        faults.append(f"Invalid Schedule Expression {expression}. (there is no such time in {made.get('timezone', 'UTC')}: "
                      "clocks are put forward over it)")  # fmt: skip
    if faults or parsed is None or zone is None:
        raise InvalidParameterValue(" · ".join(faults))
    if made.get("input") is not None:
        made["input"] = json.dumps(made["input"], allow_nan=False).encode()
    return Schedule(expression=parsed, name=name, zone=zone, **made)


def default_name(function: str, expression: str, options: Mapping[str, Any]) -> str:
    """A name for a schedule without one: the same whenever it is declared the same, another for every other one."""
    told = "/".join([expression, *(f"{name}={options[name]!r}" for name in sorted(options))])
    return f"{function[:55]}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def _check(options: dict[str, Any]) -> Iterable[str]:
    for option, low, high in (
        ("flexible_minutes", *_WINDOW), ("maximum_retry_attempts", *_RETRIES), ("maximum_event_age", *_AGE)
    ):  # fmt: skip
        value = options.get(option)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high):
            yield f"{option} takes a whole number from {low} to {high}, not {value!r}"
    if options.get("missed", "skip") not in ("skip", "once", "all"):
        yield f"missed takes 'skip', 'once' or 'all', not {options['missed']!r}"
    if not isinstance(options.get("enabled", True), bool):
        yield f"enabled takes True or False, not {options['enabled']!r}"
    start, end = options.get("start"), options.get("end")
    if isinstance(start, float) and isinstance(end, float) and end < start:
        yield "The EndDate you specified is before its StartDate"
    if options.get("input") is not None:
        try:
            size = len(json.dumps(options["input"], allow_nan=False).encode())
        except (TypeError, ValueError, RecursionError) as error:
            yield f"input takes what JSON can say: {error}"
        else:
            if size > _INPUT:
                yield f"input is {size:,} bytes of JSON, and a schedule carries up to {_INPUT:,}: pass a key to it instead"


def _zone(name: Any) -> dt.tzinfo:
    if name == "UTC":
        return dt.UTC  # needs no time zone data, which a small container may be without
    import zoneinfo  # here, since reading the zones of a whole application costs more than most applications want

    try:
        if not isinstance(name, str):
            raise zoneinfo.ZoneInfoNotFoundError(name)
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        if not zoneinfo.available_timezones():
            raise UsageError(
                f"the time zone {name!r} cannot be looked up, since this system has no time zone data: pip install tzdata"
            ) from None
        raise InvalidParameterValue(
            f"The time zone {name!r} is invalid: give an IANA name such as Europe/Berlin"
        ) from None


def _moment(option: str, value: Any, zone: dt.tzinfo) -> float:
    if isinstance(value, dt.datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=zone)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e11:
        raise InvalidParameterValue(f"{option} takes a datetime, or seconds since the epoch, not {value!r}")
    return float(value)


# --- when ---------------------------------------------------------------------------------------------------------


def next_after(given: Schedule, after: float, anchor: float | None = None) -> float | None:
    """The first instant after ``after`` at which it fires, seconds since the epoch; None if there is none.

    Args:
        given: the schedule.
        after: seconds since the epoch.
        anchor: for a rate without a start: an instant that it has fired at, or began at; ``after`` if left out.
    """
    if not given.enabled:
        return None
    # The start itself may fire.
    floor = after if given.start is None else max(after, math.nextafter(given.start, -math.inf))
    expression = given.expression
    if isinstance(expression, Rate):
        found: float | None = _next_rate(expression.seconds, given.start, floor, after if anchor is None else anchor)
    elif isinstance(expression, At):
        found = _timestamp(expression.local, given.zone)
        found = found if found is not None and found > floor else None
    else:
        found = _next_cron(expression, given.zone, floor)
    return None if found is None or (given.end is not None and found > given.end) else found


def _next_rate(seconds: int, start: float | None, floor: float, anchor: float) -> float:
    begin = anchor + seconds if start is None else start
    if begin > floor:
        return begin
    count = int((floor - begin) // seconds)
    # A sum may round down to the floor itself (instants lose a bit in January 2038), and would then come for ever.
    while (found := begin + count * seconds) <= floor:
        count += 1
    return found


def _next_cron(expression: Cron, zone: dt.tzinfo, floor: float) -> float | None:
    """In local order, which is also the order of the instants: of a repeated hour only the first time counts."""
    try:
        local = dt.datetime.fromtimestamp(floor, zone).replace(tzinfo=None)
    except (OverflowError, ValueError):
        return None
    resume = local.replace(second=0, microsecond=0)
    for time in expression.local_times(local):
        if time < resume:
            continue
        found = _timestamp(time, zone)
        if found is None:
            resume = _after_gap(time, zone)
        elif found > floor:
            return found
    return None


def _after_gap(local: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """The first minute that exists again after a local time that clocks are put forward over."""
    before, after = (local.replace(tzinfo=zone, fold=fold).utcoffset() or dt.timedelta() for fold in (0, 1))
    longest = range(int((after - before).total_seconds()) // 60 + 1)

    def exists(minutes: int) -> bool:
        return _timestamp(local + dt.timedelta(minutes=minutes), zone) is not None

    return local + dt.timedelta(minutes=bisect.bisect_left(longest, True, key=exists))


def _timestamp(local: dt.datetime, zone: dt.tzinfo | None) -> float | None:
    """A local time's instant, the first if there are two; None if clocks are put forward over it.

    D: Scheduler skips a run that falls on a time that does not exist, and runs once at a time that exists twice.
    """
    aware = local.replace(tzinfo=zone)
    instant = aware.timestamp()
    return instant if dt.datetime.fromtimestamp(instant, zone).replace(tzinfo=None) == local else None


def upcoming(given: Schedule, after: float, count: int, anchor: float | None = None) -> Iterator[float]:
    """The next ``count`` instants after ``after``."""
    anchor = after if anchor is None else anchor
    for _ in range(count):
        found = next_after(given, after, anchor)
        if found is None:
            return
        yield found
        after = found


def due(given: Schedule, last: float, now: float, most: int) -> Due:
    """What to fire for, of the instants after ``last`` up to ``now``: those on time, and of the missed what it wants.

    Args:
        given: the schedule.
        last: up to which instant it has been dealt with; for a rate without a start what it counts from.
        now: seconds since the epoch.
        most: how many at once, from 1 up; the rest comes with the next call, from ``until`` on.

    Returns:
        The instants, and up to where it has then been dealt with: never before ``last``, even if the clock went back.

    Raises:
        UsageError: ``most`` is less than 1.
    """
    if most < 1:
        raise UsageError(f"most takes a number from 1 up, not {most!r}")
    on_time = now - PUNCTUAL
    begin = last
    fire: list[float] = []
    if given.missed != "all" and last < on_time:
        begin = on_time
        if given.missed == "once":
            missed = _latest(given, last, on_time)
            fire += [] if missed is None else [missed]
    fire += itertools.takewhile(lambda instant: instant <= now, upcoming(given, begin, most, last))
    if len(fire) >= most:
        return Due(tuple(fire), fire[-1])
    return Due(tuple(fire), max(last, _grid(given, last, now), *fire))


def _grid(given: Schedule, last: float, now: float) -> float:
    """``now``, for a rate without a start the last instant before it: the next one counts from there."""
    if isinstance(given.expression, Rate) and given.start is None:
        seconds = given.expression.seconds
        instant = last + (now - last) // seconds * seconds
        return instant if instant <= now else instant - seconds  # a difference may be rounded up
    return now


def _latest(given: Schedule, after: float, until: float) -> float | None:
    """The latest instant in (after, until]. Looked for backwards in growing steps, so that a year costs no more than a day."""
    step = PUNCTUAL
    while True:
        begin = max(until - step, after)
        found = None
        moment = next_after(given, begin, after)
        while moment is not None and moment <= until:
            found, moment = moment, next_after(given, moment, after)
        if found is not None or begin <= after:
            return found
        step *= 16


def jitter(given: Schedule, instant: float) -> float:
    """How long after an instant its run comes, seconds: within the flexible window, and the same on every host."""
    if given.flexible_minutes is None:
        return 0.0
    digest = hashlib.sha256(f"{given.name}/{instant!r}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 * given.flexible_minutes * 60
