"""Memory seen from outside: how often to look, and what is read of this very process."""

from __future__ import annotations

import os

import pytest

from lambdalite.runtime import watch


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, watch.LONGEST), (1024 * watch.MIB, watch.SLACK / watch.RATE), (2048 * watch.MIB, watch.SHORTEST)],
)
def test_looks_come_closer_near_the_limit(size: int, expected: float) -> None:
    """Far below the limit it is looked at seldom, and never more often than every millisecond."""
    assert pytest.approx(expected) == watch.interval(size, 1024 * watch.MIB)


def test_what_is_gone_counts_nothing() -> None:
    """A process that is gone has no memory and no descendants, and counts as stopped."""
    gone = 2**22 + 1  # PID_MAX_LIMIT of Linux is 2**22

    assert (0, 0, [], True) == (
        watch.resident_of(gone),
        watch.unreclaimable(gone),
        watch.descendants(gone),
        watch.stopped(gone),
    )


def test_own_parent_and_state_are_read() -> None:
    """`stat` of a running process gives its parent, and says that nobody stopped it."""
    assert (os.getppid(), False) == (watch.parent(os.getpid()), watch.stopped(os.getpid()))
