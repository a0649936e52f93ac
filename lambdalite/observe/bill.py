"""The bill: what everything that ran would have cost on AWS.

Usage is whole numbers (requests, MB·ms), money is `decimal.Decimal`: the same usage always costs the same.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from lambdalite import limits
from lambdalite.errors import UsageError
from lambdalite.observe import prices
from lambdalite.observe.cost import EXACT, MB_MS, Cost, cost
from lambdalite.observe.estimates import MEMORY_MB, WhatIf, estimate
from lambdalite.observe.table import money, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lambdalite.observe.meter import Tariff, Usage

__all__ = ["Bill", "Line"]


class Line(NamedTuple):
    """One line of the bill: a function with one configuration."""

    tariff: Tariff
    usage: Usage

    @property
    def mb_ms(self) -> int:
        """Memory times billed duration."""
        return self.tariff.memory_mb * self.usage.billed_ms

    @property
    def ephemeral_mb_ms(self) -> int:
        """What of ``/tmp`` is not free, times billed duration."""
        return max(self.tariff.ephemeral_mb - prices.EPHEMERAL_FREE_MB, 0) * self.usage.billed_ms

    @property
    def gb_seconds(self) -> Decimal:
        """Memory times billed duration, in AWS's unit."""
        with localcontext(EXACT):
            return Decimal(self.mb_ms) / MB_MS

    @property
    def cost(self) -> Cost:
        """What it costs, if it stood alone and there were no free tier."""
        requests, architecture = self.usage.requests, self.tariff.architecture
        return cost(requests, self.mb_ms, architecture, ephemeral_mb_ms=self.ephemeral_mb_ms)


class Bill:
    """What everything so far would have cost: a snapshot, a line for each function and configuration."""

    def __init__(self, usage: Mapping[Tariff, Usage]) -> None:
        self.lines = tuple(Line(tariff, used) for tariff, used in usage.items())

    @property
    def total(self) -> Decimal:
        """US dollars, volume tiers applied, before the free tier."""
        return self.cost().total

    @property
    def total_after_free_tier(self) -> Decimal:
        """US dollars, if nothing else used this month's free tier."""
        return self.cost(free_tier=True).total

    def cost(self, *, free_tier: bool = False) -> Cost:
        """The whole bill. Volume tiers count all functions of an architecture together.

        The free tier goes to x86 first, where it is worth more.
        """
        free_mb_ms = prices.FREE_GB_SECONDS * MB_MS if free_tier else 0
        free_requests = prices.FREE_REQUESTS if free_tier else 0
        whole = Cost()
        for architecture in prices.TIERS:
            chosen = [line for line in self.lines if line.tariff.architecture == architecture]
            requests = sum(line.usage.requests for line in chosen)
            mb_ms = sum(line.mb_ms for line in chosen)
            whole = whole.plus(
                cost(
                    requests,
                    mb_ms,
                    architecture,
                    ephemeral_mb_ms=sum(line.ephemeral_mb_ms for line in chosen),
                    free_requests=free_requests,
                    free_mb_ms=free_mb_ms,
                )
            )
            free_mb_ms = max(free_mb_ms - mb_ms, 0)
            free_requests = max(free_requests - requests, 0)
        return whole

    def what_if(self, memory: Iterable[int] = MEMORY_MB) -> WhatIf:
        """What the same invocations might cost with other memory sizes (MB); `WhatIf` states the assumption.

        Raises:
            UsageError: AWS has no such memory size.
        """
        sizes = sorted(set(memory))
        low, high = limits.MEMORY_MIB
        wrong = [size for size in sizes if not isinstance(size, int) or not low <= size <= high]
        if wrong:
            raise UsageError(f"no such memory size: {wrong}; use whole numbers from {low} to {high} MB")
        return WhatIf(tuple(estimate(line, size) for line in self.lines for size in sizes))

    def as_dict(self) -> dict[str, Any]:
        """The bill for JSON: money as text, so that nothing is rounded."""
        return {
            "lines": [
                {
                    **line.tariff._asdict(),
                    **line.usage._asdict(),
                    "gb_seconds": _plain(line.gb_seconds),
                    "cost": _plain(line.cost.total),
                }
                for line in self.lines
            ],
            "cost": {name: _plain(value) for name, value in self.cost()._asdict().items()},
            "total": _plain(self.total),
            "total_after_free_tier": _plain(self.total_after_free_tier),
        }

    def __str__(self) -> str:
        if not self.lines:
            return "Nothing ran, nothing is billed."
        head = ("function", "arch", "MB", "requests", "billed ms", "GB-s", "USD")
        total = ("total", "", "", "", "", "", money(self.total))
        free = ("after the free tier", "", "", "", "", "", money(self.total_after_free_tier))
        return table([head, *map(_row, self.lines), total, free], left=2)

    def __repr__(self) -> str:
        return f"<Bill of {len(self.lines)} lines, {money(self.total)} USD>"


def _row(line: Line) -> tuple[str, ...]:
    tariff, used = line.tariff, line.usage
    sizes = (f"{tariff.memory_mb:,}", f"{used.requests:,}", f"{used.billed_ms:,}", f"{line.gb_seconds:,.3f}")
    return (tariff.function, tariff.architecture, *sizes, money(line.cost.total))


def _plain(value: Decimal) -> str:
    return f"{value.normalize(EXACT):f}"
