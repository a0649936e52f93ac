"""A handler and its App: invoke and send from inside an environment, and all that may go wrong on the way."""

from __future__ import annotations

import os
import pathlib
import threading
from typing import Any

import anyio.lowlevel
import caller
import pytest
from conftest import environments, until

import lambdalite
from lambdalite import App, FunctionTimeout, HandlerError, ManualClock, UsageError


def having(app: App, *names: str, **options: Any) -> App:
    """The App with these functions of `caller`."""
    for name in names:
        app.function(getattr(caller, name), **options)
    return app


def chain(*names: str, event: Any = None) -> dict[str, Any]:
    """An event that leads through the functions to the last one."""
    *relays, last = names
    asked = {"function": last, "event": event}
    for name in reversed(relays):
        asked = {"function": name, "event": asked}
    return asked


# --- invoke -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reuse", [False, True])
def test_handler_invokes_another_function(app: App, reuse: bool) -> None:
    """It gets the answer of an environment that is not its own, again and again."""
    having(app, "relay", "where", reuse=reuse)
    asked = {"function": "where", "event": {"n": [1]}, "options": {"tenant_id": "acme"}}

    for _ in range(3):
        event, _pid, name, tenant, _trace = app["relay"].invoke(asked)
        assert ({"n": [1]}, "where", "acme") == (event, name, tenant)
    assert 0 == app.statistics().in_use


def test_chain_of_three_answers(app: App) -> None:
    """A called function may call in its turn, each in an environment of its own; the lineage names all of them."""
    having(app, "relay", "where")
    app.function(caller.relay, name="second")

    event, _pid, name, _tenant, trace = app["relay"].invoke(chain("second", "where", event=1))

    assert (1, "where") == (event, name)
    assert ["1", "1"] == [part.rpartition(":")[2] for part in trace.removeprefix("Lineage=1:").split("|")]


@pytest.mark.parametrize(
    "name", ["echo", "echo:$LATEST", "arn:aws:lambda:us-east-1:123456789012:function:echo", "function:echo"]
)
def test_function_is_found_by_name_or_arn(app: App, name: str) -> None:
    """As the host's own callers find it."""
    assert 1 == having(app, "relay", "echo")["relay"].invoke(chain(name, event=1))


def test_decorated_and_loaded_functions_are_known_by_their_names(app: App) -> None:
    """`fn.invoke`, `current_app().invoke(fn)`, `app.invoke` and the asynchronous ones ask for the function of that name."""
    having(app, "by_object")
    app.function(caller.decorated, name="known-as")
    app.load("caller.echo", root=pathlib.Path(caller.__file__).parent, name="loaded")

    assert [
        ["decorated", 1], ["decorated", 2], 3, ["decorated", 4], ["decorated", 5], ["decorated", 6], ["decorated", 7],
    ] == app["by_object"].invoke()  # fmt: skip


def test_function_in_a_closure_keeps_its_name(app: App) -> None:
    """A handler that travels by value takes along what the functions it mentions are called."""
    inner: Any = app.function(lambda event, context: ["inner", event], name="inner")
    outer: Any = app.function(lambda event, context: inner.invoke(event), name="outer")

    assert ["inner", 1] == outer.invoke(1)


def test_trace_of_a_call_is_gone_with_it(app: App) -> None:
    """A reused environment shows the trace of its own event only, as AWS's runtime does."""
    having(app, "relay", "where", reuse=True)

    _event, first, *_, trace = app["relay"].invoke(chain("where"))
    _event, second, *_, none = app["where"].invoke()

    assert first == second
    assert (True, None) == (trace.startswith("Lineage="), none)


def test_client_context_arrives(app: App) -> None:
    """A mapping or JSON text, as from the host."""
    having(app, "relay", "with_client_context")
    asked = {"function": "with_client_context", "options": {"client_context": {"custom": {"a": "b"}}}}

    assert {"a": "b"} == app["relay"].invoke(asked)


def test_failure_of_the_called_function_is_told(app: App) -> None:
    """The same classes as in the host, with type, message, stack and explanation."""
    having(app, "tell", "fail", "die", "sleep", "echo", timeout=0.5, init_timeout=10)

    kind, name, message, stack, text, request_id, _ = app["tell"].invoke(chain("fail", event="no"))
    assert ("HandlerError", "ValueError", "no", 1, 36) == (kind, name, message, stack, len(request_id))
    assert "fail failed: ValueError: no" in text
    assert "raise ValueError(event)" in text

    kind, name, *_, code = app["tell"].invoke(chain("die", event=3))
    assert ("EnvironmentExited", "Runtime.ExitError", 3) == (kind, name, code)


def test_uncaught_failure_of_the_called_function_fails_its_caller(app: App) -> None:
    """It is an exception of the caller's like any other."""
    outcome = having(app, "relay", "fail")["relay"].run(chain("fail", event="no"))

    assert "HandlerError" == outcome.error_type
    assert outcome.error_message.startswith("fail failed: ValueError: no")


def test_timeout_of_the_called_function_leaves_its_caller_running(app: App) -> None:
    """Only the called one is over time."""
    having(app, "tell", timeout=30)
    app.function(caller.sleep, timeout=0.2)

    assert ["FunctionTimeout", "Sandbox.Timedout"] == app["tell"].invoke(chain("sleep", event=20))[:2]


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        (chain("nobody"), "ResourceNotFound", "Function not found"),
        (chain("no body"), "InvalidParameterValue", "functionName"),
        ({"function": "echo", "options": {"qualifier": "7"}}, "ResourceNotFound", "function:echo:7"),
        ({"function": "echo", "options": {"tenant_id": ""}}, "InvalidParameterValue", "tenant_id"),
        ({"function": "echo", "options": {"tenant_id": {}}}, "InvalidParameterValue", "text and numbers"),
        ({"function": "echo", "options": {"client_context": 5}}, "InvalidParameterValue", "client_context"),
        ({"function": 5}, "UsageError", "give a function's name"),
    ],
)
def test_refusal_is_told_in_the_hosts_words(app: App, asked: Any, kind: str, words: str) -> None:
    """The handler gets the exception that a caller in the host would get."""
    told = having(app, "tell", "echo")["tell"].invoke(asked)

    assert kind == told[0]
    assert words in told[1]


def test_function_without_a_second_place_is_refused_to_itself_at_once(app: App) -> None:
    """Nothing waits for room that its own caller holds."""
    app.function(caller.tell, reserved_concurrency=1)

    kind, text, reason = app["tell"].invoke(chain("tell"))

    assert ("TooManyRequests", "ReservedFunctionConcurrentInvocationLimitExceeded") == (kind, reason)
    assert "Rate Exceeded" in text
    assert (0, 1) == (app.statistics().in_use, app.metrics.get("Throttles", "tell"))


@pytest.mark.parametrize("size", [100_000, 6 * 1024 * 1024 - 2])
def test_large_event_and_answer_go_both_ways(app: App, size: int) -> None:
    """Up to AWS's limits, through a socket that takes far less at a time."""

    def measure(event: Any, context: Any) -> int:
        return len(lambdalite.current_app().invoke("echo", "x" * event))

    having(app, "echo")

    assert size == app.function(measure, timeout=60).invoke(size)


@pytest.mark.parametrize("size", [6 * 1024 * 1024, 7 * 1024 * 1024])
def test_event_over_the_limit_is_refused(app: App, size: int) -> None:
    """By the environment or by the host, in the same words."""

    def measure(event: Any, context: Any) -> str:
        try:
            return str(lambdalite.current_app().invoke("echo", "x" * event))
        except lambdalite.RequestTooLarge as error:
            return str(error)

    having(app, "echo")

    assert "Request must be smaller than 6291456 bytes for the InvokeFunction operation" == app.function(
        measure, timeout=60
    ).invoke(size)


def test_event_that_json_cannot_say_is_refused(app: App) -> None:
    """In the place where it was made."""

    def wrong(event: Any, context: Any) -> str:
        try:
            return str(lambdalite.current_app().invoke("echo", {"a": object()}))
        except lambdalite.InvalidRequestContent as error:
            return str(error)

    assert "object" in app.function(wrong).invoke()


# --- send ---------------------------------------------------------------------------------------------------------


def test_sent_event_is_in_the_hosts_queue(app: App) -> None:
    """The request id finds it there, with its origin, and its answer in the end."""
    having(app, "send", "where")

    request_id = app["send"].invoke(chain("where", event=5))

    event, _pid, name, _tenant, trace = app.sent(request_id).result(30)
    assert (5, "where") == (event, name)
    assert trace.startswith("Lineage=1:")
    assert "function:send" == app.sent(request_id).event.source


def test_options_of_sending_arrive() -> None:
    """Delay, priority, group, id and retries are the event's, as if the host had sent it."""
    clock = ManualClock(1_772_000_000.0)
    options = {
        "delay": 90, "priority": 3, "group": "g", "request_id": "mine", "maximum_retry_attempts": 1,
        "maximum_event_age": 600,
    }  # fmt: skip
    with App(clock=clock) as app:
        asked = {"function": "echo", "event": 1, "options": options}

        assert "mine" == having(app, "send", "echo")["send"].invoke(asked)
        event = app.sent("mine").event
        assert options == {
            "delay": event.due - event.accepted_at, "priority": event.priority, "group": event.group,
            "request_id": event.request_id, "maximum_retry_attempts": event.maximum_retry_attempts,
            "maximum_event_age": event.maximum_event_age,
        }  # fmt: skip
        assert "waiting" == app.sent("mine").status
        clock.advance(minutes=2)
        assert 1 == app.sent("mine").result()


def test_queued_handler_sends_and_invokes() -> None:
    """What the queue runs may use the queue; a clock led by hand leads through all of it."""
    clock = ManualClock()
    with App(clock=clock) as app:
        having(app, "send", "relay", "echo")
        first = app["send"].send({"function": "relay", "event": chain("echo", event=7)})
        clock.run_until_idle()

        assert 7 == app.sent(first.result()).result()


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        (chain("nobody"), "ResourceNotFound", "Function not found"),
        ({"function": "echo", "options": {"delay": -1}}, "InvalidParameterValue", "delay takes seconds"),
        ({"function": "echo", "options": {"at": "noon"}}, "InvalidParameterValue", "at takes a datetime"),
        ({"function": "echo", "options": {"group": "\ud800"}}, "InvalidParameterValue", "UTF-8"),
        ({"function": "echo", "event": "x" * 1024 * 1024}, "RequestTooLarge", "1048576"),
    ],
)
def test_refused_event_is_told(app: App, asked: Any, kind: str, words: str) -> None:
    """With the host's words, and nothing is stored."""
    told = having(app, "send", "echo")["send"].invoke(asked)

    assert kind == told[0]
    assert words in told[1]
    assert () == app.queue.list()


# --- loops --------------------------------------------------------------------------------------------------------


def test_function_that_invokes_itself_is_stopped_after_sixteen_passes(app: App) -> None:
    """The seventeenth pass is refused to the sixteenth, and counted; everybody's place comes back."""
    having(app, "again", timeout=60)

    assert [15, "RecursiveInvocationException"] == app["again"].invoke(0)
    assert 1 == app.metrics.get("RecursiveInvocationsDropped", "again")
    assert 0 == app.statistics().in_use


def test_function_that_sends_to_itself_is_stopped_after_sixteen_passes() -> None:
    """Its failure destination hears of the event that was stopped."""
    told: list[Any] = []
    clock = ManualClock()
    with App(clock=clock, reuse=True) as app:
        app.function(caller.send_again, on_failure=told.append)
        app["send_again"].send(0)
        clock.run_until_idle()

        assert [("RecursiveInvocation", 16)] == [(record.condition, record.payload) for record in told]
        assert 1 == app.metrics.get("RecursiveInvocationsDropped", "send_again")


def test_loop_that_is_allowed_goes_on(app: App) -> None:
    """With `recursive_loop="Allow"` only concurrency ends it."""
    limited = App(concurrency=20)
    with limited:
        limited.function(caller.again, recursive_loop="Allow", timeout=60)

        assert [19, "TooManyRequestsException"] == limited["again"].invoke(0)


def test_invocations_that_wait_for_one_another_are_bounded(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level is a few frames on its caller's stack, so there is a limit that says what to do instead."""
    monkeypatch.setattr("lambdalite.limits.NESTED_INVOCATIONS", 3)
    app.function(caller.again, recursive_loop="Allow", timeout=60)

    assert [3, "ServiceException"] == app["again"].invoke(0)


# --- deadlines and cancellation -----------------------------------------------------------------------------------


def test_deadline_of_the_caller_ends_what_it_waits_for(app: App) -> None:
    """The caller times out as usual, and the whole chain below it is gone."""
    having(app, "sleep", timeout=600)
    app.function(caller.relay, name="second", timeout=600)
    app.function(caller.relay, name="first", timeout=0.6)
    app["first"].run(chain("second", "sleep", event=0))  # templates are there from here on

    with pytest.raises(FunctionTimeout):
        app["first"].invoke(chain("second", "sleep", event=60))

    assert 0 == app.statistics().in_use
    assert "slept" == app["sleep"].invoke(0)


def test_death_of_the_caller_ends_what_it_waits_for(app: App) -> None:
    """At once, since nobody is left to be answered."""
    outcome = having(app, "dies_waiting", "sleep", timeout=600)["dies_waiting"].run()

    assert ("Runtime.ExitError", 14) == (outcome.error_type, outcome.signal)
    assert 0 == app.statistics().in_use


@pytest.mark.anyio
async def test_death_within_a_chain_ends_what_is_below_it_and_is_told_above(app: App) -> None:
    """Asyncio and trio: the one in the middle dies, so the last one goes and the first one hears of it."""
    having(app, "relay", "dies_waiting", "sleep", timeout=600)

    outcome = await app["relay"].arun(chain("dies_waiting"))

    assert "EnvironmentExited" == outcome.error_type
    assert outcome.error_message.startswith("dies_waiting ")
    assert 0 == app.statistics().in_use


@pytest.mark.anyio
async def test_cancelling_the_outer_call_ends_the_whole_chain(app: App) -> None:
    """Asyncio and trio: whoever is cancelled takes along what was done for him."""
    having(app, "relay", "sleep", timeout=600)

    async with anyio.create_task_group() as group:
        group.start_soon(app["relay"].ainvoke, chain("relay", "sleep", event=60))
        while app.statistics().in_use < 3:
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()

    assert 0 == app.statistics().in_use
    assert "slept" == await app["relay"].ainvoke(chain("sleep", event=0))


@pytest.mark.anyio
async def test_event_loops_drive_nested_calls(app: App) -> None:
    """Asyncio and trio get the same answers as everybody, also side by side."""
    having(app, "relay", "echo", "send")
    answers: list[Any] = []

    async def one(number: int) -> None:
        answers.append(await app["relay"].ainvoke(chain("relay", "echo", event=number)))

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(one, number)

    assert [0, 1, 2, 3] == sorted(answers)
    assert 5 == await app.sent(await app["send"].ainvoke(chain("echo", event=5))).aresult(30)


def test_closing_the_app_ends_nested_calls() -> None:
    """Nobody is left waiting, and no process either."""
    app = App()
    having(app, "relay", "sleep", timeout=600)
    guardian = app.supervisor().pid
    outcomes: list[Any] = []
    waiting = threading.Thread(target=lambda: outcomes.append(app["relay"].run(chain("sleep", event=60))))
    waiting.start()
    assert until(lambda: app.statistics().in_use == 2)

    app.close()
    waiting.join(20)

    assert not waiting.is_alive()
    assert not outcomes[0].ok
    assert until(lambda: not environments(guardian))


# --- who may call, and when ---------------------------------------------------------------------------------------


def test_client_offers_these_names_and_no_more(app: App) -> None:
    """Invoke, send, their asynchronous twins, and a sentence about events."""
    names, refusal = having(app, "what_is_reachable")["what_is_reachable"].invoke()

    assert ["ainvoke", "asend", "invoke", "put_events", "send"] == names
    assert "no event bus" in refusal or "none yet" in refusal


def test_current_app_outside_a_handler_says_what_to_do() -> None:
    """The host has the App itself."""
    with pytest.raises(UsageError, match=r"use app\.invoke"):
        lambdalite.current_app()


@pytest.mark.parametrize("reuse", [False, True])
def test_nothing_can_be_asked_while_a_module_is_imported(app: App, reuse: bool) -> None:
    """A template serves many; it has no invocation to ask for."""
    told = having(app, "tried_at_import", reuse=reuse)["tried_at_import"].invoke()

    assert "no invocation is running" in told


def test_thread_that_goes_on_calling_is_refused_after_the_answer(app: App) -> None:
    """A call under way is finished first, the next one finds no invocation; answers and events come through unharmed."""
    having(app, "leaves_a_thread", "echo", reuse=True)
    function = app["leaves_a_thread"]

    assert [] == function.invoke("start")
    assert until(lambda: function.invoke("look") != [])
    assert "no invocation is running" in function.invoke("look")[0]


def test_threads_and_tasks_are_answered_each(app: App) -> None:
    """One after the other on the line, and nobody gets another's answer."""
    having(app, "in_threads", "gather", "in_trio", timeout=60)
    having(app, "echo", reuse=True)

    assert list(range(40)) == app["in_threads"].invoke(40)
    assert list(range(10)) == app["gather"].invoke(10)
    assert 7 == app["in_trio"].invoke(7)


def test_forked_process_cannot_call_and_its_parent_can(app: App) -> None:
    """The channel is the environment's alone."""
    told, answer = having(app, "forks", "echo")["forks"].invoke()

    assert told.startswith("UsageError: ")
    assert "forked" in told
    assert 2 == answer


@pytest.mark.parametrize("reuse", [False, True])
def test_interrupted_call_leaves_the_line_in_order(app: App, reuse: bool) -> None:
    """An exception in the middle of a call loses that call's answer, and no other; the next event comes through."""
    having(app, "sleep", "echo", reuse=True)
    function = app.function(caller.interrupted, reuse=reuse, timeout=60)

    for _ in range(2):
        assert ["alarm", "0", "alarm", "1", "alarm", "2"] == function.invoke()


def test_call_within_a_call_is_refused(app: App) -> None:
    """A signal handler that interrupts a call cannot make another, and does not hang."""
    having(app, "calls_in_a_signal_handler", "sleep", "echo", timeout=30)

    slept, told = app["calls_in_a_signal_handler"].invoke()

    assert "slept" == slept
    assert "within another call" in told[0]


def test_calling_loads_nothing_that_has_to_be_installed(app: App) -> None:
    """The client is the standard library's."""
    assert [] == having(app, "loaded_modules", "echo")["loaded_modules"].invoke()


# --- tiers --------------------------------------------------------------------------------------------------------


def test_strict_handler_calls_too(app: App) -> None:
    """Its channel is the one door that the strictest tier leaves open."""
    app.function(caller.where)
    try:
        strict = app.function(caller.relay, isolation="strict")
        answer = strict.invoke(chain("where", event=1))
    except lambdalite.SandboxUnavailable as error:
        pytest.skip(str(error))

    assert [1, "where"] == [answer[0], answer[2]]


def test_inline_handler_calls_too(app: App) -> None:
    """In the caller's process, with the same rules."""
    app.function(caller.relay, isolation="inline")
    app.function(caller.tell, isolation="inline", reserved_concurrency=1)
    app.function(caller.again, isolation="inline")
    having(app, "where", "send", "echo")

    event, pid, *_ = app["relay"].invoke(chain("where", event=1))
    assert event == 1
    assert pid != os.getpid()
    assert "TooManyRequests" == app["tell"].invoke(chain("tell"))[0]
    assert [15, "RecursiveInvocationException"] == app["again"].invoke(0)
    assert 3 == app.sent(app["relay"].invoke(chain("send", event=chain("echo", event=3)))).result(30)


def test_inline_coroutine_calls_within_a_running_loop(app: App) -> None:
    """Its thread is not the caller's, and it knows its App all the same."""

    async def handler(event: Any, context: Any) -> Any:
        return await lambdalite.current_app().ainvoke("echo", event)

    app.function(handler, isolation="inline")
    having(app, "echo")

    async def main() -> Any:
        return await app["handler"].ainvoke(3)

    assert 3 == anyio.run(main)


def test_inline_client_is_over_with_its_handler(app: App) -> None:
    """Kept beyond the answer, it says so."""
    kept: list[Any] = []
    app.function(lambda event, context: kept.append(lambdalite.current_app()), name="keep", isolation="inline")
    app["keep"].invoke()

    with pytest.raises(UsageError, match="no invocation is running"):
        kept[0].invoke("keep")


def test_error_of_a_called_function_is_the_hosts_own_class_inline(app: App) -> None:
    """And it can be pickled, as every error."""
    import pickle

    app.function(caller.relay, isolation="inline")
    having(app, "fail")
    found: list[HandlerError] = []

    def catch(event: Any, context: Any) -> None:
        try:
            caller.relay(event, context)
        except HandlerError as error:
            found.append(error)

    app.function(catch, isolation="inline").invoke(chain("fail", event="no"))

    again = pickle.loads(pickle.dumps(found[0]))
    assert ("ValueError", "no", found[0].stack) == (again.type, again.message, again.stack)


# --- hostile handlers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", caller.HOSTILE)
def test_whatever_a_hostile_handler_asks_the_host_serves_on(app: App, how: str) -> None:
    """It is ended for it, with an error of AWS's; its neighbours notice nothing."""
    having(app, "hostile", timeout=20)
    having(app, "sleep", timeout=600)
    having(app, "relay", "echo")

    outcome = app["hostile"].run(how)

    assert "Runtime.ExitError" == outcome.error_type, outcome
    assert 1 == app["relay"].invoke(chain("echo", event=1))
    assert 0 == app.statistics().in_use


def test_strange_questions_are_answered_with_errors(app: App) -> None:
    """Each gets a refusal, none an answer, and the handler lives."""
    having(app, "strange", "echo", timeout=60)

    codes = app["strange"].invoke()

    assert [] == [(meta, code) for meta, code in zip(caller.STRANGE, codes, strict=False) if not code]
    assert "InvalidRequestContentException" == codes[-1]
    assert {"InvalidParameterValueException", "ResourceNotFoundException"} == set(codes[:-1])


def test_flood_of_questions_ends_with_the_handlers_own_time(app: App) -> None:
    """A handler that only writes is stopped at its deadline; meanwhile others are served."""
    having(app, "flood", timeout=1)
    having(app, "echo")
    outcomes: list[Any] = []
    flooding = threading.Thread(target=lambda: outcomes.append(app["flood"].run()))
    flooding.start()

    answers = [app["echo"].invoke(number) for number in range(20)]
    flooding.join(20)

    assert list(range(20)) == answers
    assert outcomes[0].error_type in ("Sandbox.Timedout", "Runtime.ExitError")
