"""What is counted for the bill: whole numbers only, so that nothing drifts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lambdalite.observe.intake import Intake
from lambdalite.observe.lines import billed_ms

if TYPE_CHECKING:
    from typing import Any

    from lambdalite.observe.bill import Bill
    from lambdalite.observe.lines import Outcome

__all__ = ["Meter", "Tariff", "Usage"]


class Tariff(NamedTuple):
    """What a price, or an estimate, depends on: sizes in MB, and whether the CPU share was enforced."""

    function: str
    architecture: str
    memory_mb: int
    ephemeral_mb: int
    cpu_scaled: bool


class Usage(NamedTuple):
    """What was used under one tariff: requests, billed milliseconds, and the largest memory seen, bytes."""

    requests: int
    billed_ms: int
    peak_bytes: int


class Meter:
    """Counts what is billed, for each function and configuration; memory is bounded by their number.

    Args:
        intake: where outcomes arrive; by default its own.
    """

    def __init__(self, intake: Intake | None = None) -> None:
        self._usage: dict[Tariff, Usage] = {}  # owned by the intake's lock
        self._intake = Intake() if intake is None else intake
        self._intake.feed(self._take)

    def record(self, outcome: Outcome) -> None:
        """Count an outcome. Failed ones are billed too (SEMANTICS 19)."""
        self._intake.put(outcome)

    def _take(self, version: Any, outcomes: list[Outcome]) -> None:
        config = version.config
        scaled = outcomes[-1].cpu != "off"  # one machine enforces a version's share in one way
        tariff = Tariff(config.name, config.architecture, config.memory, config.ephemeral_storage, scaled)
        requests, billed, peak = self._usage.get(tariff, (0, 0, 0))
        self._usage[tariff] = Usage(
            requests + len(outcomes),
            billed + sum(map(billed_ms, outcomes)),
            max(peak, *[outcome.max_memory_used for outcome in outcomes]),
        )

    def usage(self) -> dict[Tariff, Usage]:
        """What was used so far, by tariff, sorted."""
        with self._intake:
            return dict(sorted(self._usage.items()))

    def bill(self) -> Bill:
        """What it would have cost."""
        from lambdalite.observe.bill import Bill

        return Bill(self.usage())
