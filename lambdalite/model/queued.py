"""What the asynchronous queue keeps: events on their way, and what became of them.

Plain records: made and moved by the engine, kept by a store. Times are seconds since the epoch by the App's clock, sizes
bytes.
"""

from __future__ import annotations

import enum

import attrs

__all__ = ["DELIVERY", "QueueStatistics", "QueuedEvent", "Settlement", "State", "delivery_lane", "invocation_lane"]


class State(enum.IntEnum):
    """Where an event is. The numbers are in stores on disk: add at the end, never renumber."""

    READY = 0  # may be claimed
    WAITING = 1  # due later: delayed, or between attempts
    BLOCKED = 2  # another event of its concurrency group is ready or running
    RUNNING = 3  # claimed by a host, until its lease ends
    SUCCEEDED = 4
    FAILED = 5  # retries, age or permission ran out: what `redrive` takes up again
    CANCELLED = 6

    @property
    def final(self) -> bool:
        """Nothing more happens by itself."""
        return self >= State.SUCCEEDED


#: What the lanes of records begin with.
DELIVERY = "deliver:"


def invocation_lane(function: str) -> str:
    """The lane of a function's events. A store claims by lane: as many of each as the claimer has room for."""
    return f"invoke:{function}"


def delivery_lane(function: str, role: str) -> str:
    """The lane of records on their way to one destination of a function."""
    return f"{DELIVERY}{function}:{role}"


@attrs.define(eq=False, kw_only=True)
class QueuedEvent:
    """One event for one function, or one record for one destination.

    A plain `define` without validators: one is made for every event; what comes from outside is checked before.
    """

    #: The same for every attempt; unique in its store. A second event with a known id is not stored again.
    request_id: str
    #: What it is claimed by: see `invocation_lane`.
    lane: str
    #: Name of the function that it is for, or whose record it is.
    function: str
    #: The event, or the record, as JSON bytes.
    payload: bytes
    #: When it was accepted.
    accepted_at: float
    #: When it may be claimed next.
    due: float
    #: When it was first due, if it was delayed on purpose: its age counts from then.
    not_before: float = 0.0
    #: Higher goes first among those that are due; an extension over AWS.
    priority: int = 0
    #: Events with the same key never run at the same time; an extension over AWS.
    group: str | None = None
    #: How many times the function has run with it (for a record: delivery was tried).
    attempts: int = 0
    #: Throttles and service errors since the last attempt: what the backoff grows with.
    refusals: int = 0
    #: Where it is.
    state: State = State.READY
    #: For this event alone: 0 to 185 retries; None: as the function says.
    maximum_retry_attempts: int | None = None
    #: For this event alone: seconds; None: as the function says.
    maximum_event_age: float | None = None
    #: What ``context.invoked_function_arn`` says.
    arn: str = ""
    #: X-Ray trace header, with the lineage of recursion detection.
    trace_id: str | None = None
    #: Client context as JSON text.
    client_context: str | None = None
    #: Where it came from: ``""`` a call of `send`, ``"schedule:NAME"``, ``"function:NAME"``, ``"destination:REQUEST_ID"``.
    source: str = ""
    #: For a record: ``"on_success"``, ``"on_failure"`` or ``"dead_letter"``; empty for an event.
    role: str = ""
    #: For a record to a dead-letter target: message attributes, as JSON text.
    attributes: str = ""
    #: Which host has claimed it, and until when.
    owner: str = ""
    lease_until: float = 0.0
    #: When it came to its end.
    finished_at: float | None = None
    #: AWS's condition: Success, RetriesExhausted, EventAgeExceeded, ZeroReservedConcurrency; ours: RecursiveInvocation.
    condition: str = ""
    #: `Failure`'s name of the last attempt, or the ServiceError's code; empty if there was none.
    failure: str = ""
    #: The last attempt's answer or error document.
    answer: bytes = b""
    #: Order of acceptance, given by the store.
    sequence: int = 0


@attrs.define(eq=False, kw_only=True)
class Settlement:
    """What became of a claimed event: the store makes it so, in one transaction, if the claim still holds.

    ``state`` is WAITING or READY (again, at ``due``), or final. ``deliveries`` are stored in the same transaction: an
    event is never over without its records being on their way.
    """

    request_id: str
    state: State
    due: float
    attempts: int
    refusals: int
    condition: str = ""
    failure: str = ""
    answer: bytes = b""
    finished_at: float | None = None
    deliveries: tuple[QueuedEvent, ...] = ()


@attrs.frozen(kw_only=True)
class QueueStatistics:
    """A moment's counts of a queue.

    Attributes:
        ready: may run now.
        waiting: due later.
        blocked: behind another event of their concurrency group.
        running: claimed.
        succeeded: over, with an answer.
        failed: over, without one; `App.redrive` takes them up again.
        cancelled: taken back before they ran.
        deliveries: records on their way to destinations (not counted above).
        undelivered: records that no destination took.
        next_due: when the earliest waiting event or record is due, seconds since the epoch; None if none waits.
        oldest: when the oldest event that is not over was accepted; None if there is none.
    """

    ready: int = 0
    waiting: int = 0
    blocked: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    deliveries: int = 0
    undelivered: int = 0
    next_due: float | None = None
    oldest: float | None = None

    @property
    def pending(self) -> int:
        """Events that are not over."""
        return self.ready + self.waiting + self.blocked + self.running
