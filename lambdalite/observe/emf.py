"""The embedded metric format: lines of JSON that a handler prints and CloudWatch turns into metrics.

A line counts if it has ``"_aws"`` with ``CloudWatchMetrics``; it is parsed when somebody asks, or when 8 MiB wait.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lambdalite import limits
from lambdalite.observe.distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Embedded"]

WAITING_BYTES = 8 * limits.MIB  # O: output that may wait unparsed
SERIES = 10_000  # O: combinations of namespace, metric and dimensions that are kept; further values count as dropped
VALUES = 100  # D: numbers in one value's array
METRICS = 100  # D: metric definitions in one directive
DIMENSIONS = 30  # D: dimensions in one set

# (namespace, metric, sorted dimensions, function); dimensions None: each value once, however many dimension sets it had
_Key = tuple[str, str, tuple[tuple[str, str], ...] | None, str]
_Datum = tuple[_Key, str, list[tuple[float, int]]]


class Embedded:
    """Metrics printed by handlers. Not locked: its owner is."""

    __slots__ = ("_series", "_units", "_waiting", "_waiting_bytes", "dropped", "malformed")

    def __init__(self) -> None:
        self.malformed = 0
        self.dropped = 0
        self._waiting: list[tuple[str, bytes]] = []
        self._waiting_bytes = 0
        self._series: dict[_Key, Distribution] = {}
        self._units: dict[_Key, str] = {}

    def keep(self, function: str, output: bytes) -> None:
        """Remember output that has such lines."""
        self._waiting.append((function, output))
        self._waiting_bytes += len(output)
        if self._waiting_bytes > WAITING_BYTES:
            self.settled()

    def settled(self) -> Embedded:
        """Itself, once everything that waited is parsed."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for function, output in waiting:
            for line in output.split(b"\n"):
                if b'"_aws"' in line and b"CloudWatchMetrics" in line:
                    self._parse(function, line)
        return self

    def _parse(self, function: str, line: bytes) -> None:
        import json

        try:
            found = list(_data(function, json.loads(line)))
        except (ValueError, TypeError, KeyError, RecursionError, AttributeError, OverflowError):
            # a handler's own print, of any shape whatever: it is counted, the whole line or nothing
            self.malformed += 1
            return
        for datum in found:
            self._count(*datum)

    def _count(self, key: _Key, unit: str, values: list[tuple[float, int]]) -> None:
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= SERIES:
                self.dropped += sum(times for _, times in values)
                return
            series = self._series[key] = Distribution()
            self._units[key] = unit
        for value, times in values:
            series.add(value, times)

    def distribution(
        self, namespace: str, name: str, dimensions: Mapping[str, str] | None, function: str | None
    ) -> Distribution:
        """The numbers of one metric: under exactly these dimensions, or each of them once."""
        self.settled()
        wanted = None if dimensions is None else tuple(sorted(dimensions.items()))
        found = Distribution()
        for key, series in self._series.items():
            if key[:3] == (namespace, name, wanted) and function in (None, key[3]):
                found.merge(series)
        return found

    def all(self) -> Iterator[tuple[str, str, dict[str, str], str, Distribution]]:
        """(namespace, metric, dimensions, unit, numbers) of each, as it was printed."""
        self.settled()
        merged: dict[tuple[str, str, tuple[tuple[str, str], ...]], tuple[str, Distribution]] = {}
        for key, series in self._series.items():
            if key[2] is not None:
                unit, found = merged.setdefault((*key[:2], key[2]), (self._units[key], Distribution()))
                found.merge(series)
        for (namespace, name, dimensions), (unit, found) in sorted(merged.items(), key=lambda item: item[0]):
            yield namespace, name, dict(dimensions), unit, found


def _data(function: str, root: dict[str, Any]) -> Iterator[_Datum]:
    """What one line says; raises one of several exceptions if it is not of the format."""
    for directive in root["_aws"]["CloudWatchMetrics"]:
        namespace = _text(directive["Namespace"])
        sets = [_dimension_set(root, names) for names in directive["Dimensions"]] or [()]
        metrics = directive["Metrics"]
        if len(metrics) > METRICS:
            raise ValueError("too many metrics")
        for metric in metrics:
            name, unit = _text(metric["Name"]), _text(metric.get("Unit", "None"))
            values = _values(root[name])
            yield (namespace, name, None, function), unit, values
            for dimensions in dict.fromkeys(sets):
                yield (namespace, name, dimensions, function), unit, values


def _dimension_set(root: dict[str, Any], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    found = tuple(sorted((_text(name), _text(root[name])) for name in names))
    if len(found) > DIMENSIONS:
        raise ValueError("too many dimensions")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a text")
    return value


def _values(value: Any) -> list[tuple[float, int]]:
    """A metric's (number, how many times)."""
    if isinstance(value, dict):
        numbers, counts = value["Values"], value["Counts"]
        if len(numbers) != len(counts):
            raise ValueError("as many counts as values")
        pairs = list(zip(numbers, counts, strict=True))
    else:
        pairs = [(number, 1) for number in (value if isinstance(value, list) else [value])]
    if len(pairs) > VALUES:
        raise ValueError("too many values")
    return [(_number(number), _count(times)) for number, times in pairs]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TypeError("not a count")
    return value
