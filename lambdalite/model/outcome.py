"""What came of an invocation: a value, never an exception, until somebody asks for the answer."""

from __future__ import annotations

import enum
import json
import signal as signals
from typing import TYPE_CHECKING, Any

import attrs

from lambdalite import errors
from lambdalite.observe import lines

if TYPE_CHECKING:
    from lambdalite.model.function import Version
    from lambdalite.observe.lines import Report

__all__ = ["Failure", "Outcome"]


class Failure(enum.Enum):
    """Why an invocation has no answer."""

    HANDLER = "the handler raised"
    TIMEOUT = "the deadline passed"
    OUT_OF_MEMORY = "the environment used more memory than configured"
    EXITED = "the process under the environment ended"
    INIT = "the function never became ready"
    RESPONSE_TOO_LARGE = "the answer is larger than 6,291,556 bytes"
    NOT_SERIALIZABLE = "the answer cannot be written as JSON"


_decode = json.JSONDecoder().decode  # `json.loads` guesses the encoding first
_ERRORS = {
    Failure.HANDLER: errors.HandlerError,
    Failure.TIMEOUT: errors.FunctionTimeout,
    Failure.OUT_OF_MEMORY: errors.OutOfMemory,
    Failure.EXITED: errors.EnvironmentExited,
    Failure.INIT: errors.InitError,
    Failure.RESPONSE_TOO_LARGE: errors.ResponseTooLarge,
    Failure.NOT_SERIALIZABLE: errors.ResponseNotSerializable,
}


@attrs.define(eq=False)
class Outcome:
    """The result of one invocation; made once, on the hot path, so everything that can wait is a property.

    Durations are seconds and sizes bytes; `report` has AWS's units.
    """

    #: The invocation's id.
    request_id: str
    #: The version that ran.
    version: Version
    #: Why there is no answer; None if there is one.
    failure: Failure | None
    #: The answer's JSON, or AWS's error document, exactly as AWS's Invoke would have returned it.
    payload: bytes
    #: When it began, seconds since the epoch.
    started_at: float
    #: How long the invoke phase took, seconds.
    duration: float
    #: How long the init phase took, seconds, if this invocation had to wait for one.
    init_duration: float | None = None
    #: The most memory seen in use by the environment's processes, bytes.
    max_memory_used: int = 0
    #: What the handler printed, up to the bound.
    output: bytes = b""
    #: Bytes printed beyond the bound and dropped.
    output_dropped: int = 0
    #: The log stream, one for each environment.
    log_stream: str = ""
    #: Which environment ran it: unique per App.
    environment_id: str = ""
    #: The process's exit status, if it exited.
    exit_code: int | None = None
    #: The signal that ended the process, if one did.
    signal: int | None = None
    #: What enforced the memory limit: ``"sampling"``, ``"cgroup"``, or "" if nothing had to.
    enforced_by: str = ""
    #: The handler's traceback as Python prints it, for humans.
    traceback: str = ""
    #: Notes for the reader of the report: why init could not be shared, what was not enforced.
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True if there is an answer."""
        return self.failure is None

    @property
    def value(self) -> Any:
        """The answer, decoded from JSON anew each time.

        Raises:
            FunctionError: the function failed; the subclass says how.
            UsageError: the handler answered bytes that are not JSON; read `payload`.
        """
        if self.failure is not None:
            raise _ERRORS[self.failure](self)
        try:
            return _decode(str(self.payload, "utf-8"))
        except ValueError as error:
            text = f"{self.version.name} answered {len(self.payload)} bytes that are not JSON: read .payload instead"
            raise errors.UsageError(text) from error

    @property
    def error(self) -> errors.FunctionError | None:
        """The exception that `value` would raise, or None."""
        return None if self.failure is None else _ERRORS[self.failure](self)

    @property
    def document(self) -> dict[str, Any]:
        """AWS's error document (errorMessage, errorType, …); empty if there is an answer."""
        if self.failure is None:
            return {}
        found = json.loads(self.payload)
        return found if isinstance(found, dict) else {}

    @property
    def error_type(self) -> str:
        """AWS's errorType, or ""."""
        return str(self.document.get("errorType", ""))

    @property
    def error_message(self) -> str:
        """AWS's errorMessage, or ""."""
        return str(self.document.get("errorMessage", ""))

    @property
    def stack_trace(self) -> tuple[str, ...]:
        """The handler's own frames, as AWS prints them."""
        return tuple(str(line) for line in self.document.get("stackTrace") or ())

    @property
    def memory_limit(self) -> int:
        """The configured memory, bytes."""
        return self.version.config.memory_bytes

    @property
    def cpu(self) -> str:
        """``"aws"`` if the CPU share was enforced, ``"off"`` if it ran at full speed."""
        return self.version.config.cpu

    @property
    def cold(self) -> bool:
        """True if this invocation had to wait for an environment to initialise."""
        return self.init_duration is not None

    @property
    def report(self) -> Report:
        """The facts of AWS's REPORT line."""
        return lines.report(self)

    @property
    def log(self) -> str:
        """START, what the handler printed, END and REPORT, as CloudWatch Logs would show them."""
        return lines.text(self)

    def explain(self) -> str:
        """One paragraph for the person who has to fix it; the handler's traceback follows where there is one."""
        if self.failure is None:
            return f"{self.version.name} answered {len(self.payload)} bytes"
        head = f"{self.version.name} failed: {self.error_type}: {self.error_message}{self._advice()}"
        return f"{head}\n\n{self.traceback.rstrip()}" if self.traceback else head

    def _advice(self) -> str:
        mib = 1024 * 1024
        if self.failure is Failure.OUT_OF_MEMORY:
            return (
                f" (out of memory: limit {self.memory_limit / mib:.0f} MiB, peak {self.max_memory_used / mib:.0f} MiB, "
                f"enforced by {self.enforced_by}; raise memory= if the function needs more)"
            )
        if self.failure is Failure.EXITED and self.signal == signals.SIGKILL:
            return " (something outside lambdalite, or the handler itself, sent SIGKILL)"
        if self.failure is Failure.EXITED and self.signal == signals.SIGSEGV:
            return " (a native extension crashed, or a stack overflowed)"
        if self.failure is Failure.TIMEOUT:
            return f" (timeout={self.version.config.timeout:g} s; raise it if the function needs longer)"
        return ""

    def __repr__(self) -> str:
        what = "ok" if self.failure is None else self.error_type
        return f"<Outcome {self.version.name} {what} {self.duration * 1000:.2f} ms {self.request_id}>"
