"""Records on their way to destinations: which there are, who takes them, and what comes of trying."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite.engine import lineage
from lambdalite.engine.deliver import Record, after_delivery, record_of, records, sink_for
from lambdalite.engine.next_step import Over
from lambdalite.errors import UsageError
from lambdalite.limits import EVENT_BYTES
from lambdalite.model.function import Version, configure
from lambdalite.model.queued import QueuedEvent, State
from lambdalite.names import function_arn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = 1_793_613_600.0
ANSWERED = Over(State.SUCCEEDED, "Success", 1)
EXHAUSTED = Over(State.FAILED, "RetriesExhausted", 3)
STOPPED = Over(State.FAILED, "RecursiveInvocation", 0)
ERROR = b'{"errorMessage": "no", "errorType": "E"}'


class Shelf:
    """A destination that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def deliver(self, record: Record) -> None:
        """Keep it."""
        self.records.append(record)

    def __call__(self, record: Record) -> None:
        """Not what a destination with `deliver` is asked for."""
        raise AssertionError


class Queues:
    """Functions' queues, as far as a destination needs them."""

    def __init__(self) -> None:
        self.accepted: dict[str, dict[str, Any]] = {}

    def accept(self, name: str, payload: bytes, *, request_id: str, **options: Any) -> str:
        """Keep an event, unless its id is known."""
        self.accepted.setdefault(request_id, {"name": name, "payload": payload, **options})
        return request_id


def version(**options: Any) -> Version:
    """Function ``f``."""
    return Version(config=configure({"name": "f", **options}), arn=function_arn("f"), handler="m.handler")


def event(**facts: Any) -> QueuedEvent:
    """An event for it."""
    given = {"payload": b'{"n": 1}', "accepted_at": NOW, "due": NOW, **facts}
    return QueuedEvent(request_id="id-1", lane="invoke:f", function="f", **given)


def made(over: Over, one: QueuedEvent | None = None, **options: Any) -> tuple[QueuedEvent, ...]:
    """The records of an event's end."""
    failed = over.state is State.FAILED
    return records(one or event(), version(**options), over, failure="HANDLER" if failed else "", answer=ERROR, now=NOW)


def looping(source: str) -> QueuedEvent:
    """An event whose chain has been through ``f`` sixteen times."""
    trace = functools.reduce(lambda trace, _: lineage.extend(trace, function_arn("f")), range(16), "Root=1-2-3")
    return event(trace_id=trace, source=source)


# --- which records ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("over", "roles"),
    [(ANSWERED, ["on_success"]), (EXHAUSTED, ["on_failure", "dead_letter"])],
)
def test_end_of_an_event_leaves_a_record_for_each_destination(over: Over, roles: list[str]) -> None:
    """With both set, on_failure and dead_letter both get theirs."""
    assert roles == [one.role for one in made(over, on_success="g", on_failure=print, dead_letter=print)]


@pytest.mark.parametrize("over", [ANSWERED, EXHAUSTED])
def test_function_without_destinations_leaves_nothing(over: Over) -> None:
    """There is nobody to tell."""
    assert () == made(over)


def test_record_waits_in_the_lane_of_its_destination() -> None:
    """Due at once, never tried; it carries the lineage of the event, one pass longer."""
    (one,) = made(EXHAUSTED, event(trace_id="Root=1-2-3"), on_failure="g")

    assert ("deliver:f:on_failure", "f", NOW, 0, State.READY) == (
        one.lane,
        one.function,
        one.due,
        one.attempts,
        one.state,
    )
    assert 1 == lineage.passes(one.trace_id, function_arn("f"))


def test_every_end_has_records_of_its_own() -> None:
    """An event that was taken up again and fails again, in the same instant even, is told of again."""
    first, second = made(EXHAUSTED, on_failure="g"), made(EXHAUSTED, on_failure="g")

    assert first[0].request_id != second[0].request_id


def test_record_is_what_a_destination_is_given() -> None:
    """AWS's document, and beside it what one would have to search for."""
    (stored,) = made(EXHAUSTED, on_failure="g")
    found = record_of(stored)

    assert ("on_failure", "f", "id-1", "RetriesExhausted") == (
        found.role,
        found.function,
        found.request_id,
        found.condition,
    )
    assert ({"n": 1}, {"errorMessage": "no", "errorType": "E"}) == (found.payload, found.document["responsePayload"])
    assert ({}, stored.request_id) == (found.attributes, found.delivery_id)


def test_dead_letter_is_the_event_as_it_was() -> None:
    """Byte for byte, with AWS's attributes beside it."""
    (stored,) = made(EXHAUSTED, dead_letter="g")
    found = record_of(stored)

    assert (b'{"n": 1}', {"n": 1}, "") == (found.body, found.payload, found.condition)
    assert {"RequestID": "id-1", "ErrorCode": "200", "ErrorMessage": "no"} == {
        name: one["StringValue"] for name, one in found.attributes.items()
    }


def test_dead_letter_of_an_empty_event_is_an_empty_object() -> None:
    """What the handler saw, or would have seen."""
    assert b"{}" == made(EXHAUSTED, event(payload=b""), dead_letter="g")[0].payload


# --- loops --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["", "function:g", "schedule:nightly"])
def test_stopped_chain_is_told_to_the_failure_destination(source: str) -> None:
    """As on AWS, a function too."""
    assert ["on_failure"] == [one.role for one in made(STOPPED, looping(source), on_failure="g")]


def test_stopped_record_goes_to_no_further_function() -> None:
    """Two functions that are each other's destination would hand it to and fro for ever; others still hear of it."""
    one = looping("destination:id-0")

    assert () == made(STOPPED, one, on_failure="g", dead_letter="g")
    assert ["dead_letter"] == [record.role for record in made(STOPPED, one, on_failure="g", dead_letter=print)]


def test_loop_that_is_allowed_goes_on_while_it_runs() -> None:
    """What has run is told, however often the chain came by."""
    one = looping("destination:id-0")

    assert ["on_failure"] == [record.role for record in made(EXHAUSTED, one, on_failure="g", recursive_loop="Allow")]


# --- who takes them -----------------------------------------------------------------------------------------------


def given(target: Any, one: QueuedEvent | None = None) -> Queues:
    """Deliver one record to a target, twice."""
    queues = Queues()
    (stored,) = made(EXHAUSTED, one, on_failure=target)
    for _ in range(2):
        sink_for(target, queues.accept).deliver(record_of(stored))
    return queues


def test_callable_is_called_with_the_record() -> None:
    """Any callable will do."""
    heard: list[Record] = []
    given(heard.append)

    assert ["id-1", "id-1"] == [record.request_id for record in heard]


def test_object_with_deliver_is_asked_to() -> None:
    """Even if it can be called as well."""
    shelf = Shelf()
    given(shelf)

    assert ["id-1", "id-1"] == [record.request_id for record in shelf.records]


@pytest.mark.parametrize("target", ["g", "function:g", function_arn("g"), function_arn("g", "$LATEST")])
def test_function_is_sent_the_record_once(target: str) -> None:
    """Its queue knows the record's id: delivering it again adds no second event."""
    (accepted,) = given(target).accepted.values()

    assert ("g", "destination:id-1", None) == (accepted["name"], accepted["source"], accepted["client_context"])
    assert "RetriesExhausted" == json.loads(accepted["payload"])["requestContext"]["condition"]
    assert 1 == lineage.passes(accepted["trace_id"], function_arn("f"))


def test_function_is_sent_a_dead_letter_with_its_attributes() -> None:
    """The event itself as payload, the attributes in the client context."""
    queues = Queues()
    (stored,) = made(EXHAUSTED, dead_letter="g")
    sink_for("g", queues.accept).deliver(record_of(stored))
    ((request_id, accepted),) = queues.accepted.items()

    assert request_id not in (stored.request_id, "id-1")  # they lie in the same store
    assert b'{"n": 1}' == accepted["payload"]
    assert {"custom": {"RequestID": "id-1", "ErrorCode": "200", "ErrorMessage": "no"}} == json.loads(
        accepted["client_context"]
    )


def test_function_is_sent_a_large_record_without_payloads() -> None:
    """An event may have a mebibyte; a callable is given all of it."""
    heard: list[Record] = []
    large = event(payload=b'"' + b"e" * (EVENT_BYTES - 2) + b'"')
    given(heard.append, one=large)
    (accepted,) = given("g", one=large).accepted.values()

    assert len(accepted["payload"]) < EVENT_BYTES < len(heard[0].body)
    assert "requestContext" in json.loads(accepted["payload"])


def test_destination_that_is_gone_is_said() -> None:
    """The function was given another configuration, or is gone, while the record was on its way."""
    with pytest.raises(UsageError, match="has no such destination any more"):
        sink_for(None, Queues().accept)


def test_destination_that_cannot_be_named_is_said() -> None:
    """A function's name has letters, digits, - and _."""
    with pytest.raises(UsageError, match="no destination here is called 'no name'"):
        sink_for("no name", Queues().accept)


async def _later() -> None:
    """What nobody will await."""


class Promise:
    """What somebody would have to await, and cannot close."""

    def __await__(self) -> Iterator[None]:
        """Nothing to wait for."""
        yield


@pytest.mark.parametrize("answer", [_later, Promise])
def test_asynchronous_answer_is_refused(answer: Callable[[], object]) -> None:
    """A record is not lost because nobody awaited its delivery."""
    with pytest.raises(UsageError, match="is asynchronous, and nobody awaits it here: give a plain callable"):
        given(lambda _: answer())


# --- what comes of trying -----------------------------------------------------------------------------------------


def test_record_taken_is_over() -> None:
    """At the first try or a later one."""
    (stored,) = made(EXHAUSTED, on_failure="g")
    settlement = after_delivery(stored, None, NOW + 5)

    assert (State.SUCCEEDED, 1, NOW + 5, "") == (
        settlement.state,
        settlement.attempts,
        settlement.finished_at,
        settlement.failure,
    )


def test_record_refused_is_tried_again_and_then_given_up() -> None:
    """After 1, 2, 4, 8 and 16 seconds; the last error is kept."""
    (stored,) = made(EXHAUSTED, on_failure="g")
    waits = []
    while (settlement := after_delivery(stored, OSError("disk full"), NOW)).state is State.WAITING:
        waits.append(settlement.due - NOW)
        stored.attempts = settlement.attempts

    assert [1, 2, 4, 8, 16] == waits
    assert (State.FAILED, 6, "OSError", b"disk full") == (
        settlement.state,
        settlement.attempts,
        settlement.failure,
        settlement.answer,
    )
    assert NOW == settlement.finished_at
