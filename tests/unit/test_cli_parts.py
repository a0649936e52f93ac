"""The command line's parts that need no process."""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lambdalite import enforcement
from lambdalite.cli import main, parser, queue
from lambdalite.cli.doctor import print_kernel
from lambdalite.cli.hints import hint
from lambdalite.cli.invoke import read_client_context, read_event
from lambdalite.cli.paint import Paint
from lambdalite.cli.target import find
from lambdalite.enforcement import Mechanism
from lambdalite.errors import UsageError
from lambdalite.store.sqlite import SqlStore

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It does."""
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "expected"),
    [
        (Terminal(), {}, "\x1b[31mno\x1b[0m"),
        (io.StringIO(), {}, "no"),
        (Terminal(), {"NO_COLOR": "1"}, "no"),
        (Terminal(), {"NO_COLOR": ""}, "\x1b[31mno\x1b[0m"),
        (Terminal(), {"TERM": "dumb"}, "no"),
    ],
)
def test_colours_are_for_terminals_that_want_them(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, environment: dict[str, str], expected: str
) -> None:
    """A pipe, NO_COLOR (unless empty, as no-color.org says) and TERM=dumb all mean plain text."""
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert expected == Paint(stream).red("no")


@pytest.mark.parametrize(
    ("target", "expected"),
    [("posixpath:join", "join"), ("collections:OrderedDict.move_to_end", "move_to_end")],
)
def test_find_follows_dots(target: str, expected: str) -> None:
    """``module:function``, and functions inside of classes."""
    assert expected == find(target).__name__


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nonsense", "'nonsense' is not module:function, nor path/file.py:function"),
        ("shlex:nothing", "shlex has no 'nothing': it has join, quote, shlex, split"),
        ("no.such.module:f", "cannot import no.such.module: ModuleNotFoundError: No module named 'no'"),
        ("/nowhere/f.py:f", "there is no file /nowhere/f.py"),
    ],
)
def test_find_says_what_is_wrong(target: str, said: str) -> None:
    """What is missing, and what there is instead."""
    with pytest.raises(UsageError) as caught:
        find(target)

    assert said == str(caught.value)


def test_event_is_an_empty_object_a_file_or_refused(tmp_path: Path) -> None:
    """Without ``-e`` the event is ``{}``, as on AWS; a file's bytes are taken as they are."""
    (tmp_path / "event.json").write_bytes(b' {"n": 1}\n')

    assert (b"{}", b' {"n": 1}\n') == (read_event(None), read_event(str(tmp_path / "event.json")))
    with pytest.raises(UsageError):
        read_event(str(tmp_path / "missing.json"))


def test_client_context_is_a_json_object() -> None:
    """It is passed on as it was written."""
    assert (None, '{"custom": {}}') == (read_client_context(None), read_client_context('{"custom": {}}'))


SAMPLING = Mechanism("memory", enforced=True, how="sampling of the process tree")
GROUPS = Mechanism("memory", enforced=True, how="cgroup v2 for reused environments, sampling for all")
PROCESSES = Mechanism("processes", enforced=False, how="not bounded")
SHARED = Mechanism("/tmp", enforced=False, how="private directory")


@pytest.mark.parametrize(
    ("one", "tier", "root", "said"),
    [
        (SAMPLING, "process", False, "Delegate=yes"),
        (GROUPS, "process", False, ""),
        (PROCESSES, "process", True, "ordinary user"),
        (PROCESSES, "process", False, "unprivileged user namespaces"),
        (SHARED, "process", False, "mount namespaces"),
        (SHARED, "inline", False, ""),
        (Mechanism("timeout", enforced=True, how="deadline"), "process", False, ""),
    ],
)
def test_hints_say_what_to_do(one: Mechanism, tier: str, root: bool, said: str) -> None:
    """A row that could be better comes with what would make it so; nobody is told to be root who is."""
    found = hint(one, tier, root=root)

    assert (bool(said), True) == (bool(found), said in found)
    assert not (root and "run as root" in found)


@pytest.mark.parametrize("command", ["invoke", "doctor", "demo"])
def test_every_command_has_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    """``--help`` shows how it is typed, and exits 0."""
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])

    assert 0 == caught.value.code
    assert f"examples:\n  lambdalite {command}" in capsys.readouterr().out


def test_reuse_can_be_left_alone_asked_for_or_forbidden() -> None:
    """Left alone, the decorator decides."""
    found = [parser().parse_args(["invoke", "f", *more]).reuse for more in ((), ("--reuse",), ("--no-reuse",))]

    assert [None, True, False] == found


def test_help_is_light() -> None:
    """Neither ``--help`` nor ``--version`` loads anything but argparse and the grammar."""
    code = "import lambdalite.cli, sys; lambdalite.cli.parser(); print([m for m in sys.argv if m in sys.modules])"
    heavy = ("attrs", "anyio", "cloudpickle", "psutil", "json", "subprocess", "lambdalite.app")

    found = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True, timeout=60)

    assert "[]\n" == found.stdout


def test_an_interrupt_while_arguments_are_read_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C right after the start ends like any later one: with status 130."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lambdalite.cli.parser", interrupted)
    assert main(["doctor"]) == 130


def test_kernel_offers_are_told_shortly(capsys: pytest.CaptureFixture[str]) -> None:
    """What there is in one paragraph, with versions; each that is missing on a line, with the reason."""
    offered = {
        "landlock": {"available": True, "how": "ABI 7", "reason": ""},
        "pidfd": {"available": True, "how": "pidfd_open", "reason": ""},
        "cgroup_cpu": {"available": False, "how": "", "reason": "v2: Permission denied"},
    }

    print_kernel(offered, Paint(io.StringIO()))

    assert ["", "this machine offers", "  landlock (ABI 7) · pidfd", "  not cgroup cpu: v2: Permission denied"] == (
        capsys.readouterr().out.splitlines()
    )


def test_probe_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is worth having even where nothing could be tried."""

    def fails() -> dict[str, dict[str, object]]:
        raise RuntimeError("the probe ended with status 1")

    monkeypatch.setattr("lambdalite.runtime.probe.capabilities", fails)

    assert {"probe": {"available": False, "how": "", "reason": "the probe ended with status 1"}} == enforcement.kernel()


@pytest.mark.parametrize("yes", [False, True])
def test_running_events_are_not_said_to_be_purged(tmp_path: Path, *, yes: bool) -> None:
    """Purging leaves them alone, so asking for just that is refused."""
    SqlStore(tmp_path / "jobs.db", "process-crash").close()
    options = argparse.Namespace(
        store=str(tmp_path / "jobs.db"), verb="purge", state="running", function=None, yes=yes, json=False
    )

    with pytest.raises(UsageError, match="wait until they are over"):
        queue.run(options)
