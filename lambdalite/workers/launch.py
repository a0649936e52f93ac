"""The host's side of guardian and zygote: started on first need, one pair for all Apps of a process, gone with the last.

The host never forks. It starts one fresh interpreter, the guardian, and talks to it and to the zygote over socket pairs;
descriptors travel with the messages. Everything here is quick and nothing waits for an answer: a message to a process
that is still starting lies in its socket until it is read.

A host that forks (web servers do) must not share these sockets with its child: after a fork, in the child, the inherited
descriptors are closed and the supervisor is forgotten, so the child starts a pair of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

import attrs

from lambdalite import limits
from lambdalite.errors import InternalError, ServiceException, UsageError
from lambdalite.runtime import frames
from lambdalite.runtime.board import Board

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Slot", "Supervisor", "acquire", "check_platform", "nameless_file", "release"]

SLOTS = 4096
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from lambdalite.runtime.guardian import main; main()"
_PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPYCACHEPREFIX",
)


@attrs.frozen
class Slot:
    """A place on the board, for one process at a time; the generation tells its users apart."""

    index: int
    generation: int


def check_platform() -> None:
    """Refuse early where environments cannot exist.

    Raises:
        UsageError: no fork (Windows, WASM): only ``isolation="inline"`` works there.
    """
    if not hasattr(os, "fork") or not hasattr(socket, "AF_UNIX"):
        raise UsageError(
            f"{sys.platform} cannot fork processes, so it cannot run isolated environments: "
            'use isolation="inline", or run under Linux or macOS'
        )


class Supervisor:
    """Guardian and zygote of this process. Thread-safe: every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards everything below, and the order of messages
        self._generations = [0] * SLOTS
        self._free = list(range(SLOTS - 1, 0, -1))  # slot 0 is the board's head
        self._stderr = nameless_file()
        self.board = Board.create(SLOTS)
        self.owner = os.getpid()
        self._control, guardian_end = frames.pair()
        self._zygote, zygote_end = frames.pair()
        try:
            self._process = self._start(guardian_end, zygote_end)
        finally:
            guardian_end.close()
            zygote_end.close()
        self._report: dict[str, Any] | None = None
        self._said = ""
        self.broken = False
        self.holders = 0  # guarded by the module's lock
        self.closed = False

    def _start(self, guardian_end: socket.socket, zygote_end: socket.socket) -> subprocess.Popen[bytes]:
        fds = (guardian_end.fileno(), zygote_end.fileno(), self.board.fd)
        config = {
            "control": fds[0],
            "zygote": fds[1],
            "board": fds[2],
            "slots": SLOTS,
            "host_pid": os.getpid(),
            "namespaces": os.environ.get("LAMBDALITE_NAMESPACES", "on") != "off",
            "cgroups": os.environ.get("LAMBDALITE_CGROUPS", "auto"),
        }
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        return subprocess.Popen(
            [sys.executable, "-I", "-c", _BOOT, package, json.dumps(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=fds,
            env=environment(os.environ),
            cwd="/",
        )

    # --- slots ----------------------------------------------------------------------------------------------------

    def claim(self) -> Slot:
        """A free slot.

        Raises:
            ServiceException: every slot is in use.
        """
        with self._lock:
            if not self._free:
                raise ServiceException(
                    f"all {SLOTS - 1} places for processes are in use: close Apps, or lower concurrency"
                )
            index = self._free.pop()
            self._generations[index] = _another(self._generations[index])
            slot = Slot(index, self._generations[index])
        self.board.claim(slot.index, slot.generation)
        return slot

    def give_back(self, slot: Slot) -> None:
        """The process of this slot is gone or does not matter any more."""
        self.board.end(slot.index)
        with self._lock:
            self._free.append(slot.index)

    # --- messages -------------------------------------------------------------------------------------------------

    def template(self, link_end: socket.socket, name: str) -> None:
        """Ask the zygote for a template that listens on ``link_end`` (which is closed here).

        Raises:
            ServiceException: the zygote is gone.
        """
        with link_end:
            self._say(self._zygote, {"op": "template", "name": name}, (link_end.fileno(),))

    def kill(self, slot: Slot, *, template: bool = False) -> None:
        """End the process of a slot and all its descendants; returns at once, and does nothing if all are gone."""
        op = "kill-template" if template else "kill"
        with contextlib.suppress(ServiceException):  # a guardian that is gone has taken everything with it
            self._say(self._control, {"op": op, "slot": slot.index, "generation": slot.generation})

    def poke(self) -> None:
        """Wake a guardian that sleeps long because nothing was running."""
        with contextlib.suppress(ServiceException):
            self._say(self._control, {"op": "poke"})

    def _say(self, sock: socket.socket, body: Mapping[str, Any], fds: tuple[int, ...] = ()) -> None:
        with self._lock:
            try:
                frames.send(sock, dict(body), fds)
            except OSError as error:
                self.broken = True  # the zygote went first, or the guardian is on its way: the next one starts anew
                raise ServiceException(f"the processes under lambdalite are gone ({self.story()})") from error

    # --- health ---------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """False once the guardian has ended, whatever ended it."""
        return not self.broken and not self.closed and self.owner == os.getpid() and self._process.poll() is None

    def story(self) -> str:
        """What is known of an end: the guardian's exit status and what it printed."""
        status = self._process.poll()
        said = self._said if self.closed else self._read_stderr()
        return f"guardian exit status {status}" + (f", it said: {said}" if said else "")

    def _read_stderr(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read(8192).decode("utf-8", "replace").strip()

    def report(self) -> dict[str, Any]:
        """What guardian and zygote found possible here (waits for the guardian's first message).

        Raises:
            InternalError: the guardian ended before it could say.
        """
        if self._report is None:
            with self._lock:
                self._control.settimeout(30)
                try:
                    message = frames.receive(self._control)
                except (OSError, frames.EndOfStream, frames.ProtocolError) as error:
                    raise InternalError(f"the guardian did not start: {self.story()}") from error
                finally:
                    self._control.settimeout(None)
            if message is None:
                raise InternalError(f"the guardian did not start: {self.story()}")
            self._report = dict(message.body)
        return self._report

    @property
    def pid(self) -> int:
        """The guardian's process id."""
        return self._process.pid

    def close(self) -> None:
        """End guardian, zygote and everything below, and wait until they are gone."""
        if self.closed:
            return
        self.closed = True
        self._control.close()  # its end is the guardian's signal to end everything
        self._zygote.close()
        if self.owner == os.getpid():
            try:
                self._process.wait(limits.KILL_PATIENCE * 2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._said = self._read_stderr()
        self._stderr.close()

    def forget(self) -> None:
        """In a forked child of the host: close our copies, touch nothing that is the parent's."""
        self.closed = True
        self._control.close()
        self._zygote.close()
        self._process.returncode = 0  # not our child: keep Popen's destructor from warning and polling
        self._stderr.close()


def _another(generation: int) -> int:
    """A generation that nobody guesses: code that runs in an init could register itself for another function's slot."""
    return (generation + 1 + int.from_bytes(os.urandom(3), "big")) & 0xFFFF_FFFF


def nameless_file() -> IO[bytes]:
    """A file that is gone when it is closed, in memory where that exists.

    Raises:
        OSError: no room for it.
    """
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("lambdalite-stderr"), "w+b")
    import tempfile  # brings in half the standard library

    return tempfile.TemporaryFile()


def environment(host: Mapping[str, str]) -> dict[str, str]:
    """The guardian's environment: what an interpreter needs, and nothing that is the host's business."""
    kept = {name: value for name, value in host.items() if name in _PASSED_ON or name.startswith("COVERAGE_")}
    kept["LAMBDALITE_CHILD"] = "1"  # makes our decorators inert in the children
    kept["LAMBDALITE_POOL"] = str(os.getpid())
    return kept


# --- one for the process ------------------------------------------------------------------------------------------

_lock = threading.Lock()  # guards the one below, and every supervisor's `holders`
_current: Supervisor | None = None


def acquire() -> Supervisor:
    """The process's supervisor, started if there is none or if the last one died. Pair with `release`."""
    global _current  # noqa: PLW0603 - one pair of processes for all Apps is the point
    check_platform()
    with _lock:
        if _current is None or not _current.alive:
            if _current is not None:
                _current.close()
            _current = Supervisor()
        _current.holders += 1
        return _current


def release(held: Supervisor) -> None:
    """Give a supervisor back; the last holder ends it."""
    global _current  # noqa: PLW0603
    with _lock:
        held.holders -= 1
        if held.holders:
            return
        if held is _current:
            _current = None
    held.close()


def _after_fork_in_child() -> None:
    global _lock, _current  # noqa: PLW0603
    _lock = threading.Lock()  # a thread of the parent may have held it
    if _current is not None:
        _current.forget()
    _current = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
