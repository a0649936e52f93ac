"""The crash catalogue: each way to die in each mode, with what AWS would have said. A new failure adds a row first.

After every row the same function answers again, a neighbour that was running meanwhile has not noticed, and (in the
`app` fixture) nothing is left behind.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import crashing
import pytest

from lambdalite import App, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT = "Runtime.ExitError"
NO_REASON = "Runtime exited without providing a reason"
SIGNAL = "Runtime exited with error: signal: "
STATUS = "Runtime exited with error: exit status "
TIMED_OUT = "Task timed out after 0.40 seconds"

#: event → failure, errorType, end of errorMessage
DEATHS: list[tuple[dict[str, Any], Failure, str, str]] = [
    ({"how": "raise"}, Failure.HANDLER, "ValueError", "boom"),
    ({"how": "sys_exit"}, Failure.EXITED, EXIT, NO_REASON),
    ({"how": "sys_exit", "status": 3}, Failure.EXITED, EXIT, STATUS + "3"),
    ({"how": "sys_exit", "status": "words"}, Failure.EXITED, EXIT, STATUS + "1"),
    ({"how": "os_exit"}, Failure.EXITED, EXIT, NO_REASON),
    ({"how": "os_exit", "status": 127}, Failure.EXITED, EXIT, STATUS + "127"),
    ({"how": "signal", "number": 9}, Failure.EXITED, EXIT, SIGNAL + "killed"),
    ({"how": "signal", "number": 15}, Failure.EXITED, EXIT, SIGNAL + "terminated"),
    ({"how": "signal", "number": 10}, Failure.EXITED, EXIT, SIGNAL + "user defined signal 1"),
    ({"how": "signal", "number": 19}, Failure.TIMEOUT, "Sandbox.Timedout", TIMED_OUT),
    ({"how": "segfault"}, Failure.EXITED, EXIT, SIGNAL + "segmentation fault"),
    ({"how": "abort"}, Failure.EXITED, EXIT, SIGNAL + "aborted"),
    ({"how": "sleep"}, Failure.TIMEOUT, "Sandbox.Timedout", TIMED_OUT),
    ({"how": "busy"}, Failure.TIMEOUT, "Sandbox.Timedout", TIMED_OUT),
    ({"how": "stubborn"}, Failure.TIMEOUT, "Sandbox.Timedout", TIMED_OUT),
    ({"how": "holds_the_gil"}, Failure.TIMEOUT, "Sandbox.Timedout", TIMED_OUT),
    ({"how": "ignores_signals"}, Failure.TIMEOUT, "Sandbox.Timedout", TIMED_OUT),
    # its template holds the channel too, so to the host it has merely gone silent
    ({"how": "closes_the_channel"}, Failure.TIMEOUT, "Sandbox.Timedout", TIMED_OUT),
    ({"how": "garbage"}, Failure.EXITED, EXIT, NO_REASON),
    ({"how": "oversize"}, Failure.EXITED, EXIT, NO_REASON),
    ({"how": "foreign_reply"}, Failure.EXITED, EXIT, NO_REASON),
    ({"how": "deep_meta"}, Failure.EXITED, EXIT, NO_REASON),
    ({"how": "forged_fault", "phase": "handler", "payload": "words"}, Failure.EXITED, EXIT, NO_REASON),
    ({"how": "forged_fault", "phase": "handler", "payload": "\xff"}, Failure.EXITED, EXIT, NO_REASON),
    ({"how": "forged_fault", "phase": "handler", "payload": "[" * 9_000}, Failure.EXITED, EXIT, NO_REASON),
    ({"how": "forged_fault", "phase": "request", "payload": "[]"}, Failure.EXITED, EXIT, NO_REASON),
    (
        {"how": "large"},
        Failure.RESPONSE_TOO_LARGE,
        "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    ),
    (
        {"how": "unserialisable"},
        Failure.NOT_SERIALIZABLE,
        "Runtime.MarshalError",
        "Unable to marshal response: Object of type set is not JSON serializable",
    ),
    (
        {"how": "deep"},
        Failure.NOT_SERIALIZABLE,
        "Runtime.MarshalError",
        "Unable to marshal response: maximum recursion depth exceeded while encoding a JSON object",
    ),
    ({"how": "fills_tmp"}, Failure.HANDLER, "OSError", "[Errno 28] No space left on device"),
]
MEMORY = ["hog", "hog_in_a_child", "hog_in_a_thread", "hog_shared"]
#: event → answer, for what looks dangerous and is legal
LEGAL: list[tuple[dict[str, Any], Any]] = [
    ({"how": "sixty_threads"}, "fine"),
    ({"how": "untouched"}, "fine"),
    ({"how": "hundred_forks"}, "fine"),
    ({"how": "flood"}, "fine"),
    ({"how": "daemon"}, "fine"),
    ({"how": "closes_stdout"}, "fine"),
    ({"how": "kills_its_parent"}, "PermissionError"),
    ({"how": "kills_init"}, "PermissionError"),
]


@pytest.fixture(params=["fresh", "reused"])
def mode(request: pytest.FixtureRequest) -> bool:
    """Does the function reuse its environments?"""
    return str(request.param) == "reused"


@pytest.fixture
def neighbour(app: App) -> Iterator[list[Any]]:
    """Another function's invocation that is running all the while; its answer is checked at the end."""
    answers: list[Any] = []
    started = threading.Event()
    function = app.function(wait_for_word, name="neighbour", timeout=60)

    def run() -> None:
        started.set()
        answers.append(function.invoke({"seconds": 0.2}))

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    yield answers
    thread.join()
    assert ["unharmed"] == answers


def wait_for_word(event: Any, context: Any) -> str:
    """The neighbour's handler."""
    import time

    time.sleep(event["seconds"])
    return "unharmed"


def ident(value: Any) -> str:
    """A row's name."""
    return "-".join(str(item)[:20] for item in value.values()) if isinstance(value, dict) else ""


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize(("event", "failure", "kind", "message"), DEATHS, ids=ident)
def test_each_way_to_die_says_what_aws_says(
    app: App, event: dict[str, Any], failure: Failure, kind: str, message: str, mode: bool
) -> None:
    """The failure, errorType and errorMessage are AWS's, and the next invocation of the function succeeds."""
    function = app.function(crashing.die, timeout=0.4, reuse=mode, ephemeral_storage=512)
    timeout = {"timeout": 30.0} if event["how"] in ("fills_tmp", "large", "deep_meta") else {}
    app.update(function, **timeout)

    outcome = function.run(event)

    assert (failure, kind) == (outcome.failure, outcome.error_type)
    assert outcome.error_message.endswith(message)
    if failure in (Failure.EXITED, Failure.TIMEOUT):
        assert outcome.error_message.startswith(f"RequestId: {outcome.request_id} Error: ")
    app.update(function, timeout=30.0)
    assert function.invoke({"how": "fine"}) >= 1


@pytest.mark.usefixtures("neighbour")
@pytest.mark.parametrize("how", MEMORY)
def test_memory_of_the_whole_tree_is_bounded(app: App, how: str, mode: bool) -> None:
    """A hog is killed, wherever in the tree it hogs; the error says limit, peak and enforcer.

    How far over the limit it comes is a matter of milliseconds, so it is measured in the benchmarks and not here.
    """
    function = app.function(crashing.die, memory=128, timeout=30, reuse=mode)

    outcome = function.run({"how": how})

    assert Failure.OUT_OF_MEMORY == outcome.failure
    assert (EXIT, True) == (outcome.error_type, outcome.error_message.endswith("signal: killed"))
    assert outcome.max_memory_used >= 128 * 2**20
    assert outcome.enforced_by in ("sampling", "cgroup")
    assert "limit 128 MiB, peak" in str(outcome.error)
    assert function.invoke({"how": "fine"}) >= 1


@pytest.mark.parametrize(("event", "answer"), LEGAL, ids=ident)
def test_what_only_looks_dangerous_is_let_be(app: App, event: dict[str, Any], answer: Any, mode: bool) -> None:
    """Threads, untouched memory, forks, floods and daemons kill nobody; attempts on the family are refused."""
    function = app.function(crashing.die, memory=128, timeout=30, reuse=mode)

    outcome = function.run(event)

    assert answer == outcome.value
    assert function.run({"how": "fine"}).ok


def test_flood_is_bounded_and_told(app: App) -> None:
    """Output is kept up to 1 MiB; what was dropped is counted and said in the log."""
    function = app.function(crashing.die, timeout=30)

    outcome = function.run({"how": "flood"})

    assert 1 << 20 == len(outcome.output)
    assert 8 * ((1 << 20) + 1) == len(outcome.output) + outcome.output_dropped
    assert f"{outcome.output_dropped:,}" in outcome.log


def test_host_cannot_be_signalled(app: App) -> None:
    """A handler that knows the host's process id cannot reach it."""
    import os

    function = app.function(crashing.die, timeout=30)

    assert "ProcessLookupError" == function.invoke({"how": "kills_the_host", "pid": os.getpid()})


def test_descriptors_are_bounded(app: App) -> None:
    """RLIMIT_NOFILE is AWS's 1,024: EMFILE before that, and the host does not notice."""
    function = app.function(crashing.die, timeout=30)

    assert function.invoke({"how": "opens_everything"}).startswith("24 after ")


def test_a_response_that_just_fits_is_delivered(app: App) -> None:
    """6,291,556 bytes are an answer."""
    function = app.function(crashing.die, timeout=30)

    outcome = function.run({"how": "just_fits"})

    assert outcome.ok
    assert 6_291_556 == len(outcome.payload)


def test_bytes_and_nan_go_out_as_they_are(app: App) -> None:
    """Bytes are sent raw and NaN bare, as AWS's runtime does."""
    function = app.function(crashing.die, timeout=30, reuse=True)

    assert b"\x00\xff" == function.run({"how": "bytes"}).payload
    assert b"NaN" == function.run({"how": "nan"}).payload
    assert b'{"n": 1, "d": 1.10}' == function.run({"how": "decimal"}).payload
