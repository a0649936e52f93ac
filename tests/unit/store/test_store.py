"""What every store does, in memory and in a file."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from lambdalite.errors import UsageError
from lambdalite.model.queued import QueuedEvent, State, delivery_lane, invocation_lane
from lambdalite.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lambdalite.model.queued import Settlement
    from lambdalite.store.interface import Store

NOW, LEASE = 1_000.0, 30.0
Make = Any
Turn = Any
Over = Any


def ids(events: Sequence[QueuedEvent]) -> list[str]:
    """Which events, in order."""
    return [event.request_id for event in events]


# --- putting ----------------------------------------------------------------------------------------------------------


def test_put_keeps_every_field(store: Store, make: Make) -> None:
    """What comes out is what went in, and has a number."""
    event = make(
        payload=b'{"n": 1}', not_before=5.0, priority=3, group="g", attempts=1, refusals=2, maximum_retry_attempts=7,
        maximum_event_age=70.5, arn="arn:x", trace_id="Root=1", client_context="{}", source="schedule:s", role="r",
        attributes="{}", condition="c", failure="HANDLER", answer=b"null",
    )  # fmt: skip
    store.put([event])

    found = store.get("e1")

    assert found is not None
    assert 1 == found.sequence
    assert attrs.asdict(attrs.evolve(event, sequence=1)) == attrs.asdict(found)


def test_put_says_how_many_were_new_and_leaves_known_ones(store: Store, make: Make) -> None:
    """A known id is not stored again, whether it comes alone, among new ones, or twice at once."""
    first = make(payload=b"1")

    assert 1 == store.put([first])
    assert 0 == store.put([attrs.evolve(first, payload=b"2")])
    assert 2 == store.put([make(), first, make()])
    again = make()
    assert 1 == store.put([again, again])

    kept = store.get("e1")
    assert kept is not None
    assert b"1" == kept.payload
    assert ["e1", "e2", "e3", "e4"] == ids(store.list())


@pytest.mark.parametrize("size", [2_048, 2_049, 1_048_576])
def test_large_payload_comes_back_whole_and_goes_when_over(
    store: Store, make: Make, claim: Turn, over: Over, size: int
) -> None:
    """Payloads are kept until the event has succeeded, however large; then only the answer is."""
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    store.put([make(payload=body)])

    (event,) = claim().events
    assert body == event.payload
    claim(over("e1"))

    found = store.get("e1")
    assert found is not None
    assert (b"", b"1", State.SUCCEEDED) == (found.payload, found.answer, found.state)


def test_put_takes_many_at_once(store: Store, make: Make) -> None:
    """A thousand in one call, in order."""
    assert 1_000 == store.put([make() for _ in range(1_000)])
    assert ["e1", "e2"] == ids(store.list(limit=2))
    assert ["e999", "e1000"] == ids(store.list(after=998))


def test_put_of_nothing_does_nothing(store: Store) -> None:
    """No events, no change, no wake."""
    calls: list[int] = []
    store.watch(lambda: calls.append(1))

    assert (0, []) == (store.put([]), calls)


# --- claiming ---------------------------------------------------------------------------------------------------------


def test_turn_claims_by_priority_then_due_time_then_acceptance(store: Store, make: Make, claim: Turn) -> None:
    """Across lanes too."""
    other = {"function": "g"}
    store.put([make(due=900.0), make(**other), make(), make(priority=1, **other), make(due=900.0, **other)])

    claimed = claim(rooms={invocation_lane("f"): 9, invocation_lane("g"): 9})

    assert ["e4", "e1", "e5", "e2", "e3"] == ids(claimed.events)
    assert {State.RUNNING} == {event.state for event in claimed.events}
    assert {("o", NOW + LEASE)} == {(event.owner, event.lease_until) for event in claimed.events}


def test_turn_claims_no_more_than_there_is_room_for(store: Store, make: Make, claim: Turn) -> None:
    """Room is by lane and together; lanes not named are left alone."""
    store.put([make(function=name) for name in "ffgghh"])
    rooms = {invocation_lane("f"): 1, invocation_lane("g"): 5}

    assert ["e1", "e3"] == ids(claim(rooms=rooms, limit=2).events)
    assert ["e2"] == ids(claim(rooms=rooms, limit=1).events)
    assert ["e4"] == ids(claim(rooms={invocation_lane("g"): 5, invocation_lane("f"): 0}).events)
    assert [] == ids(claim(rooms={}).events)
    assert [] == ids(claim(rooms={invocation_lane("h"): 5}, limit=0).events)


def test_lane_of_which_least_is_held_goes_first(store: Store, make: Make, claim: Turn) -> None:
    """A long lane holds up no short one; priority goes before that, and without a word of holdings due time alone."""
    store.put([make(function=name) for name in "fffffg"])
    f, g = invocation_lane("f"), invocation_lane("g")
    rooms = {f: 9, g: 9}

    assert ["e1"] == ids(claim(rooms=rooms, limit=1).events)
    assert ["e6"] == ids(claim(rooms=rooms, limit=1, holds={f: 1, g: 0}).events)
    store.put([make(function="g"), make(function="g", priority=1)])
    assert ["e8", "e2", "e3"] == ids(claim(rooms=rooms, limit=3, holds={f: 0, g: 0}).events)


def test_turn_claims_nothing_twice(store: Store, make: Make, claim: Turn) -> None:
    """An event has one host at a time."""
    store.put([make(), make()])

    assert ["e1"] == ids(claim(limit=1).events)
    assert ["e2"] == ids(claim(owner="p").events)
    assert [] == ids(claim().events)


def test_waiting_event_is_claimed_when_due(store: Store, make: Make, claim: Turn) -> None:
    """Not before; and the turn says when to come again."""
    store.put([make(due=NOW + 5), make(due=NOW + 3)])

    assert ((), NOW + 3) == claim()[::2]
    assert ((), NOW + 3) == claim(now=NOW + 2.9)[::2]
    early = claim(now=NOW + 3)
    assert (["e2"], NOW + 5) == (ids(early.events), early.next_due)
    assert (["e1"], None) == (ids(claim(now=NOW + 9).events), claim(now=NOW + 9).next_due)


def test_next_due_is_of_the_lanes_asked_for(store: Store, make: Make, claim: Turn) -> None:
    """Others' waiting events are no reason to come again."""
    store.put([make(function="g", due=NOW + 5)])

    assert claim().next_due is None
    assert NOW + 5 == claim(rooms={invocation_lane("g"): 1}).next_due


def test_many_due_at_once_are_claimed_in_order_of_due_time(
    store: Store, make: Make, claim: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though they become ready in batches."""
    monkeypatch.setattr("lambdalite.store.claims.PROMOTED_AT_ONCE", 3)
    store.put([make(due=NOW + 20 - number) for number in range(20)])

    claimed: list[str] = []
    while found := claim(now=NOW + 100, limit=2).events:
        claimed += ids(found)

    assert [f"e{number}" for number in range(20, 0, -1)] == claimed


def test_turn_comes_again_at_once_when_more_is_due(
    store: Store, make: Make, claim: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one turn could not promote is due, not forgotten."""
    monkeypatch.setattr("lambdalite.store.claims.PROMOTED_AT_ONCE", 1)
    store.put([make(due=NOW + 1), make(due=NOW + 2)])

    turn = claim(now=NOW + 5)

    assert (["e1"], NOW + 2) == (ids(turn.events), turn.next_due)


# --- settling ---------------------------------------------------------------------------------------------------------


def test_settlement_ends_an_event(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """Its state, condition, answer and end are kept; no host has it any more."""
    store.put([make(payload=b"5")])
    claim()

    claim(over("e1", State.FAILED, condition="RetriesExhausted", failure="HANDLER", answer=b"{}", attempts=3))

    found = store.get("e1")
    assert found is not None
    assert (State.FAILED, "RetriesExhausted", "HANDLER", b"{}") == (
        found.state, found.condition, found.failure, found.answer,
    )  # fmt: skip
    assert (3, NOW, "", b"5") == (found.attempts, found.finished_at, found.owner, found.payload)


def test_settlement_sends_an_event_around_again(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """Waiting until it is due, with its attempts and refusals counted."""
    store.put([make()])
    claim()

    assert NOW + 60 == claim(over("e1", State.WAITING, due=NOW + 60, attempts=1, refusals=2, failure="X")).next_due
    (event,) = claim(now=NOW + 60).events

    assert (1, 2, "X", State.RUNNING) == (event.attempts, event.refusals, event.failure, event.state)


def test_settling_and_claiming_are_one_turn(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """What the settlements make claimable is claimed in the same turn."""
    store.put([make(), make()])
    claim(limit=1)

    turn = claim(over("e1", State.READY), limit=1)

    assert ["e1"] == ids(turn.events)


def test_settlement_brings_its_records_along(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """An event is never over without them; they are claimed by their own lane, and counted apart."""
    lane = delivery_lane("f", "on_success")
    record = make(request_id="r1", lane=lane, role="on_success", source="destination:e1")
    store.put([make(request_id="e1")])
    claim()

    turn = claim(over("e1", deliveries=(record,)), rooms={lane: 1})

    assert ["r1"] == ids(turn.events)
    assert [] == ids(store.list())[1:]
    assert ["r1"] == ids(store.list(records=True))
    counts = store.statistics()
    assert (1, 1, 0) == (counts.deliveries, counts.succeeded, counts.running)
    claim(over("r1", State.FAILED))
    assert (0, 1, 0) == (store.statistics().deliveries, store.statistics().undelivered, store.statistics().failed)


def test_settlement_without_a_claim_changes_nothing(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """Never claimed, unknown, claimed by another, or settled already: it is told, and its records are not stored."""
    record = make(request_id="r1", lane=delivery_lane("f", "on_success"), role="on_success")
    store.put([make(request_id="e1"), make(request_id="e2")])

    assert ("e1", "e9") == claim(over("e1", deliveries=(record,)), over("e9"), limit=0).lost
    claim(limit=1)
    assert ("e1",) == claim(over("e1", deliveries=(record,)), owner="p", limit=0).lost
    assert () == claim(over("e1"), limit=0).lost
    assert ("e1",) == claim(over("e1", deliveries=(record,)), limit=0).lost

    assert store.get("r1") is None
    assert (1, 1) == (store.statistics().succeeded, store.statistics().ready)


# --- leases -----------------------------------------------------------------------------------------------------------


def test_lease_that_ends_is_taken_over(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """By whoever comes; attempts stay; the first host's settlement comes too late."""
    store.put([make(attempts=1)])
    claim()

    assert ((), NOW + LEASE) == claim(owner="p", now=NOW + 29)[::2]
    (event,) = claim(owner="p", now=NOW + LEASE).events
    assert ("p", 1) == (event.owner, event.attempts)
    assert ("e1",) == claim(over("e1"), now=NOW + LEASE + 1).lost
    assert () == claim(over("e1"), owner="p", now=NOW + LEASE + 1).lost


def test_lease_holds_while_renewed(store: Store, make: Make, claim: Turn) -> None:
    """All claims of a host together."""
    store.put([make(), make()])
    claim()
    store.renew("o", NOW + 25, LEASE)

    turn = claim(owner="p", now=NOW + 40)

    assert ((), NOW + 25 + LEASE) == turn[::2]
    assert 2 == len(claim(owner="p", now=NOW + 55).events)


def test_own_claims_do_not_lapse_by_ones_own_turn(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """Who takes a turn is alive: his machine slept, and nobody took over meanwhile."""
    store.put([make()])
    claim()

    turn = claim(now=NOW + 3_600)

    assert ((), None) == turn[::2]
    assert () == claim(over("e1"), now=NOW + 3_600).lost


def test_lease_that_ends_absurdly_late_is_over(store: Store, make: Make, claim: Turn) -> None:
    """A clock went back: more than two leases ahead is nobody's promise."""
    store.put([make()])
    claim(now=NOW + 1_000)

    assert () == claim(owner="p", now=NOW + 1_000 - LEASE).events
    assert ["e1"] == ids(claim(owner="p", now=NOW + 1_000 - LEASE - 1).events)


def test_handed_back_claims_are_ready_again(store: Store, make: Make, claim: Turn) -> None:
    """Some by id, then the rest; attempts do not count, and others' claims stay."""
    store.put([make(), make(), make(), make()])
    claim(limit=3)
    claim(owner="p")

    assert 1 == store.hand_back("o", ["e2", "e4", "e9"])
    assert 2 == store.hand_back("o")
    assert 0 == store.hand_back("o")
    assert 0 == store.hand_back("nobody")

    assert ["e1", "e2", "e3"] == ids(claim(owner="q").events)


# --- groups -----------------------------------------------------------------------------------------------------------


def test_group_runs_one_at_a_time_in_order(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """Priority, due time, acceptance; the rest is blocked meanwhile."""
    store.put([make(group="g"), make(group="g", priority=1), make(group="g"), make(group="h")])

    assert ["e2", "e4"] == ids(claim().events)
    assert (2, 2) == (store.statistics().blocked, store.statistics().running)
    assert ["e1"] == ids(claim(over("e2")).events)
    assert [] == ids(claim().events)
    assert ["e3"] == ids(claim(over("e1", State.FAILED)).events)


def test_group_is_of_a_function(store: Store, make: Make, claim: Turn) -> None:
    """The same key elsewhere is another group."""
    store.put([make(group="k"), make(function="g", group="k")])

    assert 2 == len(claim(rooms={invocation_lane("f"): 9, invocation_lane("g"): 9}).events)


def test_group_is_not_held_by_one_that_waits_for_its_retry(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """The next goes meanwhile; when the first is due again, it takes its place in line."""
    store.put([make(group="g"), make(group="g"), make(group="g")])
    claim()

    assert ["e2"] == ids(claim(over("e1", State.WAITING, due=NOW + 60)).events)
    assert [] == ids(claim(now=NOW + 60).events)
    assert ["e3"] == ids(claim(over("e2"), now=NOW + 60).events)
    assert ["e1"] == ids(claim(over("e3"), now=NOW + 60).events)


def test_better_one_goes_before_the_ready_one_of_its_group(store: Store, make: Make, claim: Turn) -> None:
    """Nothing of a group is chosen before it is claimed."""
    store.put([make(group="g")])
    store.put([make(group="g", priority=9)])

    assert ["e2"] == ids(claim().events)


@pytest.mark.parametrize("act", ["cancel", "purge", "hand_back", "retry_now", "lapse"])
def test_group_goes_on_whatever_frees_it(store: Store, make: Make, claim: Turn, over: Over, act: str) -> None:
    """Of a group there is always one ready or running, as long as any is due."""
    store.put([make(group="g"), make(group="g")])
    later, expected = NOW, ["e2"]
    if act == "cancel":
        assert store.cancel("e1", NOW)
    elif act == "purge":
        store.purge(state=State.READY)
    elif act == "hand_back":
        claim()
        store.hand_back("o")
        expected = ["e1"]
    elif act == "retry_now":
        claim()
        claim(over("e1", State.WAITING, due=NOW + 60), limit=0)
        assert store.retry_now("e1", NOW - 1)
        expected = ["e1"]
    else:
        claim()
        later, expected = NOW + LEASE, ["e1"]

    assert expected == ids(claim(owner="p", now=later).events)
    assert 1 == store.statistics().running


# --- looking ----------------------------------------------------------------------------------------------------------


def test_list_filters_and_pages(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """By function and state, in order of acceptance, from a number on."""
    store.put([make(function=name) for name in "fgfgf"])
    claim(limit=1)
    claim(over("e1"), limit=0)

    assert ["e1", "e3", "e5"] == ids(store.list(function="f"))
    assert ["e3", "e5"] == ids(store.list(function="f", state=State.READY))
    assert ["e1"] == ids(store.list(state=State.SUCCEEDED))
    assert ["e3", "e4"] == ids(store.list(after=2, limit=2))
    assert () == store.list(function="unknown")


def test_statistics_count_every_state(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """Of one function or of all, with the next due time and the oldest that is not over."""
    store.put(
        [
            make(accepted_at=900.0, due=900.0),
            make(),
            make(),
            make(),
            make(group="k"),
            make(group="k"),
            make(due=NOW + 7),
        ]
    )
    store.put([make(function="g", accepted_at=NOW + 1, due=NOW + 1)])
    claim(limit=4)
    claim(over("e1"), over("e2", State.FAILED), limit=0)
    store.cancel("e6", NOW)

    counts = store.statistics()

    assert (2, 1, 0, 2, 1, 1, 1) == (
        counts.ready, counts.waiting, counts.blocked, counts.running, counts.succeeded, counts.failed, counts.cancelled,
    )  # fmt: skip
    assert (NOW + 7, NOW, 5) == (counts.next_due, counts.oldest, counts.pending)
    assert (1, 0, None, NOW + 1) == (
        store.statistics("g").ready, store.statistics("g").running, store.statistics("g").next_due,
        store.statistics("g").oldest,
    )  # fmt: skip
    assert 0 == store.statistics("unknown").pending


# --- changing by hand -------------------------------------------------------------------------------------------------


def test_cancel_takes_back_what_does_not_run(store: Store, make: Make, claim: Turn) -> None:
    """Ready, waiting or blocked; not running, not over, not unknown."""
    store.put([make(), make(due=NOW + 5), make(group="g"), make(group="g"), make()])
    claim(limit=1)

    assert [False, True, True, False] == [store.cancel(name, NOW + 1) for name in ("e1", "e2", "e4", "e9")]
    assert not store.cancel("e2", NOW + 2)

    found = store.get("e2")
    assert found is not None
    assert (State.CANCELLED, NOW + 1) == (found.state, found.finished_at)


def test_retry_now_makes_a_waiting_event_due(store: Store, make: Make, claim: Turn) -> None:
    """And nothing else."""
    store.put([make(due=NOW + 500), make()])

    assert [True, False, False] == [store.retry_now(name, NOW) for name in ("e1", "e2", "e9")]
    assert ["e1", "e2"] == ids(claim().events)


def test_redrive_accepts_failed_events_again(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """Attempts 0, last in line, of one function, one event or all; payloads are still there."""
    body = b"x" * 5_000
    store.put([make(payload=body), make(), make(function="g"), make()])
    claim(rooms={invocation_lane("f"): 2, invocation_lane("g"): 1})
    claim(*(over(name, State.FAILED, attempts=3, failure="X") for name in ("e1", "e2", "e3")), limit=0)

    assert 1 == store.redrive(NOW + 9, request_id="e2")
    assert 1 == store.redrive(NOW + 9, function="f")
    assert (0, 0) == (store.redrive(NOW + 9, function="f"), store.redrive(NOW + 9, request_id="e4"))
    assert 1 == store.redrive(NOW + 9)

    found = claim(now=NOW + 9).events
    assert ["e4", "e2", "e1"] == ids(found)
    assert (body, 0, "", b"", None, NOW + 9) == (
        found[2].payload, found[2].attempts, found[2].failure, found[2].answer, found[2].finished_at,
        found[2].accepted_at,
    )  # fmt: skip


def test_redrive_leaves_records_unless_one_is_named(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """A record that no destination took goes again by its own id only."""
    lane = delivery_lane("f", "dead_letter")
    store.put([make(request_id="r", lane=lane, role="dead_letter")])
    claim(rooms={lane: 1})
    claim(over("r", State.FAILED), limit=0)

    assert 0 == store.redrive(NOW)
    assert 1 == store.redrive(NOW, request_id="r")
    assert ["r"] == ids(claim(rooms={lane: 1}).events)


def test_purge_forgets_what_does_not_run(store: Store, make: Make, claim: Turn) -> None:
    """By function, by state, or all."""
    store.put([make(), make(), make(due=NOW + 5), make(function="g"), make(function="g", due=NOW + 5)])
    claim(limit=1)

    assert 1 == store.purge(function="g", state=State.WAITING)
    assert 0 == store.purge(state=State.RUNNING)
    assert 2 == store.purge(function="f")
    assert ["e1", "e4"] == ids(store.list())
    assert 1 == store.purge()
    assert ["e1"] == ids(store.list())


def test_purge_goes_through_more_than_one_piece(store: Store, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works in pieces, so that others get their turn."""
    monkeypatch.setattr("lambdalite.store.keeping._AT_ONCE", 2)
    store.put([make(function=name, payload=b"x" * 3_000) for name in "fgfgffgf"])

    assert 5 == store.purge(function="f")
    assert 3 == store.statistics().ready


def test_prune_forgets_what_is_over_and_old(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """Failed events by their own age; no more than the limit at a time; nothing that is not over."""
    store.put([make() for _ in range(6)])
    claim(limit=5)
    claim(
        over("e1", finished_at=10.0), over("e2", finished_at=20.0), over("e3", State.FAILED, finished_at=10.0),
        over("e4", finished_at=11.0), limit=0,
    )  # fmt: skip

    assert 0 == store.prune(10.0, 10.0)
    assert 1 == store.prune(15.0, 5.0, limit=1)
    assert 1 == store.prune(15.0, 5.0)
    assert ["e2", "e3", "e5", "e6"] == ids(store.list())
    assert 2 == store.prune(99.0, 99.0)


# --- schedules --------------------------------------------------------------------------------------------------------


def test_schedule_fires_once(store: Store, make: Make) -> None:
    """Whoever expects what was is first; the other changes nothing."""
    assert store.fired("s") is None
    assert store.fire("s", None, 5.0, [])
    assert not store.fire("s", None, 6.0, [make()])
    assert 5.0 == store.fired("s")
    assert store.fire("s", 5.0, 0.1 + 0.2, [make(request_id="x")])
    assert not store.fire("s", 5.0, 9.0, [make()])
    assert store.fire("s", 0.1 + 0.2, 9.0, [])

    assert ["x"] == ids(store.list())


# --- waking, closing --------------------------------------------------------------------------------------------------


def test_watchers_hear_of_all_that_may_be_claimed(store: Store, make: Make, claim: Turn, over: Over) -> None:
    """Putting, handing back, retrying, cancelling, redriving, firing; not of a turn that only claims."""
    heard: list[str] = []
    store.watch(lambda: heard.append("x"))

    def told(act: Callable[[], object]) -> bool:
        heard.clear()
        act()
        return bool(heard)

    assert told(lambda: store.put([make(), make(due=NOW + 5)]))
    assert not told(claim)
    assert told(lambda: store.hand_back("o"))
    assert told(lambda: store.retry_now("e2", NOW))
    claim()
    assert not told(lambda: claim(over("e1"), limit=0))
    assert told(lambda: claim(over("e2", State.FAILED, deliveries=(make(role="r"),)), limit=0))
    assert told(lambda: store.redrive(NOW))
    assert told(lambda: store.fire("s", None, 5.0, [make()]))
    assert not told(lambda: store.put([make(request_id="e1")]))


def test_own_changes_are_no_news(store: Store, make: Make, claim: Turn) -> None:
    """`changed` is about other processes."""
    store.changed()
    store.put([make()])
    claim()

    assert not store.changed()


def test_closed_store_says_so(store: Store, make: Make) -> None:
    """Closing twice is harmless; using it is an error that says what to do."""
    store.close()
    store.close()

    with pytest.raises(UsageError, match="is closed: make a new App"):
        store.put([make()])
    with pytest.raises(UsageError, match="is closed"):
        store.get("e1")
    assert not store.changed()


def test_threads_lose_and_double_nothing(store: Store, make: Make, over: Over) -> None:
    """Four put, four claim and settle; every event is claimed once and ends."""
    total, claimed, lock = 400, list[str](), threading.Lock()
    events = [make() for _ in range(total)]
    rooms = {invocation_lane("f"): 5}

    def put(part: list[QueuedEvent]) -> None:
        for event in part:
            assert 1 == store.put([event])

    def work(owner: str) -> None:
        mine: list[Settlement] = []
        while len(claimed) < total or mine:
            turn = store.turn(mine, rooms, 5, NOW, owner, LEASE)
            assert () == turn.lost
            mine = [over(event.request_id) for event in turn.events]
            with lock:
                claimed.extend(ids(turn.events))

    threads = [threading.Thread(target=put, args=(events[part::4],)) for part in range(4)]
    threads += [threading.Thread(target=work, args=(f"o{part}",)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ids(events)) == sorted(claimed)
    assert total == store.statistics().succeeded


def test_store_is_its_own_where(store: Store) -> None:
    """A Store given as ``store=`` is used as it is."""
    assert open_store(store) is store


def test_unknown_durability_is_refused() -> None:
    """With the two that there are."""
    with pytest.raises(UsageError, match="'power-loss' or 'process-crash', not 'none'"):
        open_store(None, "none")
