"""What SQLite's errors mean to somebody who uses a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambdalite.errors import ServiceException

if TYPE_CHECKING:
    import sqlite3

__all__ = ["refused"]

_MEANING = {
    "FULL": "the disk is full: free some space; what is stored already is safe",
    "READONLY": "it can only be read: make the file and its directory writable; what is stored already is safe",
    "BUSY": "another process has kept it locked for {patience:g} s: see who holds it open, and keep transactions there short",
    "LOCKED": "another process has kept it locked for {patience:g} s: see who holds it open, and keep transactions there short",
    "IOERR": "the disk failed, or the file was changed by somebody else: check both; what is stored already may be safe",
    "CORRUPT": "it is damaged, or was changed by somebody else: stop, and restore it from a copy",
    "NOTADB": "it is damaged, or was changed by somebody else: stop, and restore it from a copy",
    "CANTOPEN": "its files cannot be opened: has the file or its directory been removed, or are its permissions changed?",
    "NOMEM": "there is no memory left",
    "TOOBIG": "an event is too large for SQLite",
}


def refused(error: sqlite3.Error, name: str, patience: float) -> ServiceException:
    """The ServiceException that says what has become of a request to a store.

    Args:
        error: SQLite's.
        name: of the store.
        patience: seconds that a lock was waited for.
    """
    code = getattr(error, "sqlite_errorname", "") or ""
    meaning = next((text for key, text in _MEANING.items() if code.startswith(f"SQLITE_{key}")), "")
    text = meaning.format(patience=patience) if meaning else "please report this"
    return ServiceException(f"the store {name} did not take it ({code or type(error).__name__}: {error}): {text}")
