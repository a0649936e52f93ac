"""Destinations in a running App: loops end, what is missing or hangs concerns itself alone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite import App, ManualClock, limits
from lambdalite.observe import RecordDelivered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambdalite.engine.deliver import Record

START = 1_772_000_000.0


def answer(event: Any, context: Any) -> str:
    """Do as asked."""
    return "done"


def fail(event: Any, context: Any) -> None:
    """Do not."""
    raise ValueError("no")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(START)


@pytest.fixture
def app(clock: ManualClock) -> Iterator[App]:
    """An App on it; its handlers run here."""
    with App(clock=clock, isolation="inline") as made:
        yield made


def test_functions_that_are_each_other_s_destination_stop(app: App) -> None:
    """After sixteen passes the chain is stopped and told to whom the stopped function names; nothing goes on."""
    told: list[Record] = []
    ping = app.function(answer, timeout=60, init_timeout=60, name="ping", on_success="pong", on_failure=told.append)
    app.function(answer, timeout=60, init_timeout=60, name="pong", on_success=ping)
    ping.send()
    app.drain()

    assert (16, 16) == (app.metrics.get("Invocations", "ping"), app.metrics.get("Invocations", "pong"))
    assert (1, 1) == (app.metrics.get("RecursiveInvocationsDropped", "ping"), app.metrics.get("AsyncEventsDropped"))
    assert ["RecursiveInvocation"] == [record.condition for record in told]
    assert "responsePayload" not in told[0].document


def test_functions_that_never_run_stop_as_well(app: App) -> None:
    """Without concurrency, each hands its events to the other: that too ends, though nothing is invoked."""
    ping = app.function(answer, timeout=60, init_timeout=60, name="ping", reserved_concurrency=0, on_failure="pong")
    app.function(answer, timeout=60, init_timeout=60, name="pong", reserved_concurrency=0, on_failure="ping")
    ping.send()
    app.drain()

    assert 0 == app.queue_stats().pending
    assert app.metrics.get("AsyncEventsReceived") == app.metrics.get("AsyncEventsDropped") <= 2 * 17


def test_loop_that_is_allowed_goes_on(app: App) -> None:
    """Until the handlers end it themselves."""
    rounds: list[Any] = []

    def often(event: Any, context: Any) -> None:
        rounds.append(event)
        if len(rounds) < 40:
            raise ValueError

    ping = app.function(
        often, timeout=60, name="ping", maximum_retry_attempts=0, recursive_loop="Allow", on_failure="pong"
    )
    app.function(answer, timeout=60, init_timeout=60, name="pong", recursive_loop="Allow", on_success=ping)
    ping.send()
    app.drain()

    assert 40 == len(rounds)


def test_dead_letter_function_that_is_missing_is_waited_for(app: App, clock: ManualClock) -> None:
    """It may come while the record is still tried; its attributes are in the client context."""
    seen: list[Any] = []

    def bury(event: Any, context: Any) -> None:
        seen.append((event, context.client_context.custom["ErrorMessage"]))

    app.function(fail, timeout=60, init_timeout=60, name="f", maximum_retry_attempts=0, dead_letter="grave").send(
        {"n": 1}
    )
    app.drain()
    assert [] == seen

    app.function(bury, timeout=60, init_timeout=60, name="grave")
    clock.run_until_idle()

    assert [({"n": 1}, "no")] == seen


def test_dead_letter_function_that_never_comes_is_counted(
    app: App, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    """The record stays undelivered, and somebody reads why."""
    app.function(fail, timeout=60, init_timeout=60, name="f", maximum_retry_attempts=0, dead_letter="grave").send()
    clock.run_until_idle()

    assert 1 == app.metrics.get("DeadLetterErrors", "f")
    assert 1 == app.queue_stats().undelivered
    assert "Function not found: grave" in capsys.readouterr().err


def test_event_taken_up_again_is_told_of_again(app: App) -> None:
    """In the same instant even: no record is taken for one that was there before."""
    told: list[Record] = []
    function = app.function(
        fail, timeout=60, init_timeout=60, name="f", maximum_retry_attempts=0, on_failure=told.append
    )
    sent = function.send()
    for _ in range(2):
        app.drain()
        app.queue.redrive(request_id=sent.request_id)
    app.drain()

    assert [sent.request_id] * 3 == [record.request_id for record in told]
    assert 3 == len({record.delivery_id for record in told})


def test_destination_that_hangs_holds_up_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken to have failed when its time is over; events and other destinations go on meanwhile."""
    monkeypatch.setattr(limits, "DELIVERY_SECONDS", 0.05)
    stay, failed, told = threading.Event(), threading.Event(), threading.Event()
    errors: list[str] = []

    def hear(event: object) -> None:
        if isinstance(event, RecordDelivered) and not event.ok:
            errors.append(event.error)
            failed.set()

    with App(isolation="inline") as app:
        app.observe(hear)
        app.function(answer, timeout=60, init_timeout=60, name="stuck", on_success=lambda _: stay.wait()).send()
        assert failed.wait(10)
        app.function(answer, timeout=60, init_timeout=60, name="quick", on_success=lambda _: told.set()).send()

        assert told.wait(10)
        assert "TimeoutError: the destination took longer than 0.05 s" == errors[0]
        stay.set()
