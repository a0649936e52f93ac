"""What users' code may do to the queue's thread: raise what is no Exception, wait for itself, close everything."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite import App, ManualClock, ResourceConflict, ServiceException, UsageError
from lambdalite.engine import dispatch
from lambdalite.engine.service import Service

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from lambdalite.engine.deliver import Record

START = 1_772_000_000.0
RUDE = [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, asyncio.CancelledError]


def echo(event: Any, context: Any) -> Any:
    return event


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def app(clock: ManualClock) -> Iterator[App]:
    with App(clock=clock, isolation="inline") as made:
        yield made


# --- rude exceptions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RUDE)
def test_destination_may_raise_anything(app: App, clock: ManualClock, kind: type[BaseException]) -> None:
    """It is asked again as after any error, and the queue goes on."""
    asked: list[Record] = []

    def rude(record: Record) -> None:
        asked.append(record)
        raise kind("no")

    app.function(echo, name="rude", on_success=rude).send(1)
    assert app.drain(10)
    clock.run_until_idle()

    assert (6, 1) == (len(asked), app.queue_stats().undelivered)
    assert 2 == app.function(echo, name="next").send(2).result(10)


@pytest.mark.parametrize("kind", RUDE)
def test_inline_handler_may_raise_anything(app: App, kind: type[BaseException]) -> None:
    """It has failed, as a process of its own would have ended, and the queue goes on."""

    def rude(event: Any, context: Any) -> None:
        raise kind("no")

    sent = app.function(rude, maximum_retry_attempts=0).send(1)

    assert (True, "failed") == (sent.wait(10), sent.status)
    assert 2 == app.function(echo, name="next").send(2).result(10)


def test_inline_handler_that_exits_has_ended_its_environment(app: App) -> None:
    """`sys.exit(3)` is what it is in a process: AWS's Runtime.ExitError."""

    def leave(event: Any, context: Any) -> None:
        sys.exit(3)

    sent = app.function(leave, maximum_retry_attempts=0).send(1)
    sent.wait(10)

    assert "EXITED" == sent.event.failure
    assert b"Runtime exited with error: exit status 3" in sent.event.answer


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_observer_may_raise_anything_in_the_queue_s_thread(
    app: App, kind: type[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is reported and counted like any other that fails."""

    def rude(event: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise kind("no")

    app.observe(rude)

    assert 1 == app.function(echo).send(1).result(10)
    assert f"raised {kind.__name__}" in capsys.readouterr().err


def test_terminal_that_is_gone_stops_nothing(app: App, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """``lambdalite run … 2>&1 | head`` ends: what cannot be said is not said, and events run."""
    reading, writing = os.pipe()
    os.close(reading)
    with io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True) as broken:
        monkeypatch.setattr(sys, "stderr", broken)

        def refuse(what: object) -> None:
            raise ValueError("no")

        app.observe(refuse)
        app.function(echo, name="told", on_success=refuse).send(1)
        clock.run_until_idle()

        assert 1 == app.queue_stats().undelivered
        assert 2 == app.function(echo, name="next").send(2).result(10)


def test_queue_s_thread_begins_again_if_it_ever_fails(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is known to end it. If something does, what it had claimed is run by its successor."""
    once: list[str] = []
    real = dispatch.Dispatcher._take

    def fail_once(self: dispatch.Dispatcher, event: Any) -> None:
        if not once:
            once.append(event.request_id)
            raise RuntimeError("a mistake of ours")
        real(self, event)

    monkeypatch.setattr(dispatch.Dispatcher, "_take", fail_once)
    sent = app.function(echo).send(7)

    assert 7 == sent.result(10)
    assert [sent.request_id] == once
    assert app.drain(10)
    assert "please report this" in capsys.readouterr().err


# --- waiting for oneself ------------------------------------------------------------------------------------------

WAYS = {
    "wait": lambda app, sent: sent.result(),
    "drain": lambda app, sent: app.drain(),
    "advance": lambda app, sent: app.clock.advance(1),
    "next": lambda app, sent: app.clock.advance_to_next(),
    "idle": lambda app, sent: app.clock.run_until_idle(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["handler", "destination", "observer"])
def test_who_is_waited_for_cannot_wait(app: App, clock: ManualClock, place: str, way: str) -> None:
    """An inline handler, a destination or an observer that waits for the queue would wait for itself: it is told."""
    told: list[BaseException] = []
    other = app.function(echo, name="other")

    def attempt(*_: object) -> None:
        sent = other.send(1)
        try:
            WAYS[way](app, sent)
        except UsageError as error:
            told.append(error)

    if place == "observer":
        app.observe(lambda event: attempt() if type(event).__name__ == "EventSettled" and not told else None)
    options: dict[str, Any] = {"on_success": attempt} if place == "destination" else {}
    app.function(attempt if place == "handler" else echo, name="first", **options).send(1)
    clock.run_until_idle()

    assert 1 == len(told)
    assert "waits for it" in str(told[0])
    assert (0, 2) == (app.queue_stats().pending, app.queue_stats().succeeded)


def test_inline_coroutine_cannot_wait_for_the_queue_either() -> None:
    """It runs in another thread, for which the queue's thread waits."""
    with App(isolation="inline") as app:
        other = app.function(echo, name="other")

        async def waits(event: Any, context: Any) -> Any:
            return await (await other.asend(1))

        sent = app.function(waits, maximum_retry_attempts=0).send(1)

        assert (True, "failed") == (sent.wait(10), sent.status)
        assert b"UsageError" in sent.event.answer


def test_destination_may_wait_for_another_event_while_time_goes_by_itself() -> None:
    """Nothing waits for it then but its own records."""
    answers: list[Any] = []
    with App(isolation="inline") as app:
        other = app.function(echo, name="other")
        app.function(echo, name="first", on_success=lambda record: answers.append(other.send(3).result(10))).send(1)

        assert app.drain(10)
    assert [3] == answers


# --- purging and closing ------------------------------------------------------------------------------------------


def waiting(call: Callable[[], Any]) -> tuple[threading.Thread, list[str]]:
    """A thread that calls, and what it was told."""
    told: list[str] = []

    def run() -> None:
        try:
            call()
        except UsageError as error:
            told.append(str(error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, told


def wait_until_awaited(app: App) -> None:
    """Until somebody waits for an event."""
    while not app.queue.awaited:
        threading.Event().wait(0.001)


def test_purged_event_is_waited_for_no_longer() -> None:
    """Who waits for an event that is forgotten is told so."""
    with App(isolation="inline") as app:
        sent = app.function(echo).send(1, delay=1000)
        thread, told = waiting(sent.wait)
        wait_until_awaited(app)
        assert 1 == app.queue.purge()
        thread.join(10)

        assert [f"there is no event {sent.request_id} in this store (any more)"] == told


@pytest.mark.parametrize("durable", [False, True])
def test_closing_tells_who_waits_and_leaves_the_store_closed(tmp_path: pathlib.Path, *, durable: bool) -> None:
    """Neither who waits nor who asks later opens the store again."""
    app = App(isolation="inline", store=tmp_path / "jobs.db" if durable else None)
    sent = app.function(echo).send(1, delay=1000)
    thread, told = waiting(sent.wait)
    wait_until_awaited(app)
    queue = app.queue
    app.close()
    thread.join(10)

    assert [f"the App was closed before event {sent.request_id} was over"] == told
    with pytest.raises(UsageError, match="this App is closed"):
        _ = sent.status
    assert "of a closed App" in repr(sent)
    assert not queue.opened


@pytest.mark.parametrize("place", ["handler", "destination", "observer"])
def test_app_may_be_closed_from_everywhere(place: str) -> None:
    """The thread ends, and the store with it, also if they are what closes it."""
    app = App(isolation="inline")
    queue, before, closed = app.queue, set(threading.enumerate()), threading.Event()

    def close(*_: object) -> None:
        app.close()
        closed.set()

    if place == "observer":
        app.observe(lambda event: close() if type(event).__name__ == "EventSettled" else None)
    options: dict[str, Any] = {"on_success": close} if place == "destination" else {}
    app.function(close if place == "handler" else echo, name="first", **options).send(1)
    assert closed.wait(10)
    for thread in set(threading.enumerate()) - before:
        if thread.name == "lambdalite-service":
            thread.join(10)

    assert (True, False) == (app.closed, queue.opened)


# --- stores -------------------------------------------------------------------------------------------------------


def test_event_that_is_stored_while_the_app_closes_was_sent(tmp_path: pathlib.Path) -> None:
    """`send` does not raise for what is safe: who would send it again would have it run twice."""
    app = App(isolation="inline", store=tmp_path / "jobs.db", dispatch=False)
    app.observe(lambda event: app.close() if type(event).__name__ == "EventAccepted" else None)
    sent = app.function(echo).send(1)

    assert app.closed
    with App(isolation="inline", store=tmp_path / "jobs.db") as after:
        after.function(echo)
        assert 1 == after.sent(sent.request_id).result(10)


def test_id_of_another_function_s_event_is_refused(app: App) -> None:
    """Else the second event would be dropped without a word."""
    app.function(echo, name="one").send(1, request_id="order-7")
    two = app.function(echo, name="two")
    with pytest.raises(ResourceConflict, match="order-7 is taken by an event for one"):
        two.send(2, request_id="order-7")


def test_relative_store_stays_where_it_was_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its directory before the first event, as daemons do, keeps its store."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with App(isolation="inline", store="jobs.db") as app:
        monkeypatch.chdir(tmp_path / "elsewhere")
        app.function(echo).send(1).result(10)

    assert (True, False) == ((tmp_path / "jobs.db").exists(), (tmp_path / "elsewhere" / "jobs.db").exists())


_NO_STORES = (5, b"jobs.db", ":memory:", "file:jobs.db?mode=memory", "a\0b", object())


@pytest.mark.parametrize("store", _NO_STORES, ids=["number", "bytes", "memory", "uri", "nul", "object"])
def test_what_is_no_store_is_refused_where_it_is_given(store: Any) -> None:
    """Not by the first event, and not by making a file of that name."""
    with pytest.raises(UsageError, match="store takes the path of a file"):
        App(store=store)


def test_who_waits_hears_that_the_store_is_gone(tmp_path: pathlib.Path) -> None:
    """Nobody waits for ever for an event that nobody has any longer."""
    told: list[str] = []
    with App(isolation="inline", store=tmp_path / "jobs.db") as app:
        made = app.function(echo)
        sent = made.send(1, delay=1000)

        def wait() -> None:
            try:
                sent.wait()
            except ServiceException as error:
                told.append(str(error))

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        wait_until_awaited(app)
        (tmp_path / "jobs.db").unlink()
        with pytest.raises(ServiceException):
            app.drain(10)
        thread.join(10)

    assert 1 == len(told)
    assert "was deleted" in told[0]


def test_function_that_is_made_later_takes_the_events_that_wait_for_it(tmp_path: pathlib.Path) -> None:
    """Though the App serves already, and nothing else happens."""
    with App(isolation="inline", store=tmp_path / "jobs.db", dispatch=False) as first:
        request_id = first.function(echo).send(1).request_id
    with App(isolation="inline", store=tmp_path / "jobs.db") as app:
        assert app.drain(10)
        app.function(echo)
        assert 1 == app.sent(request_id).result(10)


def test_interrupted_close_is_in_haste_but_whole(tmp_path: pathlib.Path) -> None:
    """Ctrl-C while `close` waits for what is under way: that is handed back, and the App is closed."""

    def linger(event: Any, context: Any) -> None:
        threading.Event().wait(600)

    app = App(store=tmp_path / "jobs.db", spares=0)
    sent = app.function(linger, timeout=900).send(1)
    queue = app.queue
    while sent.status != "running":
        threading.Event().wait(0.001)

    def interrupt() -> None:
        while (service := app._background._ending) is None or not service._stopped.is_set():
            threading.Event().wait(0.001)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        app.close(grace=600)

    assert (True, False) == (app.closed, queue.opened)
    with App(store=tmp_path / "jobs.db", dispatch=False) as after:
        after.function(linger, timeout=900)
        assert ("ready", 0) == (after.sent(sent.request_id).status, after.sent(sent.request_id).attempts)


def test_who_interrupts_the_opening_of_the_store_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler that sends while the first event is sent would wait for what it has interrupted."""
    told: list[str] = []
    with App(isolation="inline") as app:
        queue = app.queue
        real = queue._open_store

        def interrupted() -> Any:
            with pytest.raises(UsageError, match="interrupted while it opened") as caught:
                _ = queue.store
            told.append(str(caught.value))
            return real()

        monkeypatch.setattr(queue, "_open_store", interrupted)
        assert 1 == app.function(echo).send(1).result(10)
    assert 1 == len(told)


def test_list_of_nothing_is_refused(app: App) -> None:
    """SQLite takes a limit below zero for none at all."""
    with pytest.raises(UsageError, match="from 1 up"):
        app.queue.list(limit=-1)


@pytest.mark.parametrize("wrong", ["1", float("nan"), True, []], ids=repr)
def test_what_is_no_seconds_is_refused_where_it_is_given(app: App, wrong: Any) -> None:
    """Not by the queue's thread, later."""
    sent = app.function(echo).send(1)
    run, close = (lambda grace: app.run_forever(grace=grace)), (lambda grace: app.close(grace=grace))
    for call in (sent.wait, sent.result, app.drain, run, close):
        with pytest.raises(UsageError, match="takes seconds"):
            call(wrong)

    assert not app.closed
    assert 1 == sent.result(10)


def test_time_that_is_up_already_is_no_mistake(app: App) -> None:
    """What is left until a deadline may be less than nothing."""
    sent = app.function(echo).send(1, delay=5)

    assert not sent.wait(-1)


def test_event_is_sent_though_no_thread_can_be_started(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the interpreter's end: it is safe in the store, so `send` does not raise; waiting here would be for ever."""

    def refuse(self: Service) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(Service, "start", refuse)
    with App(isolation="inline") as lost, pytest.raises(RuntimeError, match="new thread"):
        lost.function(echo).send(1)
    app = App(isolation="inline", store=tmp_path / "jobs.db")
    sent = app.function(echo).send(1)

    assert "ready" == sent.status
    with pytest.raises(UsageError, match="no thread can be started"):
        sent.wait()
    app.close()
