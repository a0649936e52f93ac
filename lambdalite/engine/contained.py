"""What an inline handler raises to end its process, when it runs for the queue, whose thread serves everybody else too.

With a caller, `SystemExit` and its like pass through to the caller. The queue has none: there they are what they would be
in an environment of its own, the end of that environment.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import TYPE_CHECKING

from lambdalite.clock import monotonic, wall
from lambdalite.model.outcome import Outcome
from lambdalite.workers import diagnose

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.model.function import Version
    from lambdalite.workers.waiting import Plan, Turn, Wait

__all__ = ["contained"]


def contained(plan: Plan[Outcome], version: Version, request_id: str) -> Plan[Outcome]:
    """The same plan, but what it raises beyond `Exception` is an outcome; unless it was cancelled from outside.

    Args:
        plan: the walk of one event.
        version: what it runs.
        request_id: of the event.
    """
    started_at, began, cancelled = wall(), monotonic(), False
    go_on: Callable[[], Wait | Turn] = partial(next, plan)
    while True:
        try:
            wait = go_on()
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except Exception:
            raise
        except BaseException as error:
            if cancelled:
                raise
            verdict = diagnose.exited(_death(error), request_id)
            outcome = Outcome(request_id, version, verdict.failure, verdict.payload, started_at, monotonic() - began)
            outcome.exit_code, outcome.signal = verdict.exit_code, verdict.signal
            return outcome
        try:
            yield wait
        except BaseException as error:
            go_on, cancelled = partial(plan.throw, error), True
        else:
            go_on = partial(plan.send, None)


def _death(error: BaseException) -> diagnose.Death:
    """How a process would have ended of this."""
    if isinstance(error, KeyboardInterrupt):
        return diagnose.Death(int(signal.SIGINT))
    code = error.code if isinstance(error, SystemExit) else 1
    if code is None:
        code = 0
    return diagnose.Death((code if isinstance(code, int) else 1) % 256 << 8)
