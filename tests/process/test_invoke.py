"""Invoking: every way to ask, every kind of handler, and what a handler is given."""

from __future__ import annotations

import functools
import json
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio
import crashing
import pytest
import shop

import lambdalite
from lambdalite import Failure

if TYPE_CHECKING:
    from pathlib import Path

    from lambdalite import App

pytestmark = pytest.mark.filterwarnings("default::ResourceWarning")


# --- what a handler is given --------------------------------------------------------------------------------------


def test_context_and_environment_are_aws_s(app: App) -> None:
    """Context fields and runtime variables say what AWS's would say."""
    function = app.function(shop.describe, memory=256, timeout=5, environment={"COLOUR": "red"})

    told = function.invoke(client_context={"custom": {"a": 1}}, identity={"cognitoIdentityId": "me"}, tenant_id="acme")

    assert ("256", "$LATEST", "acme", "me", {"a": 1}) == tuple(
        told[key] for key in ("memory", "version", "tenant", "identity", "client")
    )
    assert "arn:aws:lambda:us-east-1:123456789012:function:describe" == told["arn"]
    assert "/aws/lambda/describe" == told["group"]
    assert 0 < told["left"] <= 5000
    seen = told["environment"]
    assert ("red", "describe", "256", "$LATEST") == tuple(
        seen[key]
        for key in (
            "COLOUR",
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_VERSION",
        )
    )
    assert told["stream"] == seen["AWS_LAMBDA_LOG_STREAM_NAME"]
    assert "shop.describe" == seen["_HANDLER"]
    assert "UTC" == told["tz"]


def test_host_variables_do_not_leak(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in the host's environment is not in the handler's."""
    monkeypatch.setenv("SECRET_TOKEN", "hush")

    assert "SECRET_TOKEN" not in app.function(shop.describe).invoke()["environment"]


@pytest.mark.parametrize(
    ("event", "seen"),
    [
        ({"t": (1, 2)}, {"t": [1, 2]}),
        ({1: "c", None: "b"}, {"1": "c", "null": "b"}),  # to Python, True is 1
        (Decimal("1.5"), 1.5),
        ("☃😀", "☃😀"),
        (2**70, 2**70),
        (None, None),
        (b'{"raw": 1}', {"raw": 1}),
        (bytearray(b"[1]"), [1]),
    ],
)
def test_event_is_a_fresh_json_round_trip(app: App, event: Any, seen: Any) -> None:
    """What the handler sees is what JSON can say; bytes are taken as they are."""
    assert seen == app.function(shop.echo).invoke(event)


def test_no_event_is_an_empty_object(app: App) -> None:
    """As on AWS."""
    assert {} == app.function(shop.echo).invoke()


# --- kinds of handler ---------------------------------------------------------------------------------------------


def test_every_kind_of_handler_travels(app: App) -> None:
    """Importable, wrapped, decorated, partial, method, callable object, lambda, closure, coroutine."""
    factor = 5

    def closure(event: Any, context: Any) -> Any:
        return factor * event

    handlers: dict[str, tuple[Any, Any]] = {
        "importable": (shop.echo, 7),
        "wrapped": (shop.wrapped, "7"),
        "decorated": (shop.decorated, ["decorated", 7]),
        "partial": (functools.partial(lambda by, event, context: by + event, 10), 17),
        "method": (shop.Service(3).handle, 21),
        "callable": (shop.Service(3), -21),
        "lambda": (lambda event, context: event + 1, 8),
        "closure": (closure, 35),
        "coroutine": (shop.coroutine, {"async": 7}),
    }

    answers = {name: app.function(handler, name=name).invoke(7) for name, (handler, _) in handlers.items()}

    assert {name: answer for name, (_, answer) in handlers.items()} == answers


def test_decorated_name_stays_the_plain_callable() -> None:
    """Calling it runs the handler here: no process, no JSON."""
    assert ["decorated", {1}] == shop.decorated({1}, None)
    assert "<Function decorated 256 MiB, 3 s, process>" == repr(shop.decorated)


def test_what_cannot_travel_is_named(app: App) -> None:
    """A closure over a lock is refused with the variable's name, and nothing is started."""
    lock = threading.Lock()

    def handler(event: Any, context: Any) -> Any:
        with lock:
            return event

    with pytest.raises(lambdalite.UsageError, match="lock"):
        app.function(handler).invoke(1)
    assert 0 == app.statistics().in_use


@pytest.mark.parametrize(
    ("handler", "kind", "message"),
    [
        (
            "nowhere.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'nowhere': No module named 'nowhere'",
        ),
        ("mod.missing", "Runtime.HandlerNotFound", "Handler 'missing' missing on module 'mod'"),
        ("mod", "Runtime.MalformedHandlerName", "Bad handler 'mod': not enough values to unpack (expected 2, got 1)"),
        ("sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
    ],
)
def test_handler_strings_fail_in_aws_s_words(app: App, tmp_path: Path, handler: str, kind: str, message: str) -> None:
    """The import-time errors of AWS's runtime; nothing was run."""
    (tmp_path / "mod.py").write_text("def handler(event, context): return 'mod'\n")

    outcome = app.load(handler, name="f", root=tmp_path).run()

    assert (Failure.INIT, kind) == (outcome.failure, outcome.error_type)
    assert outcome.error_message.startswith(message)


def test_handler_string_with_a_path_runs(app: App, tmp_path: Path) -> None:
    """``path/module.function`` below the root."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mod.py").write_text("def handler(event, context): return ['mod', event]\n")

    assert ["mod", 1] == app.load("sub/mod.handler", root=tmp_path).invoke(1)


def test_syntax_error_is_told_with_its_place(app: App, tmp_path: Path) -> None:
    """Runtime.UserCodeSyntaxError with file and line."""
    (tmp_path / "mod.py").write_text("x = 1\ndef handler(:\n")

    outcome = app.load("mod.handler", root=tmp_path).run()

    assert "Runtime.UserCodeSyntaxError" == outcome.error_type
    assert "Line 2" in outcome.stack_trace[0]


def test_decorated_function_can_be_invoked_from_inside_a_handler(app: App) -> None:
    """It is known there by its name, whichever App runs the handler; what is not registered with it is not found."""
    outer = app.function(shop.calls_itself_through_lambdalite)
    missing = outer.run(1)
    app.function(shop.decorated)

    assert "ResourceNotFound" == missing.error_type
    assert ["decorated", 1] == outer.invoke(1)


@pytest.mark.parametrize("name", ["run", "arun", "map", "dry_run"])
def test_what_a_handler_cannot_ask_is_refused_in_a_sentence(app: App, name: str) -> None:
    """Outcomes and iterators are the host's: a handler has `invoke` and `send`."""
    outcome = app.function(shop.uses).run(name)

    assert "UsageError" == outcome.error_type
    assert f"decorated.{name} was used inside an environment" in outcome.error_message


# --- answers and errors -------------------------------------------------------------------------------------------


def test_raised_error_carries_the_handler_s_traceback(app: App) -> None:
    """`invoke` raises HandlerError; its text shows the handler's own lines and nothing of lambdalite's."""
    function = app.function(crashing.die)

    with pytest.raises(lambdalite.HandlerError) as caught:
        function.invoke({"how": "raise"})

    assert ("ValueError", "boom") == (caught.value.type, caught.value.message)
    assert 'raise ValueError("boom")' in str(caught.value)
    assert "lambdalite/runtime" not in str(caught.value)
    document = json.loads(caught.value.outcome.payload)
    assert ["errorMessage", "errorType", "requestId", "stackTrace"] == list(document)
    assert [True, True] == [line.startswith('  File "') for line in document["stackTrace"]]


def test_output_and_log_lines_are_aws_s(app: App) -> None:
    """print, logging and file descriptor 1, between START and END, then REPORT."""
    outcome = app.function(shop.logs).run("x")

    lines = outcome.log.splitlines()
    request = outcome.request_id
    assert f"START RequestId: {request} Version: $LATEST" in lines
    assert ["printed", "written"] == [line for line in lines if line in ("printed", "written")]
    assert any(line.startswith("[INFO]\t") and line.endswith(f"Z\t{request}\tlogged x") for line in lines)
    assert lines.index(f"END RequestId: {request}") < len(lines) - 1
    assert lines[-1].startswith(f"REPORT RequestId: {request}\tDuration: ")
    assert outcome.log in app.logs("logs")


def test_by_name_arn_and_qualifier(app: App) -> None:
    """`App.invoke` takes what AWS's FunctionName takes."""
    function = app.function(shop.echo)

    for name in ("echo", "echo:$LATEST", function.arn, f"{function.arn}:$LATEST", "function:echo"):
        assert 1 == app.invoke(name, 1)
    with pytest.raises(lambdalite.ResourceNotFound, match=r"function:ech:\$LATEST \(did you mean 'echo'\?\)"):
        app.invoke("ech")
    with pytest.raises(lambdalite.ResourceNotFound, match="function:echo:7"):
        app.invoke("echo", qualifier="7")


def test_dry_run_runs_nothing(app: App) -> None:
    """It checks the event and starts no process."""
    function = app.function(shop.echo)

    function.dry_run({"a": 1})

    assert 0 == app.statistics().idle
    with pytest.raises(lambdalite.InvalidRequestContent):
        function.dry_run({1, 2})


def test_map_keeps_the_order(app: App) -> None:
    """Answers come in the order of the events; a failure is raised when its turn comes."""
    function = app.function(shop.echo, reuse=True)

    assert list(range(20)) == list(function.map(range(20), concurrency=3))
    outcomes = app.function(crashing.die, name="die").map([{"how": "fine"}, {"how": "raise"}], outcomes=True)
    assert [True, False] == [outcome.ok for outcome in outcomes]


# --- asynchronous callers -----------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_ainvoke_answers(app: App) -> None:
    """Asyncio and trio get the same answer as everybody."""
    function = app.function(shop.echo, reuse=True)

    assert {"a": 1} == await function.ainvoke({"a": 1})
    assert (await app.function(crashing.die).arun({"how": "raise"})).failure is Failure.HANDLER


@pytest.mark.anyio
async def test_cancelling_ends_that_environment_and_nothing_else(app: App) -> None:
    """The cancelled one is gone at once, its place is free, a neighbour answers."""
    function = app.function(shop.sleep, timeout=60, reserved_concurrency=2)
    answers = []

    async def neighbour() -> None:
        answers.append(await function.ainvoke(0.3))

    async with anyio.create_task_group() as group:
        group.start_soon(neighbour)
        with anyio.move_on_after(0.1) as scope:
            await function.ainvoke(60)

    assert scope.cancelled_caught
    assert ["slept"] == answers
    assert 0 == app.statistics().in_use


@pytest.mark.anyio
async def test_many_tasks_wait_for_room(app: App) -> None:
    """``wait=True`` queues; all are answered with two environments at most."""
    function = app.function(shop.count, reuse=True, reserved_concurrency=2)
    pids = set()

    async def one() -> None:
        pids.add((await function.ainvoke(wait=True))[1])

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(one)

    assert 1 <= len(pids) <= 2
    assert (0, 0) == (app.statistics().in_use, app.statistics().waiting)


@pytest.mark.anyio
async def test_cancelled_waiter_gives_its_turn_up(app: App) -> None:
    """A waiter that gives up is forgotten, and the place goes to the next."""
    function = app.function(shop.sleep, timeout=60, reserved_concurrency=1)
    answers = []

    async def call(seconds: float) -> None:
        answers.append(await function.ainvoke(seconds, wait=True))

    async with anyio.create_task_group() as group:
        group.start_soon(call, 0.4)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.05):
            await function.ainvoke(0, wait=True)
        group.start_soon(call, 0)

    assert ["slept", "slept"] == answers
    assert (0, 0) == (app.statistics().in_use, app.statistics().waiting)
