"""What a handler may ask of its App: invoke a function, send it an event. The host's end of `lambdalite.current_app`.

Nothing that a handler says is trusted. Who asks, and which chain of events it stands in, is taken from its invocation;
what it asks is checked as a caller's of the host would be. It gets an answer or an error, and the host goes on.
"""

from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from lambdalite import limits, sent
from lambdalite.engine import lineage
from lambdalite.errors import (
    InvalidParameterValue,
    LambdaliteError,
    RecursiveInvocation,
    ServiceError,
    ServiceException,
    TooManyRequests,
    UsageError,
)
from lambdalite.workers.waiting import Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.app import App
    from lambdalite.model.function import Version
    from lambdalite.model.invocation import Invocation
    from lambdalite.model.outcome import Outcome
    from lambdalite.workers.waiting import Plan

__all__ = ["Gateway"]

T = TypeVar("T")
Reply = tuple[dict[str, Any], bytes]

_EXPLAINED = 32_768  # O: characters of an error's message; a longer one is cut, and says so
_NAME = 256  # B: more than any function's ARN and qualifier have
_ORDER = {"delay": 0.0, "at": None, "priority": 0, "group": None}
_EXTRAS = ("client_context", "trace_id", "request_id", "maximum_retry_attempts", "maximum_event_age")


class Gateway:
    """Serves the handlers of one App.

    Args:
        app: the App.
        depth: how many invocations the one that asks stands within.
    """

    __slots__ = ("_app", "_depth")

    def __init__(self, app: App, depth: int = 0) -> None:
        self._app, self._depth = app, depth

    def serve(self, invocation: Invocation, meta: dict[str, Any], payload: bytes) -> Plan[Reply]:
        """What a handler asked for: a reply, whatever it was.

        Args:
            invocation: the one that asks.
            meta: ``op``, ``function`` and its arguments.
            payload: the event, JSON bytes.
        """
        try:
            serve = {"invoke": self._invoke, "send": self._send}.get(_checked(meta))
            if serve is None:
                raise InvalidParameterValue("a handler can ask its App to invoke and to send, and for nothing else")
            trace = lineage.extend(invocation.trace_id, invocation.version.arn)
            return (yield from serve(invocation, meta, payload, trace))
        except (ServiceError, UsageError) as error:
            return _refused(error), b""

    # --- invoke ---------------------------------------------------------------------------------------------------

    def _invoke(self, _invocation: Invocation, meta: dict[str, Any], payload: bytes, trace: str) -> Plan[Reply]:
        version = self._version(meta)
        self._check_chain(version, trace)
        within = Gateway(self._app, self._depth + 1)
        outcome = yield from self._app.plan(
            version, payload, None, meta.get("client_context"), None, meta.get("tenant_id"), trace, within
        )
        return {} if outcome.ok else _failed(outcome), outcome.payload

    def _version(self, meta: dict[str, Any]) -> Version:
        return self._app._named(meta["function"], meta.get("qualifier")).version  # noqa: SLF001 - as `App.invoke` does

    def _check_chain(self, version: Version, trace: str) -> None:
        loops = version.config.recursive_loop == "Terminate"
        if loops and lineage.passes(trace, version.arn) >= limits.RECURSION_PASSES:
            self._app.metrics.put("RecursiveInvocationsDropped", 1, version.name)
            raise RecursiveInvocation
        if self._depth >= limits.NESTED_INVOCATIONS:
            raise ServiceException(
                f"{limits.NESTED_INVOCATIONS} invocations wait for one another already, and each holds an environment: "
                "send the event instead of invoking"
            )

    # --- send -----------------------------------------------------------------------------------------------------

    def _send(self, invocation: Invocation, meta: dict[str, Any], payload: bytes, trace: str) -> Plan[Reply]:
        version = self._version(meta)
        payload = sent.encode_checked(payload)
        order: dict[str, Any] = {key: meta.get(key, default) for key, default in _ORDER.items()}
        sent.check_order(**order)
        order["at"] = sent.moment(order["at"])
        extras = sent.extras(*({**meta, "trace_id": trace}.get(key) for key in _EXTRAS))
        source = f"function:{invocation.version.name}"
        accept = partial(self._app.queue.accept, version, payload, **order, **extras, source=source)
        return {"request_id": (yield from _aside(accept))}, b""


# --- what is asked, and what is told ------------------------------------------------------------------------------


def _checked(meta: dict[str, Any]) -> str:
    """The operation, of a question in which nothing surprises whoever looks at it next.

    Raises:
        InvalidParameterValue: it has parts that are no plain values, or text that no store could keep.
    """
    if not all(isinstance(value, (str, int, float, type(None))) for value in meta.values()):
        raise InvalidParameterValue("arguments are text and numbers")
    try:
        json.dumps(meta, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidParameterValue(
            "arguments are text that can be written as UTF-8, without half characters"
        ) from None
    for key in ("op", "function", "qualifier"):
        value = meta.get(key, "" if key == "qualifier" else None)
        if not isinstance(value, str) or len(value) > _NAME:
            raise InvalidParameterValue(f"{key} takes text of up to {_NAME} characters, not {_cut(repr(value), _NAME)}")
    return str(meta["op"])


def _refused(error: LambdaliteError) -> dict[str, Any]:
    if not isinstance(error, ServiceError):
        return {"code": "UsageError", "message": _cut(str(error), _EXPLAINED)}
    told: dict[str, Any] = {"code": error.code, "message": _cut(error.message, _EXPLAINED)}
    if isinstance(error, TooManyRequests):
        told |= {"reason": error.reason, "retry_after": error.retry_after}
    return told


def _failed(outcome: Outcome) -> dict[str, Any]:
    return {
        "failed": type(outcome.error).__name__,
        "function": outcome.version.name,
        "request_id": outcome.request_id,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "memory_limit": outcome.memory_limit,
        "max_memory_used": outcome.max_memory_used,
        "enforced_by": outcome.enforced_by,
        "explained": _cut(outcome.explain(), _EXPLAINED),
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"


def _aside(work: Callable[[], T]) -> Plan[T]:
    """Let a thread do what blocks: this plan may stand on an event loop, and a disk is slow."""
    turn = Turn(None)
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # raised below, for whoever waits
            errors.append(error)
        turn.give()

    try:
        threading.Thread(target=run, name="lambdalite-send", daemon=True).start()
    except RuntimeError as error:
        raise ServiceException(f"this machine cannot start another thread: {error}") from error
    while not turn.given:
        yield turn
    if errors:
        raise errors[0]
    return answers[0]
