"""What an observer may hear of: the closed list, and who listens.

Observers are called in the thread where the thing happened, so they must be quick and must not invoke. One that raises
is reported on stderr the first time, counted every time, and called again: it never breaks an invocation.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.observe.lines import Outcome

__all__ = [
    "EnvironmentStarted",
    "EnvironmentStopped",
    "Event",
    "EventAccepted",
    "EventSettled",
    "InvocationDone",
    "Listeners",
    "Observers",
    "RecordDelivered",
    "Throttled",
]


class InvocationDone(NamedTuple):
    """An invocation came to its end, well or badly."""

    outcome: Outcome


class Throttled(NamedTuple):
    """A request was refused for lack of room: AWS's reason, and when (seconds since the epoch)."""

    function: str
    reason: str
    at: float


class EnvironmentStarted(NamedTuple):
    """An environment is ready after `cold_ms` milliseconds.

    `how` is ``"fork"``, ``"init"``, ``"spare"`` or ``"provisioned"``.
    """

    function: str
    environment_id: str
    cold_ms: float
    how: str


class EnvironmentStopped(NamedTuple):
    """An environment is gone.

    `why` is ``"used"``, ``"idle"``, ``"evicted"``, ``"failed"``, ``"updated"`` or ``"closed"``.
    """

    function: str
    environment_id: str
    why: str


class EventAccepted(NamedTuple):
    """An event for `function` is safe in the queue, since `at` (seconds since the epoch)."""

    function: str
    request_id: str
    at: float


class EventSettled(NamedTuple):
    """An event's attempt is over, or it ended without one.

    `state` is ``"WAITING"`` (again, at `next_due`), ``"SUCCEEDED"`` or ``"FAILED"``; `condition` is AWS's, once it is over.
    """

    function: str
    request_id: str
    state: str
    condition: str
    attempts: int
    next_due: float | None
    at: float


class RecordDelivered(NamedTuple):
    """A destination of `function` was given a record: `ok`, or `error` says why it did not take it (yet).

    `role` is ``"on_success"``, ``"on_failure"`` or ``"dead_letter"``; `request_id` the event's.
    """

    function: str
    role: str
    request_id: str
    ok: bool
    error: str
    at: float


Event: TypeAlias = (
    InvocationDone
    | Throttled
    | EnvironmentStarted
    | EnvironmentStopped
    | EventAccepted
    | EventSettled
    | RecordDelivered
)


class Listeners:
    """Callables that are told things. Adding and removing replace a tuple, so telling needs no lock."""

    __slots__ = ("_reported", "active", "failures")

    def __init__(self) -> None:
        #: Who listens; empty, and so false, when nobody does: the one test on the hot path.
        self.active: tuple[Callable[..., object], ...] = ()
        #: How many times each of them raised, by name.
        self.failures: dict[str, int] = {}
        self._reported: set[int] = set()

    def add(self, callback: Callable[..., object]) -> Callable[[], None]:
        """Tell `callback` from now on; the answer, called, ends that. Adding twice tells twice."""
        self.active = (*self.active, callback)
        done = False

        def remove() -> None:
            nonlocal done
            if not done:
                done = True
                left = list(self.active)
                left.remove(callback)
                self.active = tuple(left)

        return remove

    def tell(self, *what: Any) -> None:
        """Call everybody who listens with `what`."""
        for callback in self.active:
            try:
                callback(*what)
            except BaseException as error:
                # In the main thread Ctrl-C may have hit it. In any other it can only mean to end a thread that is ours.
                if not isinstance(error, Exception) and threading.current_thread() is threading.main_thread():
                    raise
                self._failed(callback, error)

    def _failed(self, callback: Callable[..., object], error: BaseException) -> None:
        name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
        self.failures[name] = self.failures.get(name, 0) + 1
        if id(callback) in self._reported or sys.stderr is None:
            return
        self._reported.add(id(callback))
        import traceback

        story = "".join(traceback.format_exception(error))
        told = (
            f"lambdalite: the observer {name} raised {type(error).__name__}; the invocation is unharmed. "
            f"It stays, later failures are only counted: mend or remove it.\n{story}"
        )
        try:
            sys.stderr.write(told)
        except (OSError, ValueError):  # a pipe that nobody reads any more, or closed: nobody is there to be told
            return


class Observers(Listeners):
    """Those who hear of `Event`s."""

    __slots__ = ()

    def emit(self, event: Event) -> None:
        """Tell everybody of `event`; ask `active` first where every nanosecond counts."""
        self.tell(event)
