"""Logs: what CloudWatch Logs would keep, in memory, up to a bound that says what it dropped; and the live tail.

Keeping an outcome is one append; lines are made when somebody reads them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lambdalite import limits, names
from lambdalite.observe import lines
from lambdalite.observe.events import Listeners
from lambdalite.observe.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lambdalite.observe.lines import Outcome

__all__ = ["LogEvent", "LogStatistics", "LogStore"]

LIMIT_BYTES = 64 * limits.MIB  # O: of all logs of one App together
RECORD_BYTES = 1_024  # O: more than an Outcome takes without output and payload, its strings and floats included
_SLACK = 16  # when full, a sixteenth is freed at once, so that finding the largest group is rare


class Named(Protocol):
    """A function, as far as logs care."""

    @property
    def name(self) -> str:
        """The function's name."""
        ...


class LogEvent(NamedTuple):
    """One event of a log stream: milliseconds since the epoch, the message without its newline, where, and whose."""

    timestamp_ms: int
    message: str
    stream: str
    request_id: str


class LogStatistics(NamedTuple):
    """What is kept and what had to go, whole invocations and the bytes accounted for them."""

    kept: int
    kept_bytes: int
    dropped: int
    dropped_bytes: int


class _Group:
    """The invocations of one function, oldest first; owned by the intake's lock."""

    __slots__ = ("bytes", "dropped", "dropped_bytes", "outcomes")

    def __init__(self) -> None:
        self.outcomes: deque[Outcome] = deque()
        self.bytes = 0
        self.dropped = 0
        self.dropped_bytes = 0


class LogStore:
    """The logs of an App; `logs(function)` is one function's text.

    When full, the function with the most bytes loses its oldest invocations: a chatty one silences no other. Wherever a
    group is asked for, a function, its name and its log group will do; an unknown one has no logs.

    Args:
        limit_bytes: bound of everything kept.
        intake: where outcomes arrive; by default its own.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES, intake: Intake | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.followers = Listeners()
        self._groups: dict[str, _Group] = {}  # owned by the intake's lock, as are the groups
        self._bytes = 0
        self._streaming: set[str] = set()  # streams whose output followers saw live; set operations are atomic
        self._intake = Intake() if intake is None else intake
        self._intake.feed(self._take)

    def append(self, outcome: Outcome) -> None:
        """Keep an outcome's log."""
        self._intake.put(outcome)

    def _take(self, version: Any, outcomes: list[Outcome]) -> None:
        group = self._groups.setdefault(version.name, _Group())
        size = RECORD_BYTES * len(outcomes) + sum([len(each.output) + len(each.payload) for each in outcomes])
        group.outcomes += outcomes
        group.bytes += size
        self._bytes += size
        if self._bytes > self.limit_bytes:
            self._evict()

    def _evict(self) -> None:
        low = self.limit_bytes - self.limit_bytes // _SLACK
        while self._bytes > low:
            group = max(self._groups.values(), key=lambda group: group.bytes)
            floor = group.bytes - max(group.bytes // _SLACK, 1)
            while group.outcomes and group.bytes > floor and self._bytes > low:
                outcome = group.outcomes.popleft()
                size = RECORD_BYTES + len(outcome.output) + len(outcome.payload)
                group.bytes -= size
                group.dropped += 1
                group.dropped_bytes += size
                self._bytes -= size

    def groups(self) -> list[str]:
        """Names of the log groups, ``/aws/lambda/<function>``, sorted."""
        with self._intake:
            return sorted(names.log_group(name) for name in self._groups)

    def streams(self, group: Named | str) -> list[str]:
        """Names of a group's log streams, one for each environment, in the order of their first kept invocation."""
        return list(dict.fromkeys(outcome.log_stream for outcome in self.outcomes(group)))

    def outcomes(self, group: Named | str) -> list[Outcome]:
        """What is kept of a function, in the order of completion; answers of over 4 KB are left out."""
        with self._intake:
            found = self._groups.get(_name(group))
            return list(found.outcomes) if found else []

    def events(
        self,
        group: Named | str,
        stream: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        contains: str | None = None,
    ) -> list[LogEvent]:
        """The events of a function's log, sorted by time; those of one invocation stay in order.

        Args:
            group: which function.
            stream: only this log stream.
            since: only events at this time or later, seconds since the epoch.
            until: only events before this time, seconds since the epoch.
            contains: only events whose message contains this text.
        """
        found = [
            LogEvent(int(line.at * 1000), line.message, outcome.log_stream, outcome.request_id)
            for outcome in self.outcomes(group)
            if stream is None or outcome.log_stream == stream
            for line in lines.lines(outcome)
            if (since is None or line.at >= since)
            and (until is None or line.at < until)
            and (contains is None or contains in line.message)
        ]
        return sorted(found, key=lambda event: event.timestamp_ms)

    def text(self, group: Named | str) -> str:
        """The whole log of a function, invocation after invocation; what was dropped is said in its first line."""
        text = "".join(lines.text(outcome) for outcome in self.outcomes(group))
        dropped = self.statistics(group).dropped
        if not dropped:
            return text
        bound = f"the store is bounded to {self.limit_bytes:,} bytes"
        return f"[lambdalite] logs of {dropped:,} earlier invocations dropped: {bound}\n{text}"

    def __call__(self, function: Named | str) -> str:
        """The whole log of a function, as `text`."""
        return self.text(function)

    def statistics(self, group: Named | str | None = None) -> LogStatistics:
        """What is kept and dropped, of one function or of all."""
        with self._intake:
            if group is None:
                chosen = list(self._groups.values())
            else:
                one = self._groups.get(_name(group))
                chosen = [one] if one else []
            return LogStatistics(
                sum(len(group.outcomes) for group in chosen),
                sum(group.bytes for group in chosen),
                sum(group.dropped for group in chosen),
                sum(group.dropped_bytes for group in chosen),
            )

    def clear(self) -> None:
        """Forget everything, the dropped counters too."""
        with self._intake:
            self._groups.clear()
            self._bytes = 0

    def follow(self, callback: Callable[[bytes, str, str], object]) -> Callable[[], None]:
        """Call `callback(chunk, function, stream)` with log bytes as they come; the answer, called, ends that.

        Chunks are whole or partial lines. A callback that raises is treated as an observer that raises.
        """
        return self.followers.add(callback)

    def live(self, chunk: bytes, function: str, stream: str) -> None:
        """Pass on what a handler prints while it runs; costs one test when nobody follows."""
        if self.followers.active:
            self._streaming.add(stream)
            self.followers.tell(chunk, function, stream)

    def finish(self, outcome: Outcome) -> None:
        """Pass on the log of an invocation that ended: all of it, or its last lines if `live` passed on the output."""
        seen = outcome.log_stream in self._streaming
        self._streaming.discard(outcome.log_stream)
        found = [line.message for line in (lines.closing_lines if seen else lines.lines)(outcome)]
        gap = b"\n" if seen and outcome.output and not outcome.output.endswith(b"\n") else b""
        chunk = gap + "".join(f"{message}\n" for message in found).encode("utf-8", "replace")
        self.followers.tell(chunk, outcome.version.name, outcome.log_stream)


def _name(group: Named | str) -> str:
    return (group if isinstance(group, str) else group.name).removeprefix(names.log_group(""))
