"""What is logged, counted and billed, and who may listen; standard library only, and nothing of it slows an invocation.

Names are bound when first used: whoever needs the lines of one outcome does not load the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambdalite.observe.bill import Bill
    from lambdalite.observe.events import (
        EnvironmentStarted,
        EnvironmentStopped,
        EventAccepted,
        EventSettled,
        InvocationDone,
        Observers,
        RecordDelivered,
        Throttled,
    )
    from lambdalite.observe.lines import Report
    from lambdalite.observe.logs import LogEvent, LogStore
    from lambdalite.observe.metrics import Metrics
    from lambdalite.observe.observatory import Observatory
    from lambdalite.observe.tail import Tail

__all__ = [
    "Bill",
    "EnvironmentStarted",
    "EnvironmentStopped",
    "EventAccepted",
    "EventSettled",
    "InvocationDone",
    "LogEvent",
    "LogStore",
    "Metrics",
    "Observatory",
    "Observers",
    "RecordDelivered",
    "Report",
    "Tail",
    "Throttled",
]

_HOMES = {
    "Bill": "bill",
    "LogEvent": "logs",
    "LogStore": "logs",
    "Metrics": "metrics",
    "Observatory": "observatory",
    "Report": "lines",
    "Tail": "tail",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'events')}"), name)
