"""What use costs: pure functions from whole numbers to dollars, exact to the last digit."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple

from lambdalite.errors import UsageError
from lambdalite.observe import prices

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["EXACT", "MB_MS", "Cost", "cost", "provisioned_cost"]

MB_MS = 1024 * 1000  # MB·ms in a GB-second
EXACT = Context(prec=60)  # sums and products of usage and prices are exact; nothing is rounded before it is printed
_ZERO = Decimal(0)


class Cost(NamedTuple):
    """US dollars, by what they are for."""

    requests: Decimal = _ZERO
    compute: Decimal = _ZERO
    ephemeral: Decimal = _ZERO
    provisioned: Decimal = _ZERO

    def plus(self, other: Cost) -> Cost:
        """The sum, item by item."""
        with localcontext(EXACT):
            return Cost(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def total(self) -> Decimal:
        """All of it."""
        with localcontext(EXACT):
            return sum(self, _ZERO)


def cost(
    requests: int,
    mb_ms: int,
    architecture: str = "x86_64",
    *,
    ephemeral_mb_ms: int = 0,
    used_before_mb_ms: int = 0,
    free_requests: int = 0,
    free_mb_ms: int = 0,
) -> Cost:
    """What on-demand use costs, exactly.

    Args:
        requests: how many.
        mb_ms: the sum of memory size (MB) times billed duration (ms).
        architecture: ``"x86_64"`` or ``"arm64"``.
        ephemeral_mb_ms: the sum of ``/tmp`` beyond 512 MB times billed duration (ms).
        used_before_mb_ms: what this month saw before, on this architecture: decides where in the tiers this begins.
        free_requests: requests left of the free tier.
        free_mb_ms: compute left of the free tier.

    Raises:
        UsageError: there is no such architecture, or a number is negative.
    """
    if architecture not in prices.TIERS:
        raise UsageError(f"no price for architecture {architecture!r}: use one of {', '.join(prices.TIERS)}")
    if min(requests, mb_ms, ephemeral_mb_ms, used_before_mb_ms, free_requests, free_mb_ms) < 0:
        raise UsageError("usage cannot be negative: requests and MB·ms count from 0")
    with localcontext(EXACT):
        return Cost(
            prices.REQUEST * max(requests - free_requests, 0),
            _tiered(max(mb_ms - free_mb_ms, 0), used_before_mb_ms, prices.TIERS[architecture]),
            prices.EPHEMERAL * ephemeral_mb_ms / MB_MS,
        )


def _tiered(mb_ms: int, before: int, tiers: Iterable[tuple[int | None, Decimal]]) -> Decimal:
    money, at, end = _ZERO, before, before + mb_ms
    for gb_seconds, price in tiers:
        upto = end if gb_seconds is None else min(end, gb_seconds * MB_MS)
        if upto > at:
            money += price * (upto - at) / MB_MS
            at = upto
    return money


def provisioned_cost(
    memory_mb: int, environments: int, seconds: float, architecture: str = "x86_64", *, billed_ms: int = 0
) -> Cost:
    """What provisioned concurrency costs: for being there (rounded up to five minutes), and for running; no free tier.

    Args:
        memory_mb: memory of each environment.
        environments: how many are provisioned.
        seconds: for how long.
        architecture: ``"x86_64"`` or ``"arm64"``.
        billed_ms: what they ran, the sum of all; requests are charged as everywhere, by `cost`.
    """
    if architecture not in prices.PROVISIONED:
        raise UsageError(f"no price for architecture {architecture!r}: use one of {', '.join(prices.PROVISIONED)}")
    steps = -int(-seconds // prices.PROVISIONED_STEP_SECONDS)
    with localcontext(EXACT):
        idle = prices.PROVISIONED[architecture] * memory_mb * environments * steps * prices.PROVISIONED_STEP_SECONDS
        running = prices.PROVISIONED_DURATION[architecture] * memory_mb * billed_ms / MB_MS
        return Cost(compute=running, provisioned=idle / 1024)
