"""What a store's file holds, and how an older one becomes today's.

One row an event, in one of State's states; partial indexes, one for each question that is asked often:

============ ================================== ===============================================
index        over                               answers
============ ================================== ===============================================
ready        lane, rank, due (and row)          what is claimed next in a lane; which lanes have any
waiting      lane, due                          what becomes due next in a lane
grouped      lane, group, state, rank, due      who goes next in a concurrency group
running      host, lane                         what a host has claimed
over         state, lane, end                   what may be forgotten, what may be redriven
============ ================================== ===============================================

A lane, with its function and role, is kept once and named by a number; so is a host. A lease belongs to a host, not to
each claim: keeping all of a host's claims writes one small row. Large payloads are kept apart, because SQLite rewrites a
row whole whenever it changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["APPLICATION_ID", "STEPS", "TABLES", "VERSION", "migrate"]

#: "λlit" in SQLite's header: how `file` and we know a store of ours.
APPLICATION_ID = 0x4C4C_4954

TABLES = frozenset({"lanes", "hosts", "schedules", "events", "bodies"})

_FIRST = """
CREATE TABLE lanes (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    function TEXT NOT NULL,
    role TEXT NOT NULL,
    UNIQUE (lane, function, role)
);
CREATE TABLE hosts (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL UNIQUE,
    machine TEXT NOT NULL,    -- see hosts.machine
    pid INTEGER NOT NULL,
    started TEXT NOT NULL,    -- see hosts.started
    lease_until REAL NOT NULL
);
CREATE TABLE schedules (
    name TEXT PRIMARY KEY,
    fired REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,  -- order of acceptance
    id TEXT NOT NULL UNIQUE,
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL,
    rank INTEGER NOT NULL,    -- minus the priority: lower goes first
    due REAL NOT NULL,
    grp TEXT,
    host INTEGER,             -- of a running one
    attempts INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    accepted_at REAL NOT NULL,
    not_before REAL NOT NULL,
    finished_at REAL,         -- exactly if it is over
    condition TEXT NOT NULL,
    failure TEXT NOT NULL,
    retries INTEGER,
    max_age REAL,
    arn TEXT NOT NULL,
    trace_id TEXT,
    client_context TEXT,
    source TEXT NOT NULL,
    attributes TEXT NOT NULL,
    big INTEGER NOT NULL,     -- is the payload in bodies?
    payload BLOB NOT NULL,
    answer BLOB NOT NULL
);
CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY,
    payload BLOB NOT NULL
);
CREATE INDEX ready ON events (lane, rank, due) WHERE state = 0;
CREATE INDEX waiting ON events (lane, due) WHERE state = 1;
CREATE INDEX grouped ON events (lane, grp, state, rank, due) WHERE grp IS NOT NULL;
CREATE INDEX running ON events (host, lane) WHERE state = 3;
CREATE INDEX over ON events (state, lane, finished_at) WHERE finished_at IS NOT NULL;
"""

#: ``STEPS[n]`` makes a file of version n one of version n + 1. Version 0 is an empty file. Add at the end, never change.
STEPS: tuple[str, ...] = (_FIRST,)

#: Of the files that are written now.
VERSION = len(STEPS)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file of an older version up to date; inside the caller's transaction."""
    for step in STEPS[version:]:
        for statement in step.split(";\n"):
            if statement.strip():
                connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(STEPS)}")
