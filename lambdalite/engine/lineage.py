"""Recursion detection: which functions a chain of events has been through, carried in the X-Ray trace header.

AWS writes ``Lineage=1:a87bd80c:0|68fd508a:5`` there: a version, then short hashes of resources with how often the chain
has passed each. Only events that a handler causes through its App carry one; what comes from outside starts anew.
"""

from __future__ import annotations

import hashlib

__all__ = ["extend", "passes"]

_MOST = 128  # O: functions in one lineage, under 2 KB; the longest unpassed are dropped, so a longer loop goes unseen


def passes(trace_id: str | None, arn: str) -> int:
    """How often the chain has been through the function already."""
    return _read(trace_id).get(_hash(arn), 0)


def extend(trace_id: str | None, arn: str) -> str:
    """The header for what a function causes: the chain, with one more pass through it."""
    counts = _read(trace_id)
    key = _hash(arn)
    counts[key] = counts.pop(key, 0) + 1  # to the end: the most recently passed
    kept = list(counts.items())[-_MOST:]
    others = [part for part in (trace_id or "").split(";") if part and not part.startswith("Lineage=")]
    return ";".join([*others, "Lineage=1:" + "|".join(f"{one}:{count}" for one, count in kept)])


def _hash(arn: str) -> str:
    return hashlib.sha256(arn.encode()).hexdigest()[:8]


def _read(trace_id: str | None) -> dict[str, int]:
    """The counts of a header; what is not in the form counts as nothing, since users may write headers of their own."""
    for part in (trace_id or "").split(";"):
        if part.startswith("Lineage="):
            version, _, rest = part.removeprefix("Lineage=").partition(":")
            found = (one.partition(":") for one in rest.split("|")) if version == "1" else ()
            return {
                key: int(count) for key, _, count in found if count.isascii() and count.isdigit() and len(count) < 9
            }
    return {}
