"""The policy of retries under any sequence of results: it keeps to its limits, it ends, and it depends on nothing else."""

from __future__ import annotations

import copy
import functools

from hypothesis import given
from hypothesis import strategies as st

from lambdalite.engine.next_step import Again, Over, before, decide
from lambdalite.errors import InvalidRequestContent, ServiceError, ServiceException, TooManyRequests
from lambdalite.model.function import FunctionConfig, Version, configure
from lambdalite.model.outcome import Failure, Outcome
from lambdalite.model.queued import QueuedEvent, State
from lambdalite.names import function_arn

SENT = 1_793_613_600.0
VERSION = Version(config=configure({"name": "f"}), arn=function_arn("f"), handler="m.handler")
RESULTS: list[Outcome | ServiceError] = [
    Outcome("id-1", VERSION, Failure.HANDLER, b"{}", SENT, 0.1),
    TooManyRequests(),
    ServiceException(),
]
ENDS: list[Outcome | ServiceError] = [Outcome("id-1", VERSION, None, b"{}", SENT, 0.1), InvalidRequestContent()]

configs = st.builds(
    lambda retries, age: configure({"name": "f", "maximum_retry_attempts": retries, "maximum_event_age": age}),
    st.integers(0, 2),
    st.integers(60, 21_600),
)
events = st.builds(
    functools.partial(
        QueuedEvent, request_id="id-1", lane="invoke:f", function="f", payload=b"{}", accepted_at=SENT, due=SENT
    ),
    not_before=st.one_of(st.just(0.0), st.floats(SENT, SENT + 1e6)),
    maximum_retry_attempts=st.one_of(st.none(), st.integers(0, 185)),
    maximum_event_age=st.one_of(st.none(), st.integers(60, 86_400)),
)
#: What comes of each attempt, and how long it takes; the last one goes on for ever.
attempts = st.lists(st.tuples(st.sampled_from(RESULTS), st.floats(0, 900)), min_size=1, max_size=30)


def limits_of(event: QueuedEvent, config: FunctionConfig) -> tuple[int, float]:
    """Retries and age that hold for an event."""
    retries, age = event.maximum_retry_attempts, event.maximum_event_age
    return (
        config.maximum_retry_attempts if retries is None else retries,
        config.maximum_event_age if age is None else age,
    )


def run(
    event: QueuedEvent, config: FunctionConfig, steps: list[tuple[Outcome | ServiceError, float]], now: float
) -> tuple[Over, float, int]:
    """Live through an event's life; its end, when its last attempt began, and how often the function ran."""
    ran, began, left = 0, now, list(steps)
    while True:
        over = before(event, config, now, 0)
        if over is not None:
            return over, began, ran
        result, took = left.pop(0) if len(left) > 1 else left[0]
        began, now = now, now + took
        ran += isinstance(result, Outcome)
        step = decide(event, result, config, now)
        if isinstance(step, Over):
            return step, began, ran
        assert step.due > now
        event.attempts, event.refusals, event.due, now = step.attempts, step.refusals, step.due, step.due


@given(events, configs, attempts)
def test_event_ends_within_its_limits(
    event: QueuedEvent, config: FunctionConfig, steps: list[tuple[Outcome | ServiceError, float]]
) -> None:
    """It never runs more often than allowed, nor begins an attempt when it is too old, and says why it ended."""
    retries, age = limits_of(event, config)
    start = max(event.accepted_at, event.not_before)
    over, began, ran = run(event, config, steps, start)

    assert State.FAILED is over.state
    assert ran == over.attempts <= retries + 1
    assert began - start < age
    assert ("RetriesExhausted" if ran == retries + 1 else "EventAgeExceeded") == over.condition


@given(events, configs, attempts, st.floats(1, 1e9))
def test_event_ends_though_the_clock_went_back(
    event: QueuedEvent, config: FunctionConfig, steps: list[tuple[Outcome | ServiceError, float]], back: float
) -> None:
    """However far: it runs at least once, and does not stay for ever."""
    retries, _ = limits_of(event, config)
    over, _, ran = run(event, config, steps, SENT - back)

    assert State.FAILED is over.state
    assert ran == over.attempts <= retries + 1


@given(events, configs, st.sampled_from(RESULTS + ENDS), st.floats(0, 1e6), st.integers(0, 30), st.integers(0, 1_000))
def test_decision_follows_from_its_arguments(
    event: QueuedEvent, config: FunctionConfig, result: Outcome | ServiceError, later: float, tried: int, refused: int
) -> None:
    """The same arguments give the same answer, and are left as they were."""
    event.attempts, event.refusals = tried, refused
    twin, now = copy.copy(event), SENT + later
    first = decide(event, result, config, now)

    assert first == decide(twin, result, config, now)
    assert all(
        getattr(twin, field) == getattr(event, field) for field in QueuedEvent.__slots__ if field != "__weakref__"
    )
    if isinstance(first, Again):
        assert 1 <= first.due - now <= 300
