"""The `inline` tier: the handler runs in the caller's thread, for a debugger. Enforces nothing, and says so.

It answers to the same calls as `Environment`, so the walk is the same: the event is a fresh JSON round trip, the answer
goes through the same marshaller, faults become the same documents. No timeout, no memory limit, no sandbox, output goes
to the terminal, and module globals are the host's own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from lambdalite import limits, names
from lambdalite.clock import monotonic, wall
from lambdalite.errors import InvalidRequestContent
from lambdalite.model.outcome import Failure, Outcome
from lambdalite.runtime import client, context, faults, handler, line, marshal
from lambdalite.workers.diagnose import Verdict
from lambdalite.workers.lifecycle import Event, Phase, step
from lambdalite.workers.waiting import block

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.model.function import Version
    from lambdalite.model.invocation import Invocation
    from lambdalite.workers.waiting import Plan

__all__ = ["InlineEnvironment", "InlineTemplate"]

_NOTE = "inline: runs in the caller's thread; timeout, memory, /tmp and isolation are not enforced"


class InlineTemplate:
    """Stands where a template stands; there is no process."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.notes = (_NOTE,)
        self.applied: dict[str, Any] | None = None
        self.snapshot = False

    def environment(self, *, provisioned: bool = False) -> InlineEnvironment:
        """A new pretended environment."""
        del provisioned  # nothing to prepare
        return InlineEnvironment(self)

    def close(self) -> None:
        """Nothing to let go."""

    def abandon(self) -> None:
        """Nothing to let go."""


class _Desk:
    """Where a handler asks its App: its thread waits, as it would in an environment."""

    def __init__(self, invocation: Invocation) -> None:
        self.invocation: Invocation | None = invocation

    def call(self, meta: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """What the gateway says.

        Raises:
            Refused: the handler has answered already, or nobody serves it.
        """
        invocation = self.invocation
        if invocation is None or invocation.gateway is None:
            raise line.Refused("no invocation is running: call from inside the handler, before it has answered")
        return block(invocation.gateway.serve(invocation, meta, payload))


class InlineEnvironment:
    """One call in the caller's thread."""

    def __init__(self, template: InlineTemplate) -> None:
        self.template, self.version = template, template.version
        self.phase = Phase.STARTING
        self.failed: Verdict | None = None
        self.init_seconds: float | None = None
        self.idle_since = 0.0
        self.trace = ""
        self.stream = names.log_stream(self.version.number, wall())
        self.id = f"inline.{os.getpid()}"
        self._handler: Any = None

    def start(self) -> Plan[Verdict | None]:
        """Find the handler; importing a handler string may fail as in any environment."""
        began = monotonic()
        given = self.version.handler
        try:
            self._handler = given
            if isinstance(given, str):
                code = {"kind": "string", "handler": given, "root": self.version.root or os.getcwd()}
                self._handler = handler.load(code, b"")
        except faults.Fault as fault:
            self.trace = fault.trace
            self.failed = Verdict(Failure.INIT, faults.payload(fault, ""))
            return self.failed
        self.init_seconds = monotonic() - began
        self.phase = step(self.phase, Event.READY)
        return None
        yield  # a plan that never waits

    def run(self, invocation: Invocation, meanwhile: Callable[[], None] | None) -> Plan[Outcome | None]:
        """Call the handler here and now; exceptions that are not `Exception` pass through to the caller."""
        del meanwhile  # nothing is started ahead
        self.phase = step(self.phase, Event.INVOKE)
        started_at, began = wall(), monotonic()
        failure, trace = None, ""
        try:
            payload = self._call(invocation, started_at)
        except faults.Fault as fault:
            if fault.request_error:
                raise InvalidRequestContent(fault.message) from fault
            failure = Failure.NOT_SERIALIZABLE if fault.type == "Runtime.MarshalError" else Failure.HANDLER
            payload, trace = faults.payload(fault, invocation.request_id), fault.trace
        finally:
            self.phase = step(self.phase, Event.ANSWERED)
        if failure is None and len(payload) > limits.RESPONSE_BYTES:
            failure, payload = Failure.RESPONSE_TOO_LARGE, faults.RESPONSE_TOO_LARGE
        outcome = Outcome(invocation.request_id, self.version, failure, payload, started_at, monotonic() - began)
        outcome.traceback, outcome.log_stream, outcome.environment_id = trace, self.stream, self.id
        return outcome
        yield  # a plan that never waits

    def _call(self, invocation: Invocation, started_at: float) -> bytes:
        config = self.version.config
        meta: dict[str, Any] = {
            "id": invocation.request_id,
            "deadline_ms": int((started_at + config.timeout) * 1000),
            "arn": invocation.arn,
            "client": invocation.client_context,
            "identity": invocation.identity,
            "tenant": invocation.tenant_id,
        }
        settings = {
            "name": config.name,
            "version": self.version.number,
            "memory": config.memory,
            "log_group": names.log_group(config.name),
            "log_stream": self.stream,
            "log_format": config.log_format,
            "log_level": config.log_level,
        }
        event, told = marshal.decode(invocation.payload), context.build(meta, settings)
        desk = _Desk(invocation)
        before = client.inline.set(desk.call)
        try:
            answer = handler.call(self._handler, event, told)
        finally:
            client.inline.reset(before)
            desk.invocation = None
        return marshal.encode(answer)

    @property
    def usable(self) -> bool:
        """May it take another invocation?"""
        return self.phase is Phase.IDLE

    def follow(self, live: Callable[[bytes, str, str], None]) -> None:
        """Output goes to the terminal by itself."""

    def take_output(self) -> tuple[bytes, int]:
        """Output went to the terminal."""
        return b"", 0

    def peak(self) -> int:
        """Nothing measures it."""
        return 0

    def end_now(self) -> None:
        """The exception that ended it has left the handler already."""

    def abandon(self) -> None:
        """Nothing to let go."""

    def close(self) -> None:
        """Nothing to let go."""
        self.phase = Phase.DEAD
