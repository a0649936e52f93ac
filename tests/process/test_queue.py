"""Sent events: accepted, run, retried, delivered; on clocks that only the test moves, with real environments."""

from __future__ import annotations

import json
import os
import pathlib
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from lambdalite import (
    App,
    EventDropped,
    HandlerError,
    InvalidParameterValue,
    InvalidRequestContent,
    ManualClock,
    RequestTooLarge,
    UsageError,
)
from lambdalite.model.queued import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambdalite.engine.deliver import Record

START = 1_772_000_000.0


def double(event: Any, context: Any) -> Any:
    return event["n"] * 2


def fail(event: Any, context: Any) -> Any:
    raise ValueError(f"no {event['n']}")


def note(event: Any, context: Any) -> str:
    """Append who ran to a file that the test reads."""
    with open(event["file"], "a") as file:
        file.write(f"{event['n']} {context.aws_request_id}\n")
    return str(event["n"])


def hang(event: Any, context: Any) -> None:
    import time

    pathlib.Path(event["file"]).touch()
    time.sleep(600)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def app(clock: ManualClock) -> Iterator[App]:
    with App(clock=clock, reuse=True) as made:
        yield made


@pytest.fixture
def place() -> Iterator[str]:
    """A directory that handlers may write to: their /tmp is their own."""
    import tempfile

    base = pathlib.Path.home() / ".cache"
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as made:
        yield made


# --- running ------------------------------------------------------------------------------------------------------


def test_sent_event_runs_and_its_answer_can_be_had(app: App) -> None:
    """`send` gives a handle; `result` waits for the answer."""
    sent = app.function(double, timeout=60, init_timeout=60).send({"n": 21})

    assert 42 == sent.result(timeout=30)
    assert ("succeeded", 1) == (sent.status, sent.attempts)


def test_event_runs_under_the_system_clock_too() -> None:
    """Nobody has to move anything."""
    with App(reuse=True) as app:
        sent = [app.function(double, timeout=60, init_timeout=60, name=f"f{n}").send({"n": n}) for n in range(3)]

        assert [0, 2, 4] == [one.result(timeout=30) for one in sent]
        assert app.drain(30)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sending_and_waiting_work_in_event_loops(app: App, backend: str) -> None:
    """`asend`, `await` and `aresult` do what their twins do."""
    made = app.function(double, timeout=60, init_timeout=60)

    async def main() -> tuple[Any, Any, bool]:
        first, second = await made.asend({"n": 1}), await made.asend({"n": 2})
        return await first, await second.aresult(), await second.await_over()

    assert (2, 4, True) == anyio.run(main, backend=backend)


def test_failed_event_is_retried_after_one_minute_and_two_with_the_same_id(
    app: App, clock: ManualClock, place: str
) -> None:
    """Three attempts at AWS's instants, one request id, and then it is over."""
    ids: list[str] = []
    made = app.function(fail, timeout=60, init_timeout=60)
    seen: list[tuple[float, int]] = []
    app.observe(
        lambda event: (
            seen.append((event.at - START, event.attempts)) if type(event).__name__ == "EventSettled" else None
        )
    )
    app.observe(lambda event: ids.append(event.outcome.request_id) if hasattr(event, "outcome") else None)
    sent = made.send({"n": 1})
    clock.run_until_idle()

    assert [(0.0, 1), (60.0, 2), (180.0, 3)] == seen
    assert {sent.request_id} == set(ids)
    assert "RetriesExhausted" == sent.event.condition
    with pytest.raises(HandlerError, match="no 1"):
        sent.result()


def test_event_can_have_retries_of_its_own(app: App, clock: ManualClock) -> None:
    """0 retries: one attempt."""
    sent = app.function(fail, timeout=60, init_timeout=60).send({"n": 1}, maximum_retry_attempts=0)
    clock.run_until_idle()

    assert ("failed", 1) == (sent.status, sent.attempts)


def test_event_too_old_for_its_next_attempt_ends_now(app: App, clock: ManualClock) -> None:
    """Age is looked at ahead: with 60 s to live, the retry in 60 s is not waited for."""
    sent = app.function(fail, timeout=60, init_timeout=60, maximum_event_age=60).send({"n": 1})
    clock.run_until_idle()

    assert ("EventAgeExceeded", 1, START) == (sent.event.condition, sent.attempts, clock.now())


def test_reserved_concurrency_of_zero_ends_an_event_without_running_it(app: App, clock: ManualClock) -> None:
    """Straight to the failure destination, with no attempt counted."""
    records: list[Record] = []
    sent = app.function(double, timeout=60, init_timeout=60, reserved_concurrency=0, on_failure=records.append).send(
        {"n": 1}
    )
    clock.run_until_idle()
    (record,) = records

    assert ("ZeroReservedConcurrency", 0) == (sent.event.condition, sent.attempts)
    assert "responsePayload" not in record.document
    with pytest.raises(EventDropped, match="ZeroReservedConcurrency"):
        sent.result()


def test_throttled_event_goes_back_to_the_queue_and_counts_no_attempt(clock: ManualClock, place: str) -> None:
    """While a synchronous caller holds the only place, tries are a second, two, four apart."""
    with App(clock=clock) as app:
        holder = app.function(hang, reserved_concurrency=1, timeout=60, init_timeout=60, writable=[place])
        flag = os.path.join(place, "flag")
        holding = threading.Thread(target=lambda: anyio.run(_hold, holder, flag), daemon=True)
        holding.start()
        while not os.path.exists(flag):
            os.sched_yield()
        sent = holder.send({"file": os.path.join(place, "other")})
        clock.advance(7)

        assert (0, 4) == (sent.attempts, sent.event.refusals)  # at 0, 1, 3 and 7 seconds
        assert "TooManyRequestsException" == sent.event.failure
        assert sent.cancel()


async def _hold(holder: Any, flag: str) -> None:
    await holder.arun({"file": flag})


def test_updated_function_runs_queued_events_with_its_new_code(app: App, clock: ManualClock) -> None:
    """What counts is the function when the event runs."""
    made = app.function(fail, timeout=60, init_timeout=60)
    sent = made.send({"n": 4}, delay=10)
    app.update(made, double)
    clock.advance(10)

    assert 8 == sent.result()


def test_priority_goes_first_among_what_is_due(app: App, clock: ManualClock, place: str) -> None:
    """And the order of acceptance within one priority."""
    file = os.path.join(place, "order")
    made = app.function(note, timeout=60, init_timeout=60, writable=[place])
    for n, priority in ((1, 0), (2, 5), (3, 0), (4, 5)):
        made.send({"n": n, "file": file}, priority=priority, delay=10)
    clock.advance(10)

    assert ["2", "4", "1", "3"] == [line.split()[0] for line in pathlib.Path(file).read_text().splitlines()]


def test_known_request_id_is_not_run_twice(app: App, clock: ManualClock, place: str) -> None:
    """Sending it again gives the handle on the first."""
    file = os.path.join(place, "order")
    made = app.function(note, timeout=60, init_timeout=60, writable=[place])
    first = made.send({"n": 1, "file": file}, request_id="order-7")
    again = made.send({"n": 2, "file": file}, request_id="order-7")
    clock.run_until_idle()

    assert ("1", "1") == (first.result(), again.result())
    assert ["1 order-7"] == pathlib.Path(file).read_text().splitlines()


def test_long_line_holds_up_no_short_one(place: str) -> None:
    """Two hundred events of one function, then one of another: it does not wait for all of them."""
    store, file = os.path.join(place, "jobs.db"), os.path.join(place, "order")
    options: dict[str, Any] = {"timeout": 60, "init_timeout": 60, "writable": [place], "reuse": True}
    with App(store=store, dispatch=False) as app:
        long, short = app.function(note, name="long"), app.function(note, name="short")
        for n in range(200):
            long.send({"n": n, "file": file})
        last = short.send({"n": "short", "file": file})
    app = App(store=store, async_concurrency=2)
    for name in ("long", "short"):  # warm: a cold start takes longer than two hundred of these
        app.function(note, name=name, **options).invoke({"n": "warm", "file": file})
    with app:
        app.sent(last.request_id).wait(30)
        app.drain(60)
    names = [line.split()[0] for line in pathlib.Path(file).read_text().splitlines()]

    assert 203 == len(names)
    assert names.index("short") < 100


# --- destinations -------------------------------------------------------------------------------------------------


def test_records_are_aws_s_documents(app: App, clock: ManualClock) -> None:
    """OnSuccess gets the whole document."""
    records: list[Record] = []
    sent = app.function(double, timeout=60, init_timeout=60, on_success=records.append).send({"n": 1})
    clock.run_until_idle()
    (record,) = records

    assert {
        "version": "1.0",
        "timestamp": "2026-02-25T06:13:20.000Z",
        "requestContext": {
            "requestId": sent.request_id,
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:double:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": 2,
    } == record.document


def test_failure_goes_to_destination_and_dead_letter_place_both(app: App, clock: ManualClock) -> None:
    """The dead letter is the event itself, with AWS's attributes."""
    records: list[Record] = []
    letters: list[Record] = []
    made = app.function(
        fail, timeout=60, on_failure=records.append, dead_letter=letters.append, maximum_retry_attempts=0
    )
    sent = made.send({"n": 1})
    clock.run_until_idle()

    assert ["RetriesExhausted"] == [record.condition for record in records]
    assert [b'{"n": 1}'] == [letter.body for letter in letters]
    assert {
        "RequestID": {"DataType": "String", "StringValue": sent.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": "no 1"},
    } == letters[0].attributes


def test_destination_can_be_another_function(app: App, clock: ManualClock, place: str) -> None:
    """It is invoked asynchronously with the record, once."""
    file = os.path.join(place, "heard")
    app.function(hear, timeout=60, init_timeout=60, name="hear", environment={"FILE": file}, writable=[place])
    app.function(double, timeout=60, init_timeout=60, on_success="hear").send({"n": 3})
    clock.run_until_idle()

    assert [6] == [json.loads(line)["responsePayload"] for line in pathlib.Path(file).read_text().splitlines()]


def hear(event: Any, context: Any) -> None:
    with open(os.environ["FILE"], "a") as file:
        file.write(json.dumps(event) + "\n")


def test_destination_that_raises_is_asked_again_and_given_up(app: App, clock: ManualClock) -> None:
    """It holds up nothing, is counted when given up, and the record stays in the store as undelivered."""
    calls: list[float] = []

    def refuse(record: Record) -> None:
        calls.append(clock.now() - START)
        raise OSError("no route")

    made = app.function(double, timeout=60, init_timeout=60, on_success=refuse)
    sent = made.send({"n": 1})
    assert 2 == sent.result(timeout=30)
    clock.run_until_idle()

    assert [0.0, 1.0, 3.0, 7.0, 15.0, 31.0] == calls
    assert (1, 0) == (app.queue_stats().undelivered, app.queue_stats().deliveries)
    assert 1 == app.metrics.get("DestinationDeliveryFailures", "double")


# --- looking after it ---------------------------------------------------------------------------------------------


def test_event_can_be_taken_back_while_it_waits(app: App, clock: ManualClock) -> None:
    """Once; and then its result is that it was cancelled."""
    sent = app.function(double, timeout=60, init_timeout=60).send({"n": 1}, delay=5)

    assert (True, False, "cancelled") == (sent.cancel(), sent.cancel(), sent.status)
    with pytest.raises(EventDropped, match="cancelled before it ran"):
        sent.result()


def test_waiting_event_can_be_run_now(app: App, clock: ManualClock) -> None:
    """`retry_now` makes it due."""
    sent = app.function(double, timeout=60, init_timeout=60).send({"n": 1}, delay=500)
    app.queue.retry_now(sent.request_id)

    assert (2, START) == (sent.result(timeout=30), clock.now())


def test_failed_events_can_be_taken_up_again(app: App, clock: ManualClock) -> None:
    """Redriving runs them as if they had just been sent, with the code of now."""
    made = app.function(fail, timeout=60, init_timeout=60)
    sent = made.send({"n": 1}, maximum_retry_attempts=0)
    clock.run_until_idle()
    app.update(made, double)

    assert 1 == app.queue.redrive()
    assert (2, 1) == (sent.result(timeout=30), sent.attempts)


def test_queue_can_be_counted_and_listed(app: App, clock: ManualClock) -> None:
    """Counts by state, events in order of acceptance, purge forgets."""
    made = app.function(double, timeout=60, init_timeout=60)
    sent = [made.send({"n": n}, delay=60) for n in range(3)]
    counts = app.queue_stats()

    assert (3, 3, START + 60) == (counts.waiting, counts.pending, counts.next_due)
    assert [one.request_id for one in sent] == [event.request_id for event in app.queue.list(state=State.WAITING)]
    assert 3 == app.queue.purge(function="double")
    with pytest.raises(UsageError, match="no event"):
        app.sent(sent[0].request_id)


def test_waiting_on_a_clock_that_nobody_moves_says_so(app: App, clock: ManualClock) -> None:
    """Instead of hanging for ever."""
    sent = app.function(fail, timeout=60, init_timeout=60).send({"n": 1})
    with pytest.raises(UsageError, match="due in 60 s by a clock that only you move"):
        sent.wait()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delay": -1}, "delay takes seconds"),
        ({"delay": 5, "at": START}, "not both"),
        ({"at": "tomorrow"}, "at takes"),
        ({"priority": 1.5}, "priority takes"),
        ({"group": ""}, "group takes"),
        ({"request_id": "a b"}, "request_id takes"),
        ({"maximum_retry_attempts": 3}, "maximum_retry_attempts takes"),
        ({"maximum_event_age": 59}, "maximum_event_age takes"),
    ],
)
def test_wrong_arguments_of_send_are_refused(app: App, options: dict[str, Any], text: str) -> None:
    """By name, with what they take; nothing is stored."""
    made = app.function(double, timeout=60, init_timeout=60)
    with pytest.raises(InvalidParameterValue, match=text):
        made.send({"n": 1}, **options)

    assert 0 == app.queue_stats().pending


def test_events_that_are_no_json_or_too_large_are_refused_at_the_door(app: App) -> None:
    """In AWS's words; asynchronously there is nobody to tell later."""
    made = app.function(double, timeout=60, init_timeout=60)
    with pytest.raises(InvalidRequestContent, match="Could not parse request body into json"):
        made.send(b"{")
    with pytest.raises(RequestTooLarge, match="smaller than 1048576 bytes"):
        made.send({"n": "x" * 1_048_576})

    assert 0 == app.queue_stats().pending


# --- beginning and end --------------------------------------------------------------------------------------------


def test_events_left_in_a_store_run_after_the_next_start(place: str, clock: ManualClock) -> None:
    """An App that only sends, then one that serves."""
    file = os.path.join(place, "jobs.db")
    with App(store=file, dispatch=False, clock=clock) as sender:
        request_id = sender.function(double).send({"n": 5}).request_id
    with App(store=file, reuse=True, clock=clock) as server:
        server.function(double)
        clock.advance()

        assert 10 == server.sent(request_id).result(timeout=30)


def test_closing_hands_back_what_is_under_way(place: str) -> None:
    """Without counting an attempt; the next host runs it."""
    store, flag = os.path.join(place, "jobs.db"), os.path.join(place, "flag")
    with App(store=store) as app:
        sent = app.function(hang, timeout=60, init_timeout=600, writable=[place]).send({"file": flag})
        while not os.path.exists(flag):
            os.sched_yield()
    with App(store=store, dispatch=False) as app:
        app.function(hang, timeout=60, init_timeout=60)
        event = app.sent(sent.request_id).event

        assert (State.READY, 0) == (event.state, event.attempts)


def test_closing_with_grace_lets_what_is_under_way_finish(place: str) -> None:
    """And its settlement is written."""
    store, flag, go = (os.path.join(place, name) for name in ("jobs.db", "flag", "go"))
    app = App(store=store)
    sent = app.function(linger, timeout=60, init_timeout=60, writable=[place]).send({"file": flag, "go": go})
    app.start()
    while not os.path.exists(flag):
        os.sched_yield()
    closing = threading.Thread(target=app.close, kwargs={"grace": 30})
    closing.start()
    pathlib.Path(go).touch()
    closing.join(30)
    with App(store=store, dispatch=False) as later:
        later.function(linger)

        assert "went" == later.sent(sent.request_id).result(timeout=5)


def linger(event: Any, context: Any) -> str:
    import time

    pathlib.Path(event["file"]).touch()
    while not os.path.exists(event["go"]):
        time.sleep(0.01)
    return "went"


def test_six_hours_pass_in_the_same_order_each_time(place: str) -> None:
    """Retries, dead letters and delays of many functions: two runs tell one story."""

    def story() -> list[tuple[Any, ...]]:
        clock, seen = ManualClock(START), []
        with App(clock=clock, reuse=True) as app:
            app.observe(
                lambda event: (
                    seen.append((event.at - START, event.function, event.state, event.attempts))
                    if type(event).__name__ == "EventSettled"
                    else None
                )
            )
            good, bad = (
                app.function(double, timeout=60, init_timeout=60),
                app.function(fail, timeout=60, init_timeout=60, dead_letter=lambda record: None),
            )
            for n in range(5):
                good.send({"n": n}, delay=n * 1800)
                bad.send({"n": n}, delay=n * 1800)
            clock.advance(hours=6)
        return seen

    first = story()

    assert 20 == len(first)
    assert first == story()
