"""``lambdalite demo``: what lambdalite does, shown on real input.

Everything printed has happened a moment before, and every claim in a heading is checked: a scene that went otherwise is
named at the end, and the exit status is 1.
"""

from __future__ import annotations

import base64
import math
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from lambdalite.app import App
from lambdalite.cli import demo_host
from lambdalite.cli.doctor import print_table
from lambdalite.cli.paint import Paint
from lambdalite.clock import monotonic
from lambdalite.demo import handlers, png
from lambdalite.errors import TooManyRequests, UsageError
from lambdalite.model.outcome import Failure
from lambdalite.observe.lines import printable

if TYPE_CHECKING:
    import argparse

    from lambdalite.functions import Function
    from lambdalite.model.outcome import Outcome
    from lambdalite.model.queued import QueueStatistics

__all__ = ["run"]

SIZE = 480  # pixels a side of the picture that is made smaller


def run(options: argparse.Namespace) -> int:
    """Play all scenes; 0 if every one went as its heading says, else 1."""
    began = monotonic()
    folder = None if options.output is None else _folder(options.output)
    with App() as app:
        scenes = Scenes(app, Paint(sys.stdout), folder)
        for scene in (
            scenes.picture,
            scenes.hang,
            scenes.hog,
            scenes.crash,
            scenes.memory,
            scenes.throttle,
            scenes.fault,
            scenes.survive,
        ):
            scene()
        scenes.title("What is enforced on this machine")
        print_table(app.enforcement(), scenes.paint)
        scenes.title("What AWS would have charged")
        print(app.bill())
        family = _family(app)
    left = [one for one in family if one.is_running()]
    scenes.check("every process is gone at the end", not left)
    print(f"\n{monotonic() - began:.1f} s in all; of {len(family)} processes at the end, {len(left)} are left")
    for claim in scenes.broken:
        print(scenes.paint.red(f"not as it should be: {claim}"))
    return 1 if scenes.broken else 0


def _folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write pictures to {name}: {error}") from error
    return folder


def _family(app: App) -> list[psutil.Process]:
    guardian = psutil.Process(app.supervisor().pid)
    return [guardian, *guardian.children(recursive=True)]


class Scenes:
    """The scenes, and how they are told. `broken` collects the claims that did not hold."""

    def __init__(self, app: App, paint: Paint, folder: Path | None) -> None:
        self.app, self.paint, self.folder = app, paint, folder
        self.broken: list[str] = []

    def title(self, text: str) -> None:
        """A heading."""
        print(f"\n{self.paint.bold(text)}")

    def check(self, claim: str, holds: bool) -> None:
        """Remember a claim that does not hold."""
        if not holds:
            self.broken.append(claim)

    def show(self, outcome: Outcome) -> None:
        """What came of it: the error as AWS words it, and the REPORT line."""
        if not outcome.ok:
            print(f"  {self.paint.red(outcome.error_type)}  {outcome.error_message}")
        print(f"  {self.paint.dim(printable(str(outcome.report)).strip())}")

    def picture(self) -> None:
        """The main job: bytes in, bytes out."""
        self.title("A picture is made smaller in an environment of its own")
        original = png.encode(_picture(SIZE))
        function = self.app.function(handlers.thumbnail, memory=512, timeout=10)
        outcome = function.run({"png": base64.b64encode(original).decode(), "width": 96})
        answer = outcome.value
        small = base64.b64decode(answer["png"])
        found = png.decode(small)
        self.check(
            "the thumbnail has the size that its handler says",
            (found.width, found.height) == (answer["width"], answer["height"]),
        )
        print(f"  {SIZE}x{SIZE}, {len(original):,} bytes  →  {found.width}x{found.height}, {len(small):,} bytes")
        print(f"  it printed: {printable(outcome.output.decode()).strip()}")
        self.show(outcome)
        if self.folder is not None:
            self._write(original, small)

    def _write(self, original: bytes, small: bytes) -> None:
        assert self.folder is not None
        (self.folder / "original.png").write_bytes(original)
        (self.folder / "thumbnail.png").write_bytes(small)
        print(f"  written to {self.folder}/original.png and {self.folder}/thumbnail.png")

    def hang(self) -> None:
        """A timeout."""
        self.title("A handler that hangs, and swallows every exception, is killed at its timeout of 0.5 s")
        began = monotonic()
        outcome = self.app.function(handlers.hang, timeout=0.5).run()
        late = (monotonic() - began - 0.5 - (outcome.init_duration or 0)) * 1000
        self.show(outcome)
        self.check("the hang is killed at its timeout", outcome.failure is Failure.TIMEOUT)
        print(f"  answered {late:.1f} ms after the deadline, the start of its template included")

    def hog(self) -> None:
        """A memory limit."""
        self.title("A handler that takes all the memory it can get is killed at its limit of 256 MiB")
        outcome = self.app.function(handlers.hog, memory=256, timeout=10).run()
        self.show(outcome)
        self.check("the hog is killed at its limit", outcome.failure is Failure.OUT_OF_MEMORY)
        report, by = outcome.report, outcome.enforced_by or "nothing"
        print(f"  limit {report.memory_size_mb} MiB, peak {report.max_memory_used_mb} MiB, enforced by {by}")

    def crash(self) -> None:
        """A crash concerns one invocation."""
        self.title("A crash concerns one invocation only")
        function = self.app.function(handlers.crash, reuse=True)
        outcome = function.run({"crash": True})
        self.show(outcome)
        self.check("the crash ends its environment", outcome.failure is Failure.EXITED)
        print(f"  the next invocation answered: {function.invoke({'crash': False})}")

    def memory(self) -> None:
        """Statelessness."""
        self.title("Stateless by default: a module's global counts up only where environments are reused")
        fresh = self.app.function(handlers.count, name="fresh")
        reused = self.app.function(handlers.count, name="reused", reuse=True)
        counts = [fresh.invoke() for _ in range(4)], [reused.invoke() for _ in range(4)]
        print(f"  fresh environments: {counts[0]}")
        print(f"  reuse=True:         {counts[1]}")
        self.check("globals count up only with reuse=True", counts == ([1, 1, 1, 1], [1, 2, 3, 4]))

    def throttle(self) -> None:
        """A reservation."""
        self.title("Reserved concurrency of 1: of two calls at the same time one is refused, unless it waits for room")
        function = self.app.function(handlers.nap, reserved_concurrency=1)
        refused = _at_once(function, wait=False)
        waited = _at_once(function, wait=True)
        for answer in refused:
            print(f"  {self._answer(answer)}")
        print(f"  with wait=True: {', '.join(map(self._answer, waited))}")
        self.check("one of two calls is refused", sum(isinstance(one, TooManyRequests) for one in refused) == 1)
        self.check("neither is refused with wait=True", not any(isinstance(one, TooManyRequests) for one in waited))

    def _answer(self, answer: object) -> str:
        if isinstance(answer, TooManyRequests):
            return f"{self.paint.red(answer.code)}  {answer.status}  {answer.reason}"
        return f"answered: {answer}"

    def fault(self) -> None:
        """A traceback."""
        self.title("A handler that raises: its own frames, between AWS's lines")
        outcome = self.app.function(handlers.fail).run({"by": 0})
        self.check("the fault is the handler's", outcome.error_type == "ZeroDivisionError")
        for line in printable(outcome.log.replace("\r", "\n")).splitlines():
            print(f"  {self.paint.dim(line)}")

    def survive(self) -> None:
        """A store that outlives its host."""
        count, enough = 20, 6
        self.title(f"{count} events are sent, their host is killed with -9 in the middle, and none is lost")
        with tempfile.TemporaryDirectory(prefix="lambdalite-demo-") as folder:
            store = str(Path(folder) / "jobs.db")
            pid, sent = _killed_host(store, count, enough)
            with App(store=store) as app:
                demo_host.function(app)
                before = app.queue_stats()
                print(f"  process {pid} accepted {len(sent)} events, ran some and is gone: {_counts(before)}")
                app.start().drain(timeout=20)
                print(f"  the next one finished them: {_counts(app.queue_stats())}")
                lost = [one for one in sent if app.sent(one).status != "succeeded"]
        self.check("no event is lost when the host is killed", not lost and len(sent) == count)


def _killed_host(store: str, count: int, enough: int) -> tuple[int, list[str]]:
    """Let a process of its own send ``count`` events, and kill it when ``enough`` are done; its pid, and their ids."""
    command = [sys.executable, "-m", demo_host.__name__, store, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        sent: list[str] = []
        for line in host.stdout:
            kind, _, request_id = line.strip().partition(" ")
            if kind == "sent":
                sent.append(request_id)
            else:
                enough -= 1
            if len(sent) == count and enough <= 0:
                break
        host.kill()
        return host.pid, sent


def _counts(counts: QueueStatistics) -> str:
    return f"{counts.succeeded} done, {counts.running} under way, {counts.ready} waiting, {counts.failed} failed"


def _at_once(function: Function[Any, Any], *, wait: bool) -> list[Any]:
    """Answers (or what was raised) of two calls that begin together; each naps long enough to meet the other."""
    gate = threading.Barrier(2)
    answers: list[Any] = []

    def call() -> None:
        gate.wait()
        try:
            answers.append(function.invoke({"seconds": 0.4}, wait=wait))
        except Exception as error:  # whatever it is, it is shown
            answers.append(error)

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _picture(size: int) -> png.Picture:
    """Rings of colour: something that a thumbnail can be compared with by eye."""
    rows = []
    for y in range(size):
        row = bytearray()
        for x in range(size):
            distance = math.hypot(x - size / 2, y - size / 2)
            row += bytes(int(127 + 127 * math.cos(distance / step)) for step in (9, 14, 23))
        rows.append(bytes(row))
    return png.Picture(size, size, 3, rows)
