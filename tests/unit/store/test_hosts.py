"""Whether a process that has claimed something is still there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from lambdalite.store import hosts

if TYPE_CHECKING:
    import pytest


def test_this_process_is_alive() -> None:
    """By its start time, not only by its number."""
    start = hosts.started(os.getpid())

    assert start
    assert hosts.alive(hosts.machine(), os.getpid(), start)
    assert not hosts.alive(hosts.machine(), os.getpid(), f"{start}0")


def test_process_of_another_machine_may_be_alive() -> None:
    """Its number means nothing here: its lease decides."""
    assert hosts.alive("elsewhere", 1 << 21, "1")


def test_ended_process_is_gone_reaped_or_not() -> None:
    """A zombie renews nothing."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = hosts.started(child.pid)
    assert start
    assert hosts.alive(hosts.machine(), child.pid, start)

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not hosts.alive(hosts.machine(), child.pid, start)
    child.communicate()
    assert not hosts.alive(hosts.machine(), child.pid, start)


def test_hidden_process_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc shows only one's own processes, nobody's claims are taken away on suspicion."""

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    here = hosts.machine()
    monkeypatch.setattr(hosts, "_read", lambda path: "")
    monkeypatch.setattr(os, "kill", refuse)

    assert hosts.alive(here, os.getpid(), "1")


def test_process_is_known_without_proc_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """By psutil, where there is no /proc."""
    real, here = os.path.isdir, hosts.machine()
    with monkeypatch.context() as patch:
        patch.setattr(hosts, "_read", lambda path: "")
        patch.setattr(os.path, "isdir", lambda path: path != "/proc/self" and real(path))
        start = hosts._started_elsewhere(os.getpid())
        assert start
        assert hosts.alive(here, os.getpid(), start)
        assert hosts._started_elsewhere(1 << 21) is None
