"""Environments: fresh or reused, counted, throttled, reaped; Apps: closed, forked, killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import crashing
import psutil
import pytest
import shop
from conftest import alive, environments, until

import lambdalite
from lambdalite import App, Failure
from lambdalite.clock import ManualClock

# --- fresh and reused ---------------------------------------------------------------------------------------------


def test_every_invocation_gets_a_fresh_environment(app: App) -> None:
    """Globals, processes and /tmp start anew each time."""
    counts = app.function(shop.count)
    files = app.function(shop.write_and_list)

    seen = [counts.invoke() for _ in range(4)]

    assert [1, 1, 1, 1] == [count for count, _ in seen]
    assert 4 == len({pid for _, pid in seen})
    assert [["a"], ["b"]] == [files.invoke("a"), files.invoke("b")]


def test_reused_environments_keep_globals_and_tmp(app: App) -> None:
    """As AWS may do: the same process, its globals and its /tmp."""
    counts = app.function(shop.count, reuse=True)
    files = app.function(shop.write_and_list, reuse=True)

    seen = [counts.invoke() for _ in range(3)]

    assert [1, 2, 3] == [count for count, _ in seen]
    assert 1 == len({pid for _, pid in seen})
    assert [["a"], ["a", "b"]] == [files.invoke("a"), files.invoke("b")]


def test_random_numbers_differ_between_environments(app: App) -> None:
    """Forks of one template do not draw the same numbers."""
    function = app.function(shop.random_numbers)

    assert 5 == len({function.invoke() for _ in range(5)})


def test_init_runs_once_for_the_template(app: App, tmp_path: Path) -> None:
    """What init prints is in the first invocation's log only."""
    (tmp_path / "mod.py").write_text("print('init ran')\ndef handler(event, context): return event\n")
    function = app.load("mod.handler", root=tmp_path)

    assert [True, False] == ["init ran" in function.run().log for _ in range(2)]


def test_function_that_cannot_be_snapshotted_initialises_in_each_environment(app: App, tmp_path: Path) -> None:
    """A thread left by init: every environment runs init itself, and the outcome says why."""
    (tmp_path / "mod.py").write_text(
        "import threading\nstop = threading.Event()\nthreading.Thread(target=stop.wait, daemon=True, name='ticker').start()\n"
        "def handler(event, context): return [thread.name for thread in threading.enumerate()]\n"
    )
    function = app.load("mod.handler", root=tmp_path, timeout=10)

    outcome = function.run()

    assert "ticker" in outcome.value
    assert any("ticker" in note for note in outcome.notes)
    assert "ticker" in function.invoke()


def test_timed_out_environment_is_never_used_again(app: App) -> None:
    """With reuse too: the next invocation has another process and fresh globals."""
    function = app.function(shop.count, name="count", reuse=True)
    first = function.invoke()[1]
    app.update(function, handler=shop.sleep, timeout=0.2)
    assert Failure.TIMEOUT is function.run(30).failure
    app.update(function, handler=shop.count, timeout=3)

    count, pid = function.invoke()

    assert (1, True) == (count, pid != first)


def test_environment_that_died_while_idle_is_replaced(app: App) -> None:
    """Killed from outside between two invocations: the next caller does not notice."""
    function = app.function(shop.count, reuse=True)
    function.invoke()
    [template] = [process for process in environments(app.supervisor().pid) if process.children()]
    killed = template.children()
    for process in killed:
        process.kill()
    assert until(lambda: not any(process.is_running() for process in killed))

    assert 1 == function.invoke()[0]


# --- concurrency --------------------------------------------------------------------------------------------------


def hold(function: lambdalite.Function[Any, Any], seconds: float = 30) -> threading.Thread:
    """Keep one environment of a function in use, until the App closes or the time is over."""
    thread = threading.Thread(target=lambda: function.run(seconds))
    thread.start()
    return thread


def test_reserved_concurrency_throttles(app: App) -> None:
    """The second caller is refused at once, with AWS's reason; with wait= it is refused when its patience ends."""
    function = app.function(shop.sleep, timeout=1.5, reserved_concurrency=1)
    holder = hold(function)
    assert until(lambda: app.statistics().in_use == 1)

    for wait in (None, 0.05):
        with pytest.raises(lambdalite.TooManyRequests) as refused:
            function.invoke(0, wait=wait)
        assert "ReservedFunctionConcurrentInvocationLimitExceeded" == refused.value.reason
    assert (429, "TooManyRequestsException") == (refused.value.status, refused.value.code)
    assert "slept" == function.invoke(0, wait=True)
    holder.join()
    assert 2 == app.metrics.get("Throttles", "sleep")


def test_reserved_concurrency_of_zero_is_the_kill_switch(app: App) -> None:
    """Nothing runs."""
    with pytest.raises(lambdalite.TooManyRequests):
        app.function(shop.echo, reserved_concurrency=0).invoke(1)


def test_account_limit_throttles(supervisor: object) -> None:
    """All functions without a reservation share what is left."""
    with App(concurrency=1) as small:
        sleeper = small.function(shop.sleep, timeout=1)
        holder = hold(sleeper)
        assert until(lambda: small.statistics().in_use == 1)
        with pytest.raises(lambdalite.TooManyRequests) as refused:
            small.function(shop.echo).invoke(1)
        holder.join()

    assert "ConcurrentInvocationLimitExceeded" == refused.value.reason


def test_reservations_leave_a_hundred(app: App) -> None:
    """AWS's message; nothing is registered."""
    with pytest.raises(lambdalite.InvalidParameterValue, match=r"below its minimum value of \[100\]\."):
        app.function(shop.echo, reserved_concurrency=901)
    assert 0 == len(app)


def test_idle_environments_end_by_the_clock(supervisor: object) -> None:
    """After 600 s of the App's clock, not a moment earlier."""
    clock = ManualClock()
    with App(clock=clock, reuse=True) as app:
        app.function(shop.echo).invoke(1)
        clock.advance(599)
        assert 1 == app.statistics().idle
        clock.advance(1)
        assert 0 == app.statistics().idle


def test_provisioned_environments_are_kept(supervisor: object) -> None:
    """They are initialised ahead and never reaped."""
    clock = ManualClock()
    with App(clock=clock) as app:
        app.function(shop.echo, reuse=True, provisioned_concurrency=2).invoke(1)
        assert 2 <= app.statistics().idle
        clock.advance(hours=1)
        assert 2 == app.statistics().idle


# --- Apps and hosts -----------------------------------------------------------------------------------------------


def test_closed_app_refuses(supervisor: object) -> None:
    """A sentence; closing twice is fine."""
    app = App()
    function = app.function(shop.echo)
    app.close()
    app.close()

    with pytest.raises(lambdalite.UsageError, match="this App is closed"):
        function.invoke(1)


def test_two_apps_do_not_meet(supervisor: object) -> None:
    """The same name in two Apps is two functions; closing one leaves the other."""
    with App() as one, App() as other:
        first, second = one.function(shop.echo), other.function(shop.count, name="echo")
        assert 7 == first.invoke(7)
        one.close()
        assert 1 == second.invoke()[0]


def test_guardian_killed_is_replaced(app: App) -> None:
    """SIGKILL of the guardian takes everything below it; the next invocation has new processes."""
    function = app.function(shop.count, reuse=True)
    before = function.invoke()[1]
    assert before
    family = environments(app.supervisor().pid)
    os.kill(app.supervisor().pid, signal.SIGKILL)
    assert until(lambda: not any(process.is_running() for process in family))

    assert 1 == function.invoke()[0]


def test_template_killed_is_replaced(app: App) -> None:
    """So is a template."""
    function = app.function(shop.echo)
    function.invoke(1)
    guardian = app.supervisor().pid
    assert until(lambda: len(environments(guardian)) == 2)  # the template, and the spare that it was asked for
    family = environments(guardian)
    for template in [process for process in family if process.children()]:
        template.kill()
    assert until(lambda: not any(process.is_running() for process in family))

    assert 2 == function.invoke(2)


def test_template_killed_again_while_it_starts_is_replaced(app: App, tmp_path: Path) -> None:
    """Its init has succeeded before, so the death was none of its making: the first caller hears nothing of it."""
    (tmp_path / "mod.py").write_text(
        f"import os, time\nhere = {str(tmp_path)!r}\n"
        "if os.path.exists(here + '/slow'):\n    open(here + '/begun', 'w').close()\n    time.sleep(60)\n"
        "def handler(event, context): return event\n"
    )
    function = app.load("mod.handler", root=tmp_path, writable=[str(tmp_path)], init_timeout=60)
    function.invoke(1)
    [zygote] = psutil.Process(app.supervisor().pid).children()
    (tmp_path / "slow").touch()
    kill_all(zygote)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(function.run(2).payload))
    thread.start()
    assert until((tmp_path / "begun").exists)
    (tmp_path / "slow").unlink()

    for process in zygote.children(recursive=True):  # once: the next template is none of the dead
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    thread.join()

    assert [b"2"] == answers


def kill_all(zygote: psutil.Process) -> None:
    """End every template and environment, a spare that is only being forked too, and wait until they are gone."""

    def gone() -> bool:
        family = zygote.children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):  # it went with its template
                process.kill()
        return not family

    assert until(gone)


def test_stopped_template_holds_nobody_up(app: App) -> None:
    """Megabytes of closure for a template that does not read: the caller is answered at its deadline all the same."""
    ballast = os.urandom(3 << 20)
    function: lambdalite.Function[Any, int] = app.function(
        lambda event, context: len(ballast), name="function", init_timeout=0.3
    )
    app.function(shop.echo).invoke(1)
    [zygote] = psutil.Process(app.supervisor().pid).children()
    outcomes: list[lambdalite.Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(function.run()))
    zygote.suspend()
    try:
        thread.start()
        thread.join(20)
        assert [Failure.INIT] == [outcome.failure for outcome in outcomes]
    finally:
        zygote.resume()
        thread.join()
    app.update(function, init_timeout=10)

    assert 3 << 20 == function.invoke()


def test_stopped_guardian_delays_answers_and_forgets_nothing(app: App) -> None:
    """A timed-out call is answered although nobody can kill; what it left is gone when the guardian goes on."""
    function = app.function(shop.sleep, timeout=0.2)
    function.invoke(0)
    guardian = psutil.Process(app.supervisor().pid)
    guardian.suspend()
    try:
        outcome = function.run(60)
        before = environments(guardian.pid)
    finally:
        guardian.resume()

    assert Failure.TIMEOUT is outcome.failure
    assert before
    assert until(lambda: not any(alive(process) for process in before))
    assert "slept" == function.invoke(0)


CELLS = """
import lambdalite
app = lambdalite.App()
cell = "@app.function\\ndef answer(event, context): return {}\\n"
for number in (1, 2, 2):
    exec(cell.format(number))
    print(answer.invoke(), len(app), flush=True)
app.close()
"""


def test_notebook_cell_that_runs_again_redefines_its_function(tmp_path: Path) -> None:
    """No conflict of names, and the new code runs; with a home that cannot be written to."""
    environment = {**os.environ, "HOME": "/proc/self", "PYTHONPATH": os.pathsep.join(sys.path)}

    command = [sys.executable, "-c", CELLS]
    told = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=50, check=False)

    assert (b"1 1\n2 1\n2 1\n", b"") == (told.stdout, told.stderr)


TIDY = """
import os, sys
sys.path.insert(0, {here!r})
import lambdalite, shop
with lambdalite.App() as app:
    print(app.function(shop.echo).invoke(7), app.function(shop.count, reuse=True).invoke()[0])
print(os.listdir(os.environ["TMPDIR"]))
"""


def test_closed_app_leaves_no_directories(tmp_path: Path) -> None:
    """Without mount namespaces environments have directories of their own in TMPDIR: gone when `close` returns."""
    code = TIDY.format(here=str(Path(__file__).parent))
    environment = {**os.environ, "LAMBDALITE_NAMESPACES": "off", "TMPDIR": str(tmp_path)}

    command = [sys.executable, "-c", code]
    told = subprocess.run(command, env=environment, capture_output=True, timeout=50, check=False)

    assert (b"7 1\n[]\n", b"") == (told.stdout, told.stderr)


HOST = """
import os, sys, threading, time
sys.path.insert(0, {here!r})
import lambdalite, crashing, shop
app = lambdalite.App()
function = app.function(shop.sleep, timeout=60)
daemon = app.function(crashing.die, name="daemon", reuse=True)
daemon.invoke({{"how": "daemon"}})
threading.Thread(target=lambda: function.run(60), daemon=True).start()
while not app.statistics().in_use:
    time.sleep(0.001)
print(app.supervisor().pid, flush=True)
time.sleep(60)
"""


def test_nothing_outlives_a_host_killed_with_9() -> None:
    """Guardian, zygote, template, environments and a handler's daemon: all gone."""
    code = HOST.format(here=str(Path(__file__).parent))
    host = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    with host.stdout:
        guardian = psutil.Process(int(host.stdout.readline()))
        family = [guardian, *guardian.children(recursive=True)]
        host.kill()
        host.wait()

    assert len(family) >= 5
    assert until(lambda: not any(alive(one) for one in family))


FORKING = """
import os, sys
sys.path.insert(0, {here!r})
import lambdalite, shop
app = lambdalite.App()
function = app.function(shop.count, reuse=True)
before = function.invoke()
pid = os.fork()
if not pid:
    answer = function.invoke()
    ok = answer[0] == 1
    app.close()
    os._exit(0 if ok else 1)
_, status = os.waitpid(pid, 0)
after = function.invoke()
print(os.waitstatus_to_exitcode(status), after[0], after[1] == before[1])
app.close()
"""


def test_forked_host_has_processes_of_its_own() -> None:
    """The child's invocations run in new environments; the parent's are untouched."""
    code = FORKING.format(here=str(Path(__file__).parent))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=50, check=False
    )

    assert ("0 2 True\n", "") == (done.stdout, done.stderr)


def test_hundreds_of_invocations_leave_nothing(app: App) -> None:
    """Descriptors, threads and processes of the host are as before."""
    function = app.function(shop.echo, reuse=True)
    fresh = app.function(shop.echo, name="fresh")
    host = psutil.Process()

    def state() -> tuple[int, int]:
        return host.num_fds(), host.num_threads()

    for _ in range(3):
        function.invoke(1)
        fresh.invoke(1)
    before = state()
    for n in range(300):
        function.invoke(n)
        if n % 6 == 0:
            fresh.invoke(n)

    assert until(lambda: all(now <= then for now, then in zip(state(), before, strict=True)))


# --- bad input ----------------------------------------------------------------------------------------------------


def test_bad_events_are_refused_and_lose_nothing(app: App) -> None:
    """Unserialisable, NaN, circular, oversize, not JSON: AWS's codes, and the function still works."""
    function = app.function(shop.echo, reuse=True)
    circular: list[Any] = []
    circular.append(circular)

    for event in ({"a": {1}}, float("nan"), circular, b"{nope", b"NaN", b"\xff"):
        with pytest.raises(lambdalite.InvalidRequestContent):
            function.invoke(event)
    with pytest.raises(lambdalite.RequestTooLarge, match="Request must be smaller than 6291456 bytes"):
        function.invoke("x" * (6 << 20))
    assert len("x" * 6_291_454) == len(function.invoke("x" * 6_291_454))


def test_import_that_never_ends_is_an_init_error(app: App, tmp_path: Path) -> None:
    """It is stopped at init_timeout, in AWS's words, and reported."""
    (tmp_path / "mod.py").write_text("while True: pass\n")

    outcome = app.load("mod.handler", root=tmp_path, init_timeout=0.3).run()

    assert (Failure.INIT, "Sandbox.Timedout") == (outcome.failure, outcome.error_type)
    assert outcome.error_message.endswith("Task timed out after 0.30 seconds")


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("raise ValueError('at import')", "ValueError", "at import"),
        ("import sys; sys.exit(4)", "Runtime.ExitError", "exit status 4"),
        ("import os; os.abort()", "Runtime.ExitError", "signal: aborted"),
        ("import os, signal; os.kill(os.getpid(), 9)", "Runtime.ExitError", "signal: killed"),
        ("hoard = []\nwhile True: hoard.append(bytearray(1 << 20))", "Runtime.ExitError", "signal: killed"),
    ],
)
def test_init_can_die_in_every_way(app: App, tmp_path: Path, body: str, kind: str, message: str) -> None:
    """What happens during import is an init failure in AWS's words; the next invocation tries again."""
    (tmp_path / "mod.py").write_text(
        f"import os\nif not os.environ.get('GOOD'):\n    {body.replace(chr(10), chr(10) + '    ')}\n"
        "def handler(event, context): return 'good'\n"
    )
    function = app.load("mod.handler", root=tmp_path, timeout=10)

    for _ in range(2):
        outcome = function.run()
        assert kind == outcome.error_type
        assert outcome.error_message.endswith(message)
        assert outcome.failure in (Failure.INIT, Failure.OUT_OF_MEMORY)
    app.update(function, environment={"GOOD": "1"})
    assert "good" == function.invoke()


def test_duplicate_names_conflict(app: App) -> None:
    """Two functions of one name are a mistake; the same one decorated again is a new revision."""
    app.function(shop.echo)

    with pytest.raises(lambdalite.ResourceConflict, match="Function already exist: echo"):
        app.function(shop.count, name="echo")


def test_descriptors_running_out_is_said(app: App) -> None:
    """Before the application is hurt: a sentence, and what is there goes on."""
    import resource

    function = app.function(shop.echo, reuse=True)
    function.invoke(1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)  # the lowest number that is free: what is asked for next
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 20, hard))
    try:
        with pytest.raises(lambdalite.ServiceException, match="no file descriptors left"):
            app.function(shop.count).invoke()
        assert 2 == function.invoke(2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_crash_catalogue_covers_every_way() -> None:
    """Every ``how_…`` of the crashing module is used by a test."""
    text = "".join(
        (Path(__file__).parent / name).read_text() for name in ("test_crash_catalogue.py", "test_environments.py")
    )
    ways = [name.removeprefix("how_") for name in vars(crashing) if name.startswith("how_")]

    assert [] == [way for way in ways if f'"{way}"' not in text]


def test_update_lets_go_of_the_old_revision(app: App) -> None:
    """What runs finishes on the old code; then the old template and its environments are gone."""
    function = app.function(shop.sleep, timeout=5, reuse=True)
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(app.run("sleep", 0.4).value))
    thread.start()
    assert until(lambda: app.statistics().in_use == 1)
    app.update(function, handler=shop.echo)
    assert "new" == function.invoke("new")
    thread.join()

    assert ["slept"] == answers
    assert until(lambda: 2 == len(environments(app.supervisor().pid)))  # one template, one idle environment


def test_tmp_survives_a_reused_environment_that_dies(app: App) -> None:
    """As on AWS: after a timeout the process and its globals are new, and /tmp is the old one."""
    function = app.function(dying_writer, timeout=0.4, reuse=True)
    first = function.invoke({"write": "a"})

    assert Failure.TIMEOUT is function.run({"write": "b", "sleep": 30}).failure
    second = function.invoke({"write": "c"})

    assert ([1, ["a"]], [1, ["a", "b", "c"]]) == (first, second)


def test_tmp_of_a_retired_environment_is_not_inherited(supervisor: object) -> None:
    """An environment that was idle for too long leaves nothing behind."""
    clock = ManualClock()
    with App(clock=clock) as app:
        function = app.function(dying_writer, reuse=True)
        function.invoke({"write": "a"})
        clock.advance(hours=1)
        assert [1, ["b"]] == function.invoke({"write": "b"})


writes = 0


def dying_writer(event: Any, context: Any) -> Any:
    """Count, write to /tmp, perhaps hang."""
    import time

    global writes
    writes += 1
    Path("/tmp", event["write"]).write_text("x")
    time.sleep(event.get("sleep", 0))
    return [writes, shop.files_in_tmp()]


@pytest.mark.parametrize(("how", "error"), [("close", lambdalite.UsageError), ("remove", lambdalite.ResourceNotFound)])
def test_nobody_waits_for_room_that_never_comes(supervisor: object, how: str, error: type[Exception]) -> None:
    """Closing the App, or removing the function, tells those who wait."""
    with App() as app:
        function = app.function(shop.sleep, timeout=2, reserved_concurrency=1)
        holder = hold(function)
        assert until(lambda: app.statistics().in_use == 1)
        caught: list[Exception] = []

        def wait() -> None:
            try:
                function.invoke(0, wait=True)
            except Exception as found:
                caught.append(found)

        waiter = threading.Thread(target=wait)
        waiter.start()
        assert until(lambda: app.statistics().waiting == 1)
        if how == "close":
            app.close()
        else:
            app.remove(function)
        waiter.join()
        holder.join()

    assert [error] == [type(found) for found in caught]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interrupt_in_an_observer_leaks_no_place(app: App) -> None:
    """Whatever leaves with an environment's end, its place is free."""

    def interrupt(event: Any) -> None:
        raise KeyboardInterrupt

    stop = app.observe(interrupt)
    function = app.function(shop.echo)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            function.invoke(1)
    stop()

    assert 0 == app.statistics().in_use
    assert 2 == function.invoke(2)


def test_deleted_working_directory_costs_no_slots(
    supervisor: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence each time, and everything works again when there is a directory."""
    doomed = tmp_path / "doomed"
    doomed.mkdir()
    monkeypatch.chdir(doomed)
    doomed.rmdir()
    with App() as app:
        function = app.function(shop.echo)
        free = len(app.supervisor()._free)
        for _ in range(5):
            with pytest.raises(lambdalite.UsageError, match="working directory has been deleted"):
                function.invoke(1)
        assert free == len(app.supervisor()._free)
        monkeypatch.chdir(tmp_path)
        assert 1 == function.invoke(1)


def test_zygote_killed_is_replaced(app: App) -> None:
    """The next call after the zygote's death works, though the guardian may still be on its way out."""
    function = app.function(shop.echo)
    function.invoke(1)
    [zygote] = psutil.Process(app.supervisor().pid).children()
    family = environments(app.supervisor().pid)
    zygote.kill()
    assert until(lambda: not any(process.is_running() for process in family))

    assert 2 == function.invoke(2)


def test_event_that_a_dead_environment_has_not_read_goes_to_another(app: App) -> None:
    """It was sent, and nobody can say how its environment ended; but it was left unread."""
    function = app.function(shop.echo, reuse=True)
    function.invoke(1)
    [zygote] = psutil.Process(app.supervisor().pid).children()
    for process in environments(app.supervisor().pid):
        process.suspend()
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(function.run(2).payload))
    thread.start()
    assert until(lambda: app.statistics().in_use == 1)
    zygote.kill()
    thread.join()

    assert [b"2"] == answers


@pytest.mark.parametrize(
    "options",
    [{"trace_id": 5}, {"trace_id": "a\0b"}, {"trace_id": "\ud800"}, {"client_context": 5}, {"identity": {"a": 1}}],
)
def test_bad_extras_are_the_callers_fault(app: App, options: dict[str, Any]) -> None:
    """Refused before anything runs."""
    with pytest.raises(lambdalite.InvalidParameterValue):
        app.function(shop.echo).run(1, **options)
