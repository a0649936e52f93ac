"""AWS Lambda as a pure-Python library: enforced limits, AWS's own words, no Docker, no daemon, no account.

Names are bound on first use, so ``import lambdalite`` costs next to nothing, and an environment never pays for what only
the host needs.
"""

from __future__ import annotations

from lambdalite import runtime as _runtime

TYPE_CHECKING = False  # type checkers take it for typing's; importing that would be nine tenths of our import time
if TYPE_CHECKING:
    from typing import Any

    from lambdalite.app import App
    from lambdalite.clock import ManualClock, SystemClock
    from lambdalite.default import default_app, function, load, on_schedule
    from lambdalite.engine.deliver import Record, Sink
    from lambdalite.errors import (
        EnvironmentExited,
        EventDropped,
        FunctionError,
        FunctionTimeout,
        HandlerError,
        InitError,
        InternalError,
        InvalidParameterValue,
        InvalidRequestContent,
        LambdaliteError,
        OutOfMemory,
        RequestTooLarge,
        ResourceConflict,
        ResourceNotFound,
        ResponseNotSerializable,
        ResponseTooLarge,
        SandboxUnavailable,
        ServiceError,
        ServiceException,
        TooManyRequests,
        UsageError,
    )
    from lambdalite.functions import Function
    from lambdalite.model.outcome import Failure, Outcome
    from lambdalite.runtime.client import current_app
    from lambdalite.sent import SentEvent

__version__ = "0.1.0"

_HOME = {
    "App": "app",
    "EnvironmentExited": "errors",
    "EventDropped": "errors",
    "Failure": "model.outcome",
    "Function": "functions",
    "FunctionError": "errors",
    "FunctionTimeout": "errors",
    "HandlerError": "errors",
    "InitError": "errors",
    "InternalError": "errors",
    "InvalidParameterValue": "errors",
    "InvalidRequestContent": "errors",
    "LambdaliteError": "errors",
    "ManualClock": "clock",
    "OutOfMemory": "errors",
    "Outcome": "model.outcome",
    "Record": "engine.deliver",
    "RequestTooLarge": "errors",
    "ResourceConflict": "errors",
    "ResourceNotFound": "errors",
    "ResponseNotSerializable": "errors",
    "ResponseTooLarge": "errors",
    "SandboxUnavailable": "errors",
    "SentEvent": "sent",
    "ServiceError": "errors",
    "ServiceException": "errors",
    "Sink": "engine.deliver",
    "SystemClock": "clock",
    "TooManyRequests": "errors",
    "UsageError": "errors",
    "current_app": "runtime.client",
    "default_app": "default",
    "function": "default",
    "load": "default",
    "on_schedule": "default",
}

__all__ = [
    "App",
    "EnvironmentExited",
    "EventDropped",
    "Failure",
    "Function",
    "FunctionError",
    "FunctionTimeout",
    "HandlerError",
    "InitError",
    "InternalError",
    "InvalidParameterValue",
    "InvalidRequestContent",
    "LambdaliteError",
    "ManualClock",
    "OutOfMemory",
    "Outcome",
    "Record",
    "RequestTooLarge",
    "ResourceConflict",
    "ResourceNotFound",
    "ResponseNotSerializable",
    "ResponseTooLarge",
    "SandboxUnavailable",
    "SentEvent",
    "ServiceError",
    "ServiceException",
    "Sink",
    "SystemClock",
    "TooManyRequests",
    "UsageError",
    "current_app",
    "default_app",
    "function",
    "load",
    "on_schedule",
]


def __getattr__(name: str) -> Any:
    """Bind a public name on first use."""
    if _runtime.IN_CHILD and not name.startswith("__"):
        from lambdalite.runtime import inert

        found = inert.current(name)
        if found is not None:
            return found
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'lambdalite' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"lambdalite.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
