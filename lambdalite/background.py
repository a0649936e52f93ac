"""An App's asynchronous side put together: queue, schedules, and the thread that serves both, started on first need."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from lambdalite.engine.queue import Queue
from lambdalite.engine.timetable import Timetable
from lambdalite.errors import CLOSED, ResourceNotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambdalite.clock import Clock
    from lambdalite.engine.service import Service
    from lambdalite.model.function import Version
    from lambdalite.model.outcome import Outcome
    from lambdalite.model.queued import QueuedEvent
    from lambdalite.observe import Observatory
    from lambdalite.store.interface import Store
    from lambdalite.workers.waiting import Plan

__all__ = ["Background"]


class Background:
    """Queue and schedules of one App.

    Args:
        store: a path, a Store, or None for memory.
        durability: ``"power-loss"`` or ``"process-crash"``.
        dispatch: False: accept and watch, but run nothing here.
        parallel: how many events may run at once.
        functions: name → version, as it stands now.
        plan: the walk of one event.
        clock: the App's.
        observatory: the App's.
        names: region and account, for events of schedules.
    """

    def __init__(
        self,
        *,
        store: str | os.PathLike[str] | Store | None,
        durability: str,
        dispatch: bool,
        parallel: int,
        functions: Callable[[], Mapping[str, Version]],
        plan: Callable[[Version, QueuedEvent], Plan[Outcome]],
        clock: Clock,
        observatory: Observatory,
        names: tuple[str, str],
    ) -> None:
        self._where, self._named = _place(store), store
        self._durability, self._dispatch, self._parallel = durability, dispatch, parallel
        self._functions, self._plan, self._clock, self._observatory = functions, plan, clock, observatory
        self.queue = Queue(self._open, clock, observatory, self._serve)
        self.timetable = Timetable(self.queue, functions, *names)
        self._lock = threading.Lock()  # guards everything below
        self._service: Service | None = None
        self._begun = False
        self._closed = False
        self._watching = False  # the store wakes us
        self._ending: Service | None = None  # while it stops; this and the next are used without the lock
        self._hurried = False

    def _open(self) -> Store:
        from lambdalite.store import open_store

        return open_store(self._where, durability=self._durability)

    def use_store(self, path: str | os.PathLike[str]) -> None:
        """Another file than was said first.

        Raises:
            UsageError: the store is open already.
        """
        if self.queue.opened:
            raise UsageError("this App has used its store already: choose another one before anything is sent")
        self._where, self._named = _place(path), path

    @property
    def path(self) -> str | None:
        """The store's file, if it is one, as it was named."""
        return os.fspath(self._named) if isinstance(self._named, (str, os.PathLike)) else None

    # --- the service ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The App has been entered or started: serve what an earlier host has left, and what is scheduled."""
        self._begun = True
        if self._where is not None or self.timetable:
            self.ensure()

    def scheduled(self) -> None:
        """A schedule was added: if the App runs already, so does the schedule."""
        if self._begun or self._service is not None:
            self.ensure()
            self.wake()

    def ensure(self) -> None:
        """The service runs from here on; at once if it does already."""
        if self._service is not None:
            return
        from lambdalite.engine.service import Service

        store = self.queue.store  # opened outside the lock: it may be slow, and refuse
        with self._lock:
            if self._service is not None:
                return
            if self._closed:
                raise UsageError(CLOSED)
            if self._dispatch and not self._watching:
                store.watch(self.wake)
                self._watching = True
            # In place before it starts: what is stored from its first look on must find it.
            service = self._service = Service(self._dispatcher, self.queue, self.timetable, self._clock)
            try:
                service.start()
            except BaseException:
                self._service = None
                raise

    def _serve(self) -> None:
        """`ensure`, for what is stored already: if nobody can run it here any more, it stays for who comes next."""
        try:
            self.ensure()
        except UsageError:
            if not self._closed:
                raise
        except RuntimeError:  # no more threads: too many, or the interpreter is at its end
            if self._where is None:
                raise

    def _dispatcher(self) -> Any:
        import uuid

        from lambdalite.engine.dispatch import Dispatcher

        return Dispatcher(
            queue=self.queue,
            functions=self._functions,
            plan=self._plan,
            accept=self._accept,
            timetable=self.timetable,
            observatory=self._observatory,
            clock=self._clock,
            owner=f"{os.getpid()}-{uuid.uuid4().hex[:12]}",
            parallel=self._parallel,
            claims=self._dispatch,
        )

    def _accept(self, name: str, payload: bytes, **options: Any) -> str:
        """For destinations that are functions: by name, as the function is now."""
        version = self._functions().get(name)
        if version is None:
            raise ResourceNotFound(f"Function not found: {name}")
        return self.queue.accept(version, payload, **options)

    def wake(self) -> None:
        """There may be something to do."""
        service = self._service
        if service is not None:
            service.wake()

    def drain(self, timeout: float | None) -> bool:
        """Wait until nothing is due, running or on its way to a destination; False if the time was up before."""
        if self._service is None and not self.queue.opened and self._where is None:
            return True  # nothing was ever sent
        self.ensure()
        service = self._service
        return service is None or service.settle(timeout)

    # --- end ------------------------------------------------------------------------------------------------------

    def close(self, grace: float) -> None:
        """Stop the service, then let go of the store."""
        with self._lock:
            self._closed = True
            service, self._service = self._service, None
        if service is None:
            self.queue.close()
        else:
            self._ending = service
            if self._hurried:
                service.hurry()
            service.stop(grace, self.queue.close)

    def hurry(self) -> None:
        """Let `close`, now or later, wait for nothing. Takes no lock: it is called by signal handlers."""
        self._hurried = True
        if self._ending is not None:
            self._ending.hurry()

    def after_fork(self) -> None:
        """In a forked child of the host: the thread is the parent's, and so are its claims."""
        self._lock = threading.Lock()
        if self._service is not None and self._clock.manual:
            self._clock.detach(self._service)  # type: ignore[attr-defined]  # only clocks moved by hand have it
        self._service = None
        self._watching = False
        self.queue.after_fork()
        self.timetable.after_fork()


def _place(store: Any) -> str | Store | None:
    """A store as it was given, but a path from the root on: it means what it means now, wherever the process goes.

    Raises:
        UsageError: nothing that could be one.
    """
    if store is None or hasattr(store, "turn"):
        return store  # type: ignore[no-any-return]  # a Store
    if not isinstance(store, (str, os.PathLike)):
        raise UsageError(f"store takes the path of a file, a Store, or None for memory, not {store!r}")
    path = os.fsdecode(store)
    if path == ":memory:" or path.startswith("file:") or "\0" in path:
        raise UsageError(f"store takes the path of a file, not {path!r}: leave it out to keep events in memory")
    return os.path.abspath(path)
