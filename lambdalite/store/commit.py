"""Group commit without a thread of its own: whoever comes first commits for all who came meanwhile.

Guarantees
- A piece of work runs inside a transaction, on one connection, one transaction at a time.
- `submit` returns after the commit, or raises and then nothing of the work is kept. One piece that fails spoils no other.
- An exception that hits a waiting or leading thread (KeyboardInterrupt) leaves nobody stuck.

The story: a submitter queues its job. If nobody leads, it leads: it takes all that is queued, runs it in one transaction,
opens the gates of those who wait, and appoints the first of those who came meanwhile. Followers sleep at their gate; when
it opens they are done, or they lead.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from sqlite3 import Connection

__all__ = ["Committer"]


class _Job:
    """A piece of work and what came of it. Owned by the leader between being queued and being done."""

    __slots__ = ("done", "error", "gate", "result", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.gate = threading.Lock()
        self.gate.acquire()
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None


class Committer:
    """Runs pieces of work in transactions, as many in one as come together.

    Args:
        connection: context manager that lends the connection, alone, for one transaction.
        committed: called in the leading thread after every commit, with that connection.
    """

    def __init__(
        self,
        connection: Callable[[], AbstractContextManager[Connection]],
        committed: Callable[[Connection], None],
    ) -> None:
        self._connection, self._committed = connection, committed
        self._mutex = threading.Lock()  # guards the two below; held for moments only
        self._queued: list[_Job] = []
        self._leader: _Job | None = None

    def submit(self, work: Callable[[Connection], Any]) -> Any:
        """Run ``work`` in a transaction; returns what it returns, after the commit.

        ``work`` may be run more than once: only the last run is kept.
        """
        job = _Job(work)
        try:
            with self._mutex:
                self._queued.append(job)
                if self._leader is None:
                    self._leader = job
                leads = self._leader is job
            if not leads:
                job.gate.acquire()
            if not job.done:
                self._lead(job)
        except BaseException:
            self._withdraw(job)
            raise
        if job.error is not None:
            raise job.error
        return job.result

    def _lead(self, own: _Job) -> None:
        with self._mutex:
            batch, self._queued = self._queued, []
        try:
            with self._connection() as connection:
                self._run(connection, batch)
        except BaseException as error:
            if isinstance(error, Exception):  # no connection to be had: that is the answer to all of them
                _fail(batch, error)
            raise
        finally:
            self._hand_over(batch, own)

    def _hand_over(self, batch: list[_Job], own: _Job) -> None:
        with self._mutex:
            self._queued[:0] = [job for job in batch if not job.done and job is not own]
            self._appoint()
        for job in batch:
            if job.done and job is not own:
                job.gate.release()

    def _appoint(self) -> None:
        """Under the mutex: the next to lead is the first in line."""
        self._leader = self._queued[0] if self._queued else None
        if self._leader is not None:
            self._leader.gate.release()

    def _withdraw(self, job: _Job) -> None:
        with self._mutex:
            if job in self._queued:
                self._queued.remove(job)
            if self._leader is job:
                self._appoint()

    def _run(self, connection: Connection, batch: list[_Job]) -> None:
        try:
            _transact(connection, batch)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            for job in batch:  # which one was it? each for itself
                try:
                    _transact(connection, [job])
                except Exception as its_own:
                    _fail([job], its_own)
        self._committed(connection)


def _transact(connection: Connection, batch: list[_Job]) -> None:
    begun = False
    try:
        connection.execute("BEGIN IMMEDIATE")
        begun = True
        for job in batch:
            job.result = job.work(connection)
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        elif begun and not isinstance(error, Exception):  # interrupted just after the commit: it holds
            _succeed(batch)
        raise
    _succeed(batch)


def _succeed(batch: list[_Job]) -> None:
    for job in batch:
        job.done = True


def _fail(batch: list[_Job], error: BaseException) -> None:
    for job in batch:
        if not job.done:
            job.error = error
            job.done = True
