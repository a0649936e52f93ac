"""Tiers, hooks and observers, with real environments."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import shop

import lambdalite
from lambdalite import App
from lambdalite.observe import EnvironmentStarted, EnvironmentStopped, InvocationDone, Throttled

if TYPE_CHECKING:
    from lambdalite.functions import Function


def connect(event: Any, context: Any) -> str:
    """Try a TCP connection to the port that the event names."""
    try:
        socket.create_connection(("127.0.0.1", event), timeout=1).close()
    except OSError as error:
        return type(error).__name__
    return "connected"


def write(event: Any, context: Any) -> str:
    """Try to write the file that the event names."""
    try:
        Path(event).write_text("x")
    except OSError as error:
        return str(error.strerror)
    return "written"


@pytest.fixture
def strict(app: App) -> App:
    """The App, or a skip where this machine does not permit the strict tier."""
    try:
        app.function(shop.echo, name="probe", isolation="strict").invoke(1)
    except lambdalite.SandboxUnavailable as error:
        pytest.skip(str(error))
    return app


def test_strict_has_no_network_unless_asked(strict: App) -> None:
    """A listening host cannot be reached; with network=True it can."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        closed = strict.function(connect, name="closed", isolation="strict")
        opened = strict.function(connect, name="opened", isolation="strict", network=True)

        assert "connected" != closed.invoke(port)
        assert "connected" == opened.invoke(port)


def test_process_tier_can_be_kept_off_the_network(app: App) -> None:
    """network=False counts in the default tier too."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert "connected" != app.function(connect, network=False).invoke(port)
        assert "connected" == app.function(connect, name="open").invoke(port)


def test_file_system_is_read_only_but_for_what_is_named(app: App, tmp_path: Path) -> None:
    """/tmp is private, a named directory is the host's, everything else is read-only."""
    named = tmp_path / "named"
    named.mkdir()
    function = app.function(write, writable=[str(named)])
    mine = Path(__file__).parent / "written-by-a-handler"

    assert "written" == function.invoke("/tmp/private")
    assert not Path("/tmp/private").exists()
    assert "written" == function.invoke(str(named / "file"))
    assert (named / "file").exists()
    assert function.invoke(str(mine)) in ("Read-only file system", "Permission denied")
    assert not mine.exists()


def test_strict_says_what_is_missing() -> None:
    """Without namespaces the strict tier is refused, and names what it lacks; the default tier goes on without."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import lambdalite, shop\n"
        "with lambdalite.App() as app:\n"
        "    print(app.function(shop.echo).invoke(7))\n"
        "    try:\n"
        "        app.function(shop.echo, name='s', isolation='strict').invoke(1)\n"
        "    except lambdalite.SandboxUnavailable as error:\n"
        "        print(error.missing)\n"
        "    print(sorted(app.enforcement().missing))\n"
    )
    environment = {**os.environ, "LAMBDALITE_NAMESPACES": "off"}
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)

    lines = done.stdout.splitlines()
    assert ("7", "") == (lines[0], done.stderr)
    assert "a PID namespace" in lines[1]
    assert "/tmp" in lines[2]


@pytest.mark.parametrize("reuse", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize(
    ("directory", "reason"),
    [("/nonexistent/lambdalite", "No such file"), ("relative", "not absolute"), ("/proc", "/proc/lambdalite-tmp-")],
)
def test_useless_tmpdir_is_refused_by_name(directory: str, reason: str, reuse: bool) -> None:
    """Without namespaces environments need TMPDIR: the caller is told what is wrong with it, and what to do."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import lambdalite, shop\n"
        "with lambdalite.App() as app:\n"
        "    function = app.function(shop.echo, reuse=sys.argv[2] == 'True')\n"
        "    for _ in range(2):\n"
        "        try:\n"
        "            function.invoke(7)\n"
        "        except lambdalite.ServiceException as error:\n"
        "            print(error)\n"
    )
    environment = {**os.environ, "LAMBDALITE_NAMESPACES": "off", "TMPDIR": directory}
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(reuse)]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)

    lines = done.stdout.splitlines()
    assert (2, "") == (len(lines), done.stderr)
    for line in lines:
        assert f"TMPDIR is {directory!r}" in line
        assert reason in line
        assert "set TMPDIR to the absolute path" in line


def test_snapshot_hooks_run(app: App, tmp_path: Path) -> None:
    """Registered with AWS's package: before the template is frozen, and after each fork."""
    pytest.importorskip("snapshot_restore_py")
    (tmp_path / "hooked.py").write_text(
        "from snapshot_restore_py import register_after_restore, register_before_snapshot\n"
        "seen = []\n"
        "register_before_snapshot(lambda: seen.append('before'))\n"
        "register_after_restore(lambda: seen.append('after'))\n"
        "def handler(event, context): return seen\n"
    )
    function = app.load("hooked.handler", root=tmp_path)

    assert [["before", "after"]] * 2 == [function.invoke() for _ in range(2)]


def test_numpy_is_seeded_anew(app: App, tmp_path: Path) -> None:
    """Its global generator, loaded at init, draws different numbers in each environment; and init can still be shared."""
    pytest.importorskip("numpy")
    (tmp_path / "numeric.py").write_text(
        "import numpy\ndef handler(event, context): return float(numpy.random.random())\n"
    )
    function = app.load("numeric.handler", root=tmp_path, timeout=20, memory=512)

    outcomes = [function.run() for _ in range(3)]

    assert 3 == len({outcome.value for outcome in outcomes})
    assert () == outcomes[0].notes


def test_observers_hear_the_closed_list(app: App) -> None:
    """Invocations, throttles, environments that start and stop; until the observer is removed."""
    heard: list[Any] = []
    stop = app.observe(heard.append)
    function: Function[Any, Any] = app.function(shop.echo, reuse=True)
    function.invoke(1)
    with pytest.raises(lambdalite.TooManyRequests):
        app.function(shop.echo, name="none", reserved_concurrency=0).invoke(1)
    app.remove(function)
    stop()

    kinds = [type(event) for event in heard]
    assert [EnvironmentStarted, InvocationDone, Throttled, EnvironmentStopped] == kinds
    assert 1 == heard[1].outcome.value


def test_tail_prints_as_it_comes(capfd: pytest.CaptureFixture[str]) -> None:
    """``tail=True`` writes what handlers print to standard error, with the function's name."""
    with App(tail=True) as app:
        app.function(shop.logs).invoke("x")

    said = capfd.readouterr().err
    assert "printed" in said
    assert "logs" in said


def test_inline_runs_here_and_says_so(app: App) -> None:
    """The caller's own process, the same documents, nothing enforced."""
    function: Function[Any, Any] = app.function(
        lambda event, context: [os.getpid(), context.function_name], name="here", isolation="inline"
    )

    outcome = function.run()

    assert [os.getpid(), "here"] == outcome.value
    assert "not enforced" in outcome.notes[0]
    failing: Function[Any, Any] = app.function(lambda event, context: 1 / 0, name="failing", isolation="inline")
    assert "ZeroDivisionError" == failing.run().error_type
