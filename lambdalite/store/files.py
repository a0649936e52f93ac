"""A store's file: looked at before it is touched, made if it is not there, refused if it is not ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from typing import NoReturn
from urllib.parse import quote

from lambdalite.errors import UsageError
from lambdalite.store import schema

__all__ = ["PATIENCE", "connect", "prepare"]

#: Seconds that a lock of another process is waited for.
PATIENCE = 5.0

_MAGIC = b"SQLite format 3\x00"
# The log may keep 64 MiB; a connection may remember 8 MiB of pages; 8 MiB of log are written back at a time, which costs
# less than a little more often, because pages that change again and again are written once.
_SETTINGS = ("journal_size_limit = 67108864", "cache_size = -8192", "wal_autocheckpoint = 2000")
_SYNCHRONOUS = {"power-loss": "FULL", "process-crash": "NORMAL"}


def connect(path: str | None, durability: str, *, make: bool = False) -> sqlite3.Connection:
    """A connection to a store, in our way of using SQLite; the caller sees to it that one thread at a time uses it.

    Args:
        path: of the file; None: memory, of this connection alone.
        durability: see `SqlStore`.
        make: make the file if it is not there.
    """
    name = ":memory:" if path is None else f"file:{quote(path)}?mode={'rwc' if make else 'rw'}"
    connection = sqlite3.connect(
        name, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=256,
        uri=path is not None,
    )  # fmt: skip
    try:
        connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
        for setting in _SETTINGS:
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(path: str, durability: str) -> None:
    """Make a file ready for use: look at it, make or migrate it.

    Raises:
        UsageError: it cannot be a store; it is left as it is.
    """
    _look_at(path)
    try:
        if not os.path.exists(path):
            _make(path, durability)
        _bring_up(path, path, durability)
    except sqlite3.Error as error:
        _refuse_error(path, error)


def _make(path: str, durability: str) -> None:
    """Make a new file, whole from the moment it has its name: somebody else may be looking."""
    new = f"{path}.{os.urandom(6).hex()}.new"
    try:
        _bring_up(new, path, durability)
        with contextlib.suppress(OSError):  # somebody was quicker; or no hard links here: then it is made in place
            os.link(new, path)
    finally:
        for name in (new, f"{new}-journal", f"{new}-wal", f"{new}-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(directory)  # or a power cut might leave a file without a name
    finally:
        os.close(directory)


def build(connection: sqlite3.Connection) -> int:
    """Make an empty database a store, or bring it up to date, unless somebody has; the version it has now."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version >= schema.VERSION:
        return version
    if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version < schema.VERSION:
            schema.migrate(connection, version)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _bring_up(file: str, name: str, durability: str) -> None:
    """Make or migrate a file; ``name`` is what messages call it."""
    connection = connect(file, durability, make=True)
    try:
        version = build(connection)
        if version > schema.VERSION:
            _refuse_newer(name, version)
        _use_log(connection, name)
    finally:
        connection.close()


def _use_log(connection: sqlite3.Connection, path: str) -> None:
    for _ in range(100):  # another process may be doing the same; each try waits for it
        try:
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
                return
        except sqlite3.OperationalError as error:
            if not (error.sqlite_errorname or "").startswith("SQLITE_BUSY"):
                raise
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    raise UsageError(f"store {path}: its file system lets SQLite keep no write-ahead log. Put it on a local disk")


def _look_at(path: str) -> None:
    """Refuse what is no store of ours, without changing anything."""
    parent = os.path.dirname(path) or "."
    if not os.path.isdir(parent):
        raise UsageError(f"store {path}: there is no directory {parent}. Make it first, or name another path")
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"store {path}: it cannot be looked at: {error.strerror}. Check its permissions") from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise UsageError(f"store {path}: it is {kind}. Name a file, such as {os.path.join(path, 'jobs.db')}")
    if not os.access(path, os.W_OK) or not os.access(parent, os.W_OK):
        raise UsageError(f"store {path}: it can only be read. Make the file and its directory writable")
    if found.st_size:
        _look_until_still(path, found)


def _look_until_still(path: str, found: os.stat_result) -> None:
    """What is being written while we look says nothing: look again."""
    for _ in range(10):
        try:
            _look_into(path, found.st_size)
        except UsageError:
            now = os.stat(path)
            if (now.st_mtime_ns, now.st_size) == (found.st_mtime_ns, found.st_size):
                raise
            found = now
        else:
            return
    _look_into(path, found.st_size)


def _look_into(path: str, size: int) -> None:
    try:
        with open(path, "rb") as file:
            head = file.read(100)
    except OSError as error:
        raise UsageError(f"store {path}: it cannot be read: {error.strerror}. Check its permissions") from error
    if len(head) < 100 or not head.startswith(_MAGIC):
        raise UsageError(f"store {path}: it is no SQLite database, and was left as it is. Name another path")
    application, version = int.from_bytes(head[68:72], "big"), int.from_bytes(head[60:64], "big")
    if application == schema.APPLICATION_ID and version > schema.VERSION:
        _refuse_newer(path, version)
    if _has_log(path):
        wanted = application == schema.APPLICATION_ID  # what is inside is known only with its log: SQLite's business
        tables: set[str] = set() if wanted else {"?"}
    else:
        page = int.from_bytes(head[16:18], "big")
        page = 65_536 if page == 1 else page
        if int.from_bytes(head[28:32], "big") * page > size:
            _refuse_damaged(path, f"{size} bytes are left of {int.from_bytes(head[28:32], 'big') * page}")
        tables = _tables(path)
        wanted = application == schema.APPLICATION_ID or (not application and not tables)
    if not wanted:
        raise UsageError(
            f"store {path}: it is another program's SQLite database (application id {application}, tables"
            f" {', '.join(sorted(tables)) or 'none'}), and was left as it is. Name another path"
        )
    if version and tables and not tables >= schema.TABLES:
        _refuse_damaged(path, f"tables are missing: {', '.join(sorted(schema.TABLES - tables))}")


def _has_log(path: str) -> bool:
    """Was it left in the middle of something?"""
    logs = (f"{path}-wal", f"{path}-journal")
    return any(os.path.exists(log) and os.path.getsize(log) for log in logs)


def _tables(path: str) -> set[str]:
    """Names of tables, read without locks, so that no file appears beside."""
    try:
        connection = sqlite3.connect(f"file:{quote(os.path.abspath(path))}?mode=ro&immutable=1", uri=True)
        try:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "events" in names:
                connection.execute("SELECT * FROM events ORDER BY 1 LIMIT 1").fetchall()
            return {name for name in names if not name.startswith("sqlite_")}
        finally:
            connection.close()
    except sqlite3.Error as error:
        _refuse_error(path, error)


def _refuse_newer(path: str, version: int) -> NoReturn:
    raise UsageError(
        f"store {path}: it is of version {version}, written by a newer lambdalite; this one knows up to"
        f" {schema.VERSION}. Upgrade lambdalite; the file was left as it is"
    )


def _refuse_damaged(path: str, what: str) -> NoReturn:
    raise UsageError(
        f"store {path}: it is damaged ({what}), and was left as it is. Restore it from a copy, or move it away: a new one"
        " is then made"
    )


def _refuse_error(path: str, error: sqlite3.Error) -> NoReturn:
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        _refuse_damaged(path, str(error))
    told = {
        "SQLITE_READONLY": "it can only be read. Make the file and its directory writable",
        "SQLITE_CANTOPEN": "it cannot be opened. Check the permissions of the file and its directory",
        "SQLITE_BUSY": f"another process has kept it locked for {PATIENCE:g} s. See who holds it open",
        "SQLITE_FULL": "the disk is full. Free some space",
    }
    text = next((text for key, text in told.items() if code.startswith(key)), "SQLite refuses it")
    raise UsageError(f"store {path}: {text} ({code or type(error).__name__}: {error})") from error
