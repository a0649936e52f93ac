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

__all__ = ["Record", "Sink", "after_delivery", "record_of", "records", "sink_for"]

_NAMESPACE = uuid.UUID("b0b1f3f0-5d8e-5c0e-8a5e-3f0d5c6a7b81")  # ours alone: a record has the same id on every try


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
    def condition(self) -> str:
        """AWS's condition; empty for a dead letter, which does not say."""
        return "" if self.role == "dead_letter" else str(self.document["requestContext"]["condition"])


@runtime_checkable
class Sink(Protocol):
    """Where records go. `deliver` raises if it cannot take one; then it is asked again later."""

    def deliver(self, record: Record) -> None:
        """Take a record, for good."""
        ...


class _CallableSink:
    def __init__(self, target: Callable[[Record], object]) -> None:
        self._target = target

    def deliver(self, record: Record) -> None:
        self._target(record)


class _FunctionSink:
    """A function's own queue: it is invoked asynchronously with the record."""

    def __init__(self, name: str, accept: Callable[..., str]) -> None:
        self._name, self._accept = name, accept

    def deliver(self, record: Record) -> None:
        self._accept(
            self._name,
            record.body,
            request_id=record.delivery_id,  # known already, if an earlier try got as far as this: then nothing is added
            trace_id=record.trace_id,
            source=f"destination:{record.request_id}",
        )


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


def records(
    event: QueuedEvent, version: Version, over: Over, *, failure: str, answer: bytes, now: float
) -> tuple[QueuedEvent, ...]:
    """What an event that has come to its end leaves for the function's destinations."""
    config = version.config
    if over.state is State.SUCCEEDED:
        roles = [("on_success", config.on_success)]
    else:
        roles = [("on_failure", config.on_failure), ("dead_letter", config.dead_letter)]
    return tuple(
        _record(event, version, over, role, failure, answer, now) for role, target in roles if target is not None
    )


def _record(
    event: QueuedEvent, version: Version, over: Over, role: str, failure: str, answer: bytes, now: float
) -> QueuedEvent:
    attributes = ""
    if role == "dead_letter":
        body = event.payload or b"{}"
        attributes = json.dumps(documents.dead_letter_attributes(event, attempts=over.attempts, answer=answer))
    else:
        body = documents.record(
            event,
            version.arn,
            condition=over.condition,
            attempts=over.attempts,
            failure=failure,
            answer=answer,
            now=now,
        )
    # An event that is taken up again is accepted anew: what comes of it then is another record.
    name = f"{event.request_id}/{role}/{event.accepted_at!r}"
    return QueuedEvent(
        request_id=str(uuid.uuid5(_NAMESPACE, name)),
        lane=delivery_lane(version.name, role),
        function=version.name,
        payload=body,
        accepted_at=now,
        due=now,
        trace_id=lineage.extend(event.trace_id, version.arn),
        source=f"destination:{event.request_id}",
        role=role,
        attributes=attributes,
    )


def record_of(event: QueuedEvent) -> Record:
    """The record in an event of a delivery lane."""
    return Record(
        role=event.role,
        function=event.function,
        request_id=event.source.partition(":")[2],
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
