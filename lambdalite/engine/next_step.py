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
    if config.reserved_concurrency == 0:
        return Over(State.FAILED, ZERO, event.attempts)
    if passes >= limits.RECURSION_PASSES and config.recursive_loop == "Terminate":
        return Over(State.FAILED, RECURSION, event.attempts)
    if _too_old(event, config, now):
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
        if 400 <= result.status < 500 and result.status != 429:  # it will be refused every time
            return Over(State.FAILED, EXHAUSTED, event.attempts)
        first, most = limits.BACKOFF
        due = now + min(first * 2 ** min(event.refusals, 30), most)
        again = Again(due, event.attempts, event.refusals + 1)
    else:
        attempts = event.attempts + 1
        if result.failure is None:
            return Over(State.SUCCEEDED, SUCCESS, attempts)
        if attempts > _retries(event, config):
            return Over(State.FAILED, EXHAUSTED, attempts)
        delays = limits.RETRY_DELAYS
        again = Again(now + delays[min(attempts, len(delays)) - 1], attempts, 0)
    if _too_old(event, config, again.due):
        return Over(State.FAILED, AGE, again.attempts)
    return again


def _retries(event: QueuedEvent, config: FunctionConfig) -> int:
    own = event.maximum_retry_attempts
    return config.maximum_retry_attempts if own is None else own


def _too_old(event: QueuedEvent, config: FunctionConfig, at: float) -> bool:
    # An event that was delayed on purpose ages from when it was first due. A clock that goes back makes it younger,
    # which ends nothing too early; every wait starts from `now`, so nothing stalls either.
    own = event.maximum_event_age
    limit = config.maximum_event_age if own is None else own
    return at - max(event.accepted_at, event.not_before) > limit
