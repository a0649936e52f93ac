"""The store, on SQLite: a file shared by processes, or memory. See `interface` for what it promises.

Two connections: one writes, through `Committer`; one reads beside it (WAL readers wait for nobody). In memory they are the
same. A file is let go before the host forks, and opened anew on next use on either side: SQLite's locks do not survive
a fork.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from lambdalite.clock import monotonic
from lambdalite.errors import LambdaliteError, ServiceException, UsageError
from lambdalite.store import claims, faults, files, keeping
from lambdalite.store.commit import Committer
from lambdalite.store.interface import Claim
from lambdalite.store.rows import Lanes, Put, insert, one_statement, put_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lambdalite.model.queued import QueuedEvent, QueueStatistics, Settlement, State

__all__ = ["SqlStore"]

_CHECK = 1.0  # O: seconds of real time between looks whether other hosts of this machine are still there
_GATHER = {"power-loss": 0.0003, "process-crash": 0.0}  # O: seconds; less than an fsync of most disks
_STORES: weakref.WeakSet[SqlStore] = weakref.WeakSet()
_ABANDONED: list[Any] = []  # a parent's connections in a forked child: neither used nor closed, so kept for ever


class SqlStore:
    """Events in a SQLite file, or in memory.

    Args:
        path: of the file; made if it is not there. None: memory.
        durability: ``"power-loss"``: what is accepted is on the disk; ``"process-crash"``: it is with the operating
            system, so it survives any end of this process, but the last moments may be missing after a power cut (the
            file stays whole). Memory survives neither.

    Raises:
        UsageError: the file cannot be a store; it is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, durability: str = "power-loss") -> None:
        if durability not in {"power-loss", "process-crash"}:
            raise UsageError(f"durability is 'power-loss' or 'process-crash', not {durability!r}")
        self._path = None if path is None else os.path.abspath(os.fsdecode(path))
        self._durability = durability
        self._watchers: tuple[Callable[[], None], ...] = ()
        self._closed = False
        self._begin()
        with self._reading(), self._writing():  # refuse now what cannot be used
            _STORES.add(self)

    def _begin(self) -> None:
        self._write_lock, self._read_lock = threading.RLock(), threading.RLock()
        self._writer: sqlite3.Connection | None = None  # owned by who holds _write_lock
        self._reader: sqlite3.Connection | None = None  # owned by who holds _read_lock
        self._pid = os.getpid()
        self._identity: tuple[int, int] | None = None
        self._lanes = Lanes()
        self._version: int | None = None
        self._foreign = False  # another process has written, and nobody was told yet
        self._sample = False  # the next commit is to find out
        self._checked = -_CHECK
        self._committer = Committer(
            self._writing, self._committed, Put, put_all, one_statement, _GATHER[self._durability]
        )
        # A claim or a settlement that a power cut undoes makes an event run again, which it may; a sync for each would be
        # half of what running an event costs. Whatever is synced later takes these along: the log is one file.
        self._unsynced = Committer(self._writing_unsynced, self._committed, Put, put_all, one_statement)
        if self._path is None:
            self._read_lock = self._write_lock

    @property
    def name(self) -> str:
        """What messages call it."""
        return "in memory" if self._path is None else self._path

    def __repr__(self) -> str:
        return f"SqlStore({self._path!r}, durability={self._durability!r})"

    # --- connections ----------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._write_lock:
            yield self._open_writer()

    @contextmanager
    def _writing_unsynced(self) -> Iterator[sqlite3.Connection]:
        with self._write_lock:
            connection = self._open_writer()
            if self._durability != "power-loss":
                yield connection
                return
            connection.execute("PRAGMA synchronous = NORMAL")
            try:
                yield connection
            finally:
                connection.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._read_lock:
                yield self._open_reader()
        except sqlite3.Error as error:
            raise faults.refused(error, self.name, files.PATIENCE) from error

    def _open_writer(self) -> sqlite3.Connection:
        if self._writer is None:
            self._writer = self._connect()
            if self._path is None:
                self._reader = self._writer
            self._version = _data_version(self._writer)
        self._still_there()
        return self._writer

    def _open_reader(self) -> sqlite3.Connection:
        if self._path is None:
            return self._open_writer()
        if self._reader is None:
            self._reader = self._connect()
            self._lanes.refresh(self._reader)
        self._still_there()
        return self._reader

    def _connect(self) -> sqlite3.Connection:
        if self._closed:
            raise UsageError(f"the store {self.name} is closed: make a new App, or keep it open around its use")
        if self._path is None:
            connection = files.connect(None, self._durability)
            files.build(connection)
            return connection
        if self._identity is None:
            files.prepare(self._path, self._durability)
            self._identity = _identity(self._path)
        return files.connect(self._path, self._durability)

    def _still_there(self) -> None:
        if self._path is not None and _identity(self._path) != self._identity:
            raise ServiceException(
                f"the store {self.name} was deleted, or replaced by another file, while it was in use: nothing can be"
                " kept any more. Put it back if it was moved; else start again, and keep handlers away from it"
            )

    def _committed(self, connection: sqlite3.Connection) -> None:
        """After a commit, by who made it."""
        if self._lanes.stale:
            self._lanes.refresh(connection)
        if self._sample:
            self._sample = False
            self._take_sample(connection)

    def _take_sample(self, connection: sqlite3.Connection) -> None:
        version = _data_version(connection)
        if version != self._version:
            self._version, self._foreign = version, True

    def _submit(self, work: Any, *, synced: bool = True) -> Any:
        try:
            return (self._committer if synced else self._unsynced).submit(work)
        except sqlite3.Error as error:
            raise faults.refused(error, self.name, files.PATIENCE) from error

    def _stir(self) -> None:
        for callback in self._watchers:
            callback()

    # --- the engine's side ----------------------------------------------------------------------------------------

    def put(self, events: Sequence[QueuedEvent]) -> int:
        put = Put(self._lanes, events)
        new: int = self._submit(put if put.simple else partial(self._put, events))
        if new:
            self._stir()
        return new

    def _put(self, events: Sequence[QueuedEvent], connection: sqlite3.Connection) -> int:
        new, groups = insert(connection, self._lanes, events)
        claims.regroup(connection, groups)
        return new

    def turn(
        self, settlements: Sequence[Settlement], rooms: Mapping[str, int], limit: int, now: float, owner: str,
        lease: float, holds: Mapping[str, int] | None = None,
    ) -> Claim:  # fmt: skip
        asked = claims.Asked(settlements, rooms, limit, now, owner, lease, holds)
        check = self._is_time_to_check()
        if not settlements:
            with self._reading() as connection:
                found = claims.look(connection, self._lanes, asked, check=check)
            if found.idle:
                return Claim((), (), found.next_due)
        events, lost, next_due, stirred = self._submit(
            partial(claims.work, lanes=self._lanes, asked=asked, check=check), synced=False
        )
        if stirred:
            self._stir()
        return Claim(tuple(events), tuple(lost), next_due)

    def _is_time_to_check(self) -> bool:
        if self._path is None:  # nobody else can have claimed anything
            return False
        moment = monotonic()
        if moment - self._checked < _CHECK:
            return False
        self._checked = moment
        return True

    def renew(self, owner: str, now: float, lease: float) -> None:
        with self._reading() as connection:
            host = claims.host_of(connection, owner)
            if host is None or not keeping.holds(connection, host):
                return
        self._submit(partial(keeping.renew, owner=owner, until=now + lease), synced=False)

    def hand_back(self, owner: str, request_ids: Iterable[str] | None = None) -> int:
        ids = None if request_ids is None else list(request_ids)
        count: int = self._submit(partial(keeping.hand_back, owner=owner, ids=ids), synced=False)
        if count:
            self._stir()
        return count

    def fired(self, schedule: str) -> float | None:
        with self._reading() as connection:
            return keeping.fired(connection, schedule)

    def fire(self, schedule: str, expected: float | None, instant: float, events: Sequence[QueuedEvent]) -> bool:
        done: bool = self._submit(partial(self._fire, schedule, expected, instant, events))
        if done and events:
            self._stir()
        return done

    def _fire(
        self, schedule: str, expected: float | None, instant: float, events: Sequence[QueuedEvent],
        connection: sqlite3.Connection,
    ) -> bool:  # fmt: skip
        if not keeping.advance(connection, schedule, expected, instant):
            return False
        self._put(events, connection)
        return True

    def changed(self) -> bool:
        if self._path is None:
            return False
        if self._write_lock.acquire(blocking=False):
            try:
                self._take_sample(self._open_writer())
            except (sqlite3.Error, LambdaliteError):
                return False  # closed, or something is wrong: whoever uses it is told what
            finally:
                self._write_lock.release()
        else:  # somebody is writing: he will see
            self._sample = True
        # Cleared only if it was seen: whoever is writing may set it at any moment from here on.
        if not self._foreign:
            return False
        self._foreign = False
        return True

    def watch(self, callback: Callable[[], None]) -> None:
        self._watchers = (*self._watchers, callback)

    # --- everybody's side -----------------------------------------------------------------------------------------

    def get(self, request_id: str) -> QueuedEvent | None:
        with self._reading() as connection:
            found = keeping.find(connection, self._lanes, "id = ?", (request_id,), 1)
        return found[0] if found else None

    def list(
        self, *, function: str | None = None, state: State | None = None, records: bool = False, limit: int = 100,
        after: int = 0,
    ) -> tuple[QueuedEvent, ...]:  # fmt: skip
        with self._reading() as connection:
            return tuple(keeping.listed(connection, self._lanes, function, state, records, limit, after))

    def statistics(self, function: str | None = None) -> QueueStatistics:
        with self._reading() as connection, keeping.still(connection):
            return keeping.statistics(connection, function)

    def cancel(self, request_id: str, now: float) -> bool:
        return self._change(partial(keeping.cancel, request_id=request_id, now=now)) > 0

    def retry_now(self, request_id: str, now: float) -> bool:
        return self._change(partial(keeping.retry_now, request_id=request_id, now=now)) > 0

    def redrive(self, now: float, *, function: str | None = None, request_id: str | None = None) -> int:
        if request_id is not None:
            return self._change(partial(keeping.redrive_one, now=now, request_id=request_id))
        with self._reading() as connection:
            last = keeping.last(connection)  # what fails again meanwhile is not meant
        return self._repeat(partial(keeping.redrive, now=now, function=function, last=last))

    def purge(self, *, function: str | None = None, state: State | None = None) -> int:
        return self._repeat(partial(keeping.purge, function=function, state=state))

    def prune(self, before: float, failed_before: float, limit: int = 1000) -> int:
        with self._reading() as connection:
            if not keeping.prunable(connection, before, failed_before):
                return 0
        count: int = self._submit(partial(keeping.prune, before=before, failed_before=failed_before, limit=limit))
        self._shrink()
        return count

    def _change(self, work: Callable[[sqlite3.Connection], int]) -> int:
        count: int = self._submit(work)
        if count:
            self._stir()
        return count

    def _repeat(self, work: Callable[..., keeping.Piece | None]) -> int:
        """Piece by piece until nothing is left, so that others get their turn in between."""
        total, piece = 0, keeping.Piece()
        while (found := self._submit(partial(work, before=piece))) is not None:
            piece = found
            total += piece.done
        if total:
            self._stir()
        return total

    def _shrink(self) -> None:
        """Give a little of what is free back to the file system; who writes waits for moments only."""
        try:
            with self._writing() as connection:
                connection.executescript("PRAGMA incremental_vacuum(256)")  # execute() would do one page only
        except sqlite3.Error as error:
            raise faults.refused(error, self.name, files.PATIENCE) from error

    # --- end ------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        for connection in {self._writer, self._reader}:
            if connection is not None:
                connection.close()
        self._writer = self._reader = None

    def __del__(self) -> None:
        if getattr(self, "_pid", None) == os.getpid():
            self._let_go()

    def before_fork(self) -> None:
        """Let go of the file, and keep everybody away from it until the fork is done."""
        self._write_lock.acquire()
        self._read_lock.acquire()
        if self._path is not None:
            self._let_go()
            self._foreign = True  # nobody sees what others write until it is open again

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._read_lock.release()
        self._write_lock.release()

    def after_fork(self) -> None:
        """In a forked child: begin anew; a file is opened on next use, memory is empty."""
        if self._pid != os.getpid():
            _ABANDONED.append((self._writer, self._reader))
            self._watchers = ()  # they would wake the parent
            self._begin()


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


_FORK = threading.Lock()  # two threads may fork at once, and each is to release what it holds itself
_FORKING: list[SqlStore] = []  # owned by who holds _FORK


def _before_fork() -> None:
    _FORK.acquire()
    for store in list(_STORES):
        store.before_fork()
        _FORKING.append(store)


def _after_fork_in_parent() -> None:
    while _FORKING:
        _FORKING.pop().after_fork_in_parent()
    _FORK.release()


def _after_fork_in_child() -> None:
    while _FORKING:
        _FORKING.pop().after_fork()
    _FORK.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
