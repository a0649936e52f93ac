"""What callers give, checked and put into the engine's terms: pure functions, each with its errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from lambdalite import limits
from lambdalite.engine.capacity import FOREVER
from lambdalite.errors import InvalidParameterValue, InvalidRequestContent, UsageError
from lambdalite.runtime import marshal

if TYPE_CHECKING:
    from lambdalite.model.invocation import Invocation

__all__ = [
    "NO_EVENT",
    "add_extras",
    "check_callback",
    "check_counts",
    "check_durability",
    "check_handler",
    "check_name",
    "default_name",
    "encode",
    "is_redefinition",
    "patience",
    "seconds",
]

#: No event was given: the handler sees ``{}``, as on AWS.
NO_EVENT: Any = object()


def check_counts(*, concurrency: Any, spares: Any, async_concurrency: Any = 1) -> None:
    """Refuse an App's numbers that are no whole numbers, too small or too large.

    Raises:
        InvalidParameterValue: which one, and what it takes.
    """
    for name, value, low in (
        ("concurrency", concurrency, 1),
        ("spares", spares, 0),
        ("async_concurrency", async_concurrency, 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise InvalidParameterValue(f"App({name}=…) takes a whole number from {low} up, not {value!r}")
    if spares > limits.SPARES_MOST:
        raise InvalidParameterValue(
            f"App(spares=…) takes at most {limits.SPARES_MOST}, not {spares}: each is a process that waits. For a function "
            "that needs more at hand there is provisioned_concurrency"
        )


def check_durability(durability: Any) -> None:
    """Refuse what is no durability.

    Raises:
        InvalidParameterValue: with the two that there are.
    """
    if durability not in ("power-loss", "process-crash"):
        raise InvalidParameterValue(f"App(durability=…) takes 'power-loss' or 'process-crash', not {durability!r}")


def check_handler(handler: Any) -> None:
    """Refuse what is neither a callable nor a handler string.

    Raises:
        UsageError: with what it is.
    """
    if not callable(handler) and not isinstance(handler, str):
        raise UsageError(f"a handler is a callable of (event, context), not {handler!r}")


def check_name(name: Any) -> None:
    """Refuse what cannot be a function's name.

    Raises:
        UsageError: with what it is.
    """
    if not isinstance(name, str):
        raise UsageError(
            f"an App knows functions by name or ARN, not by {name!r}: Function objects have invoke() of their own"
        )


def check_callback(callback: Any) -> None:
    """Refuse an observer that cannot be called.

    Raises:
        UsageError: with what it is.
    """
    if not callable(callback):
        raise UsageError(f"observe() takes a callable of one argument, the event that it is told of, not {callback!r}")


def default_name(handler: Any) -> str:
    """The name of a function whose decorator does not name it: the handler's own, or a handler string's last part."""
    if isinstance(handler, str):
        return handler.rpartition(".")[2].rpartition("/")[2]
    inner = handler
    while hasattr(inner, "func"):  # functools.partial
        inner = inner.func
    name = getattr(inner, "__name__", type(inner).__name__)
    return "lambda" if name == "<lambda>" else cast("str", name)


def is_redefinition(before: Any, after: Any) -> bool:
    """A notebook cell run again, or a module reloaded: the same place in the same module, not two of one name.

    A function made inside another (``<locals>``) may be made twice on purpose, so that is a conflict.
    """
    place = [(getattr(one, "__module__", None), getattr(one, "__qualname__", "<locals>")) for one in (before, after)]
    return place[0] == place[1] and "<" not in place[0][1] and before is not after


def encode(event: Any) -> bytes:
    """An event as JSON bytes; bytes are taken as they are.

    Raises:
        InvalidRequestContent: JSON cannot say it; the message names the place.
    """
    if event is NO_EVENT:
        return b"{}"
    if type(event) is not dict and isinstance(event, (bytes, bytearray, memoryview)):
        return bytes(event)
    try:
        return marshal.encode_event(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestContent(str(error)) from error


def patience(wait: float | bool | None) -> float | None:
    """``wait=`` as seconds of patience; None for none.

    Raises:
        UsageError: it is neither seconds, True, False nor None.
    """
    if wait is None or wait is False:
        return None
    if wait is True:
        return FOREVER
    if not isinstance(wait, (int, float)) or not wait >= 0:
        raise UsageError(f"wait= takes seconds (0 or more), True or None, not {wait!r}")
    return float(min(wait, FOREVER))


def seconds(name: str, value: float | None) -> float | None:
    """Seconds of ``timeout=`` or ``grace=``; None for no end. Below 0 is 0: what is left until a deadline may be.

    Raises:
        UsageError: no seconds at all.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise UsageError(f"{name}= takes seconds, or None for as long as it takes, not {value!r}")
    return max(value, 0.0)


def add_extras(
    invocation: Invocation,
    client_context: Mapping[str, Any] | str | None,
    identity: Mapping[str, str] | None,
    tenant_id: str | None,
    trace_id: str | None,
) -> None:
    """Put client context, identity, tenant and trace into an invocation.

    Raises:
        InvalidParameterValue: one of them is too large, or of the wrong type.
    """
    import json

    if client_context is not None:
        try:
            text = client_context if isinstance(client_context, str) else json.dumps(dict(client_context))
            size = len(text.encode())
        except (TypeError, ValueError) as error:
            raise InvalidParameterValue(
                f"client_context takes a mapping that JSON can say, or JSON text: {error}"
            ) from error
        if -(-size // 3) * 4 > limits.CLIENT_CONTEXT_BYTES:
            raise InvalidParameterValue(
                f"Client context must be no more than {limits.CLIENT_CONTEXT_BYTES} bytes when base64-encoded."
            )
        invocation.client_context = text
    if tenant_id is not None:
        if not isinstance(tenant_id, str) or not 1 <= len(tenant_id) <= limits.TENANT_ID_LENGTH:
            raise InvalidParameterValue(f"tenant_id takes 1 to {limits.TENANT_ID_LENGTH} characters, not {tenant_id!r}")
        invocation.tenant_id = tenant_id
    if identity is not None:
        if not isinstance(identity, Mapping) or not all(
            isinstance(item, str) for pair in identity.items() for item in pair
        ):
            raise InvalidParameterValue(f"identity takes a mapping of strings to strings, not {identity!r}")
        invocation.identity = dict(identity)
    if trace_id is not None:
        # It becomes an environment variable, which holds neither NUL nor half a surrogate pair.
        if not isinstance(trace_id, str) or "\0" in trace_id or not trace_id.isascii():
            raise InvalidParameterValue(f"trace_id takes ASCII text as in the X-Ray trace header, not {trace_id!r}")
        invocation.trace_id = trace_id
