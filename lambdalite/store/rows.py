"""Events as rows, and rows as events."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from lambdalite.model.queued import QueuedEvent, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ["EVENT", "INSERT", "Lanes", "Put", "event_of", "insert", "one_statement", "put_all"]

#: Larger payloads are kept apart: a row is rewritten whole when it is claimed and when it is settled.
_APART = 2_048

#: What `event_of` reads.
EVENT = (
    "seq, id, lane, state, rank, due, grp, attempts, refusals, accepted_at, not_before, finished_at, condition, failure,"
    " retries, max_age, arn, trace_id, client_context, source, attributes,"
    " CASE big WHEN 0 THEN payload ELSE (SELECT bodies.payload FROM bodies WHERE bodies.seq = events.seq) END, answer"
)

_VALUES = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

#: What `_row` fills.
INSERT = (
    "INSERT OR IGNORE INTO events (id, lane, state, rank, due, grp, attempts, refusals, accepted_at, not_before,"
    " finished_at, condition, failure, retries, max_age, arn, trace_id, client_context, source, attributes, big, payload,"
    f" answer) VALUES {_VALUES}"
)

_CHUNK = 32  # O: rows in one statement; each number of rows is a statement that SQLite keeps prepared

_STATES = tuple(State)
_READY, _WAITING, _BLOCKED = int(State.READY), int(State.WAITING), int(State.BLOCKED)


class Lanes:
    """What is known of the lanes table. Only what is committed is remembered; lanes are never removed.

    Thread-safe: dicts that only grow, each change one operation.
    """

    __slots__ = ("_last", "ids", "names", "stale")

    def __init__(self) -> None:
        #: There is something to learn.
        self.stale = True
        self.ids: dict[tuple[str, str, str], int] = {}
        self.names: dict[int, tuple[str, str, str]] = {}
        self._last = 0

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Learn what is new; on a connection without uncommitted changes."""
        self.stale = False
        rows = connection.execute("SELECT id, lane, function, role FROM lanes WHERE id > ? ORDER BY id", (self._last,))
        for number, *names in rows.fetchall():
            key = (names[0], names[1], names[2])
            self.names[number] = key
            self.ids[key] = number
            self._last = max(self._last, number)

    def number(self, connection: sqlite3.Connection, key: tuple[str, str, str]) -> int:
        """The number of a lane; a new lane gets one, inside the caller's transaction."""
        found = self.ids.get(key)
        if found is None:
            self.stale = True
            connection.execute("INSERT OR IGNORE INTO lanes (lane, function, role) VALUES (?, ?, ?)", key)
            row = connection.execute(
                "SELECT id FROM lanes WHERE lane = ? AND function = ? AND role = ?", key
            ).fetchone()
            found = int(row[0])
        return found

    def name(self, connection: sqlite3.Connection, number: int) -> tuple[str, str, str]:
        """Lane, function and role of a number."""
        found = self.names.get(number)
        if found is None:
            self.stale = True
            row = connection.execute("SELECT lane, function, role FROM lanes WHERE id = ?", (number,)).fetchone()
            found = (row[0], row[1], row[2])
        return found


def event_of(row: Sequence[Any], names: tuple[str, str, str], owner: str = "", lease_until: float = 0.0) -> QueuedEvent:
    """An event from a row of `EVENT`."""
    return QueuedEvent(
        sequence=row[0], request_id=row[1], lane=names[0], function=names[1], role=names[2], state=_STATES[row[3]],
        priority=-row[4], due=row[5], group=row[6], attempts=row[7], refusals=row[8], accepted_at=row[9],
        not_before=row[10], finished_at=row[11], condition=row[12], failure=row[13], maximum_retry_attempts=row[14],
        maximum_event_age=row[15], arn=row[16], trace_id=row[17], client_context=row[18], source=row[19],
        attributes=row[20], payload=row[21], answer=row[22], owner=owner, lease_until=lease_until,
    )  # fmt: skip


class Put:
    """Events to be stored, made ready by who brings them; see `put_all`."""

    __slots__ = ("events", "rows", "simple")

    def __init__(self, lanes: Lanes, events: Sequence[QueuedEvent]) -> None:
        known = lanes.ids
        self.events = events
        self.rows = [_row(event, known.get((event.lane, event.function, event.role), 0)) for event in events]
        #: Each is one row, and that is all.
        self.simple = all(row[1] and row[5] is None and not row[19] for row in self.rows)


def put_all(connection: sqlite3.Connection, puts: Sequence[Put]) -> list[int]:
    """Store the events of simple Puts together; how many of each were new."""
    rows = [row for put in puts for row in put.rows]
    spans = []
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        cursor = connection.execute(_insert_many(len(some)), [value for row in some for value in row])
        spans.append((cursor.lastrowid or 0, cursor.rowcount))
    if sum(count for _, count in spans) == len(rows):
        return [len(put.rows) for put in puts]
    return _tell_apart(connection, puts, spans)


def one_statement(works: Sequence[Any]) -> bool:
    """Does `put_all` do all of this in one statement?"""
    rows = 0
    for work in works:
        if work.__class__ is not Put:
            return False
        rows += len(work.rows)
    return rows <= _CHUNK


def _tell_apart(connection: sqlite3.Connection, puts: Sequence[Put], spans: Sequence[tuple[int, int]]) -> list[int]:
    """Some ids were known already. Rows of one statement have consecutive numbers: those in the spans were new."""
    fresh: set[str] = set()
    for last, count in spans:
        found = connection.execute("SELECT id FROM events WHERE seq > ? AND seq <= ?", (last - count, last))
        fresh.update(request_id for (request_id,) in found)
    counts = []
    for put in puts:
        mine = fresh & {row[0] for row in put.rows}
        fresh -= mine
        counts.append(len(mine))
    return counts


@cache
def _insert_many(count: int) -> str:
    return INSERT + f", {_VALUES}" * (count - 1)


def insert(
    connection: sqlite3.Connection, lanes: Lanes, events: Sequence[QueuedEvent]
) -> tuple[int, set[tuple[int, str]]]:
    """Store new events in order; how many were new, and the groups that have grown."""
    new, groups = 0, set()
    for event in events:
        row = _row(event, lanes.number(connection, (event.lane, event.function, event.role)))
        cursor = connection.execute(INSERT, row)
        if cursor.rowcount < 1:
            continue
        new += 1
        if row[19]:
            connection.execute("INSERT INTO bodies VALUES (?, ?)", (cursor.lastrowid, event.payload))
        if event.group is not None:
            groups.add((row[1], event.group))
    return new, groups


def _row(event: QueuedEvent, lane: int) -> tuple[Any, ...]:
    """For `INSERT`. One of a group starts blocked: whether it may go at once is decided for the whole group."""
    big = len(event.payload) > _APART
    state = _WAITING if event.due > event.accepted_at else _READY if event.group is None else _BLOCKED
    return (
        event.request_id, lane, state, -event.priority, event.due, event.group, event.attempts, event.refusals,
        event.accepted_at, event.not_before, event.condition, event.failure, event.maximum_retry_attempts,
        event.maximum_event_age, event.arn, event.trace_id, event.client_context, event.source,
        event.attributes, int(big), b"" if big else event.payload, event.answer,
    )  # fmt: skip
