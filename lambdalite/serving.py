"""The asynchronous half of an App: what is sent, when, and who serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from lambdalite import arguments, limits
from lambdalite.arguments import NO_EVENT
from lambdalite.errors import UsageError
from lambdalite.functions import Function

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Self

    from lambdalite.background import Background
    from lambdalite.engine.queue import Queue
    from lambdalite.engine.timetable import Entry
    from lambdalite.model.queued import QueueStatistics
    from lambdalite.sent import SentEvent

__all__ = ["Serving"]

E = TypeVar("E")
A = TypeVar("A")


class Serving:
    """Part of `App`, which brings the rest: apart because it is about something else, and an App is long enough."""

    _background: Background
    #: Called when the App begins to close: how `run_forever` learns of it.
    _leave: Callable[[], None] | None

    if TYPE_CHECKING:

        def _open(self) -> None: ...

        def _named(self, name: str, qualifier: str | None) -> Function[Any, Any]: ...

        def __getitem__(self, name: str) -> Function[Any, Any]: ...

        def __contains__(self, name: object) -> bool: ...

        def close(self, *, grace: float = 0.0) -> None: ...

    # --- send -----------------------------------------------------------------------------------------------------

    def send(self, name: str, event: Any = NO_EVENT, **options: Any) -> SentEvent[Any]:
        """`Function.send` by name, partial ARN or ARN.

        Raises:
            ResourceNotFound: no such function.
        """
        return self._named(name, None).send(event, **options)

    def sent(self, request_id: str) -> SentEvent[Any]:
        """The handle on an event that was sent earlier, perhaps by another process.

        Raises:
            UsageError: the store does not know it (any more), or its function is not one of this App.
        """
        from lambdalite.sent import SentEvent

        event = self.queue.get(request_id)
        if event is None or event.role:
            raise UsageError(f"there is no event {request_id} in this store (any more)")
        if event.function not in self:
            raise UsageError(f"event {request_id} is for {event.function}, which is no function of this App")
        return SentEvent(self[event.function], request_id, self.queue)

    def use_store(self, path: str | os.PathLike[str]) -> None:
        """Keep events and schedules in this file, whatever ``store=`` said: for whoever runs an App made elsewhere.

        Raises:
            UsageError: something has been sent already.
        """
        self._open()
        self._background.use_store(path)

    @property
    def store_path(self) -> str | None:
        """The store's file; None: in memory, or a Store of your own."""
        return self._background.path

    @property
    def queue(self) -> Queue:
        """The asynchronous queue: list, cancel, retry, purge, redrive."""
        self._open()
        return self._background.queue

    def queue_stats(self, function: Function[Any, Any] | str | None = None) -> QueueStatistics:
        """Counts of sent events, of one function or of all."""
        name = function.name if isinstance(function, Function) else function
        return self.queue.statistics(name)

    def on_schedule(self, expression: str, **options: Any) -> Callable[[Function[E, A]], Function[E, A]]:
        """Invoke a function by the clock: ``@app.on_schedule("rate(5 minutes)")`` above ``@app.function``.

        Each instant fires once, however many processes share the store, as an event in the function's queue.

        Args:
            expression: ``rate(…)``, ``cron(…)`` with AWS's six fields, or ``at(…)``.
            options: see `lambdalite.schedules.Schedule`: ``name`` (by default the function's and a hash of what is given),
                ``timezone``, ``start``, ``end``, ``flexible_minutes``, ``input``, ``missed``, ``enabled``, and retries of
                their own.

        Raises:
            InvalidParameterValue: in AWS's words.
            ResourceConflict: the name is taken.
        """
        from lambdalite.schedules import default_name, schedule

        self._open()
        # Checked here, at the line that says it; without a name it gets one when its function is known.
        made = schedule(expression, **{"name": "unnamed", **options})

        def decorate(function: Function[E, A]) -> Function[E, A]:
            if not isinstance(function, Function):
                raise UsageError(
                    f"on_schedule takes a function: put it above @app.function, not above {function!r} alone"
                )
            name = options.get("name") or default_name(function.name, expression, options)
            self._background.timetable.add(attrs.evolve(made, name=name), function.name)
            self._background.scheduled()
            return function

        return decorate

    @property
    def schedules(self) -> tuple[Entry, ...]:
        """What fires when: name, function, expression, the next instants; in order of name."""
        return self._background.timetable.entries

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until the queue is quiet: no event due, running, or on its way to a destination.

        Events that wait for a later moment (retries, delays) stay; a `ManualClock` leads through those as well. It is about
        this App: what other processes on its store run, or what none of its functions takes, is not waited for.

        Args:
            timeout: seconds of real time; None: as long as it takes.

        Returns:
            False if the time was up before.
        """
        self._open()
        return self._background.drain(arguments.seconds("timeout", timeout))

    def start(self) -> Self:
        """Serve the queue and the schedules from now on, in a thread of the App's own; ``with app:`` does it too.

        Events that an earlier process left in the store run now. An App without store and schedules needs no thread
        before something is sent.
        """
        self._open()
        self._background.begin()
        return self

    def run_forever(self, *, grace: float = limits.STOP_GRACE) -> None:
        """`start`, and stay until SIGTERM, SIGHUP or Ctrl-C (or `close` in another thread); then finish and close.

        Args:
            grace: seconds for what is under way to finish, unless a second signal comes. The rest goes back to the store,
                to run again.

        Raises:
            UsageError: this is not the main thread, which alone hears signals; or ``grace`` is no seconds.
        """
        from lambdalite.foreground import stay

        stay(self, arguments.seconds("grace", grace) or 0.0)

    def _hurry(self) -> None:
        """Let `close`, now or later, wait for nothing; from a signal handler."""
        self._background.hurry()
