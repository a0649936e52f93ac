"""The zygote: single-threaded, small, the parent of every template; PID 1 of a PID namespace where that is permitted.

It does three things: forks a template when the host asks for one, says how a template died, and goes when the guardian
goes. It runs no user code, so it is always safe to fork from.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback  # noqa: F401 - the first fault of every environment would import it otherwise
from typing import Any

from lambdalite.runtime import frames, sandbox

# Imported here so that every template finds them loaded: they are what an environment needs, and nothing else.
from lambdalite.runtime import template as _template
from lambdalite.runtime.reaper import Reaper

__all__ = ["main"]


def main(control_fd: int, hello_fd: int, report: dict[str, Any]) -> None:
    """Serve until the guardian or the host goes. Never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        Zygote(control_fd, hello_fd, report).serve()
    finally:
        sandbox.sweep(())
        os._exit(0)


class Zygote:
    """The loop and what it owns: the control socket, and one copy of each template's link."""

    def __init__(self, control_fd: int, hello_fd: int, report: dict[str, Any]) -> None:
        self.control = socket.socket(fileno=control_fd)
        self.hello_fd = hello_fd
        self.report = report
        self.links: dict[int, socket.socket] = {}
        self.reaper = Reaper()

    def serve(self) -> None:
        """Until the host closes the control socket, or the guardian is gone."""
        gc.collect()
        gc.freeze()  # keeps the collector from writing into pages that are shared with every child
        self.reaper.arm()
        poller = select.poll()
        poller.register(self.control, select.POLLIN)
        poller.register(self.reaper.fd, select.POLLIN)
        # In a PID namespace the parent is outside and its death kills us through PDEATHSIG of the namespace's owner;
        # elsewhere the hello socket tells: its other end closes with the guardian.
        poller.register(self.hello_fd, 0)
        while True:
            for fd, events in poller.poll():
                if fd == self.hello_fd and events & (select.POLLHUP | select.POLLERR):
                    return
                if fd == self.control.fileno() and not self.request():
                    return
                if fd == self.reaper.fd:
                    self.reap()

    def request(self) -> bool:
        """Obey one message; False at the end of the stream."""
        message = frames.receive(self.control)
        if message is None:
            return False
        if message.body.get("op") == "template":
            self.fork_template(message.body, message.fds[0])
        return True

    def fork_template(self, body: dict[str, Any], link_fd: int) -> None:
        """A new process for one function."""
        link = socket.socket(fileno=link_fd)
        try:
            pid = os.fork()
        except OSError as error:  # no more processes, or no memory: that concerns this template and nobody else
            reason = json.dumps({"reason": f"{error} (fork)"}).encode()
            _template.last_word(link, frames.encode(frames.FAULT, reason))
            return
        if not pid:
            self.become_template(link, body)
        self.links[pid] = link

    def become_template(self, link: socket.socket, body: dict[str, Any]) -> None:
        """In the child: let go of what is the zygote's. Never returns."""
        status = 70  # EX_SOFTWARE: something of ours failed before the user's code could
        try:
            self.reaper.close()
            self.control.close()
            for other in self.links.values():
                other.close()
            self.links.clear()
            status = _template.main(link, self.hello_fd, self.report, body)
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            _template.flush()
            os._exit(status)

    def reap(self) -> None:
        """Say how templates died, and leave nothing of theirs."""
        for pid, status, maxrss, cpu, at in self.reaper.ended():
            link = self.links.pop(pid, None)
            if link is None:
                continue
            sandbox.sweep(self.links)  # its environments are ours now
            _template.last_word(link, frames.exit_frame(status, maxrss, cpu, at))
