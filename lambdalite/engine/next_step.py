"""What happens to an event after an attempt, or instead of one: pure functions from values to a value.

SEMANTICS of AWS's asynchronous invocation: a function's own failure is retried after one minute and then two, with the
same request id; a throttle or a failure of the service goes back to the queue for a second, doubling up to five minutes,
and is no attempt; the age of an event is looked at ahead: what the next try would find too old ends now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lambdalite import limits
from lambdalite.errors import ServiceError
from lambdalite.model.queued import State

if TYPE_CHECKING:
    from lambdalite.model.function import FunctionConfig
    from lambdalite.model.outcome import Outcome
    from lambdalite.model.queued import QueuedEvent

__all__ = ["AGE", "EXHAUSTED", "RECURSION", "SUCCESS", "ZERO", "Again", "Over", "before", "decide"]

# S: `condition` of AWS's destination records
SUCCESS = "Success"
EXHAUSTED = "RetriesExhausted"
AGE = "EventAgeExceeded"
ZERO = "ZeroReservedConcurrency"
RECURSION = "RecursiveInvocation"  # O: AWS does not say what its record calls it; named after its exception


class Again(NamedTuple):
    """Run it again at ``due``, seconds since the epoch."""

    due: float
    attempts: int
    refusals: int


class Over(NamedTuple):
    """It has come to its end, for AWS's ``condition``."""

    state: State
    condition: str
    attempts: int


def before(event: QueuedEvent, config: FunctionConfig, now: float, passes: int) -> Over | None:
    """Why an event must not run at all; None if it may.

    Args:
        event: the event.
        config: the function's configuration, as it is now.
        now: seconds since the epoch.
        passes: how often this chain of events has been through the function already.
    """
    # The loop comes first: two functions without concurrency, each the other's destination, are one too.
    if passes >= limits.RECURSION_PASSES and config.recursive_loop == "Terminate":
        return Over(State.FAILED, RECURSION, event.attempts)
    if config.reserved_concurrency == 0:
        return Over(State.FAILED, ZERO, event.attempts)
    if _too_old(event, config, now, 0.0):
        return Over(State.FAILED, AGE, event.attempts)
    return None


def decide(event: QueuedEvent, result: Outcome | ServiceError, config: FunctionConfig, now: float) -> Again | Over:
    """What comes after an attempt.

    Args:
        event: the event, as it was before the attempt.
        result: what came of it: the function's outcome, or the service's refusal.
        config: the function's configuration.
        now: seconds since the epoch.
    """
    if isinstance(result, ServiceError):
        if _for_good(result):
            return Over(State.FAILED, EXHAUSTED, event.attempts)
        wait = _backoff(event.refusals)
        again = Again(now + wait, event.attempts, event.refusals + 1)
    else:
        attempts = event.attempts + 1
        if result.failure is None:
            return Over(State.SUCCEEDED, SUCCESS, attempts)
        if attempts > _retries(event, config):
            return Over(State.FAILED, EXHAUSTED, attempts)
        wait = _pause(attempts)
        again = Again(now + wait, attempts, 0)
    if _too_old(event, config, now, wait):
        return Over(State.FAILED, AGE, again.attempts)
    return again


def _for_good(refusal: ServiceError) -> bool:
    """Will it be refused every time?

    D: AWS tries again after 429 and 5xx. O: after 404 and 409 too, since the function may be on its way back: hosts that
    share a store are replaced one after the other. What is wrong with the request itself stays wrong.
    """
    return 400 <= refusal.status < 500 and refusal.status not in _PASSING


_PASSING = (404, 409, 429)


def _retries(event: QueuedEvent, config: FunctionConfig) -> int:
    own = event.maximum_retry_attempts
    return config.maximum_retry_attempts if own is None else own


def _pause(attempts: int) -> float:
    """Seconds before the next attempt: one minute, two, and on to five for schedules, which may have 185 retries."""
    return min(limits.RETRY_FIRST * 2.0 ** min(attempts - 1, _DOUBLINGS), limits.BACKOFF[1])


def _backoff(refusals: int) -> float:
    """Seconds before what was refused so often is tried again."""
    first, most = limits.BACKOFF
    return min(first * 2.0 ** min(refusals, _DOUBLINGS), most)


_DOUBLINGS = 30  # enough to reach any longest wait


def _too_old(event: QueuedEvent, config: FunctionConfig, now: float, wait: float) -> bool:
    """Will it have reached its age after ``wait`` seconds?

    S: an event that may be 60 seconds old has no time for a retry after 60. One that was delayed on purpose ages from
    when it was first due.
    """
    own = event.maximum_event_age
    limit = config.maximum_event_age if own is None else own
    age = now - max(event.accepted_at, event.not_before)
    if age < 0:  # the clock went back: what counts is how long it has been made to wait, so that it ends all the same
        age = sum(map(_pause, range(1, event.attempts + 1))) + sum(map(_backoff, range(event.refusals)))
    return age + wait >= limit
