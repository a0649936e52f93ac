"""The lines that AWS writes about an invocation: INIT_START, START, the fault, END and REPORT, as text and as JSON.

Everything here is formatting, done when somebody reads and never while an invocation runs. Sources: SEMANTICS 5 (lines)
and 19 (billed duration). Where our output was cut, a line says so: AWS has no such line, because AWS does not cut.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from lambdalite import limits, names

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Line",
    "Outcome",
    "Report",
    "billed_ms",
    "closing_lines",
    "lines",
    "printable",
    "report",
    "runtime_version",
    "tail",
    "text",
]

_MILLISECOND = 1_000_000  # nanoseconds
_PREFIX = "RequestId: "  # S: how the messages begin that AWS's supervisor, not the handler, wrote
_ERROR_TYPE_LENGTH = 1_000  # O: an errorType is the child's word; one REPORT line must stay one readable line


class Outcome(Protocol):
    """What is read of a `lambdalite.model.outcome.Outcome`; named here because lower layers import no higher ones."""

    request_id: str
    version: Any
    failure: Any
    payload: bytes
    started_at: float
    duration: float
    init_duration: float | None
    max_memory_used: int
    output: bytes
    output_dropped: int
    log_stream: str
    enforced_by: str

    @property
    def cpu(self) -> str:
        """How the CPU share was enforced; ``"off"``: not at all."""
        ...


class Line(NamedTuple):
    """One log event: when (seconds since the epoch) and what, without its newline."""

    at: float
    message: str


class Report(NamedTuple):
    """The facts of AWS's REPORT line, in AWS's units; `str()` is that line.

    Durations are milliseconds, sizes MB (AWS writes MB and means MiB). `status` is ``"success"``, ``"error"`` or
    ``"timeout"``. `cpu` and `enforced_by` are ours and not in the line: how CPU share and memory limit were enforced.
    """

    request_id: str
    duration_ms: float
    billed_duration_ms: int
    memory_size_mb: int
    max_memory_used_mb: int
    init_duration_ms: float | None = None
    status: str = "success"
    error_type: str | None = None
    cpu: str = "off"
    enforced_by: str = ""

    def __str__(self) -> str:
        parts = [
            f"REPORT RequestId: {self.request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {self.billed_duration_ms} ms",
            f"Memory Size: {self.memory_size_mb} MB",
            f"Max Memory Used: {self.max_memory_used_mb} MB",
        ]
        if self.init_duration_ms is not None:
            parts.append(f"Init Duration: {self.init_duration_ms:.2f} ms")
        if self.status != "success":
            parts.append(f"Status: {self.status}")
        if self.error_type:
            parts.append(f"Error Type: {self.error_type}")
        # S: a line about a success ends in a tab, one about a failure does not
        return "\t".join(parts) + ("\t" if self.status == "success" else "")

    def as_dict(self) -> dict[str, Any]:
        """The record of AWS's ``platform.report`` event."""
        metrics: dict[str, Any] = {
            "durationMs": self.duration_ms,
            "billedDurationMs": self.billed_duration_ms,
            "memorySizeMB": self.memory_size_mb,
            "maxMemoryUsedMB": self.max_memory_used_mb,
        }
        if self.init_duration_ms is not None:
            metrics["initDurationMs"] = self.init_duration_ms
        record = {"requestId": self.request_id, "metrics": metrics, "status": self.status}
        return {**record, "errorType": self.error_type} if self.error_type else record

    def as_json(self, at: float) -> str:
        """AWS's ``platform.report`` event, one line, as it was written at `at` (seconds since the epoch)."""
        return _event(at, "platform.report", self.as_dict())


# before the output · init's own report · after the output
_Parts: TypeAlias = tuple[list[Line], list[Line], list[Line]]


def billed_ms(outcome: Outcome) -> int:
    """Billed Duration: init plus invoke, milliseconds, rounded up (D: init is billed since 2025-08-01).

    Counted in whole nanoseconds first, so that 0.1 s + 0.2 s is 300 ms and not 301.
    """
    seconds = outcome.duration if outcome.failure is None else _seconds(outcome)
    return -(-round((seconds + (outcome.init_duration or 0.0)) * 1e9) // _MILLISECOND)


def report(outcome: Outcome) -> Report:
    """The facts of the REPORT line. A timed-out invocation lasted its timeout, however late it was killed."""
    config = outcome.version.config
    seconds = _seconds(outcome)
    kind = _error(outcome)[0]
    status = _status(outcome, kind)
    return Report(
        outcome.request_id,
        round(seconds * 1000, 2),
        billed_ms(outcome),
        config.memory,
        -(-outcome.max_memory_used // limits.MIB),
        None if outcome.init_duration is None else round(outcome.init_duration * 1000, 2),
        status,
        " ".join(kind.split())[:_ERROR_TYPE_LENGTH] or None if status == "error" else None,
        outcome.cpu,
        outcome.enforced_by,
    )


def text(outcome: Outcome) -> str:
    """The whole log of an invocation, a newline after each event."""
    return "".join(f"{line.message}\n" for line in lines(outcome))


def tail(outcome: Outcome) -> bytes:
    """The last 4 KB of the log, as ``LogType=Tail`` answers it (before base64)."""
    return text(outcome).encode("utf-8", "replace")[-limits.LOG_TAIL_BYTES :]


def lines(outcome: Outcome) -> list[Line]:
    """The log events of an invocation, in order.

    When a line was printed is not known: what the handler prints carries the time of START.
    """
    opening, init, closing = _around(outcome)
    printed = [Line(outcome.started_at, line) for line in _printed(outcome)]
    if outcome.failure is not None and outcome.failure.name == "INIT":
        # the handler never ran: all that was printed belongs to init
        return [*opening[:-1], *printed, *init, *opening[-1:], *closing]
    return [*opening, *printed, *closing]


def closing_lines(outcome: Outcome) -> list[Line]:
    """What comes after the handler's output: the fault, END and REPORT."""
    return _around(outcome)[2]


def _around(outcome: Outcome) -> _Parts:
    kind, message = _error(outcome)
    lines_of = _json_lines if _is_json(outcome) else _text_lines
    return lines_of(outcome, report(outcome), kind, message, outcome.started_at + outcome.duration)


def _text_lines(outcome: Outcome, facts: Report, kind: str, message: str, end: float) -> _Parts:
    at, request_id = outcome.started_at, outcome.request_id
    opening: list[Line] = []
    init: list[Line] = []
    closing: list[Line] = []
    if outcome.init_duration is not None:
        version, arn = runtime_version()
        before = at - outcome.init_duration
        opening.append(Line(before, f"INIT_START Runtime Version: {version}\tRuntime Version ARN: {arn}"))
        failed = f"\tError Type: {facts.error_type}" if facts.error_type else ""
        took = f"INIT_REPORT Init Duration: {facts.init_duration_ms:.2f} ms"
        init.append(Line(at, f"{took}\tPhase: init\tStatus: {facts.status}{failed}"))
    opening.append(Line(at, f"START RequestId: {request_id} Version: {outcome.version.number}"))
    if _is_fault(outcome, message):
        fault = message if message.startswith(_PREFIX) else f"{_PREFIX}{request_id} Error: {message}"
        closing.append(Line(end, f"{fault}\n{kind}"))  # E: "RequestId: %s Error: %s\n%s\n"
    closing += [Line(end, f"END RequestId: {request_id}"), Line(end, str(facts))]
    return opening, init, closing


def _json_lines(outcome: Outcome, facts: Report, kind: str, message: str, end: float) -> _Parts:
    at, request_id = outcome.started_at, outcome.request_id
    phase: dict[str, Any] = {"initializationType": "on-demand", "phase": "init"}
    failed: dict[str, Any] = {"errorType": facts.error_type} if facts.error_type else {}
    opening: list[Line] = []
    init: list[Line] = []
    closing: list[Line] = []
    if outcome.init_duration is not None:
        version, arn = runtime_version()
        before = at - outcome.init_duration
        record = {**phase, "runtimeVersion": version, "runtimeVersionArn": arn}
        opening.append(_line(before, "platform.initStart", record))
        record = {**phase, "status": facts.status, **failed, "metrics": {"durationMs": facts.init_duration_ms}}
        init.append(_line(at, "platform.initReport", record))
    opening.append(_line(at, "platform.start", {"requestId": request_id, "version": outcome.version.number}))
    if _is_fault(outcome, message):
        closing.append(_line(end, "platform.fault", f"{message}\n{kind}\n"))
    done: dict[str, Any] = {
        "requestId": request_id,
        "status": facts.status,
        **failed,
        "metrics": {"durationMs": facts.duration_ms},
    }
    closing += [_line(end, "platform.runtimeDone", done), Line(end, facts.as_json(end))]
    return opening, init, closing


def _printed(outcome: Outcome) -> Iterator[str]:
    """What the handler printed, an event for each newline (a carriage return does not end one), and what was cut."""
    if outcome.output:
        yield from outcome.output.decode("utf-8", "replace").removesuffix("\n").split("\n")
    if outcome.output_dropped and _is_json(outcome):
        record = {"reason": "output beyond the bound", "droppedBytes": outcome.output_dropped}
        yield _event(outcome.started_at, "platform.logsDropped", record)
    elif outcome.output_dropped:
        kept, lost = len(outcome.output), outcome.output_dropped
        yield f"[lambdalite] output cut: {kept:,} bytes kept, {lost:,} dropped; print less, or write to a file in /tmp"


def _error(outcome: Outcome) -> tuple[str, str]:
    """(errorType, errorMessage) of the error document; empty if there is none, or none that can be read."""
    if outcome.failure is None:
        return "", ""
    import json

    try:
        found = json.loads(outcome.payload)
    except (ValueError, RecursionError):  # the child's word, and not a document: the log must be readable all the same
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    return str(found.get("errorType") or ""), str(found.get("errorMessage") or "")


def _is_json(outcome: Outcome) -> bool:
    return bool(outcome.version.config.log_format == "JSON")


def _timed_out(outcome: Outcome) -> bool:
    return outcome.failure is not None and outcome.failure.name == "TIMEOUT"


def _seconds(outcome: Outcome) -> float:
    return float(outcome.version.config.timeout if _timed_out(outcome) else outcome.duration)


def _status(outcome: Outcome, kind: str) -> str:
    if outcome.failure is None:
        return "success"
    init_timeout = outcome.failure.name == "INIT" and kind == "Sandbox.Timedout"
    return "timeout" if init_timeout or _timed_out(outcome) else "error"


def _is_fault(outcome: Outcome, message: str) -> bool:
    """True if the supervisor, not the handler's own runtime, has to write the error into the log."""
    if outcome.failure is None:
        return False
    name = outcome.failure.name
    if name == "INIT":  # an import error was printed by the runtime; an exit or a timeout was not
        return message.startswith(_PREFIX)
    return name in ("TIMEOUT", "OUT_OF_MEMORY", "EXITED", "RESPONSE_TOO_LARGE")


def _line(at: float, kind: str, record: object) -> Line:
    return Line(at, _event(at, kind, record))


def _event(at: float, kind: str, record: object) -> str:
    import json

    return json.dumps({"time": names.timestamp(at), "type": kind, "record": record}, separators=(",", ":"))


def runtime_version() -> tuple[str, str]:
    """AWS's words for this interpreter: ``python:3.11.v7`` and an ARN whose hash is that text's SHA-256."""
    import hashlib

    major, minor, micro = sys.version_info[:3]
    version = f"python:{major}.{minor}.v{micro}"
    return version, f"arn:aws:lambda:{names.REGION}::runtime:{hashlib.sha256(version.encode()).hexdigest()}"


def printable(text: str) -> str:
    """Text that can do nothing to a terminal: no escape sequences, no control characters but newline and tab.

    A carriage return becomes a newline: AWS's error lines use it between the lines of a traceback.
    """
    import re

    # OSC and other strings up to their terminator, or to the end of the line lest one hides the rest of the log;
    # then CSI, two-character escapes, and single control characters
    sequences = r"\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
    clean = re.sub(sequences, "", text).replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", clean)
