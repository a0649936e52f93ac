"""Metrics: counters, distributions and the embedded metric format."""

from __future__ import annotations

import json
import math
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite.errors import UsageError
from lambdalite.model.outcome import Failure
from lambdalite.observe import emf
from lambdalite.observe.distribution import Distribution
from lambdalite.observe.intake import BATCH
from lambdalite.observe.metrics import UNITS, Metrics
from lambdalite.observe.observatory import Observatory

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.model.outcome import Outcome

    Make = Callable[..., Outcome]

DEFINITION = {"Namespace": "Shop", "Dimensions": [["Kind"]], "Metrics": [{"Name": "Orders", "Unit": "Count"}]}


def printed(values: object, definition: object = None, **more: object) -> bytes:
    """One line in the embedded metric format."""
    aws = {"Timestamp": 1, "CloudWatchMetrics": [definition or DEFINITION]}
    return json.dumps({"_aws": aws, "Kind": "book", "Orders": values, **more}).encode() + b"\n"


def test_outcomes_are_counted(make: Make, timed_out: Outcome) -> None:
    """Invocations, errors, cold starts, timeouts and out-of-memory, each where it belongs."""
    metrics = Metrics()
    for outcome in (make(init_duration=0.1), make(), timed_out, make(Failure.OUT_OF_MEMORY), make(Failure.HANDLER)):
        metrics.record(outcome)

    assert {"Invocations": 5, "Errors": 3, "ColdStarts": 1, "Timeouts": 1, "OutOfMemory": 1, "Throttles": 0} == {
        name: metrics.get(name)
        for name in ("Invocations", "Errors", "ColdStarts", "Timeouts", "OutOfMemory", "Throttles")
    }


def test_average_of_errors_is_the_error_rate(make: Make) -> None:
    """As in CloudWatch, each invocation is a 0 or a 1."""
    metrics = Metrics()
    for failure in (None, None, None, Failure.HANDLER):
        metrics.record(make(failure))

    assert 0.25 == metrics.get("Errors", stat="Average")
    assert 4 == metrics.get("Errors", stat="SampleCount")


def test_duration_is_milliseconds(make: Make) -> None:
    """Duration has CloudWatch's statistics."""
    metrics = Metrics()
    for seconds in (0.010, 0.020, 0.030):
        metrics.record(make(duration=seconds))

    assert [60, 20, 10, 30, 3] == [
        pytest.approx(metrics.get("Duration", "f", stat))
        for stat in ("Sum", "Average", "Minimum", "Maximum", "SampleCount")
    ]
    assert pytest.approx(20, rel=0.016) == metrics.get("Duration", "f", "p50")


def test_functions_and_versions_are_told_apart(make: Make) -> None:
    """A metric of one function or one version leaves the others out."""
    metrics = Metrics()
    for name, number in (("f", "1"), ("f", "2"), ("f", "2"), ("g", "1")):
        metrics.record(make(name=name, number=number))

    assert [4, 3, 2, 0] == [
        metrics.get("Invocations"),
        metrics.get("Invocations", "f"),
        metrics.get("Invocations", "f", version="2"),
        metrics.get("Invocations", "unknown"),
    ]


def test_throttles_have_reasons(make: Make) -> None:
    """Throttled requests are no invocations and are counted by AWS's reason."""
    metrics = Metrics()
    metrics.record(make())
    metrics.throttled("f", "ReservedFunctionConcurrentInvocationLimitExceeded")
    metrics.throttled("f", "ConcurrentInvocationLimitExceeded")
    metrics.throttled("g", "ConcurrentInvocationLimitExceeded")

    assert (1, 3, 2) == (metrics.get("Invocations"), metrics.get("Throttles"), metrics.get("Throttles", "f"))
    assert {"ConcurrentInvocationLimitExceeded": 2, "ReservedFunctionConcurrentInvocationLimitExceeded": 1} == (
        metrics.throttles()
    )


def test_concurrency_is_put(make: Make) -> None:
    """What no outcome tells is put, for a function or for the account."""
    metrics = Metrics()
    for value in (1, 3, 2):
        metrics.put("ConcurrentExecutions", value, "f")
    metrics.put("ClaimedAccountConcurrency", 50)

    assert (3, 50) == (metrics.get("ConcurrentExecutions", "f", "Maximum"), metrics.get("ClaimedAccountConcurrency"))


def test_data_that_nobody_reads_does_not_pile_up() -> None:
    """What is put is counted in batches even if no outcome ever comes."""
    metrics = Metrics()
    for _ in range(BATCH * 3):
        metrics.put("ConcurrentExecutions", 1)

    assert 0 == len(metrics._data)


def test_queue_is_counted() -> None:
    """What the queue receives, drops and fails to deliver, and how old events are, by function and together."""
    metrics = Metrics()
    for name in (
        "AsyncEventsReceived", "AsyncEventsDropped", "DestinationDeliveryFailures", "DeadLetterErrors",
        "RecursiveInvocationsDropped",
    ):  # fmt: skip
        metrics.put(name, 1, "f")
        metrics.put(name, 1, "g")

        assert ("Count", 1, 2) == (UNITS[name], metrics.get(name, "f"), metrics.get(name))
    metrics.put("AsyncEventAge", 250.0, "f")

    assert ("Milliseconds", 250.0) == (UNITS["AsyncEventAge"], metrics.get("AsyncEventAge", "f", "Maximum"))


@pytest.mark.parametrize("name", ["Duration", "Invocations", "Throttles", "Nonsense"])
def test_what_outcomes_tell_cannot_be_put(name: str) -> None:
    """Counting twice is refused."""
    with pytest.raises(UsageError) as caught:
        Metrics().put(name, 1)

    assert f"metric '{name}' cannot be put" in str(caught.value)


def test_unknown_names_are_refused() -> None:
    """An unknown metric or statistic is a mistake, and the message lists what there is."""
    with pytest.raises(UsageError) as metric:
        Metrics().get("Invocation")
    with pytest.raises(UsageError) as stat:
        Metrics().get("Invocations", stat="p101")

    assert "use one of Invocations, Errors" in str(metric.value)
    assert "unknown statistic 'p101'" in str(stat.value)


def test_nothing_counted_is_zero_or_nan() -> None:
    """Sums of nothing are 0, averages of nothing are no number."""
    metrics = Metrics()

    assert 0 == metrics.get("Duration")
    assert math.isnan(metrics.get("Duration", stat="Average"))
    assert math.isnan(metrics.get("Duration", stat="p99"))


def test_snapshot_lists_what_was_counted(make: Make) -> None:
    """Each function's metrics with dimensions and unit, and none without numbers."""
    metrics = Metrics()
    metrics.record(make(number="7", output=printed(3)))
    found = {(reading.namespace, reading.name): reading for reading in metrics.snapshot()}

    assert {"FunctionName": "f", "ExecutedVersion": "7"} == found["AWS/Lambda", "Duration"].dimensions
    assert ("Milliseconds", 1) == (found["AWS/Lambda", "Duration"].unit, found["AWS/Lambda", "Duration"].samples)
    assert ("AWS/Lambda", "ConcurrentExecutions") not in found
    assert ({"Kind": "book"}, "Count", 3.0) == (*found["Shop", "Orders"][2:4], found["Shop", "Orders"].total)
    assert set(UNITS) >= {name for namespace, name in found if namespace == "AWS/Lambda"}


def test_counting_from_many_threads_loses_nothing(make: Make) -> None:
    """Eight threads, and every invocation is counted once, whoever counts."""
    observatory = Observatory()
    outcome = make()

    def run() -> None:
        for _ in range(2_000):
            observatory.done(outcome)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 16_000 == observatory.metrics.get("Invocations")
    assert 16_000 == sum(line.usage.requests for line in observatory.bill().lines)


@pytest.mark.parametrize("value", [0.001, 0.063, 0.064, 0.065, 0.1, 1.0, 3.3, 999.9, 123_456.7, 1e12])
def test_percentiles_are_within_the_promise(value: Any) -> None:
    """Any value's bucket is within 1.6 per cent of it."""
    found = Distribution()
    for each in (value / 1000, value, value * 1000):
        found.add(each)

    assert pytest.approx(value, rel=0.016) == found.percentile(50)


def test_percentiles_of_many_numbers() -> None:
    """Percentiles are near those of the sorted numbers, and adding one by one is adding many."""
    generator = random.Random(7)
    numbers = [generator.lognormvariate(2, 1.5) for _ in range(5_000)]
    found, one_by_one = Distribution(), Distribution()
    found.extend(numbers)
    for number in numbers:
        one_by_one.add(number)
    numbers.sort()

    for percent in (1, 50, 90, 99):
        expected = numbers[math.ceil(len(numbers) * percent / 100) - 1]
        assert pytest.approx(expected, rel=0.03) == found.percentile(percent) == one_by_one.percentile(percent)


def test_distribution_takes_any_number() -> None:
    """Negative, zero and enormous numbers are counted; extremes are exact."""
    found = Distribution()
    found.extend([-5.0, 0.0, 1e300])
    found.extend([])

    assert (3, -5.0, 1e300) == (found.count, found.stat("Minimum"), found.stat("Maximum"))


def test_distribution_is_bounded() -> None:
    """A million different numbers take a few hundred buckets."""
    found = Distribution()
    found.extend([number / 7 for number in range(1, 100_000)])

    assert len(found._buckets) < 64 * 32


def test_embedded_metrics_are_read(make: Make) -> None:
    """A number, an array, and values with counts; by dimensions or all together."""
    metrics = Metrics()
    metrics.record(make(output=b"noise\n" + printed(2) + printed([3, 4]) + printed({"Values": [10], "Counts": [5]})))

    assert (59, 8) == (
        metrics.get("Orders", namespace="Shop"),
        metrics.get("Orders", namespace="Shop", stat="SampleCount", dimensions={"Kind": "book"}),
    )
    assert 0 == metrics.get("Orders", namespace="Shop", dimensions={"Kind": "shoe"})
    assert (59, 0) == (
        metrics.get("Orders", "f", namespace="Shop"),
        metrics.get("Orders", "g", namespace="Shop"),
    )


def test_a_value_under_two_dimension_sets_counts_once(make: Make) -> None:
    """Without dimensions asked for, each value counts once however often it was published."""
    metrics = Metrics()
    definition = {**DEFINITION, "Dimensions": [["Kind"], [], ["Kind"]]}
    metrics.record(make(output=printed(2, definition)))

    assert (2, 2, 2) == (
        metrics.get("Orders", namespace="Shop"),
        metrics.get("Orders", namespace="Shop", dimensions={}),
        metrics.get("Orders", namespace="Shop", dimensions={"Kind": "book"}),
    )


@pytest.mark.parametrize(
    "line",
    [
        b'{"_aws": CloudWatchMetrics',
        b'{"_aws": {"CloudWatchMetrics": 5}}',
        b'{"_aws": {"CloudWatchMetrics": [5]}}',
        b'["_aws", "CloudWatchMetrics"]',
        printed("many"),
        printed(math.nan),
        printed(True),
        printed([1] * 101),
        printed({"Values": [1, 2], "Counts": [1]}),
        printed({"Values": [1], "Counts": [0]}),
        printed(10**400),
        printed(1, {**DEFINITION, "Namespace": ""}),
        printed(1, {**DEFINITION, "Dimensions": [["Missing"]]}),
        printed(1, {**DEFINITION, "Metrics": [{"Name": "Missing"}]}),
        printed(1, {**DEFINITION, "Metrics": [{"Name": "Orders"}] * 101}),
        b'{"_aws": {"CloudWatchMetrics": ' + b"[" * 100_000,
    ],
)
def test_malformed_lines_are_counted(make: Make, line: bytes) -> None:
    """What looks like the format and is not counts as malformed, and as nothing else."""
    metrics = Metrics()
    metrics.record(make(output=line))

    assert (1, 0) == (metrics.malformed, metrics.get("Orders", namespace="Shop", stat="SampleCount"))


def test_a_line_without_metrics_is_no_mistake(make: Make) -> None:
    """Text that merely mentions the mark is left alone."""
    metrics = Metrics()
    metrics.record(make(output=b'print "_aws" twice\n'))

    assert 0 == metrics.malformed


def test_embedded_series_are_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dimensions with endless values cannot take endless memory, and what is dropped is counted."""
    monkeypatch.setattr(emf, "SERIES", 4)
    metrics = Metrics()
    for number in range(10):
        metrics.record(make(output=printed(1, Kind=str(number))))

    assert (10, 7) == (metrics.get("Orders", namespace="Shop"), metrics.dropped)


def test_waiting_output_is_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output is parsed unasked when much of it waits."""
    monkeypatch.setattr(emf, "WAITING_BYTES", 1000)
    embedded = emf.Embedded()
    for _ in range(100):
        embedded.keep("f", printed(1))

    assert embedded._waiting_bytes <= 1000
    assert 100 == embedded.distribution("Shop", "Orders", None, None).total


def test_every_metric_is_on_the_page() -> None:
    """The how-to names each metric."""
    page = (Path(__file__).parents[3] / "docs/howto/logs-metrics-bill.md").read_text(encoding="utf-8")

    assert [] == [name for name in UNITS if f"`{name}`" not in page]
