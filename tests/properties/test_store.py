"""A store against a naive one: lists and loops, no index, no SQL. Both do the same, whatever is asked of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from lambdalite.model.queued import QueuedEvent, Settlement, State
from lambdalite.store.sqlite import SqlStore

if TYPE_CHECKING:
    from collections.abc import Iterable

LEASE = 30.0
_AFTER = (State.SUCCEEDED, State.FAILED, State.WAITING, State.READY)
_PENDING = (State.READY, State.WAITING, State.BLOCKED)


class Naive:
    """What a store is, told in the plainest way."""

    def __init__(self) -> None:
        self.events: list[QueuedEvent] = []
        self.leases: dict[str, float] = {}
        self.schedules: dict[str, float] = {}
        self.count = 0

    def find(self, request_id: str) -> QueuedEvent | None:
        return next((event for event in self.events if event.request_id == request_id), None)

    def put(self, events: Iterable[QueuedEvent]) -> int:
        new = [event for event in events if self.find(event.request_id) is None]
        for event in new:
            self.count = max((one.sequence for one in self.events), default=0) + 1
            state = State.WAITING if event.due > event.accepted_at else State.READY
            self.events.append(attrs.evolve(event, sequence=self.count, state=state))
        self.line_up()
        return len(new)

    def line_up(self) -> None:
        """Of each group's due events one is ready, if none runs."""
        keys = {(event.lane, event.group) for event in self.events if event.group is not None}
        for key in keys:
            mine = [event for event in self.events if (event.lane, event.group) == key]
            due = sorted((event for event in mine if event.state in {State.READY, State.BLOCKED}), key=order)
            for event in due:
                event.state = State.BLOCKED
            if due and not any(event.state is State.RUNNING for event in mine):
                due[0].state = State.READY

    def free(self, events: Iterable[QueuedEvent]) -> None:
        for event in events:
            event.state, event.owner = State.READY, ""
        self.line_up()

    def turn(
        self, settlements: list[Settlement], rooms: dict[str, int], limit: int, now: float, owner: str
    ) -> tuple[list[str], list[str]]:
        lost = [one.request_id for one in settlements if not self.settle(one, owner)]
        self.line_up()
        for other, until in list(self.leases.items()):
            if other != owner and not now < until <= now + 2 * LEASE:
                self.free([event for event in self.events if event.owner == other])
                del self.leases[other]
        for event in self.events:
            if event.state is State.WAITING and event.due <= now and rooms.get(event.lane, 0):
                event.state = State.READY
        self.line_up()
        claimed: list[str] = []
        for event in sorted((event for event in self.events if event.state is State.READY), key=order):
            if rooms.get(event.lane, 0) and len(claimed) < limit:
                rooms[event.lane] -= 1
                event.state, event.owner = State.RUNNING, owner
                self.leases[owner] = now + LEASE
                claimed.append(event.request_id)
        return claimed, lost

    def settle(self, one: Settlement, owner: str) -> bool:
        event = self.find(one.request_id)
        if event is None or event.state is not State.RUNNING or event.owner != owner:
            return False
        event.state, event.due, event.attempts, event.owner = one.state, one.due, one.attempts, ""
        if one.state.final:
            event.finished_at = one.finished_at
        self.put(one.deliveries)
        return True


def order(event: QueuedEvent) -> tuple[int, float, int]:
    """Who goes first."""
    return (-event.priority, event.due, event.sequence)


class Stores(RuleBasedStateMachine):
    """Two hosts, two lanes, two groups, and a clock that goes forward, mostly."""

    ids = Bundle("ids")
    claimed = Bundle("claimed")

    def __init__(self) -> None:
        super().__init__()
        self.real = SqlStore()
        self.naive = Naive()
        self.now = 1_000.0
        self.number = 0

    def teardown(self) -> None:
        self.real.close()

    def made(self, lane: str, group: str | None, priority: int, delay: float) -> QueuedEvent:
        self.number += 1
        return QueuedEvent(
            request_id=f"e{self.number}", lane=lane, function=lane, payload=b"", accepted_at=self.now,
            due=self.now + delay, priority=priority, group=group,
        )  # fmt: skip

    @initialize(target=ids)
    def begin(self) -> Any:
        events = [self.made("f", group, priority, 0.0) for group in (None, "k") for priority in (0, 0, 1)]
        assert self.naive.put(events) == self.real.put(events)
        return multiple(*(event.request_id for event in events))

    @rule(
        target=ids,
        kinds=st.lists(
            st.tuples(
                st.sampled_from("fg"), st.sampled_from([None, None, "k", "m"]), st.integers(-1, 1),
                st.sampled_from([0.0, 0.0, 1.0, 40.0]),
            ),
            min_size=1, max_size=4,
        ),
    )  # fmt: skip
    def put(self, kinds: list[tuple[str, str | None, int, float]]) -> Any:
        events = [self.made(*kind) for kind in kinds]
        assert self.naive.put(events) == self.real.put(events)
        return multiple(*(event.request_id for event in events))

    @rule(request_id=ids)
    def put_again(self, request_id: str) -> None:
        events = [attrs.evolve(self.made("f", None, 0, 0.0), request_id=request_id)]
        assert self.naive.put(events) == self.real.put(events)

    @rule(
        target=claimed,
        owner=st.sampled_from("op"),
        rooms=st.sampled_from([{"f": 1}, {"g": 2}, {"f": 2, "g": 1}, {"f": 9, "g": 9}]),
        limit=st.sampled_from([0, 1, 2, 9]),
    )
    def claim(self, owner: str, rooms: dict[str, int], limit: int) -> Any:
        return self.turn([], owner, rooms, limit)

    @rule(
        target=claimed,
        settled=st.lists(consumes(claimed), min_size=1, max_size=3),
        states=st.lists(st.sampled_from(_AFTER), min_size=3, max_size=3),
        record=st.booleans(),
        limit=st.integers(0, 2),
    )
    def settle(self, settled: list[tuple[str, str]], states: list[State], record: bool, limit: int) -> Any:
        settlements = [
            Settlement(
                request_id=request_id, state=state, due=self.now + (10.0 if state is State.WAITING else 0.0), attempts=1,
                refusals=0, finished_at=self.now if state.final else None,
                deliveries=(self.made("f", None, 0, 0.0),) if record and state.final else (),
            )
            for (request_id, _), state in zip(settled, states, strict=False)
        ]  # fmt: skip
        return self.turn(settlements, settled[0][1], {"f": 2, "g": 2}, limit)

    def turn(self, settlements: list[Settlement], owner: str, rooms: dict[str, int], limit: int) -> Any:
        found = self.real.turn(settlements, rooms, limit, self.now, owner, LEASE)
        claimed, lost = self.naive.turn(settlements, dict(rooms), limit, self.now, owner)
        assert claimed == [event.request_id for event in found.events]
        assert lost == list(found.lost)
        return multiple(*((event.request_id, owner) for event in found.events))

    @rule(seconds=st.sampled_from([1.0, 10.0, 29.0, 31.0, -100.0]))
    def move(self, seconds: float) -> None:
        self.now += seconds

    @rule(owner=st.sampled_from("op"))
    def renew(self, owner: str) -> None:
        self.real.renew(owner, self.now, LEASE)
        if any(event.owner == owner for event in self.naive.events):
            self.naive.leases[owner] = self.now + LEASE

    @rule(owner=st.sampled_from("op"))
    def hand_back(self, owner: str) -> None:
        mine = [event for event in self.naive.events if event.owner == owner]
        assert len(mine) == self.real.hand_back(owner)
        self.naive.free(mine)
        self.naive.leases.pop(owner, None)

    @rule(owner=st.sampled_from("op"), request_id=ids)
    def hand_one_back(self, owner: str, request_id: str) -> None:
        mine = [event for event in self.naive.events if event.owner == owner and event.request_id == request_id]
        assert len(mine) == self.real.hand_back(owner, [request_id])
        self.naive.free(mine)

    @rule(request_id=ids)
    def cancel(self, request_id: str) -> None:
        event = self.naive.find(request_id)
        expected = event is not None and event.state in _PENDING
        if event is not None and expected:
            event.state, event.finished_at = State.CANCELLED, self.now
        self.naive.line_up()
        assert expected == self.real.cancel(request_id, self.now)

    @rule(request_id=ids)
    def retry_now(self, request_id: str) -> None:
        event = self.naive.find(request_id)
        expected = event is not None and event.state is State.WAITING
        if event is not None and expected:
            event.state, event.due = State.READY, self.now
        self.naive.line_up()
        assert expected == self.real.retry_now(request_id, self.now)

    @rule(function=st.sampled_from([None, "f"]))
    def redrive(self, function: str | None) -> None:
        failed = [
            event for event in self.naive.events
            if event.state is State.FAILED and (function is None or event.function == function)
        ]  # fmt: skip
        for event in sorted(failed, key=lambda event: event.sequence):
            event.sequence = max(one.sequence for one in self.naive.events) + 1
            event.state, event.finished_at, event.attempts = State.READY, None, 0
            event.accepted_at = event.due = self.now
        self.naive.events.sort(key=lambda event: event.sequence)
        self.naive.line_up()
        assert len(failed) == self.real.redrive(self.now, function=function)

    @rule(function=st.sampled_from([None, "g"]), state=st.sampled_from(list(State)))
    def purge(self, function: str | None, state: State) -> None:
        gone = [
            event for event in self.naive.events
            if event.state is not State.RUNNING and state is event.state and function in {None, event.function}
        ]  # fmt: skip
        self.forget(gone)
        assert len(gone) == self.real.purge(function=function, state=state)

    @rule()
    def purge_all_of_one(self) -> None:
        gone = [event for event in self.naive.events if event.state is not State.RUNNING and event.function == "g"]
        self.forget(gone)
        assert len(gone) == self.real.purge(function="g")

    @rule(age=st.sampled_from([0.0, 20.0]), failed_age=st.sampled_from([0.0, 60.0]))
    def prune(self, age: float, failed_age: float) -> None:
        gone = [
            event for event in self.naive.events
            if event.finished_at is not None
            and event.finished_at < self.now - (failed_age if event.state is State.FAILED else age)
        ]  # fmt: skip
        self.forget(gone)
        assert len(gone) == self.real.prune(self.now - age, self.now - failed_age)

    def forget(self, gone: list[QueuedEvent]) -> None:
        self.naive.events = [event for event in self.naive.events if event not in gone]
        self.naive.line_up()

    @rule(expected=st.sampled_from([None, 1.0, 2.0]), instant=st.sampled_from([1.0, 2.0]))
    def fire(self, expected: float | None, instant: float) -> None:
        events = [self.made("f", None, 0, 0.0)]
        won = self.naive.schedules.get("s") == expected
        if won:
            self.naive.schedules["s"] = instant
            self.naive.put(events)
        assert won == self.real.fire("s", expected, instant, events)
        assert self.naive.schedules.get("s") == self.real.fired("s")

    @invariant()
    def same(self) -> None:
        """The same events in the same states, in the same order, with the same hosts and counts."""

        def told(event: QueuedEvent) -> tuple[Any, ...]:
            return (
                event.request_id,
                event.sequence,
                event.state,
                event.due,
                event.attempts,
                event.owner,
                event.finished_at,
            )

        real = self.real.list(limit=10_000)
        assert [told(event) for event in self.naive.events] == [told(event) for event in real]
        counts = self.real.statistics()
        assert sum(event.state is State.READY for event in real) == counts.ready
        assert sum(event.state is State.BLOCKED for event in real) == counts.blocked
        assert min((event.due for event in real if event.state is State.WAITING), default=None) == counts.next_due
        running = [
            (event.lane, event.group) for event in real if event.state in {State.READY, State.RUNNING} and event.group
        ]
        assert len(running) == len(set(running))


Stores.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
test_store_does_what_a_naive_one_does = Stores.TestCase
