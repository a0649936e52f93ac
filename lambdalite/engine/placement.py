"""May it start now, and where? A pure function; `capacity` calls it under its one lock and does what it says.

Order of AWS: reserved concurrency bounds the function; what is not reserved by others bounds everybody else. Concurrency
is environments in use: admitting an invocation and placing it are one decision, so there is nothing to race.
"""

from __future__ import annotations

import enum

__all__ = ["ACCOUNT_FULL", "FUNCTION_FULL", "Place", "decide"]

# B: ThrottleReason
FUNCTION_FULL = "ReservedFunctionConcurrentInvocationLimitExceeded"
ACCOUNT_FULL = "ConcurrentInvocationLimitExceeded"


class Place(enum.Enum):
    """What to do with an invocation."""

    REUSE = "an initialised environment is at hand"
    START = "start an environment"
    FUNCTION_FULL = FUNCTION_FULL
    ACCOUNT_FULL = ACCOUNT_FULL


def decide(in_use: int, reserved: int | None, unreserved_in_use: int, unreserved_limit: int, at_hand: int) -> Place:
    """Where an invocation goes.

    Args:
        in_use: environments that this function has in use, all versions together.
        reserved: the function's reserved concurrency, None if it has none.
        unreserved_in_use: environments in use by all functions without a reservation.
        unreserved_limit: the account's limit less all reservations.
        at_hand: environments of this version that are idle or were started ahead.
    """
    if reserved is not None and in_use >= reserved:
        return Place.FUNCTION_FULL
    if reserved is None and unreserved_in_use >= unreserved_limit:
        return Place.ACCOUNT_FULL
    return Place.REUSE if at_hand else Place.START
