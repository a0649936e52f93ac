"""An execution environment seen from the host: start it, run one invocation at a time in it, end it.

`start` and `run` are plans: they only ever wait for the environment's descriptors until a deadline. What comes of an
invocation is an Outcome; the only exceptions that leave here are those that arrive from outside (cancellation, Ctrl-C),
and `ServiceError` where the service, not the function, is at fault.
"""

from __future__ import annotations

import base64
import json
import os
import signal
from typing import TYPE_CHECKING, Any

from lambdalite import limits
from lambdalite.clock import monotonic, wall
from lambdalite.errors import InvalidRequestContent, SandboxUnavailable, ServiceException
from lambdalite.model.outcome import Failure, Outcome
from lambdalite.runtime import frames
from lambdalite.workers import diagnose
from lambdalite.workers.diagnose import Death, Verdict
from lambdalite.workers.lifecycle import Event, Phase, step
from lambdalite.workers.waiting import Wait, within

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard

    from lambdalite.model.invocation import Invocation
    from lambdalite.workers.template import Template
    from lambdalite.workers.waiting import Plan

__all__ = ["Environment"]

_PHASES = {
    "handler": Failure.HANDLER,
    "marshal": Failure.NOT_SERIALIZABLE,
    "response": Failure.RESPONSE_TOO_LARGE,
    "init": Failure.INIT,
}
_OUTPUT_BEFORE_READY = 64 * 1024
_REOPENINGS = 2  # deaths of templates that one start outlives: a spare may have been starting when the first one died
_JUDGEMENT = 0.1  # seconds to wait for the guardian's word on a process that was killed


class Environment:
    """One process under an environment. Owned by one caller at a time; `Capacity` decides by whom."""

    __slots__ = (
        "_board", "_called", "_last_peak", "_link", "_reopened", "_slot", "_supervisor", "channel", "failed", "id", "idle_since",
        "init_seconds", "invocations", "phase", "provisioned", "stream", "template", "trace", "version",
    )  # fmt: skip

    def __init__(self, template: Template, *, provisioned: bool = False) -> None:
        self.template, self.version = template, template.version
        self.provisioned = provisioned
        self.phase = Phase.STARTING
        self.init_seconds: float | None = None
        self.failed: Verdict | None = None
        self.trace = ""  # the handler's traceback of a failed init
        self.idle_since = 0.0
        self.invocations = 0
        self._called = 0  # the last invocation that has asked for something: its event was taken
        self._reopened = 0
        self._last_peak = 0  # what the kernel says of a dead process: it may have died between two looks
        self._open()

    def _open(self) -> None:
        kind = "provisioned-concurrency" if self.provisioned else "on-demand"
        self._link, self._slot, self.channel, self.stream = self.template.spawn(kind)
        self._supervisor = self._link.supervisor
        self._board = self._supervisor.board
        self.id = f"{self._slot.index}.{self._slot.generation}"

    # --- init -----------------------------------------------------------------------------------------------------

    def start(self) -> Plan[Verdict | None]:
        """Wait until init is done; None, or why it failed. Returns at once if it is known already."""
        deadline = monotonic() + self.version.config.init_timeout
        while self.phase is Phase.STARTING and self.failed is None:
            try:
                frame = self.channel.receive()
                if frame is not None:
                    self._initialised(frame)
                    continue
            except (frames.ProtocolError, ValueError, TypeError):  # in strict, user code can write it
                self.kill()
                self.failed = diagnose.protocol_broken("")
                break
            if self.channel.eof:
                yield from self._died_in_init()
            elif monotonic() >= deadline:
                self.channel.drain()
                yield from self.end()
                self.failed = diagnose.init_timed_out(self.version.config, "")
            else:
                self.channel.drain()
                yield self.channel.readable(deadline)
        return self.failed

    def _initialised(self, frame: frames.Frame) -> None:
        meta = frames.decode_meta(frame.meta)
        if frame.kind not in (frames.READY, frames.FAULT):
            raise frames.ProtocolError("neither ready nor a fault: nothing else is said before the first event")
        if frame.kind == frames.FAULT and meta.get("phase") == "fork":
            raise ServiceException(f"this machine cannot start another process: {meta.get('reason')}")
        if frame.kind == frames.FAULT and meta.get("phase") == "sandbox":
            raise SandboxUnavailable(tuple(map(str, meta.get("missing", ()))), str(meta.get("hint", "")))
        printed = base64.b64decode(str(meta.get("output", "")))[:_OUTPUT_BEFORE_READY]
        if printed:
            self.channel.output.insert(0, printed)
        if frame.kind == frames.READY:
            self.init_seconds = float(meta.get("init", 0.0))
            self.template.applied = meta.get("applied")
            self._link.served = True
            self.phase = step(self.phase, Event.READY)
            return
        self.channel.drain()
        self.channel.output.append(str(meta.get("line", "")).encode())
        self.trace = str(meta.get("trace", ""))
        frames.decode_meta(frame.payload)  # readers rely on its being an object
        self.failed = Verdict(Failure.INIT, frame.payload)

    def _died_in_init(self) -> Plan[None]:
        """The channel ended before READY: this process died, or the template did, or it said UNSAFE."""
        self.channel.drain()
        last = self.channel.last_word()
        if last is None:
            yield from self._link.obituary()
            if self._link.refused:
                raise ServiceException(f"this machine cannot start another process: {self._link.refused}")
            if self._link.unsafe:
                self.template.give_up_snapshot(self._link)
            if self._link.unsafe or (self._link.served and self._reopened < _REOPENINGS):
                # A template that has served before died of something else than this init: a new one deserves a try.
                self._reopened += not self._link.unsafe
                self._close()
                self._open()
                return
        slot = self._slot if last is not None else self._link.slot
        status = self._link.status if last is None else last.get("status")
        death = yield from self._death(status, slot.index)
        self.failed = diagnose.exited(death, "", init=True)

    def _death(self, status: int | None, index: int) -> Plan[Death]:
        """What is known of the end. The kernel's own kill is judged by the guardian a moment later: wait for that."""
        seen = self._board.read(index)
        patience = monotonic() + _JUDGEMENT
        while _killed(status) and not (seen.judged or seen.out_of_memory) and monotonic() < patience:
            yield Wait(()).until(monotonic() + 0.001)
            seen = self._board.read(index)
        return Death(status, seen.out_of_memory, seen.enforcer)

    # --- invoke ---------------------------------------------------------------------------------------------------

    def run(self, invocation: Invocation, meanwhile: Callable[[], None] | None) -> Plan[Outcome | None]:
        """Run one invocation in an initialised environment; None if it had died before the event was sent.

        Args:
            invocation: what to run.
            meanwhile: called once, after the event is on its way and before waiting for the answer.
        """
        board, index, channel, timeout = self._board, self._slot.index, self.channel, self.version.config.timeout
        self.phase = step(self.phase, Event.INVOKE)
        self.invocations += 1
        board.begin(index)
        if board.sleeping:
            self._supervisor.poke()
        started_at, began = wall(), monotonic()
        deadline = began + timeout
        if not channel.try_send_all(_head(invocation, self.invocations, started_at + timeout), invocation.payload):
            yield from channel.send_rest(deadline)
        if meanwhile is not None:
            meanwhile()
        verdict: Verdict | None = None
        while True:
            yield channel.readable(deadline)
            try:
                frame = channel.collect()
                if frame is not None and frame.kind == frames.CALL:
                    yield from self._serve(invocation, frame, deadline)
                    frame = None
            except frames.ProtocolError:
                verdict = yield from self._hijacked(invocation)
                frame = None
                break
            if frame is not None:
                break
            if channel.eof:
                verdict = yield from self._died(invocation, began)
                if verdict is None:
                    return None
                break
            if monotonic() >= deadline:
                verdict = yield from self._overdue(invocation)
                break
        duration = monotonic() - began
        board.end(index)
        output, dropped = channel.take_output() if channel.output or channel.dropped else (b"", 0)
        if frame is not None and frame.kind == frames.ANSWER:
            peak = self._answered(frame)
            if peak is not None:
                return Outcome(
                    invocation.request_id, self.version, None, frame.payload, started_at, duration, None, peak, output,
                    dropped, self.stream, self.id,
                )  # fmt: skip
            frame = None
        return self._failed(invocation, frame, verdict, started_at, duration, (output, dropped))

    def _serve(self, invocation: Invocation, frame: frames.Frame, deadline: float) -> Plan[None]:
        """The handler asks its App for something: see to it, for no longer than the handler has, and tell it.

        Raises:
            ProtocolError: no handler of ours would ask so. Each waits for its reply before it writes anything else.
        """
        self._called = self.invocations
        meta, gateway, channel = frames.decode_meta(frame.meta), invocation.gateway, self.channel
        number = meta.pop("call", None)
        if gateway is None or channel.ahead or frame.number != self.invocations or not _is_number(number):
            raise frames.ProtocolError("a call that nobody expects")
        channel.drain()  # whoever follows the log sees what led to the call
        asked = gateway.serve(invocation, meta, frame.payload)
        told = yield from within(asked, deadline, channel.sock.fileno(), channel.ended)
        if told is not None:
            yield from channel.reply(number, json.dumps(told[0]).encode(), told[1], deadline)

    def _overdue(self, invocation: Invocation) -> Plan[Verdict]:
        yield from self.end()
        return diagnose.timed_out(self.version.config, invocation.request_id)

    def _died(self, invocation: Invocation, sent: float) -> Plan[Verdict | None]:
        last = self.channel.last_word()
        self._last_peak = int((last or {}).get("maxrss", 0)) * 1024
        untaken = self.channel.refused and self._called != self.invocations
        if untaken or (last is not None and last.get("at", sent) < sent):
            self.phase = step(self.phase, Event.FAIL)
            return None
        if last is None:
            # No last word: its template went with it, or it lives and hijacked the channel.
            self.kill()
            yield from self._link_gone()
            if self._link.ended_at < sent:
                return None
        else:
            self.phase = step(self.phase, Event.FAIL)
        status = None if last is None else last.get("status")
        death = yield from self._death(status, self._slot.index)
        return diagnose.exited(death, invocation.request_id)

    def _link_gone(self) -> Plan[None]:
        self._link.drain()
        if self._link.ended:
            yield from self._link.obituary()

    def _hijacked(self, invocation: Invocation) -> Plan[Verdict]:
        yield from self.end()
        return diagnose.protocol_broken(invocation.request_id)

    def _answered(self, frame: frames.Frame) -> int | None:
        """Peak memory of an answer, bytes; None if it is not the answer to this invocation."""
        meta, payload = frame.meta, frame.payload
        if (
            frame.number != self.invocations
            or len(payload) > limits.RESPONSE_BYTES
            or not meta.isdigit()
            or len(meta) > 12
        ):
            return None
        self.phase = step(self.phase, Event.ANSWERED if self.version.config.reuse else Event.FINISHED)
        return max(self._board.peak(self._slot.index), int(meta) * 1024)

    def _failed(
        self, invocation: Invocation, frame: frames.Frame | None, verdict: Verdict | None, at: float, duration: float,
        printed: tuple[bytes, int],
    ) -> Outcome:  # fmt: skip
        peak, trace = max(self.peak(), self._last_peak), ""
        if verdict is None:
            try:
                verdict, trace, peak = self._fault(frame, peak)
            except frames.ProtocolError:
                self.kill()
                verdict = diagnose.protocol_broken(invocation.request_id)
        if not self.usable:
            self.failed = verdict
        return Outcome(
            invocation.request_id, self.version, verdict.failure, verdict.payload, at, duration, None, peak, *printed,
            self.stream, self.id, verdict.exit_code, verdict.signal, verdict.enforced_by, trace,
        )  # fmt: skip

    def _fault(self, frame: frames.Frame | None, peak: int) -> tuple[Verdict, str, int]:
        """What a FAULT says: verdict, traceback, peak memory.

        Raises:
            ProtocolError: it is not a reply to this invocation.
            InvalidRequestContent: the event was not JSON (AWS refuses it at the door; we let the child parse it once).
        """
        meta = {} if frame is None else frames.decode_meta(frame.meta)
        if frame is None or frame.kind != frames.FAULT or frame.number != self.invocations:
            raise frames.ProtocolError("a reply to something else")
        kib = meta.get("maxrss")
        if isinstance(kib, int):
            peak = max(peak, kib * 1024)
        phase = str(meta.get("phase"))
        if phase not in _PHASES and phase != "request":
            raise frames.ProtocolError("an unknown kind of fault")
        # The handler may have written it, and its readers rely on its being an object.
        document = frames.decode_meta(frame.payload)
        self.phase = step(self.phase, Event.ANSWERED if self.version.config.reuse else Event.FINISHED)
        if phase == "request":
            raise InvalidRequestContent(str(document.get("errorMessage", "")))
        return Verdict(_PHASES[phase], frame.payload), str(meta.get("trace", "")), peak

    # --- end ------------------------------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """May it take another invocation?"""
        return self.phase is Phase.IDLE

    def follow(self, live: Callable[[bytes, str, str], None]) -> None:
        """Tell ``live`` of output as it comes: chunk, function, log stream."""
        self.channel.tail = lambda chunk: live(chunk, self.version.name, self.stream)

    def take_output(self) -> tuple[bytes, int]:
        """What was printed since the last call, and how many bytes more were dropped."""
        return self.channel.take_output()

    def peak(self) -> int:
        """The most memory seen by the guardian since the last invocation began, bytes."""
        return self._board.peak(self._slot.index)

    def kill(self) -> None:
        """Send for its end; returns at once."""
        if self.phase is not Phase.DEAD:
            self.phase = step(self.phase, Event.KILL)
            self._supervisor.kill(self._slot)

    def end(self) -> Plan[None]:
        """Kill it, and wait until process and descendants are gone."""
        self.kill()
        patience = monotonic() + limits.KILL_PATIENCE
        while not self.channel.eof and monotonic() < patience:
            yield self.channel.readable(patience)
            self.channel.drain()
            self.channel.discard()
        if not self.channel.eof:
            # Its template is stopped or dead and cannot reap it: take the whole family.
            self._supervisor.kill(self._link.slot, template=True)

    def end_now(self) -> None:
        """The same in the caller's thread, for cleanup that may not be interrupted."""
        from lambdalite.workers.waiting import block

        block(self.end())

    def close(self) -> None:
        """Let it go: an idle process sees its channel end and exits; a dead one leaves its descriptors."""
        if self.phase is Phase.DEAD:
            return
        if self.phase is not Phase.STOPPING:
            self.phase = step(self.phase, Event.RETIRE)
        self.phase = step(self.phase, Event.GONE)
        self._close()

    def abandon(self) -> None:
        """In a forked child of the host: close our copies, touch nothing that is the parent's."""
        self.channel.close()

    def _close(self) -> None:
        self.channel.close()
        self._supervisor.give_back(self._slot)

    def __repr__(self) -> str:
        return f"<Environment {self.version.name} {self.phase.value} {self.invocations} invocations>"


def _is_number(found: Any) -> TypeGuard[int]:
    return type(found) is int and 0 < found < 1 << 32


def _killed(status: int | None) -> bool:
    return status is not None and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _head(invocation: Invocation, number: int, deadline: float) -> bytes:
    """INVOKE's head and meta. Written by hand: `json.dumps` would cost as much as the rest of the frame."""
    meta = f'{{"id":"{invocation.request_id}","deadline_ms":{int(deadline * 1000)},"arn":"{invocation.arn}"'
    if invocation.client_context or invocation.identity or invocation.tenant_id or invocation.trace_id:
        more: dict[str, Any] = {
            "client": invocation.client_context,
            "identity": invocation.identity,
            "tenant": invocation.tenant_id,
            "trace": invocation.trace_id,
        }
        meta += "," + json.dumps({key: value for key, value in more.items() if value})[1:-1]
    encoded = (meta + "}").encode()
    return frames.HEAD.pack(frames.INVOKE, number, len(encoded), len(invocation.payload)) + encoded
