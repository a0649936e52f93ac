"""Why did it end? A pure function from what was seen to what AWS would say."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import attrs

from lambdalite.model.outcome import Failure

if TYPE_CHECKING:
    from lambdalite.model.function import FunctionConfig

__all__ = ["Death", "Verdict", "exited", "protocol_broken", "timed_out"]

# E, S: the words that AWS's runtime supervisor uses for a signal (Go's syscall.Signal.String)
_SIGNALS = {
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGHUP: "hangup",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "interrupt",
    signal.SIGKILL: "killed",
    signal.SIGPIPE: "broken pipe",
    signal.SIGQUIT: "quit",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGTERM: "terminated",
    signal.SIGTRAP: "trace/breakpoint trap",
    signal.SIGALRM: "alarm clock",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGUSR2: "user defined signal 2",
    signal.SIGSYS: "bad system call",
    signal.SIGXCPU: "CPU time limit exceeded",
    signal.SIGXFSZ: "file size limit exceeded",
}


@attrs.frozen
class Death:
    """What is known of a process that ended.

    Attributes:
        status: the wait status, None if nobody could tell.
        out_of_memory: the guardian (or the kernel's cgroup) killed it for memory.
        enforcer: ``"sampling"`` or ``"cgroup"``.
        closed_channel: it is alive but has closed its channel.
    """

    status: int | None
    out_of_memory: bool = False
    enforcer: str = ""
    closed_channel: bool = False


@attrs.frozen
class Verdict:
    """A failure in AWS's words."""

    failure: Failure
    payload: bytes
    exit_code: int | None = None
    signal: int | None = None
    enforced_by: str = ""


def _document(kind: str, request_id: str, error: str) -> bytes:
    # S: errorType first, compact
    body = {"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {error}"}
    return json.dumps(body, separators=(",", ":")).encode()


def timed_out(config: FunctionConfig, request_id: str) -> Verdict:
    """The deadline passed (S: the form of 2025, with an errorType)."""
    error = f"Task timed out after {config.timeout:.2f} seconds"
    return Verdict(Failure.TIMEOUT, _document("Sandbox.Timedout", request_id, error))


def init_timed_out(config: FunctionConfig, request_id: str) -> Verdict:
    """Init took longer than ``init_timeout``."""
    error = f"Task timed out after {config.init_timeout:.2f} seconds"
    return Verdict(Failure.INIT, _document("Sandbox.Timedout", request_id, error))


def exited(death: Death, request_id: str, *, init: bool = False) -> Verdict:
    """The process ended before it answered."""
    code = signal_number = None
    if death.status is not None and os.WIFSIGNALED(death.status):
        signal_number = os.WTERMSIG(death.status)
    elif death.status is not None and os.WIFEXITED(death.status):
        code = os.WEXITSTATUS(death.status)
    payload = _document("Runtime.ExitError", request_id, _reason(code, signal_number))
    if death.out_of_memory:
        killed = _document("Runtime.ExitError", request_id, "Runtime exited with error: signal: killed")
        return Verdict(Failure.OUT_OF_MEMORY, killed, signal=int(signal.SIGKILL), enforced_by=death.enforcer)
    failure = Failure.INIT if init else Failure.EXITED
    return Verdict(failure, payload, exit_code=code, signal=signal_number)


def _reason(code: int | None, number: int | None) -> str:
    if number is not None:
        try:
            name = _SIGNALS.get(signal.Signals(number), f"signal {number}")
        except ValueError:  # a real-time signal has no name
            name = f"signal {number}"
        return f"Runtime exited with error: signal: {name}"
    if code:
        return f"Runtime exited with error: exit status {code}"
    return "Runtime exited without providing a reason"


def protocol_broken(request_id: str) -> Verdict:
    """The child wrote something that is not a frame: its channel was closed, hijacked or flooded."""
    return Verdict(
        Failure.EXITED, _document("Runtime.ExitError", request_id, "Runtime exited without providing a reason")
    )
