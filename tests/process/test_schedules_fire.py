"""Schedules in a running App: on the clock, once across hosts, and after a time without any."""

from __future__ import annotations

import json
import os
import pathlib
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite import App, InvalidParameterValue, ManualClock, ResourceConflict, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

START = 1_772_000_040.0  # 2026-02-25T06:14:00Z


def tell(event: Any, context: Any) -> Any:
    return event


def sources(app: App) -> list[str]:
    return [event.source for event in app.queue.list(limit=1000)]


def answers(app: App) -> list[Any]:
    return [json.loads(event.answer) for event in app.queue.list(limit=1000)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def store() -> Iterator[str]:
    base = pathlib.Path.home() / ".cache"
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as place:
        yield os.path.join(place, "jobs.db")


def test_schedule_invokes_with_eventbridge_s_event(clock: ManualClock) -> None:
    """Each firing is an event in the queue, at its instant."""
    with App(clock=clock, reuse=True) as app:
        made = app.on_schedule("rate(5 minutes)", name="five")(app.function(tell, timeout=60, init_timeout=60))
        clock.advance(minutes=11)
        first, second = answers(app)

        assert "Scheduled Event" == first["detail-type"]
        assert ("aws.events", "2026-02-25T06:19:00Z", {}) == (first["source"], first["time"], first["detail"])
        assert ["arn:aws:events:us-east-1:123456789012:rule/five"] == first["resources"]
        assert "2026-02-25T06:24:00Z" == second["time"]
        assert ["schedule:five"] * 2 == sources(app)
        assert made.name == "tell"


def test_schedules_stack_and_bring_their_own_input(clock: ManualClock) -> None:
    """Two above one function; both fire."""
    with App(clock=clock, reuse=True) as app:

        @app.on_schedule("rate(2 minutes)", input={"kind": "two"})
        @app.on_schedule("cron(15 6 * * ? *)", input={"kind": "quarter"})
        @app.function
        def told(event: Any, context: Any) -> Any:
            return event["kind"]

        clock.advance(minutes=2)

        assert ["quarter", "two"] == answers(app)
        assert [START + 120 + 120, START + 60 + 86400] == sorted(entry.next or 0 for entry in app.schedules)
        assert (START + 240, START + 360) == next(
            entry.upcoming(2) for entry in app.schedules if "rate" in entry.schedule.expression.text
        )


def test_two_hosts_on_one_store_fire_each_instant_once(clock: ManualClock, store: str) -> None:
    """Whoever looks first; and both have room to run it."""
    with App(clock=clock, store=store, reuse=True) as one, App(clock=clock, store=store, reuse=True) as two:
        for app in (one, two):
            app.on_schedule("rate(1 minute)", name="tick")(app.function(tell, timeout=60, init_timeout=60))
        clock.advance(minutes=20)

        times = [answer["time"] for answer in answers(one)]
        assert 20 == len(times) == len(set(times))


@pytest.mark.parametrize(("missed", "count"), [("skip", 1), ("once", 2), ("all", 60)])
def test_runs_missed_while_no_host_was_up_follow_the_policy(
    clock: ManualClock, store: str, missed: str, count: int
) -> None:
    """An hour without a host, on a store."""
    for _ in range(2):
        with App(clock=clock, store=store, reuse=True) as app:
            app.on_schedule("rate(1 minute)", name="tick", missed=missed)(
                app.function(tell, timeout=60, init_timeout=60)
            )
            clock.advance()
            found = len(sources(app))
        clock.advance(hours=1)

    assert count == found


def test_flexible_window_delays_a_run_within_it(clock: ManualClock) -> None:
    """The event waits in the queue until its moment."""
    with App(clock=clock, reuse=True) as app:
        app.on_schedule("rate(1 hour)", flexible_minutes=10)(app.function(tell, timeout=60, init_timeout=60))
        clock.advance(hours=1)
        (event,) = app.queue.list()

        assert START + 3600 < event.due < START + 3600 + 600
        clock.advance(minutes=10)
        assert "succeeded" == app.sent(event.request_id).status


def test_running_until_idle_does_not_follow_schedules(clock: ManualClock) -> None:
    """They never end."""
    with App(clock=clock, reuse=True) as app:
        app.on_schedule("rate(1 minute)")(app.function(tell, timeout=60, init_timeout=60))
        app["tell"].send({"n": 1}, delay=90)
        clock.run_until_idle()

        assert START + 90 == clock.now()
        assert START + 120 == clock.advance_to_next()


def test_removed_function_takes_its_schedules_with_it(clock: ManualClock) -> None:
    """Nothing fires for what is not there."""
    with App(clock=clock) as app:
        app.on_schedule("rate(1 minute)")(app.function(tell, timeout=60, init_timeout=60))
        app.remove("tell")
        clock.advance(minutes=5)

        assert () == app.schedules
        assert () == app.queue.list()


def test_schedule_fires_nothing_while_its_function_is_being_removed(clock: ManualClock) -> None:
    """The function goes first, its schedules a moment later; what is due in between disturbs nobody."""
    with App(clock=clock) as app:
        made = app.on_schedule("rate(5 minutes)", name="five")(app.function(tell))
        app._registry.remove(made.name)
        clock.advance(minutes=6)

        assert [] == sources(app)


def test_one_time_schedule_fires_once_also_after_a_restart(clock: ManualClock, store: str) -> None:
    """`at` is over when it has fired."""
    for _ in range(2):
        with App(clock=clock, store=store, reuse=True) as app:
            app.on_schedule("at(2026-02-25T06:20:00)", name="once", missed="all")(
                app.function(tell, timeout=60, init_timeout=60)
            )
            clock.advance(minutes=10)
            assert 1 == len(sources(app))


def test_mistakes_are_refused_where_they_are_made(clock: ManualClock) -> None:
    """At the decorator's line, and nothing is scheduled."""
    with App(clock=clock) as app:
        made = app.function(tell, timeout=60, init_timeout=60)
        with pytest.raises(InvalidParameterValue, match=r"Invalid Schedule Expression rate\(5 minute\)"):
            app.on_schedule("rate(5 minute)")
        with pytest.raises(UsageError, match=r"put it above @app\.function"):
            app.on_schedule("rate(5 minutes)")(tell)  # type: ignore[arg-type]
        app.on_schedule("rate(5 minutes)", name="five")(made)
        with pytest.raises(ResourceConflict, match="Schedule five already exists"):
            app.on_schedule("rate(5 minutes)", name="five")(
                app.function(tell, timeout=60, init_timeout=60, name="other")
            )

        assert ["five"] == [entry.schedule.name for entry in app.schedules]


def test_schedules_and_queue_say_what_they_are(clock: ManualClock) -> None:
    """In a line, for people."""
    with App(clock=clock) as app:
        assert "<Queue, nothing sent yet>" == repr(app.queue)
        app.on_schedule("rate(1 hour)", name="tick")(app.function(tell))
        clock.advance()
        (entry,) = app.schedules

        assert "<Schedule tick rate(1 hour) UTC>" == repr(entry.schedule)
        assert "<Entry tick rate(1 hour) → tell, next at 2026-02-25T07:14:00.000Z>" == repr(entry)
        assert "<Queue 0 ready, 0 waiting, 0 running, 0 failed>" == repr(app.queue)
