"""A distribution of numbers in bounded memory: count, sum, extremes, and a logarithmic histogram for percentiles."""

from __future__ import annotations

import math
from collections import Counter

__all__ = ["Distribution"]

_SUB_BITS = 5  # 32 steps in each power of two: a percentile is within 1.6 % of the truth
_SUB = 1 << _SUB_BITS
_UNIT = 1_000.0  # buckets are whole thousandths: 1 µs where values are milliseconds
_LARGEST = 1 << 62  # larger thousandths share one bucket


class Distribution:
    """Numbers, counted. Not locked: its owner is.

    Negative numbers and zero count as the smallest bucket in percentiles; extremes, sum and count are exact.
    """

    __slots__ = ("_buckets", "count", "maximum", "minimum", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        self._buckets: Counter[int] = Counter()  # at most 64 * 32 entries

    def add(self, value: float, times: int = 1) -> None:
        """Count `value`, `times` times."""
        self.count += times
        self.total += value * times
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        self._buckets[_bucket(value)] += times

    def extend(self, values: list[float]) -> None:
        """Count each of `values`, at a third of the cost."""
        if not values:
            return
        self.count += len(values)
        self.total += sum(values)
        low, high = min(values), max(values)
        self.minimum = min(self.minimum, low)
        self.maximum = max(self.maximum, high)
        if low >= 0 and high < _LARGEST / _UNIT:
            # `_bucket` written out: calling it is half the cost of counting an invocation
            self._buckets.update(
                [
                    (shift << _SUB_BITS) + (thousandths >> shift)
                    if (shift := (thousandths := int(value * _UNIT)).bit_length() - _SUB_BITS - 1) > 0
                    else thousandths
                    for value in values
                ]
            )
        else:
            self._buckets.update(map(_bucket, values))

    def merge(self, other: Distribution) -> None:
        """Count everything that `other` counted."""
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self._buckets.update(other._buckets)

    def percentile(self, percent: float) -> float:
        """The value that `percent` per cent of the numbers do not exceed; NaN if there are none."""
        if not self.count:
            return math.nan
        rank = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= rank:
                return min(max(_middle(bucket), self.minimum), self.maximum)
        return self.maximum

    def stat(self, name: str) -> float:
        """A CloudWatch statistic: Sum, SampleCount, Average, Minimum, Maximum or pNN.N; NaN where there are no numbers.

        Raises:
            ValueError: there is no such statistic.
        """
        if name == "Sum":
            return self.total
        if name == "SampleCount":
            return float(self.count)
        if name == "Average":
            return self.total / self.count if self.count else math.nan
        if name in ("Minimum", "Maximum"):
            return (self.minimum if name == "Minimum" else self.maximum) if self.count else math.nan
        try:
            percent = float(name.removeprefix("p")) if name.startswith("p") else -1.0
        except ValueError:
            percent = -1.0
        if not 0 <= percent <= 100:
            raise ValueError(f"unknown statistic {name!r}: use Sum, SampleCount, Average, Minimum, Maximum, p0 to p100")
        return self.percentile(percent)


def _bucket(value: float) -> int:
    thousandths = 0 if value <= 0 else int(value * _UNIT) if value < _LARGEST / _UNIT else _LARGEST
    shift = thousandths.bit_length() - _SUB_BITS - 1
    return thousandths if shift <= 0 else (shift << _SUB_BITS) + (thousandths >> shift)


def _middle(bucket: int) -> float:
    if bucket < 2 * _SUB:  # one value each
        return bucket / _UNIT
    shift = (bucket >> _SUB_BITS) - 1
    low = (bucket - (shift << _SUB_BITS)) << shift
    return (low + (1 << shift) / 2) / _UNIT
