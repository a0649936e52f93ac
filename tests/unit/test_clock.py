"""The clock that moves when told to."""

from __future__ import annotations

import pytest

from lambdalite.clock import ManualClock


def test_manual_clock_moves_only_when_told() -> None:
    """Both readings move by what `advance` was given, and subscribers hear of it."""
    clock, heard = ManualClock(100.0), []
    clock.subscribe(lambda: heard.append(clock.elapsed()))
    clock.advance(5, minutes=1, hours=1)

    assert (3765.0, 3665.0, [3665.0]) == (clock.now(), clock.elapsed(), heard)


def test_clock_does_not_go_back() -> None:
    """Going back is refused, and the clock stands where it stood."""
    clock = ManualClock(100.0)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)

    assert 100.0 == clock.now()
