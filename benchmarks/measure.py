"""Measuring: interleaved rounds, medians, and peers that may be missing."""

import statistics
import sys
from time import perf_counter_ns


def latencies(calls, *, rounds, count):
    """{name: sorted nanoseconds} of each call, the calls taking turns so that the machine's mood hits all alike."""
    found = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            samples = found[name]
            for _ in range(count):
                began = perf_counter_ns()
                call()
                samples.append(perf_counter_ns() - began)
    return {name: sorted(samples) for name, samples in found.items()}


def p(samples, percent):
    return samples[min(len(samples) * percent // 100, len(samples) - 1)]


def median(call, *, rounds):
    return statistics.median(call() for _ in range(rounds))


def optional(name, make):
    """A peer, or None with a remark if it is not installed."""
    try:
        return make()
    except ImportError as error:
        print(f"  ({name} is not installed: {error.name})", file=sys.stderr)
        return None


class Table:
    """Rows of: what, ours, theirs, ratio, goal."""

    def __init__(self):
        self.rows = []

    def add(self, what, ours, peer, theirs, unit, goal=None, *, more_is_better=False):
        ratio = ours / theirs if theirs else float("nan")
        met = "" if goal is None else "yes" if (ratio >= goal if more_is_better else ratio <= goal) else "NO"
        sign = ">=" if more_is_better else "<="
        self.rows.append(
            (
                what,
                f"{ours:,.4g} {unit}",
                peer,
                f"{theirs:,.4g} {unit}",
                f"{ratio:.2f}",
                "" if goal is None else f"{sign} {goal}",
                met,
            )
        )
        wanted = "" if goal is None else f"(goal {sign} {goal}: {met})"
        line = f"  {what}: {ours:,.4g} {unit}, {peer} {theirs:,.4g} {unit}: ratio {ratio:.2f} {wanted}"
        print(line, file=sys.stderr)

    def fact(self, what, value, goal=None, met=None):
        self.rows.append((what, value, "", "", "", goal or "", "" if met is None else "yes" if met else "NO"))
        print(f"  {what}: {value} {f'(goal {goal})' if goal else ''}", file=sys.stderr)

    def markdown(self):
        head = ("what", "lambdalite", "peer", "peer's", "ratio", "goal", "met")
        lines = [" | ".join(head), " | ".join(["---"] * len(head))]
        return "\n".join(f"| {line} |" for line in [*lines, *(" | ".join(row) for row in self.rows)])
