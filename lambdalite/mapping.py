"""Many invocations of one function: in order, bounded, with a progress bar for people who wait."""

from __future__ import annotations

import os
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any

from lambdalite.clock import monotonic
from lambdalite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lambdalite.functions import Function
    from lambdalite.model.outcome import Outcome

__all__ = ["Progress", "run_many"]


def run_many(
    function: Function[Any, Any], events: Iterable[Any], *, concurrency: int | None, progress: bool, outcomes: bool
) -> Iterator[Any]:
    """Generator behind `Function.map`; arguments are checked at once, work starts when it is iterated.

    Raises:
        UsageError: ``events`` cannot be iterated, or ``concurrency`` is not a positive whole number.
    """
    width = _width(function, concurrency)
    source = _source(events)
    bar = Progress(_length(events), function.name) if progress else None
    return _run(function, source, width, bar, outcomes=outcomes)


def _source(events: Iterable[Any]) -> Iterator[Any]:
    try:
        return iter(events)
    except TypeError as error:
        raise UsageError(
            f"map() takes an iterable of events, not {events!r}: for one event there is invoke()"
        ) from error


def _width(function: Function[Any, Any], asked: int | None) -> int:
    if asked is not None:
        if isinstance(asked, bool) or not isinstance(asked, int) or asked < 1:
            raise UsageError(f"map(concurrency=…) takes a whole number from 1 up, not {asked!r}")
        return asked
    reserved = function.config.reserved_concurrency
    usual = 2 * (os.cpu_count() or 1)
    return usual if reserved is None else max(min(usual, reserved), 1)


def _length(events: Iterable[Any]) -> int | None:
    try:
        return len(events)  # type: ignore[arg-type]
    except TypeError:
        return None


def _run(
    function: Function[Any, Any], events: Iterator[Any], width: int, bar: Progress | None, *, outcomes: bool
) -> Iterator[Any]:
    pending: deque[Future[Outcome]] = deque()
    pool = ThreadPoolExecutor(width, thread_name_prefix=f"lambdalite-map-{function.name}")
    try:
        for event in events:
            # A closed gate, not a queue: with `width` running and as many results waiting, no more are started.
            pending.append(pool.submit(_one, function, event, bar))
            if len(pending) >= 2 * width:
                yield _take(pending.popleft(), outcomes=outcomes)
        while pending:
            yield _take(pending.popleft(), outcomes=outcomes)
    finally:
        for future in pending:
            future.cancel()
        pool.shutdown(wait=True)
        if bar is not None:
            bar.finish()


def _one(function: Function[Any, Any], event: Any, bar: Progress | None) -> Outcome:
    outcome = function.run(event, wait=True)
    if bar is not None:
        bar.step(ok=outcome.ok)
    return outcome


def _take(future: Future[Outcome], *, outcomes: bool) -> Any:
    outcome = future.result()
    return outcome if outcomes else outcome.value


class Progress:
    """A progress bar on one line: count, rate, time left and failures. On anything but a terminal, one line at the end."""

    def __init__(self, total: int | None, label: str, stream: IO[str] | None = None) -> None:
        self._total, self._label = total, label
        self._stream = stream if stream is not None else sys.stderr
        self._live = self._stream.isatty()
        self._began = monotonic()
        self._drawn = 0.0
        self._done: deque[bool] = deque()  # appended to by many threads; appending is atomic

    def step(self, *, ok: bool) -> None:
        """One more is done."""
        self._done.append(ok)
        now = monotonic()
        if self._live and now - self._drawn > 0.1:
            self._drawn = now
            self._stream.write(f"\r{self.line()}\x1b[K")
            self._stream.flush()

    def line(self) -> str:
        """What the bar says now."""
        done, failed = len(self._done), sum(not ok for ok in self._done)
        elapsed = max(monotonic() - self._began, 1e-6)
        parts = [
            f"{self._label} {done}" if self._total is None else f"{self._label} {self._bar(done)} {done}/{self._total}"
        ]
        parts.append(f"{done / elapsed:,.0f}/s")
        if self._total and 0 < done < self._total:
            parts.append(f"{(self._total - done) * elapsed / done:.0f} s left")
        if failed:
            parts.append(f"{failed} failed")
        return " · ".join(parts)

    def _bar(self, done: int) -> str:
        width = 24
        full = width if not self._total else min(done * width // self._total, width)
        return "█" * full + "░" * (width - full)

    def finish(self) -> None:
        """Leave the last state on the screen."""
        start, end = ("\r", "\x1b[K\n") if self._live else ("", "\n")
        self._stream.write(f"{start}{self.line()}{end}")
        self._stream.flush()
