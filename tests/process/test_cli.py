"""The command line, as a person in a terminal uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lambdalite.demo import png

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
import lambdalite

app = lambdalite.App()

def double(event, context):
    print("doubling", event["n"])
    return {"n": 2 * event["n"], "memory": context.memory_limit_in_mb}

def broken(event, context):
    raise KeyError("nothing here")

@app.function(memory=512, timeout=7)
def decorated(event, context):
    return context.memory_limit_in_mb
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with a module of handlers and an event."""
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "event.json").write_text('{"n": 21}')
    return tmp_path


def cli(*words: str, cwd: Path | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "lambdalite", *words]
    return subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.parametrize("target", ["shop:double", "shop.py:double", "shop.double"])
def test_invoke_prints_the_answer_alone(here: Path, target: str) -> None:
    """The answer is on standard output, everything else on standard error."""
    done = cli("invoke", target, "-e", "event.json", cwd=here)

    assert (0, {"n": 42, "memory": "128"}) == (done.returncode, json.loads(done.stdout))
    assert "doubling 21\n" in done.stderr
    assert "REPORT RequestId: " in done.stderr


def test_invoke_reads_standard_input_and_takes_options(here: Path) -> None:
    """``-e -`` is standard input; ``--memory`` counts; ``--quiet`` is quiet."""
    done = cli("invoke", "shop:double", "-e", "-", "--memory", "256", "--quiet", cwd=here, stdin='{"n": 1}')

    assert ('{"n": 2, "memory": "256"}\n', "") == (done.stdout, done.stderr)


def test_invoke_keeps_a_decorated_function_as_it_is(here: Path) -> None:
    """The configuration in the decorator counts, and an option changes it."""
    assert '"512"\n' == cli("invoke", "shop:decorated", "--quiet", cwd=here).stdout
    assert '"640"\n' == cli("invoke", "shop:decorated", "--memory", "640", "--quiet", cwd=here).stdout


def test_invoke_of_a_failing_function_exits_1(here: Path) -> None:
    """AWS's document is on standard output, the traceback on standard error."""
    done = cli("invoke", "shop:broken", cwd=here)

    assert (1, "KeyError") == (done.returncode, json.loads(done.stdout)["errorType"])
    assert "nothing here" in done.stderr


def test_report_as_json(here: Path) -> None:
    """``--report`` gives the facts of the REPORT line to a program."""
    done = cli("invoke", "shop:decorated", "--report", cwd=here)

    assert 512 == json.loads(done.stderr)["metrics"]["memorySizeMB"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("invoke", "shop:nothing"), "shop has no 'nothing': it has broken, decorated, double"),
        (("invoke", "nowhere:f"), "cannot import nowhere: ModuleNotFoundError: No module named 'nowhere'"),
        (("invoke", "missing.py:f"), "there is no file missing.py"),
        (("invoke", "shop:double", "-e", "missing.json"), "cannot read the event: "),
        (("invoke", "shop:double", "-e", "-"), "Could not parse request body into json"),
        (("invoke", "shop:double", "--memory", "12"), "Value '12' at 'memorySize' failed to satisfy constraint"),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
    ],
)
def test_wrong_commands_exit_2_in_a_sentence(here: Path, words: tuple[str, ...], said: str) -> None:
    """No traceback, standard output empty."""
    done = cli(*words, cwd=here, stdin="{not json")

    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_names_a_mechanism_for_every_limit() -> None:
    """As JSON: each tier, each limit, enforced or not, and how."""
    told = json.loads(cli("doctor", "--json").stdout)

    assert ["process", "strict", "inline"] == list(told["tiers"])
    limits = told["tiers"]["process"]["limits"]
    assert {"timeout", "memory", "cpu share", "concurrency", "filesystem", "/tmp", "open files"} <= set(limits)
    assert all(limit["how"] for limit in limits.values())
    assert not any(
        limit["enforced"] for name, limit in told["tiers"]["inline"]["limits"].items() if name != "concurrency"
    )


def test_doctor_prints_a_table() -> None:
    """For people: one line a limit."""
    done = cli("doctor", "--isolation", "process")

    assert 0 == done.returncode
    assert "enforced      timeout" in done.stdout
    assert "\x1b[" not in done.stdout


def test_demo_shows_what_really_happened(tmp_path: Path) -> None:
    """All scenes play; the thumbnail is a real picture; nothing is coloured in a pipe."""
    done = cli("demo", "--output", str(tmp_path))

    assert (0, "") == (done.returncode, done.stderr)
    for said in (
        "Sandbox.Timedout",
        "signal: killed",
        "segmentation fault",
        "[1, 2, 3, 4]",
        "429",
        "ZeroDivisionError",
        "total",
    ):
        assert said in done.stdout
    thumbnail = png.decode((tmp_path / "thumbnail.png").read_bytes())
    assert (96, 96) == (thumbnail.width, thumbnail.height)
    assert "\x1b[" not in done.stdout


def test_version() -> None:
    """``--version`` names the version."""
    from lambdalite import __version__

    assert f"lambdalite {__version__}\n" == cli("--version").stdout
