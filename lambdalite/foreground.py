"""Staying in the foreground: an App that serves until somebody tells the process to end."""

from __future__ import annotations

import signal
import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from lambdalite.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType

    from lambdalite.serving import Serving

__all__ = ["stay"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SLICE = 0.2  # O: seconds


def _signals() -> tuple[signal.Signals, ...]:
    """Those that end it. SIGHUP too, when a terminal is closed; not under nohup, nor where it has another meaning."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is not signal.SIG_DFL:
        return _SIGNALS
    return (*_SIGNALS, hangup)


def _nothing(told: SimpleQueue[int]) -> bool:
    """Wait for a word; in slices, since a signal may come in the moment before the wait, or to another thread.

    Then nothing wakes the wait, and Python runs the handler between two waits only.
    """
    try:
        told.get(timeout=_SLICE)
    except Empty:
        return True
    return False


def stay(app: Serving, grace: float) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, or until the App is closed elsewhere; then close it.

    A second signal does not wait for the grace to pass: what is under way is handed back at once.

    Args:
        app: what serves.
        grace: seconds for what is under way to finish.

    Raises:
        UsageError: not in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "run_forever() hears signals, which only the main thread can: use app.start() in other threads"
        )
    # Not an Event: setting one takes a lock, which the interrupted wait may hold. A SimpleQueue may be put to anywhere.
    told: SimpleQueue[int] = SimpleQueue()
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        told.put(number)  # at each: the second may interrupt this in the middle of the first
        if len(heard) == 2:
            app._hurry()  # noqa: SLF001 - as below
        elif len(heard) > 2:
            raise KeyboardInterrupt  # even that takes too long

    before: dict[int, Any] = {number: signal.signal(number, hear) for number in _signals()}
    try:
        app._leave = lambda: told.put(0)  # noqa: SLF001 - two halves of one thing
        app.start()
        while not heard and _nothing(told):
            continue
        app.close(grace=grace)
    finally:
        for number, handler in before.items():
            if handler is not None:  # not one of Python's, which cannot be put back
                signal.signal(number, handler)
        app.close()
