"""Where asynchronous events are kept: `interface` says what is asked of a store, `sqlite` does it, in a file or in memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambdalite.store.interface import Store

__all__ = ["open_store"]


def open_store(where: str | os.PathLike[str] | Store | None, durability: str = "power-loss") -> Store:
    """The store that an App's ``store=`` names.

    Args:
        where: a path: a SQLite file, made if it is not there; None: memory, gone with the process; a Store: itself.
        durability: what an accepted event survives: ``"power-loss"`` or ``"process-crash"``.

    Raises:
        UsageError: the file is no store of ours, is newer or damaged (it is left as it is), or cannot be used.
    """
    if where is not None and not isinstance(where, (str, os.PathLike)):
        return where
    from lambdalite.store.sqlite import SqlStore

    return SqlStore(where, durability)
