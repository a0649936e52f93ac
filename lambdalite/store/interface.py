"""What the engine asks of a store. Two kinds keep it: in memory, and in a SQLite file shared by several host processes.

Guarantees that every store gives:

- *Accepted means stored*: what `put` returned from survives what the store's durability says it survives.
- *At least once*: an event is in exactly one state; a claim is a lease, and when its host dies or lets it lapse the event
  is ready again. A settlement by a host that has lost its claim changes nothing.
- *Nothing half done*: settling an event and storing the records and events that follow from it is one transaction.

Thread-safe throughout. Nobody polls inside a process: who puts, wakes (the engine does that).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lambdalite.model.queued import QueuedEvent, QueueStatistics, Settlement, State

__all__ = ["Claim", "Store"]


class Claim(NamedTuple):
    """What a turn brought.

    Attributes:
        events: claimed, in order: priority, due time, acceptance.
        lost: ids of settlements that came too late: another host had taken the event over.
        next_due: when to come again: the earliest instant at which a WAITING event of the lanes asked for becomes due or
            another host's lease ends; None if neither will.
    """

    events: tuple[QueuedEvent, ...]
    lost: tuple[str, ...]
    next_due: float | None


class Store(Protocol):
    """Where events are kept."""

    def put(self, events: Sequence[QueuedEvent]) -> int:
        """Keep new events; returns when they are safe. Those whose id is known are left as they are.

        An event's ``state`` is decided here: WAITING if ``due`` is after ``accepted_at``, BLOCKED behind its group, else
        READY. Returns how many were new.

        Raises:
            ServiceException: the store cannot take them (disk full, read-only, …); none of them is kept.
        """
        ...

    def turn(
        self, settlements: Sequence[Settlement], rooms: Mapping[str, int], limit: int, now: float, owner: str,
        lease: float, holds: Mapping[str, int] | None = None,
    ) -> Claim:  # fmt: skip
        """Settle and claim, in one transaction.

        Args:
            settlements: what became of events that ``owner`` had claimed.
            rooms: how many events of each lane may be claimed; lanes not named are not touched.
            limit: how many events may be claimed together. Records are bounded by the rooms of their lanes alone, so that
                a full queue holds up no delivery.
            now: by the App's clock: what is due by then is promoted from WAITING; other hosts' leases that ended before
                are taken over (also those that end absurdly late, more than two leases ahead: a clock went back).
            owner: who claims.
            lease: seconds that a claim holds unless renewed.
            holds: how many events of each lane the claimer has already: among equal priorities the lane of which it has
                least goes first, so that a long lane holds up no short one. None: what was due first.
        """
        ...

    def renew(self, owner: str, now: float, lease: float) -> None:
        """Keep all claims of ``owner`` for another ``lease`` seconds from ``now``."""
        ...

    def hand_back(self, owner: str, request_ids: Iterable[str] | None = None) -> int:
        """Make claimed events ready again, without counting an attempt; all of the owner's if no ids are given."""
        ...

    def get(self, request_id: str) -> QueuedEvent | None:
        """One event, as it is now."""
        ...

    def list(
        self, *, function: str | None = None, state: State | None = None, records: bool = False, limit: int = 100,
        after: int = 0,
    ) -> tuple[QueuedEvent, ...]:  # fmt: skip
        """Events (or, with ``records``, records on their way to destinations) by order of acceptance, beyond ``after``."""
        ...

    def statistics(self, function: str | None = None) -> QueueStatistics:
        """Counts."""
        ...

    def cancel(self, request_id: str, now: float) -> bool:
        """Take back an event that is not running and not over; False if it is too late."""
        ...

    def retry_now(self, request_id: str, now: float) -> bool:
        """Make a waiting event due at once; False if it is not waiting."""
        ...

    def redrive(self, now: float, *, function: str | None = None, request_id: str | None = None) -> int:
        """Make failed events ready again as if they had just been accepted (attempts 0); how many."""
        ...

    def purge(self, *, function: str | None = None, state: State | None = None) -> int:
        """Forget events that are not running, of one function or state or all; how many."""
        ...

    def prune(self, before: float, failed_before: float, limit: int = 1000) -> int:
        """Forget what is over and old, at most ``limit`` events; how many.

        Args:
            before: those that succeeded or were cancelled before it.
            failed_before: those that failed before it.
            limit: so that nobody waits long for the store meanwhile.
        """
        ...

    def fired(self, schedule: str) -> float | None:
        """Up to which instant a schedule has been dealt with; None if it is new here."""
        ...

    def fire(self, schedule: str, expected: float | None, instant: float, events: Sequence[QueuedEvent]) -> bool:
        """Advance a schedule from ``expected`` to ``instant`` and keep its events, both or neither.

        False if another host was quicker (``expected`` is not what `fired` says): nothing is changed.
        """
        ...

    def changed(self) -> bool:
        """True if another process has written since the last call; cheap enough to ask 25 times a second."""
        ...

    def watch(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after everything in this process that may have made something claimable.

        From any thread, under no lock; it must be quick.
        """
        ...

    def close(self) -> None:
        """Finish what is being written and let go of the file. Claims that are still held end with their lease."""
        ...
