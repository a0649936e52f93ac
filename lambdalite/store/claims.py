"""A turn of a store, in SQL: settle, take over, promote, claim. Everything here runs inside a transaction of the caller's."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from lambdalite.model.queued import DELIVERY, State
from lambdalite.store import hosts
from lambdalite.store.rows import EVENT, event_of, insert

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from lambdalite.model.queued import QueuedEvent, Settlement
    from lambdalite.store.rows import Lanes

__all__ = [
    "FREE",
    "LOOK",
    "WAITS",
    "Asked",
    "Look",
    "free",
    "hold",
    "host_of",
    "look",
    "regroup",
    "regroup_rows",
    "settle",
    "work",
]

#: How many waiting events become ready in one turn: nobody waits long for the store meanwhile.
PROMOTED_AT_ONCE = 2_000

_SILENT = 604_800.0  # O: seconds after which a host without claims is forgotten

# Which lanes have a ready event, and when the first waiting one of each lane is due: by jumping from lane to lane in the
# index, so a lane of a million events costs as much as one of one.
LOOK = """
WITH RECURSIVE
ready_lanes (lane) AS (
    SELECT min(lane) FROM events INDEXED BY ready WHERE state = 0
    UNION ALL
    SELECT (SELECT min(lane) FROM events INDEXED BY ready WHERE state = 0 AND lane > ready_lanes.lane)
    FROM ready_lanes WHERE ready_lanes.lane IS NOT NULL
),
waiting_lanes (lane) AS (
    SELECT min(lane) FROM events INDEXED BY waiting WHERE state = 1
    UNION ALL
    SELECT (SELECT min(lane) FROM events INDEXED BY waiting WHERE state = 1 AND lane > waiting_lanes.lane)
    FROM waiting_lanes WHERE waiting_lanes.lane IS NOT NULL
)
SELECT lane, NULL FROM ready_lanes WHERE lane IS NOT NULL
UNION ALL
SELECT lane, (SELECT min(due) FROM events INDEXED BY waiting WHERE state = 1 AND lane = waiting_lanes.lane)
FROM waiting_lanes WHERE lane IS NOT NULL
"""

_HOSTS = """
SELECT id, machine, pid, started, lease_until,
       EXISTS (SELECT 1 FROM events INDEXED BY running WHERE state = 3 AND host = hosts.id)
FROM hosts WHERE owner <> ?
"""

#: Ready, or in a group behind the others until `regroup_rows` has looked: what follows is always that.
WAITS = "state = CASE WHEN grp IS NULL THEN 0 ELSE 2 END"
#: The same of one that was claimed.
FREE = f"{WAITS}, host = NULL"

_SETTLE = """
UPDATE events SET state = ?, due = ?, attempts = ?, refusals = ?, condition = ?, failure = ?, answer = ?, finished_at = ?,
    payload = CASE WHEN ? THEN x'' ELSE payload END, host = NULL
WHERE id = ? AND state = 3 AND host = ? RETURNING seq, lane, grp, big
"""

_CLAIM = f"UPDATE events SET state = 3, host = ? WHERE seq IN (SELECT value FROM json_each(?)) RETURNING {EVENT}"

_NEXT = (
    "SELECT seq, rank, due FROM events INDEXED BY ready WHERE state = 0 AND lane = ? ORDER BY rank, due, seq LIMIT ?"
)

_PROMOTE = f"""
UPDATE events SET {FREE} WHERE seq IN (
    SELECT seq FROM events INDEXED BY waiting WHERE state = 1 AND lane = ? AND due <= ? ORDER BY due LIMIT ?
) RETURNING lane, grp
"""


class Asked(NamedTuple):
    """What a turn is asked for: see `Store.turn`."""

    settlements: Sequence[Settlement]
    rooms: Mapping[str, int]
    limit: int
    now: float
    owner: str
    lease: float
    holds: Mapping[str, int] | None


class Look(NamedTuple):
    """What there is to do.

    Attributes:
        ready: numbers of lanes asked for that have a ready event.
        due: numbers of lanes asked for that have a waiting event which is due.
        lapsed: numbers of hosts whose claims are over.
        next_due: see `Claim.next_due`.
    """

    ready: tuple[int, ...]
    due: tuple[int, ...]
    lapsed: tuple[int, ...]
    next_due: float | None

    @property
    def idle(self) -> bool:
        """Nothing."""
        return not (self.ready or self.due or self.lapsed)


def look(connection: sqlite3.Connection, lanes: Lanes, asked: Asked, *, check: bool) -> Look:
    """See what there is to do; writes nothing.

    Args:
        connection: any.
        lanes: what is known of lanes.
        asked: by the turn.
        check: look whether other hosts of this machine are still there.
    """
    ready, due, soon = [], [], []
    for number, first in connection.execute(LOOK):
        name = lanes.name(connection, number)[0]
        if asked.rooms.get(name, 0) <= 0:
            continue
        if first is None:
            if asked.limit > 0 or name.startswith(DELIVERY):
                ready.append(number)
        elif first <= asked.now:
            due.append(number)
            soon.append(first)
        else:
            soon.append(first)
    lapsed = []
    for number, machine, pid, start, until, holds in connection.execute(_HOSTS, (asked.owner,)):
        over = until <= asked.now or until > asked.now + 2 * asked.lease
        if (over and holds) or (check and not hosts.alive(machine, pid, start)):
            lapsed.append(number)
        elif holds:
            soon.append(until)
    return Look(tuple(ready), tuple(due), tuple(lapsed), min(soon, default=None))


def host_of(connection: sqlite3.Connection, owner: str) -> int | None:
    """The number of a host, if it has claimed something lately."""
    row = connection.execute("SELECT id FROM hosts WHERE owner = ?", (owner,)).fetchone()
    return None if row is None else row[0]


def hold(connection: sqlite3.Connection, owner: str, until: float) -> int:
    """Make a host's claims hold until then; its number."""
    row = connection.execute("UPDATE hosts SET lease_until = ? WHERE owner = ? RETURNING id", (until, owner)).fetchone()
    if row is None:
        connection.execute(  # those that are not heard of any more, on other machines too
            "DELETE FROM hosts WHERE lease_until < ?"
            " AND NOT EXISTS (SELECT 1 FROM events INDEXED BY running WHERE state = 3 AND host = hosts.id)",
            (until - _SILENT,),
        )
        pid = os.getpid()
        row = connection.execute(
            "INSERT INTO hosts (owner, machine, pid, started, lease_until) VALUES (?, ?, ?, ?, ?) RETURNING id",
            (owner, hosts.machine(), pid, hosts.started(pid) or "", until),
        ).fetchone()
    return int(row[0])


def work(
    connection: sqlite3.Connection, lanes: Lanes, asked: Asked, *, check: bool
) -> tuple[list[QueuedEvent], list[str], float | None, bool]:
    """A whole turn: claimed events in order, settlements that came too late, when next, and is there more for others?"""
    lost, stirred = settle(connection, lanes, asked.settlements, asked.owner)
    found = look(connection, lanes, asked, check=check)
    if found.lapsed:
        stirred = free(connection, found.lapsed) > 0 or stirred
    for number in found.due:
        _promote(connection, number, asked.now)
    if found.due or found.lapsed:
        found = look(connection, lanes, asked, check=False)
    events = _claim(connection, lanes, found.ready, asked)
    return events, lost, found.next_due, stirred


def settle(
    connection: sqlite3.Connection, lanes: Lanes, settlements: Sequence[Settlement], owner: str
) -> tuple[list[str], bool]:
    """Make settlements so; ids of those that came too late, and has something become claimable?"""
    lost: list[str] = []
    groups: set[tuple[int, str]] = set()
    stirred = False
    host = host_of(connection, owner) if settlements else None
    for one in settlements:
        done = one.state == State.SUCCEEDED
        end = (one.due if one.finished_at is None else one.finished_at) if one.state.final else None
        values = (
            int(one.state), one.due, one.attempts, one.refusals, one.condition, one.failure, one.answer, end, done,
            one.request_id, host,
        )  # fmt: skip
        row = connection.execute(_SETTLE, values).fetchall()
        if not row:
            lost.append(one.request_id)
            continue
        number, lane, group, big = row[0]
        if done and big:
            connection.execute("UPDATE events SET big = 0 WHERE seq = ?", (number,))
            connection.execute("DELETE FROM bodies WHERE seq = ?", (number,))
        if group is not None:
            groups.add((lane, group))
        if one.deliveries:
            groups |= insert(connection, lanes, one.deliveries)[1]
        stirred = stirred or bool(one.deliveries) or not one.state.final
    regroup(connection, groups)
    return lost, stirred or bool(groups)


def free(connection: sqlite3.Connection, numbers: Iterable[int]) -> int:
    """Make all claims of hosts ready again, and forget the hosts; how many claims."""
    freed: list[tuple[int, str | None]] = []
    for number in numbers:
        freed += connection.execute(
            f"UPDATE events SET {FREE} WHERE state = 3 AND host = ? RETURNING lane, grp", (number,)
        ).fetchall()
        connection.execute("DELETE FROM hosts WHERE id = ?", (number,))
    regroup_rows(connection, freed)
    return len(freed)


def _promote(connection: sqlite3.Connection, lane: int, now: float) -> None:
    rows = connection.execute(_PROMOTE, (lane, now, PROMOTED_AT_ONCE)).fetchall()
    regroup_rows(connection, rows)


def regroup_rows(connection: sqlite3.Connection, rows: Iterable[tuple[int, str | None]]) -> None:
    """`regroup`, of what an UPDATE or DELETE gives back: lanes and groups, of which many events have none."""
    regroup(connection, {(lane, group) for lane, group in rows if group is not None})


def regroup(connection: sqlite3.Connection, groups: Iterable[tuple[int, str]]) -> None:
    """See to it that the first in line of each group is ready if none of it runs, and all others blocked."""
    for key in groups:
        rows = connection.execute(
            "SELECT state, seq FROM (SELECT state, seq, rank, due FROM events INDEXED BY grouped"
            " WHERE lane = ? AND grp = ? AND state = 3 LIMIT 1)"
            " UNION ALL SELECT * FROM (SELECT state, seq FROM events INDEXED BY grouped"
            " WHERE lane = ? AND grp = ? AND state = 0 ORDER BY rank, due, seq LIMIT 1)"
            " UNION ALL SELECT * FROM (SELECT state, seq FROM events INDEXED BY grouped"
            " WHERE lane = ? AND grp = ? AND state = 2 ORDER BY rank, due, seq LIMIT 1)",
            (*key, *key, *key),
        ).fetchall()
        first = _first(connection, rows)
        connection.execute(
            "UPDATE events SET state = 2 WHERE lane = ? AND grp = ? AND state = 0 AND seq IS NOT ?", (*key, first)
        )
        if first is not None:
            connection.execute("UPDATE events SET state = 0 WHERE seq = ? AND state = 2", (first,))


def _first(connection: sqlite3.Connection, rows: list[tuple[int, int]]) -> int | None:
    """Of a group's running, first ready and first blocked: which is to be ready."""
    if not rows or rows[0][0] == State.RUNNING:
        return None
    numbers = [number for _, number in rows]
    if len(numbers) == 1:
        return numbers[0]
    row = connection.execute(
        "SELECT seq FROM events WHERE seq IN (?, ?) ORDER BY rank, due, seq LIMIT 1", numbers
    ).fetchone()
    return int(row[0])


def _claim(connection: sqlite3.Connection, lanes: Lanes, ready: Iterable[int], asked: Asked) -> list[QueuedEvent]:
    numbers = _choose(connection, lanes, ready, asked)
    if not numbers:
        return []
    until = asked.now + asked.lease
    host = hold(connection, asked.owner, until)
    rows: list[Any] = connection.execute(_CLAIM, (host, json.dumps(numbers))).fetchall()
    rows.sort(key=lambda row: (row[4], row[5], row[0]))
    return [event_of(row, lanes.name(connection, row[2]), asked.owner, until) for row in rows]


def _choose(connection: sqlite3.Connection, lanes: Lanes, ready: Iterable[int], asked: Asked) -> list[int]:
    """Which events: the first of those lanes, no more of each than there is room for; records beside the limit."""
    found = []
    for lane in ready:
        name = lanes.name(connection, lane)[0]
        room = asked.rooms[name] if name.startswith(DELIVERY) else min(asked.rooms[name], asked.limit)
        rows = connection.execute(_NEXT, (lane, room))
        if asked.holds is None:
            found += [(rank, 0, due, number, name) for number, rank, due in rows]
        else:
            has = asked.holds.get(name, 0)
            found += [(rank, has + place, due, number, name) for place, (number, rank, due) in enumerate(rows)]
    found.sort()
    chosen: list[int] = []
    taken: dict[str, int] = {}
    left = asked.limit
    for _, _, _, number, name in found:
        record = name.startswith(DELIVERY)
        if taken.get(name, 0) < asked.rooms[name] and (record or left > 0):
            taken[name] = taken.get(name, 0) + 1
            left -= not record
            chosen.append(number)
    return chosen
