"""Metrics: what CloudWatch would show of the functions, and what handlers print in the embedded metric format."""

from __future__ import annotations

import math
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from lambdalite.errors import UsageError
from lambdalite.observe.distribution import Distribution
from lambdalite.observe.emf import Embedded
from lambdalite.observe.intake import BATCH, Intake

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from lambdalite.observe.lines import Outcome

__all__ = ["NAMESPACE", "UNITS", "Metrics", "Reading"]

NAMESPACE = "AWS/Lambda"

#: The metrics and their units: SEMANTICS 18 as far as it concerns invocations, and three of our own.
UNITS: Mapping[str, str] = MappingProxyType(
    {
        "Invocations": "Count",  # throttled requests do not count
        "Errors": "Count",
        "Throttles": "Count",
        "Duration": "Milliseconds",
        "ConcurrentExecutions": "Count",
        "UnreservedConcurrentExecutions": "Count",
        "ClaimedAccountConcurrency": "Count",
        "ProvisionedConcurrentExecutions": "Count",
        "ProvisionedConcurrencyInvocations": "Count",
        "ProvisionedConcurrencySpilloverInvocations": "Count",
        "ProvisionedConcurrencyUtilization": "Percent",
        "AsyncEventsReceived": "Count",
        "AsyncEventAge": "Milliseconds",
        "AsyncEventsDropped": "Count",
        "DestinationDeliveryFailures": "Count",
        "DeadLetterErrors": "Count",
        "RecursiveInvocationsDropped": "Count",
        "ColdStarts": "Count",  # ours: invocations that waited for an init
        "OutOfMemory": "Count",  # ours
        "Timeouts": "Count",  # ours
    }
)
_MARK = b'"_aws"'  # in every line of the embedded metric format
_COUNTED = ("Invocations", "Errors", "ColdStarts", "OutOfMemory", "Timeouts")


class Reading(NamedTuple):
    """One metric as it stands, over everything counted so far. Statistics are NaN where nothing was counted."""

    namespace: str
    name: str
    dimensions: dict[str, str]
    unit: str
    samples: int
    total: float
    average: float
    minimum: float
    maximum: float
    p50: float
    p99: float


class _Series:
    """The counts of one version of one function, or of the account; owned by the intake's lock."""

    __slots__ = ("counts", "duration", "others", "throttles")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_COUNTED, 0)
        self.duration = Distribution()
        self.throttles: dict[str, int] = {}
        self.others: dict[str, Distribution] = {}

    def distribution(self, name: str) -> Distribution:
        """The numbers of one metric; an invocation is a 0 or a 1, as CloudWatch has it, so that averages are rates."""
        if name == "Duration":
            return self.duration
        invocations, throttled = self.counts["Invocations"], sum(self.throttles.values())
        if name == "Throttles":
            return _zeros_and_ones(throttled, invocations + throttled)
        if name in self.counts:
            return _zeros_and_ones(self.counts[name], invocations)
        return self.others.get(name) or Distribution()


def _zeros_and_ones(ones: int, among: int) -> Distribution:
    found = Distribution()
    if ones:
        found.add(1, ones)
    if among > ones:
        found.add(0, among - ones)
    return found


class Metrics:
    """Counters and distributions of an App; memory is bounded by the number of versions, not of invocations.

    Args:
        intake: where outcomes arrive; by default its own.
    """

    def __init__(self, intake: Intake | None = None) -> None:
        self.embedded = Embedded()  # owned by the intake's lock
        self._series: dict[tuple[str, str], _Series] = {}  # likewise; ("", "") is the account
        self._data: deque[tuple[str, float, str, str]] = deque()  # any thread appends; the lock's holder takes
        self._intake = Intake() if intake is None else intake
        self._intake.feed(self._take, self._take_data)

    def record(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self._intake.put(outcome)

    def throttled(self, function: str, reason: str) -> None:
        """Count a request refused for `reason` (AWS's ThrottleReason)."""
        self._datum("Throttles", 1, function, reason)

    def put(self, name: str, value: float, function: str = "", version: str = "") -> None:
        """Count a number that no outcome tells: environments in use, say. Without a function it is the account's.

        Raises:
            UsageError: there is no such metric, or outcomes already tell it.
        """
        if name not in UNITS or name in _COUNTED or name in ("Duration", "Throttles"):
            raise UsageError(f"metric {name!r} cannot be put: use one of {', '.join(UNITS)} that outcomes do not tell")
        self._datum(name, value, function, version)

    def _datum(self, name: str, value: float, function: str, detail: str) -> None:
        self._data.append((name, value, function, detail))
        if len(self._data) >= BATCH:
            self._intake.settle_soon()

    def _take(self, version: Any, outcomes: list[Outcome]) -> None:
        series = self._one(version.name, version.number)
        counts = series.counts
        failures = [each.failure.name for each in outcomes if each.failure is not None]
        counts["Invocations"] += len(outcomes)
        counts["Errors"] += len(failures)
        counts["ColdStarts"] += len([1 for each in outcomes if each.init_duration is not None])
        counts["Timeouts"] += failures.count("TIMEOUT")
        counts["OutOfMemory"] += failures.count("OUT_OF_MEMORY")
        series.duration.extend([each.duration * 1000 for each in outcomes])
        # one search through everything printed: to set up a search costs more than to search a few lines
        if _MARK in b"".join([each.output for each in outcomes]):
            for each in outcomes:
                if _MARK in each.output:
                    self.embedded.keep(version.name, each.output)

    def _take_data(self) -> None:
        while self._data:
            name, value, function, detail = self._data.popleft()
            if name == "Throttles":
                throttles = self._one(function, "").throttles
                throttles[detail] = throttles.get(detail, 0) + int(value)
            else:
                self._one(function, detail).others.setdefault(name, Distribution()).add(value)

    def _one(self, function: str, version: str) -> _Series:
        found = self._series.get((function, version))
        if found is None:
            found = self._series[function, version] = _Series()
        return found

    def get(
        self,
        name: str,
        function: str | None = None,
        stat: str = "Sum",
        *,
        version: str | None = None,
        namespace: str = NAMESPACE,
        dimensions: Mapping[str, str] | None = None,
    ) -> float:
        """One statistic of one metric over everything counted so far.

        Where nothing was counted, Sum and SampleCount are 0 and the others NaN.

        Args:
            name: of the metric; in the namespace ``AWS/Lambda`` one of `UNITS`.
            function: its name; all functions (and the account) if not given.
            stat: Sum, SampleCount, Average, Minimum, Maximum, or p0 to p100 (within 1.6 %).
            version: ``"$LATEST"``, ``"1"``, …; all if not given. Throttles are counted by function, not by version.
            namespace: another one holds what handlers printed in the embedded metric format.
            dimensions: of an embedded metric, exactly; all values, each once, if not given.

        Raises:
            UsageError: no such metric in ``AWS/Lambda``, or no such statistic.
        """
        if namespace == NAMESPACE and name not in UNITS:
            raise UsageError(f"unknown metric {name!r}: use one of {', '.join(UNITS)}, or name your own namespace")
        found = Distribution()
        with self._intake:
            if namespace != NAMESPACE:
                found.merge(self.embedded.distribution(namespace, name, dimensions, function))
            for series in self._chosen(function, version) if namespace == NAMESPACE else ():
                found.merge(series.distribution(name))
        try:
            return found.stat(stat)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _chosen(self, function: str | None, version: str | None) -> Iterator[_Series]:
        for (name, number), series in self._series.items():
            if function in (None, name) and (version in (None, number)):
                yield series

    def throttles(self, function: str | None = None) -> dict[str, int]:
        """How many requests were refused, by AWS's reason."""
        found: dict[str, int] = {}
        with self._intake:
            for series in self._chosen(function, None):
                for reason, times in series.throttles.items():
                    found[reason] = found.get(reason, 0) + times
        return found

    def snapshot(self) -> list[Reading]:
        """Every metric that has numbers, by function and version, then the embedded ones."""
        with self._intake:
            found = [
                _reading(NAMESPACE, metric, _dimensions(*key), unit, distribution)
                for key, series in sorted(self._series.items())
                for metric, unit in UNITS.items()
                if (distribution := series.distribution(metric)).count
            ]
            return found + [_reading(*one) for one in self.embedded.all()]

    @property
    def malformed(self) -> int:
        """Lines that looked like the embedded metric format and were not."""
        with self._intake:
            return self.embedded.settled().malformed

    @property
    def dropped(self) -> int:
        """Embedded values not counted because there are too many combinations of dimensions."""
        with self._intake:
            return self.embedded.settled().dropped


def _dimensions(function: str, version: str) -> dict[str, str]:
    named = {"FunctionName": function, "ExecutedVersion": version}
    return {name: value for name, value in named.items() if value}


def _reading(namespace: str, name: str, dimensions: dict[str, str], unit: str, found: Distribution) -> Reading:
    average = found.total / found.count if found.count else math.nan
    return Reading(
        namespace, name, dimensions, unit, found.count, found.total, average,
        found.stat("Minimum"), found.stat("Maximum"), found.percentile(50), found.percentile(99),
    )  # fmt: skip
