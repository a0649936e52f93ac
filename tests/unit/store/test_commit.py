"""Group commit: who leads, who follows, and that nobody is left behind. With a connection that is told what to do."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite.errors import UsageError
from lambdalite.store import commit
from lambdalite.store.commit import Committer

if TYPE_CHECKING:
    from collections.abc import Iterator


class Slow:
    """A database whose transactions can be held up, to let others queue meanwhile."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self.connection.execute("CREATE TABLE t (n INTEGER UNIQUE)")
        self.lock = threading.Lock()
        self.commits: list[list[int]] = []
        self.committer = Committer(
            self.lend, self.committed, _Together, lambda _connection, _works: [], lambda _: False
        )
        self.broken: Exception | None = None

    @contextlib.contextmanager
    def lend(self) -> Iterator[sqlite3.Connection]:
        with self.lock:
            if self.broken is not None:
                raise self.broken
            yield self.connection

    def committed(self, connection: sqlite3.Connection) -> None:
        self.commits.append(self.rows())

    def rows(self) -> list[int]:
        return [number for (number,) in self.connection.execute("SELECT n FROM t ORDER BY n")]

    def insert(self, number: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO t VALUES (?)", (number,))
            return number

        result: int = self.committer.submit(work)
        return result

    def queued(self, count: int) -> None:
        """Wait until so many wait for a leader."""
        while len(self.committer._queued) < count:
            threading.Event().wait(0.001)


class _Together:
    """No work of this class is submitted here."""


class Caller(threading.Thread):
    """Submits in a thread of its own, and keeps what came of it."""

    def __init__(self, submit: Any, number: int) -> None:
        super().__init__()
        self.submit, self.number = submit, number
        self.result: object = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.submit(self.number)
        except BaseException as error:
            self.result = error

    def outcome(self) -> object:
        self.join(20)
        assert not self.is_alive()
        return self.result


def interrupted_job(signal: threading.Event) -> type:
    """A job at whose gate a KeyboardInterrupt arrives, once the signal is given."""

    class Gate:
        def acquire(self) -> bool:
            signal.wait(20)
            raise KeyboardInterrupt

        def locked(self) -> bool:
            return False

    class Interrupted(commit._Job):
        def __init__(self, work: Any) -> None:
            super().__init__(work)
            self.gate = Gate()  # type: ignore[assignment]

    return Interrupted


@pytest.fixture
def slow() -> Iterator[Slow]:
    found = Slow()
    yield found
    found.connection.close()


def test_those_who_come_meanwhile_are_committed_together(slow: Slow) -> None:
    """One transaction for all that waited."""
    with slow.lock:
        callers = [Caller(slow.insert, number) for number in range(5)]
        slow.queued(5)

    assert list(range(5)) == [caller.outcome() for caller in callers]
    assert [[0, 1, 2, 3, 4]] == slow.commits


def test_one_that_fails_spoils_no_other(slow: Slow) -> None:
    """It gets its own error, and the rest is kept."""
    slow.insert(2)
    with slow.lock:
        callers = [Caller(slow.insert, number) for number in range(4)]
        slow.queued(4)

    outcomes = [caller.outcome() for caller in callers]

    assert [0, 1, 3] == [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert isinstance(outcomes[2], sqlite3.IntegrityError)
    assert [0, 1, 2, 3] == slow.rows()


def test_all_hear_that_there_is_no_connection(slow: Slow) -> None:
    """Nobody waits for a second try, and nothing is left over for the next commit."""
    with slow.lock:
        callers = [Caller(slow.insert, number) for number in range(3)]
        slow.queued(3)
        slow.broken = OSError("gone")

    assert ["gone"] * 3 == [str(caller.outcome()) for caller in callers]
    slow.broken = None
    assert 9 == slow.insert(9)
    assert [9] == slow.rows()


def test_interrupt_of_a_leader_hands_its_followers_on(slow: Slow) -> None:
    """What it had begun is rolled back, theirs is done by the next of them."""

    def interrupted(number: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO t VALUES (?)", (number,))
            raise KeyboardInterrupt

        result: int = slow.committer.submit(work)
        return result

    with slow.lock:
        leader = Caller(interrupted, 100)
        slow.queued(1)
        callers = [Caller(slow.insert, number) for number in range(3)]
        slow.queued(4)

    assert isinstance(leader.outcome(), KeyboardInterrupt)
    assert [0, 1, 2] == [caller.outcome() for caller in callers]
    assert [0, 1, 2] == slow.rows()


def test_interrupt_of_a_waiting_one_takes_its_work_back(slow: Slow) -> None:
    """Who is interrupted before the commit has not stored anything, and leads nobody."""
    with slow.lock:
        leader = Caller(slow.insert, 1)
        slow.queued(1)

        signal = threading.Event()
        signal.set()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(commit, "_Job", interrupted_job(signal))
            with pytest.raises(KeyboardInterrupt):
                slow.insert(2)
    assert 1 == leader.outcome()
    assert 3 == slow.insert(3)
    assert [1, 3] == slow.rows()


def test_interrupt_of_one_whose_work_is_under_way_keeps_nobody_waiting(slow: Slow) -> None:
    """Those after it are woken all the same; its work may be kept, as if the signal had come a moment later."""
    under_way, interrupted = threading.Event(), threading.Event()

    def first(number: int) -> int:
        def work(connection: sqlite3.Connection) -> int:
            under_way.set()
            interrupted.wait(20)
            return number

        result: int = slow.committer.submit(work)
        return result

    with slow.lock:
        leader = Caller(first, 0)
        slow.queued(1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(commit, "_Job", interrupted_job(under_way))
            left = Caller(slow.insert, 1)
            slow.queued(2)
        others = [Caller(slow.insert, number) for number in (2, 3)]
        slow.queued(4)
    assert isinstance(left.outcome(), KeyboardInterrupt)
    interrupted.set()

    assert 0 == leader.outcome()
    assert [2, 3] == [caller.outcome() for caller in others]


def test_interrupt_just_after_the_commit_keeps_it(slow: Slow) -> None:
    """The followers' work is kept, and they hear so: nothing is done twice."""

    class Interrupting:
        """A connection whose COMMIT is followed by a signal."""

        def __init__(self, connection: sqlite3.Connection) -> None:
            self.connection, self.armed = connection, True

        def execute(self, sql: str, *values: Any) -> Any:
            cursor = self.connection.execute(sql, *values)
            if sql == "COMMIT" and self.armed:
                self.armed = False
                raise KeyboardInterrupt
            return cursor

        @property
        def in_transaction(self) -> bool:
            return self.connection.in_transaction

    real: Any = slow.connection
    slow.connection = Interrupting(real)  # type: ignore[assignment]
    with slow.lock:
        leader = Caller(slow.insert, 1)
        slow.queued(1)
        follower = Caller(slow.insert, 2)
        slow.queued(2)

    assert isinstance(leader.outcome(), KeyboardInterrupt)
    assert 2 == follower.outcome()
    slow.connection = real
    assert [1, 2] == slow.rows()


def test_locked_database_is_waited_for_once(slow: Slow) -> None:
    """All who wait hear it together: waiting again for each would take minutes."""
    tried: list[int] = []

    def locked(number: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            tried.append(number)
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorname = "SQLITE_BUSY"
            raise error

        slow.committer.submit(work)

    with slow.lock:
        callers = [Caller(locked, number) for number in range(3)]
        slow.queued(3)

    assert ["database is locked"] * 3 == [str(caller.outcome()) for caller in callers]
    assert 1 == len(tried)


def test_leader_waits_for_as_many_as_last_time(slow: Slow) -> None:
    """A moment at most: those who do not come again cost it no more than that."""
    slow.committer._patience = 20.0
    with slow.lock:
        callers = [Caller(slow.insert, number) for number in range(3)]
        slow.queued(3)
    for caller in callers:
        caller.outcome()

    again = [Caller(slow.insert, number) for number in range(10, 13)]

    assert [10, 11, 12] == [caller.outcome() for caller in again]
    assert [[0, 1, 2], [0, 1, 2, 10, 11, 12]] == slow.commits
    slow.committer._patience = 0.001
    assert 99 == slow.insert(99)


def test_thread_that_is_inside_already_is_told(slow: Slow) -> None:
    """A signal handler that sends while a send is under way would wait for what it has interrupted."""

    def interrupted(connection: sqlite3.Connection) -> str:
        with pytest.raises(UsageError, match="interrupted while it used the store"):
            slow.insert(1)
        return "went on"

    assert "went on" == slow.committer.submit(interrupted)
    assert (2, [2]) == (slow.insert(2), slow.rows())
