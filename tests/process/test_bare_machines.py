"""Machines that lack something: no fork, no room in TMPDIR, a home that nobody may write to."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lambdalite import App, UsageError

if TYPE_CHECKING:
    from pathlib import Path


def echo(event: object, context: object) -> object:
    return event


def test_interpreter_without_fork_says_what_works_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: refused in a sentence that names the tier which works, and that tier works."""
    monkeypatch.delattr(os, "fork")
    with App() as app:
        with pytest.raises(UsageError, match='use isolation="inline"'):
            app.function(echo).invoke(1)

        assert 2 == app.function(echo, name="inline", isolation="inline").invoke(2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small file system")
def test_full_tmpdir_hurts_nothing(tmp_path: Path) -> None:
    """Environments have a /tmp of their own; where TMPDIR is full, they are started all the same."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], check=False)
    if made.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        (tmp_path / "ballast").write_bytes(b"x" * 65_536)
        code = (
            "from lambdalite import App\nimport json\nbig = 'x' * 3_000_000\n"
            "with App() as app:\n"
            "    f = app.function(lambda event, context: len(big) + event, name='f')\n"
            "    print([f.invoke(1), f.invoke(2)])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)

    assert ("[3000001, 3000002]\n", 0) == (done.stdout, done.returncode), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide /proc")
def test_machine_without_proc_runs_on_and_says_what_is_not_enforced() -> None:
    """Timeouts hold; memory cannot be read, and `enforcement` says so."""
    code = (
        "from lambdalite import App\n"
        "def hang(event, context):\n    import time\n    time.sleep(60)\n"
        "with App() as app:\n"
        "    print(app.function(lambda event, context: event, name='echo').invoke(7))\n"
        "    print(app.function(hang, timeout=0.3).run().failure.name)\n"
        "    print(app.enforcement()['memory'].how)"
    )
    hidden = 'mount -t tmpfs none /proc && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", hidden, sys.executable, code], capture_output=True, text=True, check=False
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("mounting is not permitted here")

    assert (["7", "TIMEOUT", "not enforced: no /proc to read it from"], 0) == (
        done.stdout.splitlines(),
        done.returncode,
    ), done.stderr
