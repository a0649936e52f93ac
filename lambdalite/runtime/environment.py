"""An environment, seen from inside: take an event, call the handler, answer; once, or for as long as the host wishes.

What the user's code can do to us here only hurts itself: the host measures time and memory from outside, and reads
nothing but frames.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
from resource import RUSAGE_SELF, getrusage
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lambdalite.runtime import context, faults, frames, handler, line, logs, marshal, private, sandbox, snapshot
from lambdalite.runtime.faults import Fault

if TYPE_CHECKING:
    import socket

    from lambdalite.runtime.estate import Testament
    from lambdalite.runtime.template import Template

__all__ = ["adopt", "init_fault", "no_place", "sandbox_refusal", "save_coverage", "serve", "take_output"]

RESPONSE_BYTES = 6 * 1024 * 1024 + 100  # AWS's limit, checked here first and by the host again
TRACE_CHARACTERS = 256 * 1024
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # without `json.loads`' guess of the encoding and its two searches for blanks


def adopt(spec: dict[str, Any]) -> int:
    """Make the template's process the function's: environment variables, path, directory, streams.

    Returns a descriptor of what will be printed during init.
    """
    os.environ.clear()
    os.environ.update(spec["environment"])
    time.tzset()  # TZ is ours now, not the host's
    sys.path[:] = spec["path"]
    sys.argv[:] = [""]
    try:
        os.chdir(spec["directory"])
    except OSError as error:
        sys.stderr.write(f"lambdalite: cannot enter {spec['directory']}: {error}\n")
    output = os.memfd_create("init", 0) if hasattr(os, "memfd_create") else _temporary()
    os.dup2(output, 1)
    os.dup2(output, 2)
    for stream in (sys.stdout, sys.stderr):
        # Written at every line, so that a crash loses at most the line it was in.
        stream.reconfigure(  # type: ignore[union-attr]
            line_buffering=True, encoding="utf-8", errors="backslashreplace"
        )
    return output


def _temporary() -> int:
    import tempfile

    fd, path = tempfile.mkstemp()
    os.unlink(path)
    return fd


def take_output(fd: int, limit: int) -> bytes:
    """The first ``limit`` bytes of what init printed."""
    return os.pread(fd, limit, 0)


def init_fault(fault: Fault, story: dict[str, Any]) -> bytes:
    """The frame of an init that failed."""
    meta = {"phase": "init", "trace": fault.trace[-TRACE_CHARACTERS:], "line": logs_line(fault, ""), **story}
    return frames.encode(frames.FAULT, json.dumps(meta).encode(), faults.payload(fault, ""))


def sandbox_refusal(error: sandbox.SandboxUnavailable) -> bytes:
    """The frame of a tier that this machine does not permit."""
    meta = {"phase": "sandbox", "missing": list(error.missing), "hint": error.hint}
    return frames.encode(frames.FAULT, json.dumps(meta).encode())


def no_place(error: private.Unusable) -> bytes:
    """The frame of a machine on which an environment finds no place."""
    return frames.encode(frames.FAULT, json.dumps({"phase": "fork", "reason": str(error)}).encode())


def logs_line(fault: Fault, request_id: str) -> str:
    """The log line of a fault, in the function's log format."""
    return logs.fault_line(fault, request_id, os.environ.get("AWS_LAMBDA_LOG_FORMAT", "Text"))[:TRACE_CHARACTERS]


def save_coverage() -> None:
    """Write coverage's data before `os._exit` drops it, when the host measures coverage."""
    coverage = sys.modules.get("coverage")
    current = coverage.Coverage.current() if coverage is not None else None
    if current is not None:
        current.stop()
        current.save()


def serve(
    template: Template,
    channel: socket.socket,
    log_fd: int,
    body: dict[str, Any],
    story: dict[str, Any],
    began: float,
    testament: Testament,
) -> int:
    """Become an environment: enter the sandbox, init if the template has not, and answer until the channel closes.

    Returns the exit status.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    os.close(log_fd)
    os.environ.update(body["environment"])
    try:
        applied = sandbox.enter_environment(template.plan)
    except sandbox.SandboxUnavailable as error:
        channel.sendall(sandbox_refusal(error))
        return 1
    except private.Unusable as error:
        channel.sendall(no_place(error))
        return 1
    testament.enter()
    os.register_at_fork(after_in_child=channel.close)  # a forked child of the handler's must not hold the channel
    gc.enable()  # what the template froze stays frozen: the collector must not write into shared pages
    snapshot.reseed()
    user = template.handler
    try:
        if template.spec["snapshot"]:
            snapshot.after_restore()
        else:
            user = handler.load(template.spec["code"], template.blob)
    except Fault as fault:
        flush_output()
        story = {**story, "init": perf_counter() - began}
        channel.sendall(init_fault(fault, story))
        return fault.exit_status or 1
    flush_output()
    story = {"init": 0.0, **story}
    ready = {"pid": os.getpid(), "applied": applied, **story, "init": story["init"] + perf_counter() - began}
    channel.sendall(frames.encode(frames.READY, json.dumps(ready).encode()))
    rehearse(template.spec["config"])
    Server(template.spec, channel, user, body).run()
    testament.revoke()
    return 0


def flush_output() -> None:
    """Send what the handler printed before the answer goes out, so that it belongs to this invocation."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            # The handler closed or replaced the stream: its own choice, and not ours to report.
            continue


def rehearse(config: dict[str, Any]) -> None:
    """Walk our own path once without the user's handler.

    A fork shares its parent's pages until it touches them; touching those of this path now, while nobody waits, takes
    their copies out of the first invocation.
    """
    event = marshal.decode(b'{"version": "2.0", "headers": {"a": "b"}, "list": [1, 2.5, null, true]}')
    context.build({"id": "00000000-0000-0000-0000-000000000000", "deadline_ms": 0, "arn": ""}, config)
    frames.encode(frames.ANSWER, b"{}", marshal.encode(event))
    getrusage(RUSAGE_SELF)


class Server:
    """The loop of an environment."""

    def __init__(self, spec: dict[str, Any], channel: socket.socket, user: Any, body: dict[str, Any]) -> None:
        self.channel, self.user = channel, user
        line.current = self.line = line.Line(channel)
        self.once = not spec["reuse"]
        self.traced = False  # the variable of the trace is there
        self.config = {**spec["config"], "log_stream": body["log_stream"]}

    def run(self) -> None:
        """Answer invocations until the host closes the channel."""
        while True:
            try:
                frame = frames.read_frame(self.channel)
            except (frames.EndOfStream, ConnectionError):
                return
            self.channel.sendall(self.answer(frame))
            if self.once:
                return

    def answer(self, frame: frames.Frame) -> bytes:
        """Run one invocation; the reply's frame."""
        meta = _scan(str(frame.meta, "utf-8"), 0)[0]
        try:
            result = self.call(meta, frame.payload, frame.number)
        except Fault as fault:
            return self.fault(fault, meta["id"], frame.number)
        flush_output()
        usage = getrusage(RUSAGE_SELF).ru_maxrss
        if len(result) > RESPONSE_BYTES:
            told = {"maxrss": usage, "phase": "response"}
            return frames.encode(frames.FAULT, json.dumps(told).encode(), faults.RESPONSE_TOO_LARGE, frame.number)
        return frames.encode(frames.ANSWER, b"%d" % usage, result, frame.number)

    def call(self, meta: dict[str, Any], payload: bytes, number: int) -> bytes:
        """Event in, answer out; meanwhile the handler may ask the host for more.

        Raises:
            Fault: anything that AWS's runtime would report.
        """
        if "trace" in meta:
            os.environ["_X_AMZN_TRACE_ID"] = meta["trace"]
            self.traced = True
        elif self.traced:  # R: as AWS's runtime does; what is sent on by hand must not carry another event's trace
            os.environ.pop("_X_AMZN_TRACE_ID", None)
            self.traced = False
        logs.begin(meta["id"], meta.get("tenant"))
        event, told = marshal.decode(payload), context.build(meta, self.config)
        self.line.open(number)
        try:
            answer = handler.call(self.user, event, told)
        finally:
            self.line.close()
        return marshal.encode(answer)

    def fault(self, fault: Fault, request_id: str, number: int) -> bytes:
        """A FAULT frame; the log line is printed here, as AWS's runtime does."""
        phase = "marshal" if fault.type == "Runtime.MarshalError" else "handler"
        if fault.request_error:
            phase = "request"
        else:
            sys.stdout.write(logs_line(fault, request_id))
        flush_output()
        usage = getrusage(RUSAGE_SELF).ru_maxrss
        told = {"maxrss": usage, "phase": phase, "trace": fault.trace[-TRACE_CHARACTERS:]}
        return frames.encode(frames.FAULT, json.dumps(told).encode(), faults.payload(fault, request_id), number)
