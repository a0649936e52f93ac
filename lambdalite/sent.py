"""The handle on an event that was sent: what became of it, and waiting for that."""

from __future__ import annotations

import datetime as dt
import re
import types
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from lambdalite import arguments, limits
from lambdalite.errors import EventDropped, InvalidParameterValue, InvalidRequestContent, ServiceError
from lambdalite.model.outcome import Failure, Outcome
from lambdalite.model.queued import State
from lambdalite.runtime import marshal
from lambdalite.runtime.faults import Fault
from lambdalite.workers.waiting import block, obey

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from lambdalite.engine.queue import Queue
    from lambdalite.functions import Function
    from lambdalite.model.invocation import Invocation
    from lambdalite.model.queued import QueuedEvent
    from lambdalite.workers.waiting import Plan

__all__ = ["SentEvent", "check_order", "encode_checked", "extras", "moment"]

A = TypeVar("A")


class SentEvent(Generic[A]):
    """An event that is safely in the queue. Made by `Function.send`, and by `App.sent` for an id from earlier.

    Everything it says is read from the store, so it can be asked in another process, and after a restart, for as long
    as the store keeps the event.
    """

    def __init__(self, function: Function[Any, A], request_id: str, queue: Queue) -> None:
        self._function, self._queue = function, queue
        #: The same for every attempt; the handler sees it as ``context.aws_request_id``.
        self.request_id = request_id

    @property
    def event(self) -> QueuedEvent:
        """The whole record: times, attempts, condition, the last answer.

        Raises:
            UsageError: the store has forgotten it.
        """
        return self._queue.find(self.request_id)

    @property
    def status(self) -> str:
        """``"ready"``, ``"waiting"``, ``"blocked"``, ``"running"``, ``"succeeded"``, ``"failed"`` or ``"cancelled"``."""
        return self.event.state.name.lower()

    @property
    def attempts(self) -> int:
        """How many times the function has run with it."""
        return self.event.attempts

    def cancel(self) -> bool:
        """Take it back; False if it runs already, or is over."""
        return self._queue.cancel(self.request_id)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over, retries included; False if the time (seconds, real) was up before.

        Raises:
            UsageError: the App is on a clock moved by hand, and nothing happens until somebody moves it.
        """
        return block(self._awaiting(timeout)) is not None

    async def await_over(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - one signature with `wait`
        """`wait` for asyncio and trio."""
        return await obey(self._awaiting(timeout)) is not None

    def result(self, timeout: float | None = None) -> A:
        """Its answer, once it is over.

        Raises:
            FunctionError: its last attempt failed; the subclass says how.
            EventDropped: it never ran to an end: cancelled, too old, stopped.
            TimeoutError: the time was up before.
        """
        return self._answer(block(self._awaiting(timeout)), timeout)

    async def aresult(self, timeout: float | None = None) -> A:  # noqa: ASYNC109 - one signature with `result`
        """`result` for asyncio and trio."""
        return self._answer(await obey(self._awaiting(timeout)), timeout)

    def __await__(self) -> Generator[Any, Any, A]:
        return self.aresult().__await__()

    def _awaiting(self, timeout: float | None) -> Plan[QueuedEvent | None]:
        return self._queue.awaiting(self.request_id, arguments.seconds("timeout", timeout))

    def _answer(self, event: QueuedEvent | None, timeout: float | None) -> A:
        if event is None:
            raise TimeoutError(f"event {self.request_id} of {self._function.name} is not over after {timeout:g} s")
        if event.state is State.SUCCEEDED:
            return self._outcome(event, None).value  # type: ignore[no-any-return]
        if event.failure in Failure.__members__:
            return self._outcome(event, Failure[event.failure]).value  # type: ignore[no-any-return]  # raises
        cause = ServiceError.by_code.get(event.failure)
        raise EventDropped(event) from (None if cause is None else cause(""))

    def _outcome(self, event: QueuedEvent, failure: Failure | None) -> Outcome:
        """The last attempt, as far as the store keeps it: its log and durations are in the App's log store."""
        at = event.finished_at or event.accepted_at
        return Outcome(event.request_id, self._function.version, failure, event.answer, at, 0.0)

    def __repr__(self) -> str:
        if self._queue.closed:
            return f"<SentEvent {self._function.name} {self.request_id} of a closed App>"
        found = self._queue.get(self.request_id)
        state = "forgotten" if found is None else f"{found.state.name.lower()}, {found.attempts} attempts"
        return f"<SentEvent {self._function.name} {self.request_id} {state}>"


# --- what `send` is given -----------------------------------------------------------------------------------------


def encode_checked(event: Any) -> bytes:
    """An event as JSON bytes; bytes are parsed once, since nobody is there to hear of it later.

    Raises:
        InvalidRequestContent: JSON cannot say it, or the bytes are none; in AWS's words.
    """
    payload = arguments.encode(event)
    if isinstance(event, (bytes, bytearray, memoryview)):
        try:
            marshal.decode(payload)
        except Fault as fault:
            raise InvalidRequestContent(fault.message) from None
    return payload


def extras(
    client_context: Mapping[str, Any] | str | None, trace_id: str | None, request_id: Any, attempts: Any, age: Any
) -> dict[str, Any]:
    """Client context, trace, request id, retries and age of one event, checked: arguments of `Queue.accept`.

    Raises:
        InvalidParameterValue: one of them is too large, or of the wrong type.
    """
    made: dict[str, Any] = {}
    if client_context is not None or trace_id is not None:
        carrier = types.SimpleNamespace(client_context=None, trace_id=None)
        arguments.add_extras(cast("Invocation", carrier), client_context, None, None, trace_id)
        made |= {"client_context": carrier.client_context, "trace_id": carrier.trace_id}
    if request_id is not None:
        if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            raise InvalidParameterValue(f"request_id takes 1 to 128 printable ASCII characters, not {request_id!r}")
        made["request_id"] = request_id
    for name, value, low, high in (
        ("maximum_retry_attempts", attempts, *limits.RETRY_ATTEMPTS),
        ("maximum_event_age", age, *limits.EVENT_AGE),
    ):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidParameterValue(f"{name} takes a whole number from {low} to {high}, not {value!r}")
        made[name] = value
    return made


_HALF = re.compile("[\ud800-\udfff]")  # half a character: no store could keep it
_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def check_order(*, delay: Any, at: Any, priority: Any, group: Any) -> None:
    """Refuse what is no delay, priority or group.

    Raises:
        InvalidParameterValue: which one, and what it takes.
    """
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay <= limits.DELAY_SECONDS:
        raise InvalidParameterValue(f"delay takes seconds, 0 to {limits.DELAY_SECONDS:g}, not {delay!r}")
    if at is not None and delay:
        raise InvalidParameterValue("give delay or at, not both")
    if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) > limits.PRIORITY:
        raise InvalidParameterValue(
            f"priority takes a whole number from -{limits.PRIORITY} to {limits.PRIORITY}, not {priority!r}"
        )
    if group is not None and (
        not isinstance(group, str) or not 1 <= len(group) <= limits.GROUP_LENGTH or _HALF.search(group)
    ):
        raise InvalidParameterValue(f"group takes 1 to {limits.GROUP_LENGTH} characters, not {group!r}")


def moment(at: float | dt.datetime | None) -> float | None:
    """``at=`` as seconds since the epoch.

    Raises:
        InvalidParameterValue: no time, or one without a time zone, which could mean any of 38 moments.
    """
    if at is None:
        return None
    if isinstance(at, dt.datetime):
        if at.tzinfo is None:
            raise InvalidParameterValue(f"at={at.isoformat()} has no time zone: add one, such as datetime.UTC")
        return at.timestamp()
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not abs(at) < 1e11:
        raise InvalidParameterValue(f"at takes a datetime with a time zone, or seconds since the epoch, not {at!r}")
    return float(at)
