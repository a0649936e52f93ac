"""The command line, as a person in a terminal uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
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

def patient(event, context):
    import time
    print("here I wait", flush=True)
    time.sleep(30)
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory with a module of handlers and an event."""
    (tmp_path / "shop.py").write_text(MODULE)
    (tmp_path / "event.json").write_text('{"n": 21}')
    (tmp_path / "quits.py").write_text("import sys; sys.exit(3)")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "json.py").write_text("def f(event, context): pass")
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


@pytest.mark.parametrize("target", ["shop:decorated", "shop.py:decorated", "shop.decorated"])
def test_invoke_finds_the_decorator_whatever_the_form(here: Path, target: str) -> None:
    """A handler string, too, means the decorated function with its configuration."""
    assert '"512"\n' == cli("invoke", target, "--quiet", cwd=here).stdout


def test_invoke_imports_a_file_as_part_of_its_package(here: Path) -> None:
    """A module of a package, named by its path, may import its siblings."""
    (here / "pack").mkdir()
    for name, text in {
        "__init__": "",
        "base": "ANSWER = 42",
        "f": "from .base import ANSWER\ndef f(event, context): return ANSWER",
    }.items():
        (here / "pack" / f"{name}.py").write_text(text)

    assert "42\n" == cli("invoke", "pack/f.py:f", "--quiet", cwd=here).stdout


@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_standard_output_holds_the_answer_and_nothing_else(here: Path, isolation: str) -> None:
    """What a module prints while it is imported, even past Python's own stdout, goes to standard error."""
    (here / "noisy.py").write_text(
        "import os, subprocess\nprint('printed')\nos.write(1, b'written\\n')\nsubprocess.run(['echo', 'echoed'])\n"
        "def f(event, context):\n    print('handled')\n    return 1\n"
    )

    done = cli("invoke", "noisy:f", "--isolation", isolation, cwd=here)

    assert (0, "1\n") == (done.returncode, done.stdout)
    assert [] == [word for word in ("printed", "written", "echoed", "handled") if word not in done.stderr]


def test_log_tail_shows_output_as_it_comes_and_ctrl_c_leaves_no_traceback(here: Path) -> None:
    """Interrupted while the handler runs: exit status 130, nothing on standard output, no traceback, nobody left."""
    # A shell's background jobs ignore SIGINT, and hand that down: a terminal's do not.
    run = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); from lambdalite.cli import main; "
    words = ["invoke", "shop:patient", "--timeout", "40", "--log-tail"]
    command = [sys.executable, "-c", f"{run}sys.exit(main())", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=here, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        assert "patient | here I wait\n" == process.stderr.readline()
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=30)

    assert (130, "", "") == (process.returncode, printed, said)
    assert ([], False) == ([child for child in children if child.is_running()], not children)


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    """``lambdalite doctor | head -0``: exit status 1, and not a word."""
    command = [sys.executable, "-m", "lambdalite", "doctor", "--isolation", "inline"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert (1, "") == (process.returncode, said)


def test_closed_standard_streams_hurt_nothing(here: Path) -> None:
    """With standard error closed (``2>&-``) no descriptor of ours takes its place: the answer comes out as ever."""
    shell = f"exec {sys.executable} -m lambdalite invoke shop:decorated 2>&-"
    done = subprocess.run(["sh", "-c", shell], cwd=here, capture_output=True, text=True, timeout=50, check=False)

    assert (0, '"512"\n', "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full: Linux")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "words", [("doctor", "--isolation", "inline"), ("invoke", "shop:decorated", "--quiet"), ("demo",), ("--version",)]
)
def test_full_standard_output_is_one_line(here: Path, words: tuple[str, ...], unbuffered: str) -> None:
    """What cannot be written is said in one line, and the exit status is EX_IOERR."""
    if unbuffered and words == ("--version",):
        pytest.skip("argparse keeps to itself what it cannot write")
    command, environment = [sys.executable, "-m", "lambdalite", *words], {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=here, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=50, check=False
        )

    said = "lambdalite: cannot write to standard output: No space left on device\n"
    assert (74, said) == (done.returncode, done.stderr)


def test_closed_standard_output_runs_nothing(here: Path) -> None:
    """With standard output closed (``>&-``) nobody could read the answer: that is said, before anything runs."""
    shell = f"exec {sys.executable} -m lambdalite invoke shop:double -e event.json >&-"
    done = subprocess.run(["sh", "-c", shell], cwd=here, capture_output=True, text=True, timeout=50, check=False)

    assert (74, "lambdalite: cannot write to standard output: it is closed\n") == (done.returncode, done.stderr)


def test_invoke_of_a_failing_function_exits_1(here: Path) -> None:
    """AWS's document is on standard output, the traceback on standard error."""
    done = cli("invoke", "shop:broken", cwd=here)

    assert (1, "KeyError") == (done.returncode, json.loads(done.stdout)["errorType"])
    assert "nothing here" in done.stderr


def test_report_as_json(here: Path) -> None:
    """``--json-report`` gives the facts of the REPORT line to a program."""
    done = cli("invoke", "shop:decorated", "--json-report", cwd=here)

    assert 512 == json.loads(done.stderr)["metrics"]["memorySizeMB"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("invoke", "shop:nothing"), "shop has no 'nothing': it has broken, decorated, double, patient"),
        (("invoke", "nowhere:f"), "cannot import nowhere: ModuleNotFoundError: No module named 'nowhere'"),
        (("invoke", "missing.py:f"), "there is no file missing.py"),
        (("invoke", "shop:double", "-e", "missing.json"), "cannot read the event: "),
        (("invoke", "shop:double", "-e", "-"), "Could not parse request body into json"),
        (("invoke", "shop:double", "--memory", "12"), "Value '12' at 'memorySize' failed to satisfy constraint"),
        (("invoke", "shop:__name__"), "shop:__name__ is no handler: it is 'shop'"),
        (("invoke", "shop:"), "'shop:' is not module:function"),
        (("invoke", "shop"), "'shop' does not say which function: use shop:NAME"),
        (("invoke", "shop.py"), "'shop.py' does not say which function: use shop.py:NAME"),
        (("invoke", "quits:f"), "cannot import quits: SystemExit: 3 ("),
        (("invoke", "lib/json.py:f"), "lib/json.py has the name of another module"),
        (("invoke", "shop:double", "--client-context", "[1]"), "--client-context takes a JSON object"),
        (("invoke", "shop:double", "--client-context", "{"), "--client-context is not JSON"),
        (("invoke", "shop:double", "--quiet", "--log-tail"), "not allowed with argument"),
        (("demo", "--output", "shop.py"), "cannot write pictures to shop.py"),
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
    assert all(one["how"] or one["reason"] for one in told["kernel"].values())
    assert "landlock" in told["kernel"]


def test_doctor_prints_a_table() -> None:
    """For people: one line a limit."""
    done = cli("doctor", "--isolation", "process")

    assert 0 == done.returncode
    assert "enforced      timeout" in done.stdout
    assert done.stdout.index("enforced      timeout") < done.stdout.index("\nthis machine offers\n")
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
