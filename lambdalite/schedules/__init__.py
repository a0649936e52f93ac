"""When things happen: EventBridge's schedule expressions, and schedules made of them. Pure: no clock, no thread.

docs/reference/schedules.md says exactly what every expression means.
"""

from __future__ import annotations

from lambdalite.schedules.describe import describe
from lambdalite.schedules.expression import At, Cron, Expression, Rate, parse
from lambdalite.schedules.schedule import Due, Schedule, default_name, due, jitter, next_after, schedule, upcoming

__all__ = [
    "At",
    "Cron",
    "Due",
    "Expression",
    "Rate",
    "Schedule",
    "default_name",
    "describe",
    "due",
    "jitter",
    "next_after",
    "parse",
    "schedule",
    "upcoming",
]
