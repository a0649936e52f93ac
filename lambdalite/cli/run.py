"""``lambdalite run``: an App's queue and schedules, served in the foreground."""

from __future__ import annotations

import datetime as dt
import importlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from lambdalite.app import App
from lambdalite.cli.target import find
from lambdalite.errors import LambdaliteError, UsageError
from lambdalite.observe import Tail
from lambdalite.schedules import describe

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["run"]

_LISTED = 12  # schedules named at the start
_EVERY = 1.0  # seconds between looks at the counts; only the status line waits for it


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C; 0 if everything under way has finished or was handed back."""
    app = _app_of(options.app)
    if options.store is not None:
        app.use_store(options.store)
    if not len(app):
        raise UsageError(f"{options.app} has no functions: there is nothing to serve")
    status = Status(sys.stderr, app)
    if not options.quiet:
        app.logs.follow(Tail(status))  # type: ignore[arg-type]  # all that it needs of a stream
    status.say(f"lambdalite: serving {_what(app)}; Ctrl-C to stop")
    for text in _schedules(app):
        status.say(text)
    with status:
        app.run_forever(grace=options.grace)
    status.say("lambdalite: stopped")
    return 0


def _app_of(target: str) -> App:
    """The App that ``module:app`` names; ``module`` alone will do if it has just one.

    Raises:
        UsageError: there is none, or more than one.
    """
    sys.path.insert(0, str(Path.cwd()))
    if ":" in target:
        found = find(target)
        if not isinstance(found, App):
            raise UsageError(f"{target} is no App: it is {found!r}")
        return found
    try:
        module = importlib.import_module(target)
    except (Exception, SystemExit) as error:
        raise UsageError(f"cannot import {target}: {type(error).__name__}: {error}") from error
    apps = {name: item for name, item in vars(module).items() if isinstance(item, App)}
    if len({id(app) for app in apps.values()}) != 1:
        have = f"it has {', '.join(sorted(apps))}" if apps else "it has none"
        raise UsageError(f"say which App of {target} to run, as {target}:NAME: {have}")
    return next(iter(apps.values()))


def _what(app: App) -> str:
    count, schedules = len(app), len(app.schedules)
    text = f"{count} function{'s' if count != 1 else ''}"
    if schedules:
        text += f", {schedules} schedule{'s' if schedules != 1 else ''}"
    where = app.store_path
    return f"{text}, {'events in memory' if where is None else f'store {where}'}"


def _schedules(app: App) -> Iterator[str]:
    """What fires when, the first dozen."""
    now = app.clock.now()
    for entry in app.schedules[:_LISTED]:
        coming = entry.upcoming(1, after=now if entry.last is None else entry.last)
        when = f"next {_local(coming[0])}" if coming else "never again"
        meant = describe(entry.schedule.expression, entry.schedule.timezone)
        yield f"lambdalite: {entry.function} {meant}; {when}"
    if len(app.schedules) > _LISTED:
        yield f"lambdalite: … and {len(app.schedules) - _LISTED} more schedules"


def _local(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"


class Status:
    """One line at the bottom of a terminal that says how the queue stands; elsewhere only what `say` says.

    Logs are written through it, so that they go above the line.
    """

    def __init__(self, stream: TextIO, app: App) -> None:
        self._stream, self._app = stream, app
        self._lock = threading.Lock()  # guards the terminal's last line
        self._line = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lambdalite-status", daemon=True)

    def isatty(self) -> bool:
        """Is it a terminal?"""
        return self._stream.isatty()

    def write(self, text: str) -> None:
        """Write above the status line."""
        with self._lock:
            self._put(f"\r\x1b[K{text}{self._line}" if self._line else text)

    def flush(self) -> None:
        """Let it be seen."""
        self._put("")

    def _put(self, text: str) -> None:
        """To the terminal. If it is gone, or takes nothing more, events run all the same."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return

    def say(self, text: str) -> None:
        """Write a line."""
        self.write(f"{text}\n")
        self.flush()

    def __enter__(self) -> None:
        if self.isatty() and os.environ.get("TERM") != "dumb":  # which cannot go back to a line
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._show("")

    def _watch(self) -> None:
        while not self._over.wait(_EVERY):
            try:
                self._show(line(self._app))
            except LambdaliteError as error:  # closing, or a store that cannot be read: it says so itself
                self._show(f"queue: {error}")

    def _show(self, text: str) -> None:
        text = text[: max(self._columns() - 1, 0)]  # what goes on in the next line could not be taken back
        with self._lock:
            if text != self._line:
                self._put(f"\r\x1b[K{text}")
            self._line = text

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80  # 0: it does not know
        except (OSError, ValueError):
            return 80


def line(app: Any) -> str:
    """How the queue stands, in one line."""
    counts = app.queue_stats()
    parts = [f"{counts.running} running", f"{counts.ready} ready", f"{counts.waiting + counts.blocked} waiting"]
    parts += [f"{counts.succeeded} done", f"{counts.failed} failed"]
    if counts.deliveries or counts.undelivered:
        parts.append(f"{counts.deliveries} records on their way, {counts.undelivered} undelivered")
    coming = [entry.next for entry in app.schedules if entry.next is not None]
    coming += [] if counts.next_due is None else [counts.next_due]
    if coming:
        parts.append(f"next at {dt.datetime.fromtimestamp(min(coming)).astimezone():%H:%M:%S}")
    return " · ".join(parts)
