"""Records on their way to destinations: which there are, who takes them, and what comes of trying.

A record is stored in the same transaction that ends its event, so an event is never over without its records being on
their way. From there it is claimed like an event, and handed to its `Sink` until that takes it or its tries are over.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

from lambdalite import limits, names
from lambdalite.engine import documents, lineage
from lambdalite.errors import UsageError
from lambdalite.model.queued import QueuedEvent, Settlement, State, delivery_lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.engine.next_step import Over
    from lambdalite.model.function import Version

__all__ = ["Record", "Sink", "after_delivery", "attempt", "record_of", "records", "sink_for"]

_SOURCE = "destination:"  # and the event's id: where a record comes from, and an event that was made of one


@attrs.frozen(kw_only=True)
class Record:
    """What a destination is given.

    Attributes:
        role: ``"on_success"``, ``"on_failure"`` or ``"dead_letter"``.
        function: the function's name.
        request_id: of the event.
        body: for a dead letter the original event, else AWS's record; JSON bytes.
        attributes: for a dead letter: RequestID, ErrorCode, ErrorMessage, in the form of SQS and SNS; else empty.
        delivery_id: the record's own id: the same on every try, so that a destination can know what it has seen.
        trace_id: X-Ray trace header of the event, or None.
    """

    role: str
    function: str
    request_id: str
    body: bytes
    attributes: dict[str, dict[str, str]]
    delivery_id: str
    trace_id: str | None

    @property
    def document(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def payload(self) -> Any:
        """The event that the function was given, decoded."""
        return self.document if self.role == "dead_letter" else self.document["requestPayload"]

    @property
    def condition(self) -> str:
        """AWS's condition; empty for a dead letter, which does not say."""
        return "" if self.role == "dead_letter" else str(self.document["requestContext"]["condition"])


@runtime_checkable
class Sink(Protocol):
    """Where records go. `deliver` raises if it cannot take one; then it is asked again later."""

    def deliver(self, record: Record) -> None:
        """Take a record, for good."""
        ...


_PLAIN = "give a plain callable, which is called in a thread of its own"


class _CallableSink:
    def __init__(self, target: Callable[[Record], object]) -> None:
        self._target = target

    def deliver(self, record: Record) -> None:
        answer = self._target(record)
        if hasattr(answer, "__await__"):
            if hasattr(answer, "close"):
                answer.close()  # a coroutine that nobody will await would warn of that
            raise UsageError(f"the destination {self._target!r} is asynchronous, and nobody awaits it here: {_PLAIN}")


_NAMESPACE = uuid.UUID("b0b1f3f0-5d8e-5c0e-8a5e-3f0d5c6a7b81")  # ours alone


class _FunctionSink:
    """A function's own queue: it is invoked asynchronously with the record.

    A dead letter is the event as it was, so its attributes travel beside it, as the client context's ``custom``.
    """

    def __init__(self, name: str, accept: Callable[..., str]) -> None:
        self._name, self._accept = name, accept

    def deliver(self, record: Record) -> None:
        self._accept(
            self._name,
            record.body if record.attributes else documents.within(record.body, limits.EVENT_BYTES),
            # Made of the record's own, which lies in the same store. Is it known already, because an earlier try got as
            # far as this, then nothing is added.
            request_id=str(uuid.uuid5(_NAMESPACE, record.delivery_id)),
            trace_id=record.trace_id,
            source=f"{_SOURCE}{record.request_id}",
            client_context=_custom(record.attributes),
        )


def _custom(attributes: dict[str, dict[str, str]]) -> str | None:
    if not attributes:
        return None
    return json.dumps({"custom": {name: one["StringValue"] for name, one in attributes.items()}})


def sink_for(target: Any, accept: Callable[..., str]) -> Sink:
    """Who takes the records of a configured target.

    Args:
        target: a function's name or ARN, an object with `deliver`, or a callable of one record.
        accept: puts JSON bytes into the queue of a function named.

    Raises:
        UsageError: there is no such target (any more).
    """
    if isinstance(target, str):
        parts = names.split_function(target)
        if parts is None:
            raise UsageError(f"no destination here is called {target!r}")
        return _FunctionSink(parts[0], accept)
    if isinstance(target, Sink):
        return target
    if callable(target):
        return _CallableSink(target)
    raise UsageError("the function has no such destination any more: configure one again, or purge the record")


def attempt(sink: Sink, record: Record) -> BaseException | None:
    """Hand a record over; why it was not taken, or None. Whatever a sink raises, `SystemExit` too, is its way to refuse."""
    try:
        sink.deliver(record)
    except BaseException as error:
        return error
    return None


def records(
    event: QueuedEvent, version: Version, over: Over, *, failure: str, answer: bytes, now: float
) -> tuple[QueuedEvent, ...]:
    """What an event that has come to its end leaves for the function's destinations.

    Args:
        event: the event, as it was before its end.
        version: the function.
        over: its end.
        failure: of the last attempt; empty for an answer.
        answer: the last attempt's answer or error document.
        now: seconds since the epoch.
    """
    config = version.config
    if over.state is State.SUCCEEDED:
        roles = [("on_success", config.on_success)]
    else:
        roles = [("on_failure", config.on_failure), ("dead_letter", config.dead_letter)]
    loop = _in_a_loop(event, version, over)
    return tuple(
        _record(event, version, over, role, failure, answer, now)
        for role, target in roles
        if target is not None and not (loop and isinstance(target, str))
    )


def _in_a_loop(event: QueuedEvent, version: Version, over: Over) -> bool:
    """Is it a record that goes round among functions which only pass it on?

    AWS hands what it stops to the function's destination. Two functions that are each other's would hand it to and fro
    for ever without running, so what came as a record, was stopped, and is in a loop goes to no further function.
    """
    came_as_record = event.source.startswith(_SOURCE)
    return (
        came_as_record and not over.attempts and lineage.passes(event.trace_id, version.arn) >= limits.RECURSION_PASSES
    )


def _record(
    event: QueuedEvent, version: Version, over: Over, role: str, failure: str, answer: bytes, now: float
) -> QueuedEvent:
    facts: dict[str, Any] = {
        "condition": over.condition,
        "attempts": over.attempts,
        "failure": failure,
        "answer": answer,
    }
    if role == "dead_letter":
        body, attributes = event.payload, json.dumps(documents.dead_letter_attributes(event, **facts))
    else:
        body, attributes = documents.record(event, version.arn, version.number, now=now, **facts), ""
    return QueuedEvent(
        # Stored with the end of its event, which comes once: a random id is unique, also for an event taken up again.
        request_id=names.request_id(),
        lane=delivery_lane(version.name, role),
        function=version.name,
        payload=body or b"{}",
        accepted_at=now,
        due=now,
        trace_id=lineage.extend(event.trace_id, version.arn),
        source=f"{_SOURCE}{event.request_id}",
        role=role,
        attributes=attributes,
    )


def record_of(event: QueuedEvent) -> Record:
    """The record in an event of a delivery lane."""
    return Record(
        role=event.role,
        function=event.function,
        request_id=event.source.removeprefix(_SOURCE),
        body=event.payload,
        attributes=json.loads(event.attributes) if event.attributes else {},
        delivery_id=event.request_id,
        trace_id=event.trace_id,
    )


def after_delivery(event: QueuedEvent, error: BaseException | None, now: float) -> Settlement:
    """What comes of having tried: taken; again after a second, doubling up to five minutes; or given up."""
    attempts, due = event.attempts + 1, now
    if error is None:
        state = State.SUCCEEDED
    elif attempts >= limits.DELIVERY_TRIES:
        state = State.FAILED
    else:
        state = State.WAITING
        first, most = limits.BACKOFF
        due = now + min(first * 2 ** (attempts - 1), most)
    return Settlement(
        request_id=event.request_id,
        state=state,
        due=due,
        attempts=attempts,
        refusals=0,
        failure="" if error is None else type(error).__name__,
        answer=b"" if error is None else str(error).encode("utf-8", "replace")[: limits.ERROR_MESSAGE_BYTES],
        finished_at=now if state.final else None,
    )
