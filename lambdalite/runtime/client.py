"""`lambdalite.current_app()`: what a handler can ask of the App that runs it. It may invoke and send, and nothing else.

In an environment the question goes to the host by its `Line`; in the ``inline`` tier, where handler and App share a
process, `workers.inline` puts a caller of its own into `inline`. What comes back is the answer, or the same errors that the
host's callers get, made anew here.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from lambdalite import errors, runtime
from lambdalite.errors import InvalidParameterValue, InvalidRequestContent, RequestTooLarge, ServiceError, UsageError
from lambdalite.runtime import frames, line, marshal

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    Call = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]

__all__ = ["CalledOutcome", "Client", "current_app", "inline"]

#: How a handler of the ``inline`` tier calls its App; set while it runs.
inline: ContextVar[Call | None] = ContextVar("inline", default=None)

_NOT_HERE = (
    "current_app() is for handlers: it was called outside an invocation. Here you have the App itself, "
    "so use app.invoke(…) and app.send(…)"
)
_NO_EVENT: Any = object()


def current_app() -> Client:
    """The App that runs this handler, as far as a handler may use it.

    Raises:
        UsageError: this is no environment, and no handler of the ``inline`` tier is running in this thread.
    """
    call = inline.get()
    if call is None and not runtime.IN_CHILD:
        raise UsageError(_NOT_HERE)
    return Client(call)


class Client:
    """Invokes and sends on behalf of a handler. Made by `current_app`; any thread of the handler's may use it.

    Calls are made one after the other: a second thread waits until the first has its answer. The time that they take is the
    handler's, so its own timeout ends them too.
    """

    def __init__(self, call: Call | None) -> None:
        self._call = call

    def invoke(
        self,
        function: Any,
        event: Any = _NO_EVENT,
        *,
        qualifier: str | None = None,
        client_context: Mapping[str, Any] | str | None = None,
        tenant_id: str | None = None,
    ) -> Any:
        """Run a function of the App and wait for its answer; it takes a place of its own beside this handler's.

        Args:
            function: a name, an ARN, or a decorated function.
            event: anything JSON can say, or JSON bytes; ``{}`` if left out.
            qualifier: a version or alias.
            client_context: for the other's ``context.client_context``: a mapping, or JSON text.
            tenant_id: for the other's ``context.tenant_id``.

        Raises:
            FunctionError: the other function failed; the subclass says how.
            TooManyRequests: there is no room for it; nothing waits here, as on AWS.
            RecursiveInvocation: the chain of calls has been through it sixteen times.
            ServiceError: it was refused for another reason.
            UsageError: no invocation is running, or this is a process that the handler forked.
        """
        meta = {"op": "invoke", "function": _name(function), "qualifier": qualifier, "tenant_id": tenant_id}
        told, payload = self._ask({**meta, "client_context": _text(client_context)}, event)
        if "failed" in told:
            raise getattr(errors, told["failed"])(CalledOutcome(told, payload))
        try:
            return json.loads(payload)
        except ValueError:
            raise UsageError(f"{_name(function)} answered {len(payload)} bytes that are not JSON") from None

    def send(
        self,
        function: Any,
        event: Any = _NO_EVENT,
        *,
        delay: float = 0.0,
        at: float | dt.datetime | None = None,
        priority: int = 0,
        group: str | None = None,
        request_id: str | None = None,
        maximum_retry_attempts: int | None = None,
        maximum_event_age: int | None = None,
        client_context: Mapping[str, Any] | str | None = None,
    ) -> str:
        """Put an event into a function's queue; when this returns, it is safe there.

        Args:
            function: a name, an ARN, or a decorated function.
            event: as for `invoke`, up to 1 MiB.
            delay: seconds before it may run, or
            at: the moment from which it may: a datetime with a time zone, or seconds since the epoch.
            priority: higher goes first among those that are due.
            group: events with the same key never run at the same time.
            request_id: of your own: sending a known one again changes nothing.
            maximum_retry_attempts: for this event; None: as the function says.
            maximum_event_age: for this event, seconds; None: as the function says.
            client_context: as for `invoke`.

        Returns:
            The event's request id: the host's `App.sent` finds the event by it.

        Raises:
            ServiceError: the request was refused: too large, not JSON, or the store cannot take it.
            UsageError: as `invoke`.
        """
        order = {"delay": delay, "at": _instant(at), "priority": priority, "group": group, "request_id": request_id}
        limits = {"maximum_retry_attempts": maximum_retry_attempts, "maximum_event_age": maximum_event_age}
        meta = {"op": "send", "function": _name(function), **order, **limits, "client_context": _text(client_context)}
        told, _ = self._ask(meta, event)
        return str(told["request_id"])

    async def ainvoke(self, function: Any, event: Any = _NO_EVENT, **options: Any) -> Any:
        """`invoke` for asyncio and trio: the loop goes on. Cancelling forgets the answer, and stops nothing."""
        return await _in_thread(lambda: self.invoke(function, event, **options))

    async def asend(self, function: Any, event: Any = _NO_EVENT, **options: Any) -> str:
        """`send` for asyncio and trio."""
        return str(await _in_thread(lambda: self.send(function, event, **options)))

    def put_events(self, *_args: Any, **_kwargs: Any) -> Any:
        """Not there yet.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "put_events needs an event bus, and lambdalite has none yet: send(function, event) reaches each function by name"
        )

    def _ask(self, meta: dict[str, Any], event: Any) -> tuple[dict[str, Any], bytes]:
        call, payload = self._call or _by_line, _encode(event)
        given = {key: value for key, value in meta.items() if value is not None}
        try:
            told, answer = call(given, payload)
        except line.Refused as error:
            raise UsageError(f"current_app() cannot {meta['op']} here: {error}") from None
        except (frames.EndOfStream, ConnectionError):
            raise errors.ServiceException("the App is gone: its host has ended, or closed this environment") from None
        except (TypeError, ValueError) as error:
            raise _unaskable(meta, payload, error) from None
        if "code" in told:
            raise _refusal(told)
        return told, answer

    def __repr__(self) -> str:
        return "<lambdalite.current_app(): invoke, send>"


class CalledOutcome:
    """What a handler is told of a function that it invoked and that failed: as `Outcome`, without what is the host's."""

    def __init__(self, told: dict[str, Any], payload: bytes) -> None:
        self.request_id: str = told["request_id"]
        self.function: str = told["function"]
        self.payload = payload
        self.exit_code: int | None = told.get("exit_code")
        self.signal: int | None = told.get("signal")
        self.memory_limit: int = told["memory_limit"]
        self.max_memory_used: int = told["max_memory_used"]
        self.enforced_by: str = told["enforced_by"]
        self._explained: str = told["explained"]

    @property
    def document(self) -> dict[str, Any]:
        """AWS's error document."""
        found = json.loads(self.payload)
        return found if isinstance(found, dict) else {}

    @property
    def error_type(self) -> str:
        """AWS's errorType."""
        return str(self.document.get("errorType", ""))

    @property
    def error_message(self) -> str:
        """AWS's errorMessage."""
        return str(self.document.get("errorMessage", ""))

    @property
    def stack_trace(self) -> tuple[str, ...]:
        """The other handler's own frames, as AWS prints them."""
        return tuple(map(str, self.document.get("stackTrace") or ()))

    def explain(self) -> str:
        """One paragraph for the person who has to fix it."""
        return self._explained

    def __repr__(self) -> str:
        return f"<CalledOutcome {self.function} {self.error_type} {self.request_id}>"


# --- what is given, and what comes back ---------------------------------------------------------------------------


def _by_line(meta: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
    if line.current is None:
        raise line.Refused("no invocation is running: call from inside the handler, not while its module is imported")
    return line.current.call(meta, payload)


def _name(function: Any) -> str:
    """The name that a function is known by in its App."""
    if isinstance(function, str):
        return function
    name = getattr(function, "__lambdalite_name__", None) or getattr(function, "name", None)
    if not isinstance(name, str):
        raise UsageError(f"give a function's name, its ARN, or the decorated function, not {function!r}")
    return name


def _text(client_context: Mapping[str, Any] | str | None) -> str | None:
    if client_context is None or isinstance(client_context, str):
        return client_context
    try:
        return json.dumps(dict(client_context))
    except (TypeError, ValueError) as error:
        raise InvalidParameterValue(
            f"client_context takes a mapping that JSON can say, or JSON text: {error}"
        ) from error


def _instant(at: Any) -> Any:
    """A datetime as seconds since the epoch; anything else is for the host to judge."""
    if not hasattr(at, "timestamp"):
        return at
    if at.tzinfo is None:
        raise InvalidParameterValue(f"at={at.isoformat()} has no time zone: add one, such as datetime.UTC")
    return at.timestamp()


def _encode(event: Any) -> bytes:
    if event is _NO_EVENT:
        return b"{}"
    if isinstance(event, (bytes, bytearray, memoryview)):
        return bytes(event)
    try:
        return marshal.encode_event(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequestContent(str(error)) from error


def _unaskable(meta: dict[str, Any], payload: bytes, error: Exception) -> ServiceError:
    if len(payload) > frames.PAYLOAD_BYTES:
        return RequestTooLarge(f"Request must be smaller than {6 * 1024 * 1024} bytes for the InvokeFunction operation")
    wrong = [key for key, value in meta.items() if not isinstance(value, (str, int, float, type(None)))]
    return InvalidParameterValue(f"{', '.join(wrong) or 'an argument'} cannot be told to the App: {error}")


def _refusal(told: dict[str, Any]) -> Exception:
    """The host's error, made anew."""
    code, message = told["code"], told["message"]
    if code == "UsageError":
        return UsageError(message)
    if code == errors.TooManyRequests.code:
        return errors.TooManyRequests(message, reason=told["reason"], retry_after=told.get("retry_after"))
    return ServiceError.by_code[code](message)


async def _in_thread(work: Callable[[], Any]) -> Any:
    import asyncio
    import sys

    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public one raises
        return await asyncio.to_thread(work)
    trio = sys.modules.get("trio")
    if trio is None:
        raise UsageError("ainvoke and asend run on asyncio or trio: elsewhere use invoke and send in a thread")
    return await trio.to_thread.run_sync(work)
