"""A template: the process of one function that has run its init once, and forks its environments.

Stages: read SPEC from the link · tell the guardian · sandbox · the user's init (unless the function is not to be
snapshotted) · check that it is safe to fork from · freeze · fork on demand, reap, and say how each environment died.

If init fails, the template stays and hands the same fault to every environment asked of it, so that nobody waits for a
process that never came; the host then lets it go. If init leaves a second thread or a connected socket behind, it says
UNSAFE on the link and ends: the host asks again for a template that leaves init to its environments.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import select
import socket
import sys
from time import perf_counter
from typing import Any

from lambdalite.runtime import environment, estate, frames, handler, logs, private, sandbox, snapshot
from lambdalite.runtime.faults import Fault
from lambdalite.runtime.reaper import Reaper

__all__ = ["flush", "last_word", "main"]

INIT_OUTPUT_BYTES = 64 * 1024  # what init printed travels in READY's meta
UNSAFE_STATUS = 75  # EX_TEMPFAIL: ask again, without a snapshot


def main(link: socket.socket, hello_fd: int, report: dict[str, Any], body: dict[str, Any]) -> int:
    """Serve until the host closes the link; the exit status."""
    spec_frame = frames.read_frame(link, frames.HEAD_SIZE)  # FORK may be right behind it
    spec = json.loads(spec_frame.meta)
    blob = _receive_blob(link) if spec.get("blob_follows") else b""
    return Template(link, hello_fd, spec, blob).serve()


def _receive_blob(link: socket.socket) -> bytes:
    """The handler's pickle, which comes as a file: it may be larger than what a socket holds."""
    message = frames.receive(link)
    if message is None:
        raise frames.EndOfStream
    with open(message.fds[0], "rb") as file:
        return file.read()


def flush() -> None:
    """Write out what Python still buffers; a closed or full stream is the handler's own doing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


def _keep_standard_streams() -> None:
    """If init has closed one of descriptors 0 to 2, an environment's channel or log would get its number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(fd)


def last_word(sock: socket.socket, frame: bytes) -> None:
    """Write the EXIT frame without waiting, and close. If the host does not read, its end closes anyway."""
    try:
        sock.send(frame, socket.MSG_DONTWAIT)
    except OSError:
        # The host has gone or stopped reading: it already knows what it needs to know.
        pass
    sock.close()


def say_hello(hello_fd: int, spec: dict[str, Any], slot: int, generation: int, role: str) -> None:
    """Register this process with the guardian; the kernel adds the process id as the guardian sees it."""
    config = spec["config"]
    hello = {
        "slot": slot,
        "generation": generation,
        "role": role,
        "pid": os.getpid(),
        "memory_bytes": config["memory"] * 1024 * 1024,
        "tmp_bytes": config["tmp_bytes"],
        "cpu_share": config["cpu_share"],
        "reuse": spec["reuse"],
        "initialises": role == "environment" and not spec["snapshot"],
    }
    os.write(hello_fd, json.dumps(hello).encode())


class Template:
    """State of the template's loop."""

    def __init__(self, link: socket.socket, hello_fd: int, spec: dict[str, Any], blob: bytes) -> None:
        self.link, self.hello_fd, self.spec, self.blob = link, hello_fd, spec, blob
        self.channels: dict[int, socket.socket] = {}  # environment's pid → our copy of its channel
        self.fault: Fault | None = None
        self.refusal = b""
        self.handler: Any = None
        self.init_seconds: float | None = None  # told to the first environment only: it is the one that waited
        self.output = b""

    def serve(self) -> int:
        """Init, then fork on demand."""
        spec = self.spec
        output = environment.adopt(spec)
        say_hello(self.hello_fd, spec, spec["slot"], spec["generation"], "template")
        reason = self.prepare()
        self.output = environment.take_output(output, INIT_OUTPUT_BYTES)
        os.close(output)
        if reason:
            meta = json.dumps({"reason": reason}).encode()
            self.link.sendall(frames.encode(frames.UNSAFE, meta))
            return UNSAFE_STATUS
        self.loop()
        return 0

    def prepare(self) -> str | None:
        """Sandbox and init; the reason why init may not be shared, if there is one."""
        try:
            self.plan = sandbox.prepare(self.spec["tier"], self.spec["sandbox"])
            sandbox.enter_template(self.plan)
        except sandbox.SandboxUnavailable as error:
            self.refusal = environment.sandbox_refusal(error)
            return None
        except private.Unusable as error:
            self.refusal = environment.no_place(error)
            return None
        logs.configure(self.spec["config"])
        return self.init() if self.spec["snapshot"] else None

    def init(self) -> str | None:
        """Run the user's init; the reason why it may not be shared, if there is one."""
        began = perf_counter()
        try:
            self.handler = handler.load(self.spec["code"], self.blob)
            snapshot.before_snapshot()
        except Fault as fault:
            self.fault = fault
        except SystemExit:
            raise
        except (
            BaseException
        ):  # of the user's (KeyboardInterrupt, …): an interpreter's exit status, not that of a fault of ours
            sys.excepthook(*sys.exc_info())
            raise SystemExit(1) from None
        flush()
        _keep_standard_streams()
        self.init_seconds = perf_counter() - began
        return None if self.fault is not None else snapshot.unsafe()

    def loop(self) -> None:
        """Fork, reap, until the link closes."""
        mounted = not self.refusal and self.plan.mounts
        self.estate = estate.Estate(wanted=bool(self.spec["reuse"] and mounted))
        gc.collect()
        gc.freeze()
        gc.disable()
        self.reaper = Reaper()
        self.reaper.arm()
        poller = select.poll()
        poller.register(self.link, select.POLLIN)
        poller.register(self.reaper.fd, select.POLLIN)
        while True:
            for fd, _events in poller.poll():
                if fd == self.reaper.fd:
                    self.reap()
                elif not self.request():
                    sandbox.sweep(())
                    if not self.refusal:
                        sandbox.forget_all(self.plan)
                    return

    def request(self) -> bool:
        """Obey one message; False when the host has closed the link."""
        try:
            message = frames.receive(self.link)
        except (ConnectionError, frames.EndOfStream):
            return False
        if message is None:
            return False
        channel_fd, log_fd = message.fds
        if self.fault is not None:
            self.refuse(channel_fd, log_fd, environment.init_fault(self.fault, self.story()))
        elif self.refusal:
            self.refuse(channel_fd, log_fd, self.refusal)
        else:
            self.fork(channel_fd, log_fd, message.body)
        return True

    def refuse(self, channel_fd: int, log_fd: int, frame: bytes) -> None:
        """Say why to an environment that will never be."""
        os.close(log_fd)
        channel = socket.socket(fileno=channel_fd)
        try:
            channel.sendall(frame)
        except OSError:
            # The caller was cancelled and closed its end; the next one is told the same.
            pass
        channel.close()

    def story(self) -> dict[str, Any]:
        """What the first environment tells about the template's init; empty for those that follow."""
        seconds, self.init_seconds = self.init_seconds, None
        if seconds is None:
            return {}
        output, self.output = self.output, b""
        return {"init": seconds, "output": base64.b64encode(output).decode()}

    def fork(self, channel_fd: int, log_fd: int, body: dict[str, Any]) -> None:
        """A new environment."""
        story = self.story()
        channel = socket.socket(fileno=channel_fd)
        try:
            pid, testament = self.estate.fork(os.fork)
        except OSError as error:  # the machine's or the user's limit of processes, or no memory
            os.close(log_fd)
            meta = json.dumps({"phase": "fork", "reason": str(error)}).encode()
            channel.send(frames.encode(frames.FAULT, meta))
            channel.close()
            return
        if not pid:
            self.become_environment(channel, log_fd, body, story, testament)
        os.close(log_fd)
        self.channels[pid] = channel

    def become_environment(
        self,
        channel: socket.socket,
        log_fd: int,
        body: dict[str, Any],
        story: dict[str, Any],
        testament: estate.Testament,
    ) -> None:
        """In the child: let go of what is the template's, then serve invocations. Never returns."""
        status = 70
        try:
            began = perf_counter()
            self.reaper.close()
            self.link.close()
            for other in self.channels.values():
                other.close()
            self.channels.clear()
            say_hello(self.hello_fd, self.spec, body["slot"], body["generation"], "environment")
            os.close(self.hello_fd)
            status = environment.serve(self, channel, log_fd, body, story, began, testament)
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 1
        finally:
            flush()
            environment.save_coverage()
            os._exit(status & 0xFF)

    def reap(self) -> None:
        """Say how environments died, after making sure that nothing of theirs lives on."""
        for pid, status, maxrss, cpu, at in self.reaper.ended():
            channel = self.channels.pop(pid, None)
            if channel is None:
                continue
            sandbox.sweep(self.channels)
            sandbox.forget(self.plan, pid)
            self.estate.settle(pid)
            last_word(channel, frames.exit_frame(status, maxrss, cpu, at))
