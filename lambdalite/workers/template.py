"""The host's handle on a template: start it, ask it for environments, learn how it ended.

One handle a version, for the version's life; the process under it is started on first need and again if it died. Two
generations of the process never mix: each has a `Link` of its own, and an environment keeps the link it was forked over.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any

from lambdalite import limits, names
from lambdalite.clock import monotonic, wall
from lambdalite.errors import ServiceException, UsageError
from lambdalite.runtime import frames
from lambdalite.workers import environ
from lambdalite.workers.channel import Channel
from lambdalite.workers.code import locate, locate_string, search_path
from lambdalite.workers.launch import nameless_file
from lambdalite.workers.waiting import Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.model.function import Version
    from lambdalite.workers.code import Code
    from lambdalite.workers.environment import Environment
    from lambdalite.workers.launch import Slot, Supervisor
    from lambdalite.workers.waiting import Plan

__all__ = ["Link", "Template"]

_READS = 64  # of a link, without a break
_LINK_BYTES = 1 << 20  # kept of what came over a link
# Handlers start programs with it, and a virtual environment may well lie below /tmp.
_INTERPRETER = tuple(dict.fromkeys((sys.prefix, sys.exec_prefix, sys.base_prefix)))


class Link:
    """A control socket to one template process, and what came back on it."""

    def __init__(self, sock: socket.socket, slot: Slot, supervisor: Supervisor) -> None:
        self.sock, self.slot, self.supervisor = sock, slot, supervisor
        self.lock = threading.Lock()  # guards sending, and everything below
        self._buffer = bytearray()
        self.ended = False
        self.status: int | None = None
        self.ended_at = float("inf")  # when the zygote found it dead, monotonic seconds
        self.unsafe = ""
        self.refused = ""  # why the zygote could not fork the template
        self.served = False  # an environment has become ready, forked over this link or over one before it

    def fork(self, body: dict[str, Any], fds: tuple[int, int]) -> None:
        """Ask for an environment.

        Raises:
            OSError: the template is gone.
        """
        with self.lock:
            frames.send(self.sock, body, fds)

    def drain(self) -> None:
        """Take what has come: UNSAFE from the template, EXIT from the zygote, the end."""
        with self.lock:
            for _ in range(_READS):
                if self.ended:
                    break
                try:
                    data = self.sock.recv(65536, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return
                except OSError:
                    data = b""
                self._buffer += data
                self.ended = not data
                if len(self._buffer) > _LINK_BYTES:  # user code writes to it: only how it begins and ends matters
                    del self._buffer[_LINK_BYTES // 2 : -frames.EXIT_SIZE]
            if not self.ended:
                return
            with contextlib.suppress(frames.ProtocolError):  # likewise
                self._read()
            last = frames.find_exit(self._buffer)
            if last is not None:
                self.status, self.ended_at = last.get("status"), last.get("at", self.ended_at)

    def _read(self) -> None:
        if len(self._buffer) >= frames.HEAD_SIZE:
            kind, _number, meta, _payload = frames.sizes(self._buffer)
            if kind == frames.UNSAFE:
                told = frames.decode_meta(bytes(self._buffer[frames.HEAD_SIZE : frames.HEAD_SIZE + meta]))
                self.unsafe = str(told.get("reason", "init left something that cannot be forked"))
            elif kind == frames.FAULT:
                told = frames.decode_meta(bytes(self._buffer[frames.HEAD_SIZE : frames.HEAD_SIZE + meta]))
                self.refused = str(told.get("reason", "no reason given"))

    def obituary(self) -> Plan[None]:
        """Wait until it is known how the process ended (at most `KILL_PATIENCE`)."""
        self.drain()
        if self.ended:
            return
        deadline = monotonic() + limits.KILL_PATIENCE
        # A descriptor of our own: in an event loop two tasks may not wait for the same one.
        mine = os.dup(self.sock.fileno())
        try:
            wait = Wait((mine,))
            while not self.ended and monotonic() < deadline:
                yield wait.until(min(monotonic() + 0.05, deadline))  # another caller may drain what woke us
                self.drain()
        finally:
            os.close(mine)

    def close(self) -> None:
        """Let the template go: it ends its environments and itself."""
        with self.lock:
            self.sock.close()
            self.ended = True


class Template:
    """What environments of one version are forked from. Thread-safe."""

    def __init__(self, version: Version, supervisor: Callable[[], Supervisor]) -> None:
        self.version, self._supervise = version, supervisor
        config = version.config
        self.code = _locate(version)
        # Strict: the template never runs user code, since it must keep what it takes to mount an environment's /tmp.
        self.snapshot = config.isolation != "strict"
        self.notes: tuple[str, ...] = ()
        self.applied: dict[str, Any] | None = None
        self._lock = threading.Lock()  # guards _link
        self._link: Link | None = None

    # --- the process ----------------------------------------------------------------------------------------------

    def link(self) -> Link:
        """The living process's link, started if need be."""
        with self._lock:
            link = self._link
            if link is None or link.ended or not link.supervisor.alive:
                served = link is not None and link.served
                if link is not None:
                    link.close()
                    link.supervisor.give_back(link.slot)
                    self._link = None  # its slot is somebody else's now, whether a new one starts or not
                try:
                    link = self._link = self._start()
                except ServiceException as error:
                    killed = isinstance(error.__cause__, ConnectionError)  # before it had read what it is to run
                    if link is not None and link.supervisor.alive and not killed:
                        raise
                    link = self._link = self._start()  # it, or the supervisor, broke under our hands: once more
                link.served = served  # this version's init has been seen to succeed, so a death in it deserves a try
            return link

    def _start(self) -> Link:
        supervisor = self._supervise()
        slot = supervisor.claim()
        ours = None
        try:
            spec = json.dumps(self._spec(slot)).encode()
            ours, theirs = frames.pair()
            supervisor.template(theirs, self.version.name)
            supervisor.board.begin(slot.index)  # init counts as busy: sample it closely
            ours.sendall(frames.encode(frames.SPEC, spec))
            if self.code.blob:
                _hand_over(ours, self.code.blob)
        except BaseException as error:
            if ours is not None:
                ours.close()
            supervisor.give_back(slot)
            if isinstance(error, OSError):
                raise ServiceException(f"the template of {self.version.name} could not start: {error}") from error
            raise
        return Link(ours, slot, supervisor)

    def _spec(self, slot: Slot) -> dict[str, Any]:
        config = self.version.config
        code, root = self.code, self.version.root or _working_directory()
        home = self.version.root or (os.path.dirname(code.file) if code.file else root)
        variables = environ.variables(
            config, self.version.number, "", "on-demand", handler=code.handler, root=home, region=self.version.region
        )
        path = search_path()
        return {
            "slot": slot.index,
            "generation": slot.generation,
            "code": code.meta,
            "blob_follows": bool(code.blob),
            "environment": variables,
            "path": path,
            "directory": root,
            "snapshot": self.snapshot,
            "reuse": config.reuse,
            "tier": config.isolation,
            "config": {
                "name": config.name,
                "version": self.version.number,
                "memory": config.memory,
                "tmp_bytes": config.tmp_bytes,
                "cpu_share": config.cpu_share if config.cpu == "aws" else 0.0,
                "log_group": names.log_group(config.name),
                "log_stream": "",
                "log_format": config.log_format,
                "log_level": config.log_level,
            },
            "sandbox": {
                "tmp_bytes": config.tmp_bytes,
                "writable": list(config.writable),
                "readable": [*path, root, home, *_INTERPRETER],
                "network": config.isolation != "strict" if config.network is None else config.network,
                "unix_sockets": config.isolation != "strict",
                "nofile": limits.OPEN_FILES,
                "nproc": limits.PROCESSES,
                "root": os.environ.get("TMPDIR", "/tmp"),
            },
        }

    def give_up_snapshot(self, link: Link) -> None:
        """The template said that its init cannot be shared: from now on environments initialise for themselves."""
        with self._lock:
            if self._link is link:
                self.snapshot = False
                self.notes = (f"init is not shared: {link.unsafe}",)

    # --- environments ---------------------------------------------------------------------------------------------

    def spawn(self, initialization_type: str = "on-demand") -> tuple[Link, Slot, Channel, str]:
        """A new environment's ends: the link it was forked over, its slot, its channel, its log stream.

        Raises:
            ServiceException: no descriptors, no slots, or the processes under lambdalite cannot be started.
        """
        link = self.link()
        slot = link.supervisor.claim()
        stream = names.log_stream(self.version.number, wall())
        try:
            ours, theirs, log_read, log_write = _ends()
        except OSError as error:
            link.supervisor.give_back(slot)
            raise _exhausted(error) from error
        body = {
            "slot": slot.index,
            "generation": slot.generation,
            "log_stream": stream,
            "environment": {
                "AWS_LAMBDA_LOG_STREAM_NAME": stream,
                "AWS_LAMBDA_INITIALIZATION_TYPE": initialization_type,
            },
        }
        try:
            link.fork(body, (theirs.fileno(), log_write))
        except OSError:
            # The template died since `link` looked: its channel reads as ended, and `obituary` tells how.
            link.drain()
        finally:
            theirs.close()
            os.close(log_write)
        return link, slot, Channel(ours, log_read), stream

    def environment(self, *, provisioned: bool = False) -> Environment:
        """A new environment, on its way: `Environment.start` waits for it.

        Raises:
            ServiceException: as `spawn`.
        """
        from lambdalite.workers.environment import Environment

        return Environment(self, provisioned=provisioned)

    def abandon(self) -> None:
        """In a forked child of the host: close our copy, touch nothing that is the parent's."""
        if self._link is not None:
            self._link.sock.close()

    def close(self) -> None:
        """Let the process go."""
        with self._lock:
            if self._link is not None:
                self._link.close()
                self._link.supervisor.give_back(self._link.slot)
                self._link = None


def _hand_over(sock: socket.socket, blob: bytes) -> None:
    """Pass a pickle on as a file without a name, whatever its size.

    Through the socket, megabytes would have to wait for a reader, and who waits here has no deadline: a template that is
    stopped would hold up its caller, and all others behind the lock.
    """
    with nameless_file() as file:
        file.write(blob)
        file.seek(0)
        frames.send(sock, {}, (file.fileno(),))


def _locate(version: Version) -> Code:
    if isinstance(version.handler, str):
        return locate_string(version.handler, version.root)
    return locate(version.handler)


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError as error:
        raise UsageError(
            "the working directory has been deleted, and handlers start in it: "
            "change to one that exists (os.chdir), or load the handler with root="
        ) from error


def _ends() -> tuple[socket.socket, socket.socket, int, int]:
    """A channel and an output pipe.

    Raises:
        OSError: out of descriptors, or so near to it that the application would be next.
    """
    import resource

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        log_read, log_write = os.pipe()
    except OSError:
        ours.close()
        theirs.close()
        raise
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft != resource.RLIM_INFINITY and log_write >= soft - limits.DESCRIPTOR_RESERVE:
        for end in (ours, theirs):
            end.close()
        os.close(log_read)
        os.close(log_write)
        raise OSError(errno.EMFILE, f"descriptor {log_write} of {soft}")
    return ours, theirs, log_read, log_write


def _exhausted(error: OSError) -> ServiceException:
    return ServiceException(
        f"no file descriptors left for another environment ({error}); each needs two. "
        "Raise the limit (`ulimit -n 4096`, or resource.setrlimit) or lower the concurrency"
    )
