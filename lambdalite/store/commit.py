"""Group commit without a thread of its own: whoever comes first commits for all who came meanwhile.

Guarantees
- A piece of work runs inside a transaction, on one connection, one transaction at a time.
- `submit` returns after the commit, or raises and then nothing of the work is kept. One piece that fails spoils no other.
- An exception that hits a waiting or leading thread (KeyboardInterrupt) leaves nobody stuck.

The story: a submitter queues its job. If nobody leads, it leads: it takes all that is queued, runs it in one transaction,
appoints the first of those who came meanwhile, and opens the gate of the first who is done. Followers sleep at their gate;
when it opens they are done, and open the next one's, or they lead. (Woken all at once they would only queue again, for the
interpreter's lock: a third more context switches.)
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lambdalite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from sqlite3 import Connection

__all__ = ["Committer"]

_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")  # nothing is wrong with the work, and waiting again for each would be long
_TOGETHER = 256  # O: so many in one transaction that more would save nothing


class _Job:
    """A piece of work and what came of it. Owned by the leader between being queued and being done."""

    __slots__ = ("batch", "done", "error", "gate", "gone", "next", "result", "work")

    def __init__(self, work: Any) -> None:
        self.work = work
        self.gate = threading.Lock()
        self.gate.acquire()
        self.batch: list[_Job] | None = None  # what it has taken, if it leads
        self.done = False
        self.gone = False  # its thread has left with an exception
        self.next: _Job | None = None  # whom it wakes when it is woken
        self.result: Any = None
        self.error: BaseException | None = None


class Committer:
    """Runs pieces of work in transactions, as many in one as come together.

    Args:
        connection: context manager that lends the connection, alone, for one transaction.
        committed: called in the leading thread after every commit, with that connection.
        kind: work of this class is done together,
        merged: by this: gets all that there is, returns the result of each.
        patience: seconds that a commit may wait for others who were in the last one.
        one_statement: is this all done by a single SQL statement? It then needs no BEGIN and COMMIT.
    """

    def __init__(
        self,
        connection: Callable[[], AbstractContextManager[Connection]],
        committed: Callable[[Connection], None],
        kind: type,
        merged: Callable[[Connection, list[Any]], list[Any]],
        one_statement: Callable[[list[Any]], bool],
        patience: float = 0.0,
    ) -> None:
        self._connection, self._committed = connection, committed
        self._patience = patience
        self._kind, self._merged, self._one_statement = kind, merged, one_statement
        self._mutex = threading.Lock()  # guards what is below; held for moments only
        self._queued: list[_Job] = []
        self._gathering: _Job | None = None  # the leader, while it waits for as many as last time
        self._expected = 0
        self._leader: _Job | None = None
        self._mine = threading.local()  # is this thread inside `submit`?

    def submit(self, work: Any) -> Any:
        """Run ``work`` in a transaction; returns what it returns, after the commit.

        ``work`` is called with the connection, unless it is of the ``kind`` that is done together. It may be run more
        than once: only the last run is kept.

        Raises:
            UsageError: this thread is in the middle of it already, and would wait for itself.
        """
        if getattr(self._mine, "busy", False):
            raise UsageError(
                "this thread was interrupted while it used the store, by a signal handler or a finaliser that uses it too"
                " and would wait for ever: let that only note what is to be done, and do it afterwards"
            )
        try:
            self._mine.busy = True
            return self._submit(work)
        finally:
            self._mine.busy = False

    def _submit(self, work: Any) -> Any:
        job = _Job(work)
        try:
            with self._mutex:
                self._queued.append(job)
                if self._leader is None:
                    self._leader = job
                elif self._gathering is not None and len(self._queued) >= self._expected:
                    _open(self._gathering)
                    self._gathering = None
                leads = self._leader is job
            if not leads:
                job.gate.acquire()
                if job.next is not None:
                    _open(job.next)
            if not job.done:
                self._lead(job)
        except BaseException:
            self._withdraw(job)
            raise
        if job.error is not None:
            raise job.error
        return job.result

    def _lead(self, own: _Job) -> None:
        batch = own.batch = list[_Job]()
        try:
            if self._patience:
                self._gather(own)
            with self._connection() as connection:
                self._run(connection, batch)
        except Exception as error:  # no connection to be had, or another process keeps it: that is the answer to all
            with self._mutex:
                batch += self._queued
                self._queued = []
            _fail(batch, error)
        finally:
            self._hand_over(batch, own)

    def _gather(self, own: _Job) -> None:
        """Give those who were in the last batch a moment to come again: an fsync costs the same for one as for all."""
        with self._mutex:
            if len(self._queued) >= self._expected:
                return
            self._gathering = own
        own.gate.acquire(timeout=self._patience)
        with self._mutex:
            self._gathering = None

    def _hand_over(self, batch: list[_Job], own: _Job) -> None:
        """Wake who is done, and the next to lead. Doing it twice does no harm: an interrupt may hit it half way."""
        with self._mutex:
            queued = self._queued
            again = [job for job in batch if not job.done and job is not own and job not in queued]
            self._queued = again + queued
            self._expected = len(batch)
            self._gathering = None
            self._appoint()
            first: _Job | None = None
            for job in reversed(batch):
                if job.done and job is not own and not job.gone:
                    job.next, first = first, job
        if first is not None:
            _open(first)

    def _appoint(self) -> None:
        """Under the mutex: the next to lead is the first in line. Two leaders would merely wait for each other."""
        self._leader = self._queued[0] if self._queued else None
        if self._leader is not None:
            _open(self._leader)

    def _withdraw(self, job: _Job) -> None:
        """An exception has hit the job's thread: nobody is to wait for it."""
        if job.batch is not None:
            self._hand_over(job.batch, job)
            return
        with self._mutex:
            job.gone = True
            if job in self._queued:
                self._queued.remove(job)
            if self._leader is job:
                self._appoint()
            if job.next is not None:
                _open(job.next)

    def _run(self, connection: Connection, batch: list[_Job]) -> None:
        try:
            self._transact(connection, batch)
        except Exception as error:
            if len(batch) < 2 or getattr(error, "sqlite_errorname", "").startswith(_LOCKED):
                raise
            for job in batch:  # which one was it? each for itself
                try:
                    self._alone(connection, job)
                except Exception as its_own:
                    _fail([job], its_own)
        self._committed(connection)

    def _transact(self, connection: Connection, batch: list[_Job]) -> None:
        """All that is queued, and all that is queued meanwhile, in one transaction; what was taken is in ``batch``."""
        self._take(batch)
        if self._one_statement([job.work for job in batch]):
            with _statement(connection, batch):
                self._perform(connection, batch)
            return
        with _transaction(connection, batch):
            self._perform(connection, batch)
            while self._queued and len(batch) < _TOGETHER:
                self._perform(connection, self._take(batch))

    def _take(self, batch: list[_Job]) -> list[_Job]:
        with self._mutex:
            taken, self._queued = self._queued, []
        batch += taken
        return taken

    def _perform(self, connection: Connection, jobs: list[_Job]) -> None:
        alike = [job for job in jobs if isinstance(job.work, self._kind)]
        if alike:  # these have no order among themselves or with the rest: they were submitted at the same time
            for job, result in zip(alike, self._merged(connection, [job.work for job in alike]), strict=True):
                job.result = result
        for job in jobs:
            if not isinstance(job.work, self._kind):
                job.result = job.work(connection)

    def _alone(self, connection: Connection, job: _Job) -> None:
        with _transaction(connection, [job]):
            self._perform(connection, [job])


@contextmanager
def _transaction(connection: Connection, batch: list[_Job]) -> Iterator[None]:
    begun = False
    try:
        connection.execute("BEGIN IMMEDIATE")
        begun = True
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        elif begun and not isinstance(error, Exception):  # interrupted just after the commit: it holds
            _succeed(batch)
        raise
    _succeed(batch)


@contextmanager
def _statement(connection: Connection, batch: list[_Job]) -> Iterator[None]:
    """One statement is a transaction by itself."""
    before = connection.total_changes
    try:
        yield
    except BaseException as error:
        if connection.total_changes != before and not isinstance(error, Exception):
            _succeed(batch)
        raise
    _succeed(batch)


def _open(job: _Job) -> None:
    if job.gate.locked():
        job.gate.release()


def _succeed(batch: list[_Job]) -> None:
    for job in batch:
        job.done = True


def _fail(batch: list[_Job], error: BaseException) -> None:
    for job in batch:
        if not job.done:
            job.error = error
            job.done = True
