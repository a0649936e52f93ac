"""What the same work might cost with other memory sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lambdalite import limits
from lambdalite.observe.table import money, table

if TYPE_CHECKING:
    from decimal import Decimal

    from lambdalite.observe.bill import Line
    from lambdalite.observe.meter import Tariff

__all__ = ["MEMORY_MB", "Estimate", "WhatIf", "estimate"]

MEMORY_MB = (128, 256, 512, 1024, 1769, 3008)  # O: common sizes; 1,769 is one vCPU


class Estimate(NamedTuple):
    """What one line of the bill might become with another memory size."""

    tariff: Tariff
    memory_mb: int
    billed_ms: int
    cost: Decimal
    #: The cost divided by today's.
    ratio: float
    #: The largest memory seen does not fit: invocations would be killed.
    too_small: bool


class WhatIf(NamedTuple):
    """Estimates for other memory sizes.

    The assumption: where the CPU share is enforced (``cpu="aws"``), the work is all CPU of one thread, so durations
    scale with the share, up to one vCPU at 1,769 MB; where it is not, durations stay as measured. Waiting for a network
    does not scale, and a second thread gains beyond one vCPU: measure before you decide.
    """

    estimates: tuple[Estimate, ...]

    def __str__(self) -> str:
        head = ("function", "MB now", "MB", "billed ms", "USD", "ratio", "")
        scaled = {each.tariff.cpu_scaled for each in self.estimates}
        notes = [note for scales, note in _NOTES.items() if scales in scaled]
        return "\n".join([table([head, *map(_row, self.estimates)], left=1), *notes])


_NOTES = {
    True: 'cpu="aws": durations assumed to scale with the CPU share, up to one vCPU at 1,769 MB.',
    False: 'cpu="off": durations assumed to stay as measured at full speed.',
}


def _row(each: Estimate) -> tuple[str, ...]:
    note = "too small: more memory was in use" if each.too_small else ""
    sizes = (f"{each.tariff.memory_mb:,}", f"{each.memory_mb:,}", f"{each.billed_ms:,}")
    return (each.tariff.function, *sizes, money(each.cost), f"{each.ratio:.2f}", note)


def estimate(line: Line, memory: int) -> Estimate:
    """What one line of the bill might become with `memory` MB."""
    now, billed = line.tariff.memory_mb, line.usage.billed_ms
    if line.tariff.cpu_scaled:
        one = limits.MEMORY_PER_VCPU_MIB
        billed = -(-billed * min(now, one) // min(memory, one))
    tariff, usage = line.tariff._replace(memory_mb=memory), line.usage._replace(billed_ms=billed)
    before, after = line.cost.total, line._replace(tariff=tariff, usage=usage).cost.total
    ratio = float(after / before) if before else 1.0
    return Estimate(line.tariff, memory, billed, after, ratio, usage.peak_bytes > memory * limits.MIB)
