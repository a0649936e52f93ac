"""The memory that host and guardian share."""

from __future__ import annotations

import os

from lambdalite.runtime import board


def test_both_sides_see_the_same_slot() -> None:
    """What the guardian marks, the host reads; a new claim starts from nothing."""
    host = board.Board.create(4)
    guardian = board.Board.attach(os.dup(host.fd), 4)
    host.claim(2, 7)
    host.begin(2)
    guardian.raise_peak(2, 1000, 5)
    guardian.raise_peak(2, 900)
    guardian.mark(2, board.OUT_OF_MEMORY | board.JUDGED, board.SAMPLING)

    assert board.SlotState(7, True, True, False, True, "sampling", 1000, 5) == host.read(2)
    assert (True, False) == (guardian.owned(2, 7), guardian.owned(2, 6))

    host.claim(2, 8)

    assert board.SlotState(8, False, False, False, False, "", 0, 0) == guardian.read(2)
