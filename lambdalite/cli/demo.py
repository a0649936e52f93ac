"""``lambdalite demo``: what lambdalite does, shown on real input. Everything printed has happened a moment before."""

from __future__ import annotations

import base64
import math
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambdalite.app import App
from lambdalite.cli.doctor import print_table
from lambdalite.cli.paint import Paint
from lambdalite.clock import monotonic
from lambdalite.demo import handlers, png
from lambdalite.errors import InternalError, TooManyRequests
from lambdalite.observe.lines import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from lambdalite.model.outcome import Outcome

__all__ = ["run"]

SIZE = 480  # pixels a side of the picture that is made smaller


def run(options: argparse.Namespace) -> int:
    """Play all scenes; 0 if everything went as it should."""
    began = monotonic()
    with App() as app:
        scenes = Scenes(app, Paint(sys.stdout), options.output)
        for scene in (scenes.picture, scenes.hang, scenes.hog, scenes.crash, scenes.memory, scenes.throttle, scenes.fault):
            scene()
        scenes.title("What is enforced on this machine")
        print_table(app.enforcement(), scenes.paint)
        scenes.title("What AWS would have charged")
        print(app.bill())
    print(f"\n{scenes.paint.dim(f'{monotonic() - began:.1f} s in all; every process is gone.')}")
    return 0


class Scenes:
    """The scenes, and how they are told."""

    def __init__(self, app: App, paint: Paint, output: str | None) -> None:
        self.app, self.paint, self.output = app, paint, output

    def title(self, text: str) -> None:
        """A heading."""
        print(f"\n{self.paint.bold(text)}")

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
        if (found.width, found.height) != (answer["width"], answer["height"]):
            raise InternalError("the thumbnail is not what its handler said")
        print(f"  {SIZE}x{SIZE}, {len(original):,} bytes  →  {found.width}x{found.height}, {len(small):,} bytes")
        print(f"  it printed: {printable(outcome.output.decode()).strip()}")
        self.show(outcome)
        if self.output is not None:
            folder = Path(self.output)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "original.png").write_bytes(original)
            (folder / "thumbnail.png").write_bytes(small)
            print(f"  written to {folder}/original.png and {folder}/thumbnail.png")

    def hang(self) -> None:
        """A timeout."""
        self.title("A handler that hangs, and swallows every exception, is killed at its timeout of 0.5 s")
        began = monotonic()
        outcome = self.app.function(handlers.hang, timeout=0.5).run()
        late = (monotonic() - began - 0.5) * 1000
        self.show(outcome)
        print(f"  answered {late:.1f} ms after the deadline (start included); the process is gone")

    def hog(self) -> None:
        """A memory limit."""
        self.title("A handler that takes all the memory it can get is killed at its limit of 256 MiB")
        outcome = self.app.function(handlers.hog, memory=256, timeout=10).run()
        self.show(outcome)
        peak = outcome.max_memory_used / 2**20
        print(f"  limit 256 MiB, last seen at {peak:.0f} MiB, enforced by {outcome.enforced_by or 'nothing'}")

    def crash(self) -> None:
        """A crash concerns one invocation."""
        self.title("A crash concerns one invocation only")
        function = self.app.function(handlers.crash, reuse=True)
        self.show(function.run({"crash": True}))
        print(f"  the next invocation answered: {function.invoke({'crash': False})}")

    def memory(self) -> None:
        """Statelessness."""
        self.title("Stateless by default: a module's global counts up only where environments are reused")
        fresh = self.app.function(handlers.count, name="fresh")
        reused = self.app.function(handlers.count, name="reused", reuse=True)
        print(f"  fresh environments: {[fresh.invoke() for _ in range(4)]}")
        print(f"  reuse=True:         {[reused.invoke() for _ in range(4)]}")

    def throttle(self) -> None:
        """A reservation."""
        self.title("Reserved concurrency of 1: the second call at the same time is refused")
        function = self.app.function(handlers.nap, reserved_concurrency=1)
        first = _aside(lambda: function.invoke({"seconds": 0.3}))
        while not self.app.statistics().in_use:
            pass
        try:
            function.invoke({"seconds": 0})
        except TooManyRequests as error:
            print(f"  {self.paint.red(error.code)}  {error.status}  {error.reason}")
        print(f"  with wait=True it waits for room: {function.invoke({'seconds': 0}, wait=True)}")
        first.join()

    def fault(self) -> None:
        """A traceback."""
        self.title("A handler that raises: its own frames, in AWS's form and in Python's")
        outcome = self.app.function(handlers.fail).run({"by": 0})
        for line in printable(outcome.log.replace("\r", "\n")).splitlines():
            print(f"  {self.paint.dim(line)}")


def _aside(call: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def _picture(size: int) -> png.Picture:
    """Rings of colour: something that a thumbnail can be compared with by eye."""
    rows = []
    for y in range(size):
        row = bytearray()
        for x in range(size):
            distance = math.hypot(x - size / 2, y - size / 2)
            row += bytes((int(127 + 127 * math.cos(distance / step)) for step in (9, 14, 23)))
        rows.append(bytes(row))
    return png.Picture(size, size, 3, rows)
