"""`lambdalite run` and `lambdalite queue`, and the recipes of the documentation, as their users run them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import termios
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite import App
from lambdalite.cli.queue_arguments import STATES
from lambdalite.model.queued import State

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
MODULE = """
import os, lambdalite

app = lambdalite.App(reuse=True)

@app.on_schedule("rate(1 hour)")
@app.function
def greet(event, context):
    print("greeting", event["n"])
    return event["n"]

@app.function(maximum_retry_attempts=0)
def broken(event, context):
    raise ValueError("no")

@app.function(timeout=60, writable=[os.getcwd()])
def linger(event, context):
    import time
    open(event["file"], "w").close()
    while not os.path.exists(event["go"]):
        time.sleep(0.01)
    return "went"
"""


@pytest.fixture
def here() -> Iterator[pathlib.Path]:
    """A directory with an App, outside /tmp, since handlers have one of their own."""
    base = pathlib.Path.home() / ".cache"
    base.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=base) as made:
        (pathlib.Path(made) / "jobs.py").write_text(MODULE)
        yield pathlib.Path(made)


def send(here: pathlib.Path, name: str, event: Any, **options: Any) -> str:
    """Put an event into the store, as a web worker would."""
    with App(store=here / "jobs.db", dispatch=False) as app:
        made = app.load(f"jobs.{name}", root=here, **options.pop("config", {}))
        return made.send(event, **options).request_id


def queue(here: pathlib.Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`lambdalite queue` on the store."""
    command = [sys.executable, "-m", "lambdalite", "queue", "--store", "jobs.db", *words]
    return subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=50, check=False)


@contextlib.contextmanager
def serving(here: pathlib.Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`lambdalite run jobs` until the block ends."""
    command = [sys.executable, "-m", "lambdalite", "run", "jobs", "--store", "jobs.db", *words]
    with subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, text=True) as host:
        try:
            yield host
        finally:
            host.kill()


def lines_until(host: subprocess.Popen[str], text: str) -> list[str]:
    """What it says, up to the line that has ``text``."""
    assert host.stderr is not None
    found = []
    for line in host.stderr:
        found.append(line.rstrip("\n"))
        if text in line:
            return found
    raise AssertionError(f"{text!r} never came: {found}")


def test_run_serves_what_others_have_sent_and_stops_on_sigterm(here: pathlib.Path) -> None:
    """Logs to standard error, exit status 0, the answer in the store."""
    request_id = send(here, "greet", {"n": 7})
    with serving(here) as host:
        said = lines_until(host, "REPORT")
        host.send_signal(signal.SIGTERM)
        said += lines_until(host, "stopped")

        assert 0 == host.wait(30)
    assert "lambdalite: serving 3 functions, 1 schedule, store jobs.db; Ctrl-C to stop" == said[0]
    assert re.fullmatch(r"lambdalite: greet every hour; next \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", said[1])
    assert "greet | greeting 7" in said
    assert '"answer": 7' in queue(here, "peek", request_id, "--json").stdout


def test_events_of_another_process_arrive_while_it_serves(here: pathlib.Path) -> None:
    """Nobody restarts anything."""
    send(here, "greet", {"n": 1})
    with serving(here) as host:
        lines_until(host, "greeting 1")
        send(here, "greet", {"n": 2})
        lines_until(host, "greeting 2")
        host.send_signal(signal.SIGINT)

        assert 0 == host.wait(30)


def test_sigterm_lets_what_is_under_way_finish(here: pathlib.Path) -> None:
    """Within the grace."""
    request_id = send(here, "linger", {"file": str(here / "flag"), "go": str(here / "go")})
    with serving(here, "--grace", "50", "--quiet") as host:
        while not (here / "flag").exists():
            os.sched_yield()
        host.send_signal(signal.SIGTERM)
        (here / "go").touch()

        assert 0 == host.wait(50)
    assert '"answer": "went"' in queue(here, "peek", request_id, "--json").stdout


def test_killed_host_loses_nothing_and_the_next_one_goes_on_at_once(here: pathlib.Path) -> None:
    """Taken over without waiting for the lease, since it is seen to be dead."""
    request_id = send(here, "linger", {"file": str(here / "flag"), "go": str(here / "go")})
    with serving(here, "--quiet") as host:
        while not (here / "flag").exists():
            os.sched_yield()
        host.kill()
        host.wait(30)
    (here / "go").touch()
    with serving(here) as host:
        lines_until(host, "REPORT")
        host.send_signal(signal.SIGTERM)
        host.wait(30)
    found = json.loads(queue(here, "peek", request_id, "--json").stdout)

    assert ("succeeded", 1, "went") == (found["state"], found["attempts"], found["answer"])


def test_terminal_has_a_status_line_and_logs_above_it(here: pathlib.Path) -> None:
    """One line, rewritten in place."""
    send(here, "greet", {"n": 3})
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lambdalite", "run", "jobs:app", "--store", "jobs.db"]
    with subprocess.Popen(command, cwd=here, stderr=theirs) as host:
        os.close(theirs)
        seen = ""
        while "1 done" not in seen:
            seen += os.read(ours, 4096).decode()
        host.send_signal(signal.SIGTERM)
        host.wait(30)
    os.close(ours)

    assert re.search(r"\r\x1b\[K0 running · 0 ready · 0 waiting · 1 done · 0 failed · next at \d\d:\d\d:\d\d", seen)
    assert "greeting 3" in seen


def test_second_signal_hands_back_what_is_under_way(here: pathlib.Path) -> None:
    """It waits for no grace, and leaves no claim behind; some senders of SIGTERM send it twice."""
    request_id = send(here, "linger", {"file": str(here / "flag"), "go": str(here / "go")})
    with serving(here, "--grace", "600", "--quiet") as host:
        while not (here / "flag").exists():
            os.sched_yield()
        host.send_signal(signal.SIGINT)
        host.send_signal(signal.SIGTERM)

        assert 0 == host.wait(50)
    found = json.loads(queue(here, "peek", request_id, "--json").stdout)
    assert ("ready", 0) == (found["state"], found["attempts"])


def test_closed_terminal_ends_it_gently(here: pathlib.Path) -> None:
    """SIGHUP is an end like SIGTERM."""
    send(here, "greet", {"n": 4})
    with serving(here) as host:
        lines_until(host, "greeting 4")
        host.send_signal(signal.SIGHUP)

        assert 0 == host.wait(30)


def test_it_serves_on_when_nobody_reads_what_it_says(here: pathlib.Path) -> None:
    """As in ``lambdalite run … 2>&1 | head -1``."""
    with serving(here) as host:
        lines_until(host, "serving")
        assert host.stderr is not None
        host.stderr.close()
        request_ids = [send(here, "greet", {"n": n}) for n in range(2)]
        with App(store=here / "jobs.db", dispatch=False) as app:
            app.load("jobs.greet", root=here)
            assert [0, 1] == [app.sent(request_id).result(30) for request_id in request_ids]
        host.send_signal(signal.SIGTERM)

        assert 0 == host.wait(30)


def seen_on_terminal(here: pathlib.Path, columns: int, until: str, **environment: str) -> str:
    """What `lambdalite run` writes to a terminal of that width, up to ``until``."""
    send(here, "greet", {"n": 3})
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    command = [sys.executable, "-m", "lambdalite", "run", "jobs:app", "--store", "jobs.db"]
    with subprocess.Popen(command, cwd=here, stderr=theirs, env={**os.environ, **environment}) as host:
        os.close(theirs)
        seen = ""
        while until not in seen:
            seen += os.read(ours, 4096).decode()
        host.send_signal(signal.SIGTERM)
        host.wait(30)
    os.close(ours)
    return seen


def test_status_line_is_no_longer_than_the_terminal_is_wide(here: pathlib.Path) -> None:
    """A line that went on in the next could not be taken back."""
    seen = seen_on_terminal(here, 15, "\r\x1b[K0 running · 0")

    assert "0 ready" not in seen


def test_terminal_that_can_only_go_on_gets_lines_only(here: pathlib.Path) -> None:
    """``TERM=dumb``: no status line, no colour."""
    assert "\x1b" not in seen_on_terminal(here, 80, "REPORT", TERM="dumb")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["nowhere:app"], "cannot import nowhere"),
        (["jobs:greet"], "jobs:greet is no App"),
        (["jobs:nothing"], "has no 'nothing'"),
        (["json"], "say which App of json to run, as json:NAME: it has none"),
        (["jobs", "--store", "."], ""),
    ],
)
def test_what_cannot_be_served_is_refused(here: pathlib.Path, words: list[str], text: str) -> None:
    """In one line, with exit status 2."""
    command = [sys.executable, "-m", "lambdalite", "run", *words]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=50, check=False)

    assert (2, "") == (done.returncode, done.stdout)
    assert text in done.stderr
    assert "Traceback" not in done.stderr


# --- queue --------------------------------------------------------------------------------------------------------


def test_queue_counts_lists_and_shows(here: pathlib.Path) -> None:
    """For people, and as JSON for programs."""
    request_id = send(here, "greet", {"n": 7}, delay=3600)
    stats = json.loads(queue(here, "stats", "--json").stdout)
    listed = queue(here, "list").stdout.splitlines()

    assert (1, 1) == (stats["waiting"], stats["pending"])
    assert re.search(r"waiting +1", queue(here, "stats").stdout)
    assert listed[0].split()[:3] == ["sequence", "request", "id"]
    assert request_id in listed[2]
    assert {"n": 7} == json.loads(queue(here, "peek", request_id, "--json").stdout)["payload"]
    assert '{"n": 7}' in queue(here, "peek", request_id).stdout
    assert "no events" in queue(here, "list", "--state", "failed").stderr


@pytest.mark.parametrize("limit", ["0", "-1", "x"])
def test_queue_lists_at_least_one(here: pathlib.Path, limit: str) -> None:
    """A limit that is none is refused, with the grammar."""
    send(here, "greet", {"n": 7})
    done = queue(here, "list", f"--limit={limit}")

    assert 2 == done.returncode
    assert f"a whole number from 1 up, not '{limit}'" in done.stderr


def test_queue_puts_a_live_store_in_order(here: pathlib.Path) -> None:
    """What it does, the host that serves the store sees."""
    later, never = (send(here, "greet", {"n": n}, delay=3600) for n in (1, 2))
    bad = send(here, "broken", {}, maximum_retry_attempts=0)
    with serving(here) as host:
        lines_until(host, "REPORT")
        assert 0 == queue(here, "retry", later).returncode
        lines_until(host, "greeting 1")
        assert 0 == queue(here, "cancel", never).returncode
        assert 1 == queue(here, "cancel", never).returncode
        while "failed" not in queue(here, "list", "--function", "broken").stdout:
            os.sched_yield()
        assert "1 failed events are in the queue again" in queue(here, "redrive", bad).stdout
        lines_until(host, "ValueError")
        host.send_signal(signal.SIGTERM)
        host.wait(30)
    assert 1 == queue(here, "purge").returncode
    assert "3 events are forgotten" in queue(here, "purge", "--yes").stdout


def test_queue_does_not_make_a_store(here: pathlib.Path) -> None:
    """A wrong path is an error."""
    done = queue(here, "stats")

    assert (2, "lambdalite: there is no store jobs.db\n") == (done.returncode, done.stderr)
    assert not (here / "jobs.db").exists()


def test_command_line_knows_every_state() -> None:
    """Its names are those of the model."""
    assert tuple(state.name.lower() for state in State) == STATES


# --- recipes ------------------------------------------------------------------------------------------------------


def recipe(here: pathlib.Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    """Run a recipe of the documentation, with its store in ``here``."""
    environment = {**os.environ, "JOBS_DB": str(here / "jobs.db"), **variables}
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT / "docs" / "recipes", env=environment, stdout=subprocess.PIPE, text=True
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def ask(port: int, method: str, path: str) -> tuple[int, Any]:
    """One HTTP request; patient until the server listens."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except ConnectionRefusedError:
            os.sched_yield()
        finally:
            connection.close()


def accepts_and_finishes(port: int) -> None:
    """A job is accepted, and becomes done."""
    status, made = ask(port, "POST", "/pictures/cat")
    assert 202 == status
    while True:
        status, found = ask(port, "GET", f"/jobs/{made['job']}")
        assert 200 == status
        if found["status"] == "succeeded":
            break
        assert found["status"] in {"ready", "running"}
    assert 1 == found["attempts"]


def test_recipe_of_a_script(here: pathlib.Path) -> None:
    """It prints what its jobs answered."""
    with recipe(here, "script.py", "Ann", "Bob") as host:
        assert "hello Ann\nhello Bob\n" == host.communicate(timeout=50)[0]


@pytest.mark.parametrize(
    ("needs", "command"),
    [
        ("uvicorn", ["-m", "uvicorn", "fastapi_app:web", "--log-level", "warning", "--port"]),
        ("django", ["django_app.py", "runserver", "--noreload"]),
        ("gunicorn", ["-m", "gunicorn", "--workers", "2", "--log-level", "error", "flask_app:web", "--bind"]),
    ],
)
def test_recipe_of_a_web_application(here: pathlib.Path, needs: str, command: list[str]) -> None:
    """Accepted over HTTP, run by an environment, seen over HTTP; and it stops when told to."""
    for module in (needs, {"uvicorn": "fastapi", "gunicorn": "flask"}.get(needs, needs)):
        pytest.importorskip(module, reason="the recipes need the web frameworks: pip install lambdalite[recipes]")
    port = free_port()
    with recipe(here, *command, f"127.0.0.1:{port}" if needs == "gunicorn" else str(port)) as host:
        try:
            accepts_and_finishes(port)
        finally:
            host.send_signal(signal.SIGINT if needs == "django" else signal.SIGTERM)
            host.communicate(timeout=50)


def test_recipe_of_a_systemd_unit_is_a_command_that_exists() -> None:
    """Its options are ours."""
    from lambdalite.cli import parser

    unit = (ROOT / "docs" / "recipes" / "jobs.service").read_text()
    words = re.search(r"ExecStart=\S+/lambdalite (.*)", unit)
    assert words is not None

    assert "run" == parser().parse_args(words[1].split()).command


@pytest.mark.slow
def test_kills_at_random_instants_lose_nothing() -> None:
    """The script that counts, with a few kills; `python -m benchmarks.kill --kills 1000` is the whole of it."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kill", "--kills", "6"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "lost 0, unexplained repeats 0, not over 0" in done.stdout


@pytest.mark.slow
def test_two_hosts_of_which_one_is_killed_again_and_again_fire_every_instant_once() -> None:
    """The script that counts, with a few hundred; `python -m benchmarks.kill --schedules 10000` is the whole of it."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kill", "--schedules", "400"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "lost 0, doubled 0, others 0" in done.stdout
