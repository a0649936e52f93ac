"""The guardian: what it counts, what it lets be, what it ends, and that it ends with everything below it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from conftest import alive, environments, until

import lambdalite
from lambdalite import App, Failure
from lambdalite.clock import monotonic
from lambdalite.runtime import cpu, frames, watch
from lambdalite.runtime.board import Board
from lambdalite.runtime.guardian import Guardian
from lambdalite.workers import launch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the guardian's eyes are in /proc")

MIB = 1024 * 1024


@pytest.fixture
def own() -> Iterator[launch.Supervisor]:
    """A guardian that this test may kill."""
    made = launch.Supervisor()
    yield made
    made.close()


def statistics(supervisor: launch.Supervisor) -> dict[str, Any]:
    """What the guardian says of itself."""
    supervisor.report()  # its first message
    frames.send(supervisor._control, {"op": "stats"})
    message = frames.receive(supervisor._control)
    assert message is not None
    return dict(message.body)


def tree(how: dict[str, Any], context: Any) -> Any:
    """A handler with descendants, or with memory that is none."""
    return globals()[f"_{how['how']}"](how)


def _grow() -> None:
    kept = []
    while True:
        kept.append(bytearray(4 * MIB))


def _daemon(how: dict[str, Any]) -> str:
    """Leave a grandchild that grows, whose parent is gone; return when it has ended."""
    read, write = os.pipe()
    if not (child := os.fork()):
        os.close(read)
        if not os.fork():
            _grow()
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write)
    return os.read(read, 1).decode() + "ended"


def _family(how: dict[str, Any]) -> int:
    """Children that share 60 MiB with us and each other, for as long as it takes to be looked at many times."""
    import time

    kept = b"x" * (60 * MIB)
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            time.sleep(0.3)
            os._exit(0)
        children.append(child)
    return sum(os.waitpid(child, 0)[1] for child in children) + len(kept) // MIB


def _stopped_child(how: dict[str, Any]) -> str:
    """A child that we stop stays stopped, although the tree is read so exactly that it is stopped meanwhile."""
    import signal
    import time

    kept = b"x" * (90 * MIB)
    child = os.fork()
    if not child:
        while True:
            signal.pause()
    time.sleep(0.3)  # while the tree grew it was held, and let go: now it does not
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    time.sleep(0.3)
    with open(f"/proc/{child}/stat") as file:
        state = file.read().rpartition(")")[2].split()[0]
    os.kill(child, signal.SIGKILL)
    return state * (len(kept) > 0)


def _mapped_file(how: dict[str, Any]) -> int:
    """Every page of a mapped file, twice as large as the memory."""
    import mmap
    import time

    with open(how["path"], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        total = sum(mapped[at] for at in range(0, len(mapped), mmap.PAGESIZE))
        time.sleep(0.1)
        return total


def _exits(how: dict[str, Any]) -> None:
    os._exit(1)


def _bomb(how: dict[str, Any]) -> None:
    """More children than AWS permits, too small to be ended for their memory."""
    import time

    for _ in range(how["count"]):
        subprocess.Popen(["/bin/sleep", "60"])
    time.sleep(60)


def _memory_file(how: dict[str, Any]) -> int:
    """Write to a memory file without mapping it; or map all that was written, so that it might be counted twice."""
    import mmap
    import time

    fd = os.memfd_create("hoard")
    for _ in range(how["mib"]):
        os.write(fd, b"x" * MIB)
    if how["mapped"]:
        with mmap.mmap(fd, 0) as mapped:
            total = sum(mapped[at] == 120 for at in range(0, len(mapped), mmap.PAGESIZE))
            time.sleep(0.3)  # to be looked at
            return total
    time.sleep(10)
    return 0


def _programs(how: dict[str, Any]) -> float:
    """CPU seconds used by short programs, none of which lives long enough to be seen."""
    import resource
    import time

    began = time.monotonic()
    while time.monotonic() - began < how["seconds"]:
        if not (child := os.fork()):
            sum(range(20_000))
            os._exit(0)
        os.waitpid(child, 0)
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime


@pytest.mark.parametrize("reuse", [False, True], ids=["fresh", "reused"])
class TestMemory:
    """What counts towards the limit."""

    def test_daemon_cannot_grow_out_of_sight(self, app: App, reuse: bool) -> None:
        """A grandchild that has lost its parent is bounded all the same, and the function answers again."""
        function = app.function(tree, name="function", memory=128, timeout=20, reuse=reuse)

        outcome = function.run({"how": "daemon"})

        assert outcome.failure in (None, Failure.OUT_OF_MEMORY)
        assert function.invoke({"how": "family"}) == 60

    def test_shared_pages_count_once(self, app: App, reuse: bool) -> None:
        """Four children of 75 MiB, 60 of which they share, are less than 128; and the report says so."""
        outcome = app.function(tree, name="function", memory=128, timeout=20, reuse=reuse).run({"how": "family"})

        assert outcome.value == 60
        assert outcome.max_memory_used < 128 * MIB

    def test_exact_reading_leaves_a_stopped_child_stopped(self, app: App, reuse: bool) -> None:
        """Who was stopped before is stopped afterwards."""
        function = app.function(tree, name="function", memory=128, timeout=20, reuse=reuse)

        assert function.invoke({"how": "stopped_child"}) == "T"

    def test_memory_files_count_unmapped(self, app: App, reuse: bool) -> None:
        """A file in memory that no process maps is in no process's size, and counts all the same."""
        function = app.function(tree, name="function", memory=128, timeout=20, reuse=reuse)

        outcome = function.run({"how": "memory_file", "mib": 256, "mapped": False})

        assert outcome.failure is Failure.OUT_OF_MEMORY

    def test_memory_files_count_once(self, app: App, reuse: bool) -> None:
        """80 MiB that are in a file and mapped are 80 MiB, not 160."""
        function = app.function(tree, name="function", memory=128, timeout=20, reuse=reuse)

        outcome = function.run({"how": "memory_file", "mib": 80, "mapped": True})

        assert outcome.value == 80 * MIB // os.sysconf("SC_PAGE_SIZE")
        assert 80 * MIB <= outcome.max_memory_used < 128 * MIB

    def test_pages_of_files_do_not_count(self, app: App, reuse: bool, scratch: Path) -> None:
        """The kernel can drop them, so nobody is killed for a mapped file."""
        path = scratch / "large"
        with path.open("wb") as file:
            file.truncate(256 * MIB)
        function = app.function(tree, name="function", memory=128, timeout=20, reuse=reuse, writable=[str(scratch)])

        assert function.invoke({"how": "mapped_file", "path": str(path)}) == 0


def test_process_cannot_hide_by_being_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A descendant whose exact reading is refused counts with all that the world may see of it."""
    me, child = os.getpid(), 2
    seen = {(me, "status"): 30, (child, "status"): 70}
    monkeypatch.setattr(
        watch,
        "_fields",
        lambda pid, name: {b"RssAnon": size, b"RssShmem": 1} if (size := seen.get((pid, name))) else {},
    )

    assert watch.shared_once(me, (child,)) == 31 + 71


def test_child_of_init_counts(app: App, tmp_path: Path) -> None:
    """A program that init starts and that grows is within the function's limit."""
    body = "import os\nif not os.fork():\n    kept = []\n    while True: kept.append(bytearray(4 << 20))\nos.wait()\n"
    (tmp_path / "growing.py").write_text(body + "def handler(event, context): return 1\n")
    function = app.load("growing.handler", name="function", root=str(tmp_path), memory=128)

    assert function.run({}).failure is Failure.OUT_OF_MEMORY


@pytest.mark.slow
def test_more_processes_than_aws_permits_are_ended(app: App) -> None:
    """As root nothing else stops a fork bomb in an environment that lives once; the next invocation runs."""
    function = app.function(tree, name="function", memory=4096, timeout=50)

    outcome = function.run({"how": "bomb", "count": 1_100})

    assert outcome.failure in (Failure.EXITED, Failure.HANDLER)  # by us, or by a limit of processes where there is one
    assert function.invoke({"how": "family"}) == 60


def test_short_programs_are_within_the_cpu_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of a processor is no more than that for a thousand programs; without control groups."""
    monkeypatch.setenv("LAMBDALITE_CGROUPS", "off")
    supervisor = launch.Supervisor()
    monkeypatch.setattr(launch, "_current", supervisor)
    try:
        with lambdalite.App() as app:
            used = app.function(tree, memory=512, timeout=20, cpu="aws").invoke({"how": "programs", "seconds": 1.5})
    finally:
        supervisor.close()

    # 1.5 s times the share, what may be saved up for a burst, and a few ticks
    assert used < 1.5 * 512 / 1769 * 1.1 + 0.1 * 512 / 1769 + 0.03


class Eyes(Guardian):
    """What a guardian needs to look at one process."""

    def __init__(self) -> None:
        self.samples, self.confirming, self.pids, self.board = 0, 0.0, {}, Board.create(2)


@pytest.fixture
def family() -> Iterator[list[psutil.Process]]:
    """A process, then its two children."""
    program = "import subprocess as s; [one.wait() for one in [s.Popen(['/bin/sleep', '60']) for _ in range(2)]]"
    with subprocess.Popen([sys.executable, "-S", "-c", program]) as parent:
        root = psutil.Process(parent.pid)
        assert until(lambda: len(root.children()) == 2)
        processes = [root, *root.children()]
        yield processes
        for process in filter(alive, processes):
            process.kill()


def test_what_is_spared_below_a_template_goes_on(monkeypatch: pytest.MonkeyPatch, family: list[psutil.Process]) -> None:
    """Too large together, they are stopped to be read; one is ended, and the template must not stay stopped."""
    hello = {"slot": 1, "generation": 1, "role": "template", "memory_bytes": 128 * MIB}
    template = watch.Watched(family[0].pid, hello)
    template.settled = True
    monkeypatch.setattr(watch, "resident", lambda _statm: 60 * MIB)
    monkeypatch.setattr(watch, "resident_of", lambda _pid: 60 * MIB)
    monkeypatch.setattr(watch, "shared_once", lambda *_tree: 150 * MIB)

    Eyes().measure(template, monotonic(), forked=True, busy=False)
    template.close()

    assert until(lambda: [True, False, True] == [alive(process) for process in family])
    assert until(lambda: not any(watch.stopped(process.pid) for process in family if alive(process)))


def test_release_reaches_all_that_were_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was stopped in one tick and is no longer in the tree in the next (its parent has ended) runs on afterwards."""
    sleepers = [subprocess.Popen(["/bin/sleep", "60"]) for _ in range(2)]
    pids = tuple(sleeper.pid for sleeper in sleepers)
    throttle = cpu.Throttle(0.5)
    throttle.begin(0.0, pids)
    monkeypatch.setattr(cpu, "used", lambda _pids: 100.0)

    throttle.tick(0.1, pids)
    assert until(lambda: all(watch.stopped(pid) for pid in pids))
    throttle.tick(0.2, pids[:1])
    throttle.release()

    assert until(lambda: not any(watch.stopped(pid) for pid in pids))
    for sleeper in sleepers:
        sleeper.kill()
        sleeper.wait()


def waits_in_init(path: str) -> str:
    """The source of a module whose init ends when the file appears."""
    return (
        "import os, time\n"
        f"while not os.path.exists({path!r}): time.sleep(0.01)\n"
        "def handler(event, context): return 'there'\n"
    )


def test_init_of_its_own_is_looked_at_closely(
    own: launch.Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In strict every environment initialises for itself; it is sampled then as often as in an invocation."""
    monkeypatch.setattr(launch, "_current", own)
    (tmp_path / "waits.py").write_text(waits_in_init(str(tmp_path / "go")))
    with lambdalite.App(isolation="strict") as app:
        function = app.load("waits.handler", name="function", root=str(tmp_path))
        answers: list[Any] = []
        thread = threading.Thread(target=lambda: answers.append(function.invoke({})))
        thread.start()
        assert until(lambda: statistics(own)["watched"] >= 2)
        before = statistics(own)["samples"]

        closely = until(lambda: statistics(own)["samples"] >= before + 60, seconds=8)

        (tmp_path / "go").touch()
        thread.join()
    assert (True, ["there"]) == (closely, answers)


def test_init_is_not_throttled() -> None:
    """A share of the processor belongs to environments; a template runs init, which AWS does not throttle either."""
    hello = {"slot": 1, "generation": 1, "memory_bytes": 1, "cpu_share": 0.5}
    watched = [watch.Watched(os.getpid(), {**hello, "role": role}) for role in ("template", "environment")]
    for one in watched:
        one.close()

    assert [0.0, 0.5] == [one.cpu_share for one in watched]


def test_registrations_cannot_be_guessed(own: launch.Supervisor) -> None:
    """Generations are not counted: an init that knows its own slot does not know what the next one will be called."""
    slot = own.claim()
    generations = [slot.generation]
    for _ in range(3):
        own.give_back(slot)
        slot = own.claim()
        generations.append(slot.generation)

    assert len({*generations}) == 4
    assert any(later - earlier != 1 for earlier, later in itertools.pairwise(generations))


def test_sleeps_long_when_nothing_runs(app: App) -> None:
    """Templates and spare environments alone do not keep the guardian awake."""
    app.function(tree, name="function", memory=128).invoke({"how": "family"})
    board = app.supervisor().board

    assert until(lambda: board.sleeping)


def test_descriptors_stay_flat(app: App) -> None:
    """What has died is let go of; asking costs nothing either."""
    function = app.function(tree, memory=128, reuse=True)
    function.invoke({"how": "family"})
    before = statistics(app.supervisor())["fds"]

    for _ in range(5):
        function.run({"how": "exits"})
        function.invoke({"how": "family"})

    assert until(lambda: statistics(app.supervisor())["fds"] <= before)


def test_kill_before_hello_is_remembered(own: launch.Supervisor) -> None:
    """A process that is condemned before it has said hello dies when it does."""
    slot = own.claim()
    own.board.begin(slot.index)
    own.kill(slot, template=True)
    ours, theirs = frames.pair()
    own.template(theirs, "condemned")
    spec = {
        "slot": slot.index,
        "generation": slot.generation,
        "environment": {},
        "path": list(sys.path),
        "directory": "/",
        "config": {"memory": 128, "tmp_bytes": MIB, "cpu_share": 0.0},
        "reuse": False,
        "tier": "process",
        "sandbox": {"tmp_bytes": MIB},
        "snapshot": False,
    }
    ours.sendall(frames.encode(frames.SPEC, json.dumps(spec).encode()))
    ours.settimeout(20)

    with ours:
        last = b"".join(iter(lambda: ours.recv(4096), b""))

    found = frames.find_exit(last)
    assert found is not None
    assert found["status"] == 9
    assert own.board.read(slot.index).killed


@pytest.mark.parametrize("victim", ["zygote", "guardian"])
def test_nothing_survives_a_lost_parent(own: launch.Supervisor, monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    """Zygote or guardian killed in mid-invocation: every process below is gone, and the caller hears of it."""
    monkeypatch.setattr(launch, "_current", own)
    guardian = psutil.Process(own.pid)
    with lambdalite.App() as app:
        function = app.function(tree, memory=128, timeout=60)
        outcomes: list[Any] = []
        thread = threading.Thread(target=lambda: outcomes.append(function.run({"how": "bomb", "count": 30})))
        thread.start()
        assert until(lambda: len(environments(own.pid)) > 20)
        everybody = guardian.children(recursive=True)
        (guardian if victim == "guardian" else guardian.children()[0]).kill()
        thread.join(30)

        assert until(lambda: not any(alive(one) for one in everybody))
        assert until(lambda: not alive(guardian))
        assert not outcomes[0].ok
