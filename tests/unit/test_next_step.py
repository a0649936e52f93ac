"""What happens to an event after an attempt, or instead of one: AWS's rules, case by case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambdalite import errors
from lambdalite.engine.next_step import Again, Over, before, decide
from lambdalite.errors import ServiceError, TooManyRequests
from lambdalite.model.function import FunctionConfig, Version, configure
from lambdalite.model.outcome import Failure, Outcome
from lambdalite.model.queued import QueuedEvent, State
from lambdalite.names import function_arn

if TYPE_CHECKING:
    from collections.abc import Sequence

SENT = 1_793_613_600.0  # 2026-11-02T10:00:00Z
HOUR = 3_600.0
DAY = 24 * HOUR
FAILED = State.FAILED


def function(**options: Any) -> FunctionConfig:
    """A function's configuration."""
    return configure({"name": "f", **options})


def event(**facts: Any) -> QueuedEvent:
    """An event sent at SENT."""
    given = {"accepted_at": SENT, "due": SENT, **facts}
    return QueuedEvent(request_id="id-1", lane="invoke:f", function="f", payload=b"{}", **given)


def outcome(failure: Failure | None = None) -> Outcome:
    """What came of an attempt."""
    version = Version(config=function(), arn=function_arn("f"), handler="m.handler")
    return Outcome("id-1", version, failure, b"{}", SENT, 0.1)


def story(config: FunctionConfig, results: Sequence[Outcome | ServiceError], **facts: Any) -> list[float | str | int]:
    """Waits (seconds) between attempts that take no time, then the condition and the number of attempts."""
    one, now, told = event(**facts), SENT, list[Any]()
    for result in results:
        step = before(one, config, now, 0) or decide(one, result, config, now)
        if isinstance(step, Over):
            return [*told, step.condition, step.attempts]
        told.append(step.due - now)
        one.attempts, one.refusals, one.due, now = step.attempts, step.refusals, step.due, step.due
    return told


# --- after an attempt ---------------------------------------------------------------------------------------------


def test_answered_event_is_over() -> None:
    """One attempt, and AWS's condition Success."""
    assert Over(State.SUCCEEDED, "Success", 1) == decide(event(), outcome(), function(), SENT)


@pytest.mark.parametrize("failure", list(Failure), ids=lambda failure: failure.name)
def test_every_failure_of_the_function_is_retried(failure: Failure) -> None:
    """However it failed: its own exception, time, memory, a dead process, an answer that is too large."""
    assert Again(SENT + 60, 1, 0) == decide(event(), outcome(failure), function(), SENT)


@pytest.mark.parametrize(
    ("retries", "expected"),
    [
        (0, ["RetriesExhausted", 1]),
        (1, [60, "RetriesExhausted", 2]),
        (2, [60, 120, "RetriesExhausted", 3]),
    ],
)
def test_retries_come_after_one_minute_and_two(retries: int, expected: list[object]) -> None:
    """As many as the function allows, then AWS's condition and how often it ran."""
    failed = [outcome(Failure.HANDLER)] * 5

    assert expected == story(function(maximum_retry_attempts=retries), failed)


def test_event_with_its_own_number_of_retries_has_those() -> None:
    """It overrides the function's; the waits go on doubling, to five minutes."""
    expected = [60, 120, 240, 300, 300, "RetriesExhausted", 6]

    assert expected == story(function(), [outcome(Failure.HANDLER)] * 9, maximum_retry_attempts=5)


def test_185_retries_fit_into_a_day() -> None:
    """The most that a schedule may ask for, within the age that it may ask for."""
    told = story(function(), [outcome(Failure.HANDLER)] * 200, maximum_retry_attempts=185, maximum_event_age=DAY)

    assert ["RetriesExhausted", 186] == told[-2:]


# --- age ----------------------------------------------------------------------------------------------------------


def test_age_looks_ahead() -> None:
    """What the retry would find too old ends now: with 60 seconds AWS counts one attempt."""
    assert ["EventAgeExceeded", 1] == story(function(maximum_event_age=60), [outcome(Failure.HANDLER)] * 3)


def test_age_leaves_room_for_one_retry() -> None:
    """100 seconds: the first retry comes after 60, the second would come after 180."""
    assert [60, "EventAgeExceeded", 2] == story(function(maximum_event_age=100), [outcome(Failure.HANDLER)] * 3)


def test_retries_run_out_before_age_does() -> None:
    """Where both are true at once, AWS says that retries are exhausted."""
    config = function(maximum_event_age=60, maximum_retry_attempts=0)

    assert ["RetriesExhausted", 1] == story(config, [outcome(Failure.HANDLER)])


def test_event_that_waited_too_long_never_runs() -> None:
    """No host was up, or there was never room."""
    assert Over(FAILED, "EventAgeExceeded", 0) == before(event(), function(), SENT + 6 * HOUR, 0)
    assert before(event(), function(), SENT + 6 * HOUR - 1, 0) is None


def test_event_with_its_own_age_has_that() -> None:
    """It overrides the function's: a schedule's may be a day."""
    assert before(event(maximum_event_age=DAY), function(), SENT + DAY - 1, 0) is None
    assert Over(FAILED, "EventAgeExceeded", 0) == before(event(maximum_event_age=60), function(), SENT + 60, 0)


def test_delayed_event_ages_from_when_it_was_first_due() -> None:
    """A delay of a day does not use up six hours."""
    delayed = event(not_before=SENT + DAY, due=SENT + DAY)

    assert before(delayed, function(), SENT + DAY, 0) is None
    assert Over(FAILED, "EventAgeExceeded", 0) == before(delayed, function(), SENT + DAY + 6 * HOUR, 0)


# --- throttles and failures of the service ------------------------------------------------------------------------


def test_throttled_event_backs_off_and_that_is_no_attempt() -> None:
    """One second, doubling up to five minutes, until it is too old; it never ran."""
    told = story(function(maximum_event_age=1_200), [TooManyRequests()] * 99)

    assert [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, "EventAgeExceeded", 0] == told


def test_attempt_starts_the_backoff_anew() -> None:
    """What was throttled, ran and failed, and is throttled again waits a second."""
    results: list[Outcome | ServiceError] = [TooManyRequests(), TooManyRequests(), outcome(Failure.TIMEOUT)]

    assert [1, 2, 60, 1, 2] == story(function(), [*results, TooManyRequests(), TooManyRequests()])


@pytest.mark.parametrize(
    "refusal",
    [
        errors.TooManyRequests,
        errors.ServiceException,
        errors.ResourceNotReady,
        errors.ResourceNotFound,
        errors.ResourceConflict,
    ],
)
def test_refusal_that_may_pass_is_tried_again(refusal: type[ServiceError]) -> None:
    """No room, trouble of the service, a function that is being replaced."""
    assert Again(SENT + 1, 2, 1) == decide(event(attempts=2), refusal(), function(), SENT)


@pytest.mark.parametrize("refusal", [errors.InvalidRequestContent, errors.RequestTooLarge])
def test_refusal_of_the_request_itself_is_final(refusal: type[ServiceError]) -> None:
    """It would be refused every time; the function did not run."""
    assert Over(FAILED, "RetriesExhausted", 0) == decide(event(), refusal(), function(), SENT)


# --- without running ----------------------------------------------------------------------------------------------


def test_reserved_concurrency_zero_stops_an_event_at_once() -> None:
    """AWS's condition ZeroReservedConcurrency, and how often it had run before."""
    config = function(reserved_concurrency=0)

    assert Over(FAILED, "ZeroReservedConcurrency", 0) == before(event(), config, SENT, 0)
    assert Over(FAILED, "ZeroReservedConcurrency", 1) == before(event(attempts=1), config, SENT, 0)


@pytest.mark.parametrize(
    ("loop", "passes", "expected"),
    [
        ("Terminate", 15, None),
        ("Terminate", 16, Over(FAILED, "RecursiveInvocation", 0)),
        ("Allow", 16, None),
        ("Allow", 1_000, None),
    ],
)
def test_chain_of_events_is_stopped_after_sixteen_passes(loop: str, passes: int, expected: Over | None) -> None:
    """Unless the function allows it."""
    assert expected == before(event(), function(recursive_loop=loop), SENT, passes)


def test_loop_is_found_though_nothing_runs() -> None:
    """Functions without concurrency that are each other's destination are a loop too."""
    config = function(reserved_concurrency=0)

    assert Over(FAILED, "RecursiveInvocation", 0) == before(event(), config, SENT, 16)


# --- a clock that went back ---------------------------------------------------------------------------------------


def test_clock_that_went_back_expires_nothing() -> None:
    """The event was accepted tomorrow: it runs, and its retry comes a minute from now."""
    assert before(event(), function(maximum_event_age=60), SENT - DAY, 0) is None
    assert Again(SENT - DAY + 60, 1, 0) == decide(event(), outcome(Failure.HANDLER), function(), SENT - DAY)


def test_clock_that_went_back_keeps_no_event_for_ever() -> None:
    """Years before it was accepted, what counts is how long it has been made to wait."""
    one, now, tries = event(), SENT - 3_650 * DAY, 0
    while isinstance(step := decide(one, TooManyRequests(), function(), now), Again):
        one.refusals, now, tries = step.refusals, step.due, tries + 1

    assert Over(FAILED, "EventAgeExceeded", 0) == step
    assert 6 * HOUR - 300 <= now - (SENT - 3_650 * DAY) < 6 * HOUR
    assert tries == 79
