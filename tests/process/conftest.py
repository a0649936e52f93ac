"""Fixtures of the tests that start real processes."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

import lambdalite
from lambdalite.clock import monotonic
from lambdalite.workers import launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


# Shells start what runs in the background with signals ignored (nohup: SIGHUP), and so would everything that is started
# here; whoever tests what a signal does needs it to arrive.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Poll a condition; False if it has not come true in time."""
    deadline = monotonic() + seconds
    while not condition():
        if monotonic() > deadline:
            return False
        os.sched_yield()
    return True


@pytest.fixture(scope="session")
def supervisor() -> Iterator[launch.Supervisor]:
    """One guardian and zygote for all tests of a process: starting them is not what is tested."""
    held = launch.acquire()
    yield held
    launch.release(held)


@pytest.fixture
def app(supervisor: launch.Supervisor) -> Iterator[lambdalite.App]:
    """An App that is closed at the end, and leaves no environment behind."""
    made = lambdalite.App()
    yield made
    guardian = made.supervisor().pid  # not the fixture's: a test may have killed that one
    made.close()
    gone = until(lambda: not environments(guardian))

    assert gone, f"left behind: {environments(guardian)}"


def alive(process: psutil.Process) -> bool:
    """Does it run? A zombie does not, and it may go between two questions."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def environments(guardian: int) -> list[psutil.Process]:
    """Every process below the zygote."""
    try:
        zygotes = psutil.Process(guardian).children()
        return [child for zygote in zygotes for child in zygote.children(recursive=True) if child.is_running()]
    except psutil.NoSuchProcess:
        return []


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A directory that handlers of this test may write to."""
    return tmp_path
