"""May it start now, and where: a pure decision."""

from __future__ import annotations

import pytest

from lambdalite.engine.placement import Place, decide


@pytest.mark.parametrize(
    ("in_use", "reserved", "unreserved", "limit", "at_hand", "expected"),
    [
        (0, None, 0, 1, 0, Place.START),
        (0, None, 0, 1, 1, Place.REUSE),
        (0, None, 1, 1, 1, Place.ACCOUNT_FULL),
        (0, None, 0, 0, 1, Place.ACCOUNT_FULL),
        (0, 0, 0, 9, 1, Place.FUNCTION_FULL),
        (2, 2, 0, 9, 1, Place.FUNCTION_FULL),
        (1, 2, 9, 9, 0, Place.START),
        (1, 2, 9, 9, 3, Place.REUSE),
    ],
)
def test_place_follows_the_limits(
    in_use: int, reserved: int | None, unreserved: int, limit: int, at_hand: int, expected: Place
) -> None:
    """Its reservation bounds a function that has one, what is left of the account bounds all others."""
    assert expected is decide(in_use, reserved, unreserved, limit, at_hand)
