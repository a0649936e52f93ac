"""Several processes on one store: claims, kills, forks, and who makes the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING

import pytest

from lambdalite.errors import ServiceException, UsageError
from lambdalite.model.queued import QueuedEvent, State
from lambdalite.store.sqlite import SqlStore

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # that is what is tested

NOW, LEASE = 1_000.0, 30.0
ROOMS = {"l": 3}

# What every child begins with.
_PRELUDE = """
import os, sys
from lambdalite.model.queued import QueuedEvent, Settlement, State
from lambdalite.store.sqlite import SqlStore

def event(name):
    return QueuedEvent(request_id=name, lane="l", function="f", payload=b"{}", accepted_at=1000.0, due=1000.0)

path, me = sys.argv[1:]
store = SqlStore(path, "process-crash")
"""


def event(name: str) -> QueuedEvent:
    """An event of the lane ``l``, due."""
    return QueuedEvent(request_id=name, lane="l", function="f", payload=b"{}", accepted_at=NOW, due=NOW)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> str:
    """Where the store is."""
    return str(tmp_path / "jobs.db")


@pytest.fixture
def start(path: str) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """Starts a Python process with a store open, and ends it with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(script: str, name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + script, path, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def in_child(act: Callable[[], object]) -> int:
    """Fork, do something in the child, and return its exit status: 0 if it did not raise."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_processes_claim_each_event_once(path: str, start: Callable[[str, str], subprocess.Popen[str]]) -> None:
    """However many compete for the same ones."""
    store = SqlStore(path, "process-crash")
    store.put([event(f"e{number}") for number in range(300)])
    script = """
mine = []
while True:
    turn = store.turn(mine, {"l": 3}, 3, 1000.0, me, 30.0)
    assert not turn.lost, turn.lost
    for found in turn.events:
        print(found.request_id)
    mine = [Settlement(request_id=found.request_id, state=State.SUCCEEDED, due=0.0, attempts=1, refusals=0,
                       finished_at=1000.0) for found in turn.events]
    if not mine:
        break
"""
    children = [start(script, f"host{number}") for number in range(3)]

    claimed = [name for child in children for name in child.communicate(timeout=60)[0].split()]

    assert [0, 0, 0] == [child.returncode for child in children]
    assert sorted(claimed) == sorted(f"e{number}" for number in range(300))
    assert 300 == store.statistics().succeeded
    store.close()


def test_claims_of_a_killed_process_are_taken_over_at_once(
    path: str, start: Callable[[str, str], subprocess.Popen[str]]
) -> None:
    """Not only when the lease ends: a process of this machine that is gone will not renew it. Living ones keep theirs."""
    store = SqlStore(path, "process-crash")
    store.put([event(f"e{number}") for number in range(6)])
    script = """
print(*(found.request_id for found in store.turn([], {"l": 3}, 3, 1000.0, me, 30.0).events), flush=True)
sys.stdin.read()
"""
    killed, living = start(script, "killed"), start(script, "living")
    assert killed.stdout is not None
    assert living.stdout is not None
    claimed, kept = killed.stdout.readline().split(), living.stdout.readline().split()

    killed.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # a zombie, as of a parent that does not reap
    turn = store.turn([], ROOMS, 9, NOW, "o", LEASE)

    assert claimed == [found.request_id for found in turn.events]
    assert {0} == {found.attempts for found in turn.events}
    assert {"living"} == {found.owner for name in kept for found in [store.get(name)] if found is not None}
    assert NOW + LEASE == turn.next_due
    store.close()


def test_accepted_events_survive_a_kill(path: str, start: Callable[[str, str], subprocess.Popen[str]]) -> None:
    """Whatever `put` returned from before the kill is there, and the file opens."""
    script = """
import itertools
for number in itertools.count():
    store.put([event(f"e{number}")])
    print(f"e{number}", flush=True)
"""
    child = start(script, "x")
    assert child.stdout is not None
    names = [child.stdout.readline().strip() for _ in range(200)]
    child.kill()
    names += child.communicate()[0].split("\n")[:-1]  # a last line that is cut off was accepted too, but which?

    store = SqlStore(path)

    assert [] == [name for name in names if store.get(name) is None]
    store.close()


def test_schedule_is_fired_by_one_of_several(path: str, start: Callable[[str, str], subprocess.Popen[str]]) -> None:
    """None of its instants is lost, none doubled."""
    script = """
while (last := store.fired("s") or 0.0) < 200.0:
    store.fire("s", last or None, last + 1.0, [event(f"{me}-{last + 1.0:g}")])
"""
    children = [start(script, f"host{number}") for number in range(2)]
    assert ["", ""] == [child.communicate(timeout=60)[0] for child in children]

    store = SqlStore(path)
    fired = sorted(int(found.request_id.split("-")[1]) for found in store.list(limit=1_000))

    assert list(range(1, 201)) == fired
    store.close()


def test_processes_that_make_the_file_together_get_one_store(
    path: str, start: Callable[[str, str], subprocess.Popen[str]]
) -> None:
    """No error, and nobody's event is lost."""
    children = [start("store.put([event(me)]); store.close()", f"e{number}") for number in range(6)]
    for child in children:
        child.communicate(timeout=60)

    assert [0] * 6 == [child.returncode for child in children]
    store = SqlStore(path)
    assert 6 == store.statistics().ready
    store.close()


def test_forked_child_and_parent_go_on_with_the_file(path: str) -> None:
    """Each opens it for itself; what either puts is kept, whoever closes first."""
    store = SqlStore(path, "process-crash")
    store.put([event("before")])
    told: list[str] = []
    store.watch(lambda: told.append("x"))

    def child() -> None:
        assert store.get("before") is not None
        assert 1 == store.put([event("child")])
        assert not told  # who watched was the parent
        store.close()

    assert 0 == in_child(child)
    assert store.changed()
    assert 1 == store.put([event("parent")])
    store.close()

    again = SqlStore(path)
    assert ["before", "child", "parent"] == [found.request_id for found in again.list()]
    again.close()


def test_forked_child_begins_with_an_empty_memory(path: str) -> None:
    """The parent's events are the parent's to run."""
    store = SqlStore()
    store.put([event("parent")])

    def child() -> None:
        assert 0 == store.statistics().ready
        store.after_fork()
        assert 1 == store.put([event("child")])
        store.after_fork()
        assert 1 == store.statistics().ready

    assert 0 == in_child(child)
    assert ["parent"] == [found.request_id for found in store.list()]
    store.close()


def test_fork_amid_busy_threads_disturbs_nobody(path: str) -> None:
    """Threads that write while the process forks go on, and the child can write too."""
    store = SqlStore(path, "process-crash")
    stop = threading.Event()
    counts = [0, 0]

    def write(who: int) -> None:
        while not stop.is_set():
            store.put([event(f"{who}-{counts[who]}")])
            counts[who] += 1

    threads = [threading.Thread(target=write, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    statuses = [in_child(partial(store.put, [event(f"child{number}")])) for number in range(5)]
    stop.set()
    for thread in threads:
        thread.join()

    assert [0] * 5 == statuses
    assert sum(counts) + 5 == store.statistics().ready
    store.close()


@pytest.mark.parametrize("what", ["file", "directory", "unreadable"])
def test_place_without_permission_is_refused(what: str) -> None:
    """A file or directory that one may not write, or not read, is named before anything is accepted."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/jobs.db"
        SqlStore(path).close()
        os.chmod(path, {"file": 0o444, "directory": 0o666, "unreadable": 0o222}[what])
        os.chmod(directory, 0o555 if what == "directory" else 0o777)
        text = (
            "it cannot be read: Permission denied" if what == "unreadable" else r"it can only be read\. Make the file"
        )

        def child() -> None:
            if os.geteuid() == 0:
                os.setuid(65_534)
            with pytest.raises(UsageError, match=text):
                SqlStore(path)

        status = in_child(child)
        os.chmod(directory, 0o777)

        assert 0 == status
        assert ["jobs.db"] == os.listdir(directory)


def test_full_file_system_refuses_and_keeps_what_it_has() -> None:
    """A real one: a small tmpfs, filled up."""
    with tempfile.TemporaryDirectory() as directory:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory], check=False, capture_output=True
        )
        if mounted.returncode:
            pytest.skip("mounting needs privileges")
        try:
            store = SqlStore(f"{directory}/jobs.db")
            accepted = 0
            with pytest.raises(ServiceException, match=r"SQLITE_(FULL|IOERR)"):
                for accepted in range(1_000):
                    store.put([
                        QueuedEvent(
                            request_id=f"e{accepted}", lane="l", function="f", payload=bytes(20_000), accepted_at=NOW, due=NOW
                        )
                    ])  # fmt: skip
            assert accepted == store.statistics().ready
            store.close()
            again = SqlStore(f"{directory}/jobs.db")
            assert accepted == len(again.list(state=State.READY, limit=1_000))
            again.close()
        finally:
            subprocess.run(["umount", directory], check=True)
