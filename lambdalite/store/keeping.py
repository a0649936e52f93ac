"""What else a store is asked: to look, to count, to change by hand, to forget. In SQL, on the caller's connection."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from lambdalite.model.queued import QueueStatistics, State
from lambdalite.store import claims
from lambdalite.store.rows import EVENT, Lanes, event_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from lambdalite.model.queued import QueuedEvent

__all__ = [
    "Piece",
    "advance",
    "cancel",
    "find",
    "fired",
    "hand_back",
    "holds",
    "last",
    "listed",
    "prunable",
    "prune",
    "purge",
    "redrive",
    "redrive_one",
    "renew",
    "retry_now",
    "statistics",
    "still",
]

_AT_ONCE = 1_000  # O: rows changed in one transaction
_LEASE = "(SELECT owner FROM hosts WHERE hosts.id = events.host), (SELECT lease_until FROM hosts WHERE hosts.id = events.host)"


# --- claims -----------------------------------------------------------------------------------------------------------


def holds(connection: sqlite3.Connection, host: int) -> bool:
    """Has a host claimed anything?"""
    row = connection.execute("SELECT 1 FROM events INDEXED BY running WHERE state = 3 AND host = ?", (host,)).fetchone()
    return row is not None


def renew(connection: sqlite3.Connection, owner: str, until: float) -> None:
    """Keep all claims of a host."""
    connection.execute("UPDATE hosts SET lease_until = ? WHERE owner = ?", (until, owner))


def hand_back(connection: sqlite3.Connection, owner: str, ids: Sequence[str] | None) -> int:
    """Make claimed events ready again; how many."""
    host = claims.host_of(connection, owner)
    if host is None:
        return 0
    if ids is None:
        return claims.free(connection, (host,))
    rows = []
    for one in ids:
        rows += connection.execute(
            f"UPDATE events SET {claims.FREE} WHERE id = ? AND state = 3 AND host = ? RETURNING lane, grp", (one, host)
        ).fetchall()
    claims.regroup_rows(connection, rows)
    return len(rows)


# --- schedules --------------------------------------------------------------------------------------------------------


def fired(connection: sqlite3.Connection, schedule: str) -> float | None:
    """Up to which instant a schedule has been dealt with."""
    row = connection.execute("SELECT fired FROM schedules WHERE name = ?", (schedule,)).fetchone()
    return None if row is None else float(row[0])


def advance(connection: sqlite3.Connection, schedule: str, expected: float | None, instant: float) -> bool:
    """Compare and set."""
    if expected is None:
        cursor = connection.execute("INSERT OR IGNORE INTO schedules VALUES (?, ?)", (schedule, instant))
    else:
        cursor = connection.execute(
            "UPDATE schedules SET fired = ? WHERE name = ? AND fired = ?", (instant, schedule, expected)
        )
    return cursor.rowcount > 0


# --- looking ----------------------------------------------------------------------------------------------------------


def find(
    connection: sqlite3.Connection, lanes: Lanes, where: str, values: Sequence[Any], limit: int
) -> list[QueuedEvent]:
    """Events that fit, in order of acceptance."""
    rows = connection.execute(
        f"SELECT {EVENT}, {_LEASE} FROM events WHERE {where} ORDER BY seq LIMIT ?", (*values, limit)
    )
    return [event_of(row, lanes.name(connection, row[2]), row[23] or "", row[24] or 0.0) for row in rows.fetchall()]


def listed(
    connection: sqlite3.Connection,
    lanes: Lanes,
    function: str | None,
    state: State | None,
    records: bool,
    limit: int,
    after: int,
) -> list[QueuedEvent]:
    """See `Store.list`."""
    where, values = "seq > ?", [after]
    marks = _numbers(connection, function, records=records)
    where += f" AND lane IN ({','.join(map(str, marks))})"
    if state is not None:
        where += f" AND state = {int(state)}"
    return find(connection, lanes, where, values, limit)


def _numbers(connection: sqlite3.Connection, function: str | None, *, records: bool | None) -> list[int]:
    """Lanes of a function (or all), of events or of records (or both)."""
    rows = connection.execute("SELECT id, function, role FROM lanes").fetchall()
    return [
        number
        for number, its, role in rows
        if (function is None or its == function) and (records is None or bool(role) == records)
    ]


@contextmanager
def still(connection: sqlite3.Connection) -> Iterator[None]:
    """See one state of the store for several looks: an event that moves on in between would be in both, or in neither."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def statistics(connection: sqlite3.Connection, function: str | None) -> QueueStatistics:
    """Counts, each by running over an index; inside `still`."""
    events, records = (
        set(_numbers(connection, function, records=False)),
        set(_numbers(connection, function, records=True)),
    )
    counts: dict[State, int] = dict.fromkeys(State, 0)
    deliveries, undelivered, first = 0, 0, None
    for state, query in _COUNTS:
        for lane, count, oldest in connection.execute(query):
            if lane in events:
                counts[state] += count
                if not state.final:
                    first = oldest if first is None else min(first, oldest)
            elif lane in records:
                deliveries += count if not state.final else 0
                undelivered += count if state is State.FAILED else 0
    dues = [due for lane, due in connection.execute(claims.LOOK) if due is not None and lane in events | records]
    accepted = (
        None
        if first is None
        else connection.execute("SELECT accepted_at FROM events WHERE seq = ?", (first,)).fetchone()
    )
    return QueueStatistics(
        **{state.name.lower(): count for state, count in counts.items()},
        deliveries=deliveries, undelivered=undelivered, next_due=min(dues, default=None),
        oldest=None if accepted is None else accepted[0],
    )  # fmt: skip


_COUNTED = (
    (State.READY, "ready", "state = 0"),
    (State.WAITING, "waiting", "state = 1"),
    (State.BLOCKED, "grouped", "grp IS NOT NULL AND state = 2"),
    (State.RUNNING, "running", "state = 3"),
    (State.SUCCEEDED, "over", "finished_at IS NOT NULL AND state = 4"),
    (State.FAILED, "over", "finished_at IS NOT NULL AND state = 5"),
    (State.CANCELLED, "over", "finished_at IS NOT NULL AND state = 6"),
)
_COUNTS = tuple(
    (state, f"SELECT lane, count(*), min(seq) FROM events INDEXED BY {index} WHERE {where} GROUP BY lane")
    for state, index, where in _COUNTED
)


# --- changing by hand -------------------------------------------------------------------------------------------------


def cancel(connection: sqlite3.Connection, request_id: str, now: float) -> int:
    """Take an event back; how many."""
    rows = connection.execute(
        "UPDATE events SET state = 6, finished_at = ? WHERE id = ? AND state IN (0, 1, 2) RETURNING lane, grp",
        (now, request_id),
    ).fetchall()
    claims.regroup_rows(connection, rows)
    return len(rows)


def retry_now(connection: sqlite3.Connection, request_id: str, now: float) -> int:
    """Make a waiting event due; how many."""
    rows = connection.execute(
        f"UPDATE events SET {claims.WAITS}, due = ? WHERE id = ? AND state = 1 RETURNING lane, grp", (now, request_id)
    ).fetchall()
    claims.regroup_rows(connection, rows)
    return len(rows)


class Piece(NamedTuple):
    """A part of a long piece of work.

    Attributes:
        done: how many it was.
        last: the number of the last event that was looked at; it goes on after.
        groups: of which one was forgotten: who goes next in them was not meant when the work began.
    """

    done: int = 0
    last: int = 0
    groups: frozenset[tuple[int, str | None]] = frozenset()


def last(connection: sqlite3.Connection) -> int:
    """The number of the event accepted last."""
    return int(connection.execute("SELECT ifnull(max(seq), 0) FROM events").fetchone()[0])


def redrive_one(connection: sqlite3.Connection, now: float, request_id: str) -> int:
    """Accept a failed event, or a record that no destination took, again; how many."""
    found = connection.execute("SELECT seq FROM events WHERE id = ? AND state = 5", (request_id,)).fetchall()
    return _accept_again(connection, [number for (number,) in found], now)


def redrive(connection: sqlite3.Connection, now: float, function: str | None, last: int, before: Piece) -> Piece | None:
    """Accept some failed events again, last in line; None if there is none left."""
    lanes = ",".join(map(str, _numbers(connection, function, records=False)))
    found = connection.execute(
        f"SELECT seq FROM events WHERE finished_at IS NOT NULL AND state = 5 AND lane IN ({lanes}) AND seq <= ? LIMIT ?",
        (last, _AT_ONCE),
    ).fetchall()
    return Piece(_accept_again(connection, sorted(number for (number,) in found), now)) if found else None


def _accept_again(connection: sqlite3.Connection, numbers: Sequence[int], now: float) -> int:
    rows = []
    for new, number in enumerate(numbers, last(connection) + 1):
        rows += connection.execute(
            f"UPDATE events SET seq = ?, {claims.WAITS}, accepted_at = ?, due = ?, not_before = ?, attempts = 0, refusals = 0,"
            " finished_at = NULL, condition = '', failure = '', answer = x'' WHERE seq = ? RETURNING lane, grp",
            (new, now, now, now, number),
        ).fetchall()
        connection.execute("UPDATE bodies SET seq = ? WHERE seq = ?", (new, number))
    claims.regroup_rows(connection, rows)
    return len(rows)


def purge(connection: sqlite3.Connection, function: str | None, state: State | None, before: Piece) -> Piece | None:
    """Forget some events that do not run, records too; None if there is none left."""
    lanes = ",".join(map(str, _numbers(connection, function, records=None)))
    wanted = "state <> 3" if state is None else f"state = {int(state)} AND state <> 3"
    found = connection.execute(
        f"SELECT seq, lane, grp FROM events WHERE seq > ? AND lane IN ({lanes}) AND {wanted} ORDER BY seq LIMIT ?",
        (before.last, _AT_ONCE),
    ).fetchall()
    if not found:
        return None
    if state is State.READY:
        meant = [(number, lane, group) for number, lane, group in found if (lane, group) not in before.groups]
    else:
        meant = found
    groups = before.groups.union((lane, group) for _, lane, group in meant if group is not None)
    return Piece(_forget(connection, [number for number, _, _ in meant]), found[-1][0], groups)


# --- forgetting -------------------------------------------------------------------------------------------------------

_OLD = (
    "SELECT seq FROM events INDEXED BY over"
    " WHERE finished_at IS NOT NULL AND state = ? AND lane = ? AND finished_at < ? LIMIT ?"
)


def _old(connection: sqlite3.Connection, before: float, failed_before: float, limit: int) -> list[int]:
    found: list[int] = []
    limits = ((State.SUCCEEDED, before), (State.CANCELLED, before), (State.FAILED, failed_before))
    for lane in _numbers(connection, None, records=None):
        for state, moment in limits:
            if len(found) < limit:
                rows = connection.execute(_OLD, (int(state), lane, moment, limit - len(found)))
                found += [number for (number,) in rows]
    return found


def prunable(connection: sqlite3.Connection, before: float, failed_before: float) -> bool:
    """Is there anything to prune?"""
    return bool(_old(connection, before, failed_before, 1))


def prune(connection: sqlite3.Connection, before: float, failed_before: float, limit: int) -> int:
    """Forget what is over and old; how many."""
    return _forget(connection, _old(connection, before, failed_before, limit))


def _forget(connection: sqlite3.Connection, numbers: Sequence[int]) -> int:
    groups: list[tuple[int, str | None]] = []
    for number in numbers:
        groups += connection.execute("DELETE FROM events WHERE seq = ? RETURNING lane, grp", (number,)).fetchall()
    connection.executemany("DELETE FROM bodies WHERE seq = ?", [(number,) for number in numbers])
    claims.regroup_rows(connection, groups)
    return len(numbers)
