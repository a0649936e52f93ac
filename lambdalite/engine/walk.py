"""The one walk: from an Invocation to an Outcome. Every source calls it; nothing else runs user code.

The numbers are the steps of the table in docs/explanation/walk.md: 0-2 are the caller's, who makes the Invocation; here are
3 acquire, 4 init, 5 and 6 run, 7 release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambdalite import limits
from lambdalite.clock import wall
from lambdalite.errors import ServiceException, TooManyRequests
from lambdalite.model.outcome import Outcome
from lambdalite.observe.events import EnvironmentStarted
from lambdalite.workers.lifecycle import Phase

if TYPE_CHECKING:
    from lambdalite.engine.capacity import Capacity, Fleet
    from lambdalite.model.invocation import Invocation
    from lambdalite.observe import Observatory
    from lambdalite.workers.diagnose import Verdict
    from lambdalite.workers.environment import Environment
    from lambdalite.workers.inline import InlineEnvironment
    from lambdalite.workers.waiting import Plan

__all__ = ["walk"]


def walk(
    capacity: Capacity, fleet: Fleet, observatory: Observatory, invocation: Invocation, patience: float | None
) -> Plan[Outcome]:
    """Run one invocation.

    Raises:
        TooManyRequests: no room, now or within ``patience`` seconds.
        ServiceException: this machine has no room, or environments end before they can be used.
        InvalidRequestContent: the event is not JSON.
    """
    environment = capacity.take(fleet)  # 3
    if environment is None:
        try:
            environment = yield from capacity.acquire(fleet, patience)
        except TooManyRequests as error:
            observatory.throttled(invocation.version.name, error.reason)
            raise
    try:
        outcome, died = None, 0
        while outcome is None:
            waited, verdict, began_at = environment.phase is not Phase.IDLE, None, wall()
            if observatory.logs.followers.active:
                environment.follow(observatory.logs.live)
            if waited:
                verdict = yield from environment.start()  # 4
            if verdict is not None:
                outcome = _init_failed(environment, invocation, verdict, began_at)
                break
            outcome = yield from environment.run(invocation, fleet.meanwhile)  # 5, 6
            if outcome is None:  # it had died while it was idle: the event was never seen, so another one takes it
                died += 1
                environment = _replacement(capacity, fleet, environment, died)
            elif waited:
                outcome.init_duration = environment.init_seconds
                _tell_started(observatory, environment)
        if fleet.template.notes:
            outcome.notes = fleet.template.notes
    except BaseException:
        # Cancelled, Ctrl-C, or the service is at fault: this environment ends, and nothing else.
        if not environment.usable:
            environment.end_now()
        raise
    finally:
        capacity.release(fleet, environment)  # 7
    observatory.done(outcome)
    return outcome


def _replacement(
    capacity: Capacity, fleet: Fleet, environment: Environment | InlineEnvironment, died: int
) -> Environment | InlineEnvironment:
    if died > limits.REPLACEMENTS:
        raise ServiceException(
            f"{died} environments of {fleet.version.name} in a row ended before they had read their event: "
            "look at what its init leaves running"
        )
    return capacity.replace(fleet, environment)


def _tell_started(observatory: Observatory, environment: Environment | InlineEnvironment) -> None:
    if observatory.observers.active:
        cold = (environment.init_seconds or 0.0) * 1000
        how = "fork" if environment.template.snapshot else "init"
        observatory.observers.emit(EnvironmentStarted(environment.version.name, environment.id, cold, how))


def _init_failed(
    environment: Environment | InlineEnvironment, invocation: Invocation, verdict: Verdict, began_at: float
) -> Outcome:
    output, dropped = environment.take_output()
    return Outcome(
        invocation.request_id,
        invocation.version,
        verdict.failure,
        verdict.payload,
        began_at,
        duration=0.0,
        init_duration=wall() - began_at,
        max_memory_used=environment.peak(),
        output=output,
        output_dropped=dropped,
        log_stream=environment.stream,
        environment_id=environment.id,
        exit_code=verdict.exit_code,
        signal=verdict.signal,
        enforced_by=verdict.enforced_by,
        traceback=environment.trace,
    )
