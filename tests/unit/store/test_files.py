"""A store's file: made, opened again, refused and left alone, and what befalls it while it is used."""

from __future__ import annotations

import os
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite.errors import ServiceException, UsageError
from lambdalite.model.queued import State, invocation_lane
from lambdalite.store import files, open_store, schema
from lambdalite.store.sqlite import SqlStore

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

Make = Any
ROOMS = {invocation_lane("f"): 9}


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where no file is yet; in a directory whose name needs care in a URI."""
    directory = tmp_path / "odd % name?#é"
    directory.mkdir()
    return directory / "jobs.db"


@pytest.fixture
def opened(path: pathlib.Path) -> Iterator[SqlStore]:
    """A store in a file, open."""
    store = SqlStore(path, "process-crash")
    yield store
    store.close()


def everything(directory: pathlib.Path) -> dict[str, bytes]:
    """Names and contents of all files."""
    return {found.name: found.read_bytes() for found in directory.iterdir() if found.is_file()}


# --- made, and opened again -------------------------------------------------------------------------------------------


def test_file_keeps_events_when_closed(path: pathlib.Path, make: Make) -> None:
    """And is a single file then, marked as ours."""
    store = open_store(path)
    store.put([make(payload=b"x" * 3_000)])
    store.close()

    assert ["jobs.db"] == os.listdir(path.parent)
    head = path.read_bytes()[:100]
    assert (schema.APPLICATION_ID, schema.VERSION) == (
        int.from_bytes(head[68:72], "big"), int.from_bytes(head[60:64], "big"),
    )  # fmt: skip
    again = open_store(str(path))
    found = again.get("e1")
    again.close()
    assert found is not None
    assert b"x" * 3_000 == found.payload


def test_two_stores_on_one_file_share_it(path: pathlib.Path, opened: SqlStore, make: Make) -> None:
    """What one puts, the other claims; `changed` tells of it once."""
    other = SqlStore(path, "process-crash")
    other.changed()

    opened.put([make(), make()])

    assert (True, False) == (other.changed(), other.changed())
    assert 2 == len(other.turn([], ROOMS, 9, 1_000.0, "p", 30.0).events)
    assert () == opened.turn([], ROOMS, 9, 1_000.0, "o", 30.0).events
    assert (True, False) == (opened.changed(), opened.changed())
    other.close()


def test_lane_that_another_process_made_is_known(path: pathlib.Path, opened: SqlStore, make: Make) -> None:
    """Both ways."""
    other = SqlStore(path, "process-crash")
    opened.put([make(function="new")])
    other.put([make(function="new"), make(function="newer")])

    found = opened.turn([], {invocation_lane("new"): 9, invocation_lane("newer"): 9}, 9, 1_000.0, "o", 30.0)

    assert ["new", "new", "newer"] == [event.function for event in found.events]
    other.close()


@pytest.mark.parametrize(("durability", "level"), [("power-loss", 2), ("process-crash", 1)])
def test_durability_is_what_sqlite_is_told(path: pathlib.Path, durability: str, level: int) -> None:
    """FULL: every commit is synced; NORMAL: only checkpoints are."""
    store = SqlStore(path, durability)
    with store._writing() as connection:
        assert (level,) == connection.execute("PRAGMA synchronous").fetchone()
        assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()
        assert (2,) == connection.execute("PRAGMA auto_vacuum").fetchone()
    store.close()


def test_idle_turn_writes_nothing(path: pathlib.Path, opened: SqlStore, make: Make) -> None:
    """Not a byte, though events wait, run, and are over; neither do looking, renewing nothing, and pruning nothing."""
    opened.put([make(due=2_000.0), make(), make(function="g")])
    opened.turn([], ROOMS, 9, 1_000.0, "o", 30.0)
    before = everything(path.parent)

    for owner in ("o", "p"):
        assert () == opened.turn([], ROOMS, 9, 1_001.0, owner, 30.0).events
    opened.renew("p", 1_001.0, 30.0)
    opened.prune(900.0, 900.0)
    opened.statistics()
    opened.list()

    after = everything(path.parent)
    assert before["jobs.db"] == after["jobs.db"]
    assert before["jobs.db-wal"] == after["jobs.db-wal"]


def test_pruning_gives_space_back(path: pathlib.Path, make: Make) -> None:
    """A little at a time, and no vacuum ever rewrites the file."""
    store = SqlStore(path, "process-crash")
    store.put([make(payload=bytes(10_000)) for _ in range(400)])
    store.purge()
    for _ in range(20):
        store.put([make(request_id="x")])
        store.cancel("x", 1.0)
        store.prune(5.0, 5.0)
    store.close()

    assert path.stat().st_size < 400_000


def test_empty_file_becomes_a_store(path: pathlib.Path, make: Make) -> None:
    """As `tempfile` makes them."""
    path.touch()
    store = SqlStore(path)
    assert 1 == store.put([make()])
    store.close()


# --- refused, and left alone ------------------------------------------------------------------------------------------


def text(path: pathlib.Path) -> None:
    """Something that is no database."""
    path.write_text("name,amount\n" * 50)


def short(path: pathlib.Path) -> None:
    """Less than a header."""
    path.write_bytes(b"SQLite format 3\x00")


def foreign(path: pathlib.Path) -> None:
    """Another program's database."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE customers (name)")
    connection.commit()
    connection.close()


def foreign_in_use(path: pathlib.Path) -> None:
    """Another program's database, with a write-ahead log left by a crash."""
    connection = sqlite3.connect(path.with_name("first.db"))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE customers (name)")
    connection.commit()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path.with_name('first.db')}{suffix}", f"{path}{suffix}")
    connection.close()
    path.with_name("first.db").unlink()


def marked(path: pathlib.Path) -> None:
    """Another program's database that says so itself."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id = 77")
    connection.commit()
    connection.close()


def ours(path: pathlib.Path) -> None:
    """A store with some events."""
    from lambdalite.model.queued import QueuedEvent

    store = SqlStore(path, "process-crash")
    store.put([
        QueuedEvent(request_id=f"e{n}", lane="l", function="f", payload=b"x" * 2_000, accepted_at=0.0, due=0.0)
        for n in range(50)
    ])  # fmt: skip
    store.close()


def newer(path: pathlib.Path) -> None:
    """A store that a later version has written."""
    ours(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    assert not path.with_name("jobs.db-wal").exists()


def truncated(path: pathlib.Path) -> None:
    """A store that lost its second half."""
    ours(path)
    os.truncate(path, path.stat().st_size // 2)


def scribbled(path: pathlib.Path) -> None:
    """A store whose first page was written over, behind the header."""
    ours(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 3_000)


def without_a_table(path: pathlib.Path) -> None:
    """A store from which somebody took a table."""
    ours(path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE schedules")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (text, r"jobs\.db: it is no SQLite database, and was left as it is\. Name another path"),
        (short, r"it is no SQLite database"),
        (foreign, r"another program's SQLite database \(application id 0, tables customers\), and was left"),
        (foreign_in_use, r"another program's SQLite database"),
        (marked, r"another program's SQLite database \(application id 77, tables none\)"),
        (newer, r"of version 9999, written by a newer lambdalite; this one knows up to \d+\. Upgrade lambdalite"),
        (truncated, r"it is damaged \(\d+ bytes are left of \d+\), and was left as it is\. Restore it from a copy"),
        (scribbled, r"it is damaged \(.*\), and was left as it is"),
        (without_a_table, r"it is damaged \(tables are missing: schedules\)"),
    ],
)
def test_file_that_is_no_store_is_refused_and_left_alone(
    path: pathlib.Path, spoil: Callable[[pathlib.Path], None], message: str
) -> None:
    """Byte for byte, and nothing appears beside it."""
    spoil(path)
    before = everything(path.parent)

    with pytest.raises(UsageError, match=message):
        open_store(path)

    assert before == everything(path.parent)


def test_place_that_cannot_hold_a_file_is_refused(tmp_path: pathlib.Path) -> None:
    """A directory, a missing directory, something that is no file; nothing is made."""
    with pytest.raises(UsageError, match=r"it is a directory\. Name a file, such as .*jobs\.db"):
        open_store(tmp_path)
    with pytest.raises(UsageError, match=r"there is no directory .*missing\. Make it first"):
        open_store(tmp_path / "missing" / "jobs.db")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="it is no regular file"):
        open_store(tmp_path / "pipe")
    assert ["pipe"] == os.listdir(tmp_path)


# --- older versions ---------------------------------------------------------------------------------------------------


def test_older_file_is_brought_up_to_date(path: pathlib.Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, with what it holds."""
    ours(path)
    steps = (*schema.STEPS, "ALTER TABLE hosts ADD COLUMN note TEXT;\nCREATE TABLE more (n);\n")
    monkeypatch.setattr(schema, "STEPS", steps)
    monkeypatch.setattr(schema, "VERSION", len(steps))

    store = SqlStore(path)
    assert 50 == store.statistics().ready
    assert 1 == store.put([make(request_id="new")])
    store.close()

    connection = sqlite3.connect(path)
    assert (len(steps),) == connection.execute("PRAGMA user_version").fetchone()
    assert (
        []
        == connection.execute("SELECT note FROM hosts").fetchall() + connection.execute("SELECT n FROM more").fetchall()
    )
    connection.close()


def test_step_that_fails_leaves_the_older_version(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps are one transaction."""
    ours(path)
    steps = (*schema.STEPS, "CREATE TABLE more (n);\n", "CREATE TABLE lanes (n);\n")
    monkeypatch.setattr(schema, "STEPS", steps)
    monkeypatch.setattr(schema, "VERSION", len(steps))

    with pytest.raises(UsageError, match=r"table lanes already exists"):
        SqlStore(path)

    monkeypatch.undo()
    store = SqlStore(path)
    assert 50 == store.statistics().ready
    store.close()


def test_version_0_of_ours_is_finished(path: pathlib.Path, make: Make) -> None:
    """A file that was being made when its maker died: marked, and empty."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.commit()
    connection.close()

    store = SqlStore(path)
    assert 1 == store.put([make()])
    store.close()


# --- while it is used -------------------------------------------------------------------------------------------------


def test_full_disk_refuses_and_loses_nothing(opened: SqlStore, make: Make, over: Any) -> None:
    """New events get an error that says so; what is stored stays, and runs; when there is room again, all goes on."""
    opened.put([make(payload=b"kept"), make()])
    (event, _) = opened.turn([], ROOMS, 9, 1_000.0, "o", 30.0).events
    with opened._writing() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(ServiceException, match=r"SQLITE_FULL.*the disk is full: free some space; what is stored"):
        opened.put([make(), make(payload=bytes(1_000_000))])
    with pytest.raises(ServiceException, match="SQLITE_FULL"):
        opened.turn([over(event.request_id, answer=bytes(1_000_000))], ROOMS, 9, 1_000.0, "o", 30.0)

    assert ["e1", "e2"] == [found.request_id for found in opened.list(state=State.RUNNING)]
    with opened._writing() as connection:
        connection.execute("PRAGMA max_page_count = 100000")
    assert () == opened.turn([over(event.request_id, answer=bytes(1_000_000))], ROOMS, 9, 1_000.0, "o", 30.0).lost
    assert 1 == opened.put([make(payload=bytes(1_000_000))])


def test_read_only_disk_refuses_and_loses_nothing(opened: SqlStore, make: Make) -> None:
    """The error says what to do; looking still works."""
    opened.put([make()])
    with opened._writing() as connection:
        connection.execute("PRAGMA query_only = ON")

    with pytest.raises(ServiceException, match=r"SQLITE_READONLY.*make the file and its directory writable"):
        opened.put([make()])

    assert 1 == opened.statistics().ready


def test_locked_file_is_waited_for_and_then_refused(
    path: pathlib.Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that never ends its transaction is named as the reason."""
    monkeypatch.setattr(files, "PATIENCE", 0.05)
    store = SqlStore(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(ServiceException, match=r"SQLITE_BUSY.*another process has kept it locked for 0\.05 s"):
        store.put([make()])

    other.execute("ROLLBACK")
    other.close()
    assert 1 == store.put([make()])
    store.close()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_file_that_is_taken_away_is_missed(path: pathlib.Path, opened: SqlStore, make: Make, how: str) -> None:
    """Nothing is accepted into a file that nobody will ever find; put back, it goes on."""
    opened.put([make()])
    path.rename(path.with_name("away"))
    if how == "replaced":
        path.touch()

    for act in (lambda: opened.put([make()]), lambda: opened.turn([], ROOMS, 9, 1_000.0, "o", 30.0), opened.statistics):
        with pytest.raises(ServiceException, match="was deleted, or replaced by another file, while it was in use"):
            act()
    assert not opened.changed()

    path.with_name("away").rename(path)
    assert 1 == opened.put([make()])


def test_file_written_over_is_an_error_not_a_crash(path: pathlib.Path, make: Make) -> None:
    """What a handler may do to its host's file, as far as it can be seen."""
    store = SqlStore(path, "process-crash")
    store.put([make(payload=b"x" * 2_000) for _ in range(2_000)])
    with store._writing() as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA shrink_memory")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * (size - 4_096))

    with pytest.raises(ServiceException, match=r"SQLITE_(CORRUPT|NOTADB).*restore it from a copy"):
        store.list(limit=5_000)
    store.close()


def test_statistics_miss_no_event_that_moves_on_meanwhile(opened: SqlStore, path: pathlib.Path, make: Make) -> None:
    """Counts are of one state of the store, though they are several looks."""
    opened.put([make(request_id="a", due=2_000.0)])
    other = SqlStore(path, "process-crash")
    looks: list[str] = []

    def look(statement: str) -> None:
        looks.append(statement)
        if "INDEXED BY waiting WHERE state = 1 GROUP BY" in statement:  # what is ready has been counted
            assert other.retry_now("a", 1_000.0)

    with opened._reading() as connection:
        connection.set_trace_callback(look)

    counts = opened.statistics()

    assert (0, 1) == (counts.ready, counts.waiting)
    assert 1 == opened.statistics().ready
    assert looks
    other.close()
