"""The guardian: the parent of everything, outside the host and outside every namespace.

A fresh interpreter, one thread, the standard library. It

- watches the host by pidfd, and ends every descendant when the host is gone, however it went;
- watches every template and environment: memory (`watch`), CPU share (`cpu`, `cgroups`), death;
- kills on request, by pidfd, so that a recycled process id can never be hit;
- says on the board why a process died, before it kills.

Processes register by a *hello*: a datagram to which the kernel adds the sender's process id as it reads here, outside the
PID namespace. A process says hello before any user code runs in it, and a slot and generation register once, so what user
code writes to the socket later changes nothing.

Everything is in one loop and nothing blocks it: hello, control, deaths, and looks at memory when they are due.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import struct
import sys
from time import monotonic, process_time
from typing import Any

from lambdalite import runtime
from lambdalite.runtime import board as boards
from lambdalite.runtime import cgroups, cpu, frames, memfiles, sandbox, wake, watch
from lambdalite.runtime.watch import MIB, Watched

__all__ = ["Guardian", "main"]

_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid
_DEEP_SLEEP = 1.0  # seconds: the longest sleep when nothing is busy; the host pokes us when something starts
_LINGER = 1.0  # seconds after the last invocation before we sleep long: the next one then need not wake us
_LEAVING = 0.2  # seconds for the kernel to let dead processes leave their groups
_SHARE_OF_CORE = 0.1  # at most so much of a core goes into looking


def main() -> None:
    """Entry point: ``argv[1]`` is the configuration as JSON. Never returns."""
    runtime.IN_CHILD = True
    config = json.loads(sys.argv[1])
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the host's death or its closing of the socket ends us, nothing else
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sandbox.become_subreaper()
    ours, theirs = socket.socketpair(socket.AF_UNIX, getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM))
    if hasattr(socket, "SO_PASSCRED"):
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    zygote, report = sandbox.fork_zygote({"namespaces": config["namespaces"]})
    if not zygote:
        ours.close()
        os.close(config["control"])
        os.close(config["board"])
        _become_zygote(config["zygote"], theirs, report)
    theirs.close()
    os.close(config["zygote"])
    _hurry()
    guardian = Guardian(config, ours, zygote)
    guardian.ready(report)
    status = 1
    try:
        guardian.loop()
        status = 0
    except BaseException:  # the last frame of a process: the host reads what happened, and all must end
        sys.excepthook(*sys.exc_info())
    finally:
        guardian.end()
        sandbox.forget_dead()
        os._exit(status)


def _become_zygote(fd: int, hello: socket.socket, report: dict[str, Any]) -> None:
    from lambdalite.runtime import zygote

    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    zygote.main(fd, hello.detach(), report)


class Guardian:
    """The loop and everything it owns."""

    def __init__(self, config: dict[str, Any], hello: socket.socket, zygote: int) -> None:
        self.control = socket.socket(fileno=config["control"])
        self.hello, self.zygote = hello, zygote
        self.board = boards.Board.attach(config["board"], config["slots"])
        self.host = config["host_pid"]
        self.groups = cgroups.open_groups() if config["cgroups"] != "off" else None
        self.watched: dict[tuple[int, int], Watched] = {}
        self.by_pidfd: dict[int, Watched] = {}
        self.pids: dict[int, Watched] = {}
        self.condemned: dict[int, int] = {}  # slot → generation to be killed at hello
        self.dead_groups: list[str] = []
        self.last_pid, self.shared = watch.LastPid(), memfiles.Level()
        self.samples = 0
        self.next_due: float | None = None  # of a busy process; None if there is none
        self.last_busy = 0.0
        self.throttled = False
        self.confirming = 0.0  # seconds of the last look that went into exact readings
        self.spent = 0.0
        self.poller = wake.poller()
        self.host_fd = _pidfd(self.host)
        if os.getppid() != self.host and self.host_fd >= 0:  # it had died: the descriptor may be somebody else's
            os.close(self.host_fd)
            self.host_fd = -1
        self.zygote_fd = _pidfd(zygote)
        self.register()

    def register(self) -> None:
        """Everything that wakes us, other than time."""
        for fd in (self.control.fileno(), self.hello.fileno(), self.host_fd, self.zygote_fd):
            if fd >= 0:
                self.poller.register(fd)

    def ready(self, report: dict[str, Any]) -> None:
        """Tell the host what was found possible."""
        exact = self.groups.name if self.groups else ""
        frames.send(
            self.control,
            {
                "op": "ready",
                "zygote": self.zygote,
                "report": report,
                "memory": _describe_memory(exact),
                "cpu": f"{exact} quota" if exact else "SIGSTOP and SIGCONT by CPU time used",
                "cgroup": exact,
            },
        )

    # --- the loop -------------------------------------------------------------------------------------------------

    def loop(self) -> None:
        """Until the host or the zygote is gone."""
        gc.collect()
        gc.freeze()
        while True:
            for fd in self.poller.wait(self.pause()):
                if fd == self.host_fd:
                    return
                if fd == self.control.fileno():
                    if not self.obey():
                        return
                elif fd == self.hello.fileno():
                    self.greet()
                elif fd == self.zygote_fd:
                    self.say({"op": "zygote-died", "status": os.waitpid(self.zygote, 0)[1]})
                    return
                elif fd in self.by_pidfd:
                    self.died(self.by_pidfd[fd])
            if self.host_fd < 0 and os.getppid() != self.host:
                return
            self.look()

    def pause(self) -> float:
        """Seconds to sleep."""
        if self.throttled:
            return cpu.TICK
        now = monotonic()
        if self.next_due is not None:
            # What looking costs is bounded: the more there is to look at, the longer the rounds.
            return max(self.next_due - now, watch.SHORTEST, self.spent / _SHARE_OF_CORE)
        if now < self.last_busy + _LINGER:
            return watch.LONGEST
        self.board.sleep(True)
        # Again, since the host looks at `sleeping` after it has set `busy`: one of us sees the other's store.
        if any(self.busy(one) for one in self.watched.values()):
            self.board.sleep(False)
            return 0.0
        return _DEEP_SLEEP if self.watched or self.host_fd >= 0 else 0.1

    def busy(self, one: Watched) -> bool:
        """Does an invocation or an init run in it? The host leaves a template's mark; after its first fork it only waits."""
        return self.board.busy(one.slot) and not one.settled

    def look(self) -> None:
        """Look at every process that is due."""
        self.board.sleep(False)
        began, spent = monotonic(), process_time()  # processor time: being preempted is no reason to look less often
        forked, shared = self.last_pid.changed(), self.shared.read()
        looked = self.throttled = False
        self.confirming = 0.0
        self.next_due = None
        for one in list(self.watched.values()):
            busy = self.busy(one)
            if one.cpu_share and one.group is None:
                self.throttle(one, began, busy)
                self.throttled |= busy
            busy = busy or began < one.awake
            if began >= one.due or (busy and one.due - began > watch.LONGEST):
                one.files.look(began, shared, one.pids, busy=busy)
                self.measure(one, began, forked, busy)
                looked = True
            if busy:
                self.last_busy = began
                self.next_due = one.due if self.next_due is None else min(self.next_due, one.due)
        if looked:
            self.spent = max(process_time() - spent - self.confirming, 0.0)  # that has a bound of its own

    def measure(self, one: Watched, now: float, forked: bool, busy: bool) -> None:
        """Look at one process tree; kill it if it is over its limit."""
        self.samples += 1
        before, size = one.size, one.look(now, forked, self.pids)
        if not size:
            one.due = now + watch.IDLE_INTERVAL
            if one.pidfd < 0 and not wake.alive(one.pid):
                self.died(one)
            return  # otherwise a zombie: its death arrives by pidfd
        if len(one.children) >= watch.PROCESSES:
            self.condemn((one.slot, one.generation), whole=True)
        size = one.size = size + one.files.size
        bound, over = size, size > one.limit
        growing = size >= before + MIB
        if growing and before and not busy:
            one.awake = now + watch.RESTLESS
        if over or one.children or one.files.size:
            # To report, an exact reading now and then will do, and only of what does not grow: reading makes it wait.
            look_closely = over or (now >= one.report_due and not growing)
            size = self.exact(one, now, hold=over and growing) if look_closely else one.largest
        mine = self.board.owned(one.slot, one.generation)
        if mine:
            self.board.raise_peak(one.slot, size)
        if size > one.limit and one.settled and one.children:
            self.cull(one)
        elif size > one.limit or (one.group is not None and self.struck(one, now)):
            if mine:
                self.board.mark(one.slot, boards.OUT_OF_MEMORY, boards.SAMPLING if size > one.limit else boards.CGROUP)
            self.kill(one, whole=True)
            one.due = now + watch.IDLE_INTERVAL
        else:
            one.due = now + (
                watch.interval(bound if bound <= one.limit else size, one.limit) if busy else watch.IDLE_INTERVAL
            )

    def cull(self, template: Watched) -> None:
        """What is below a template and is no environment was left by one, as a daemon: the largest of it goes."""
        largest = max(template.children, key=watch.resident_of)
        wake.send([largest, *watch.descendants(largest, self.pids)], signal.SIGKILL)

    def exact(self, one: Watched, now: float, *, hold: bool) -> int:
        """What counts of a tree whose sum is only an upper bound, bytes; a lower bound where reading would cost too much.

        A tree that seems to be over its limit and grows is held meanwhile, or it would grow by as much. The more a
        reading costs, the seldomer it is done; one process that is over the limit for itself is found in any case.
        """
        alone = one.alone_over()
        if alone:
            return alone  # nothing shared can excuse that
        if now < one.confirm_due:
            return min(one.largest, one.limit)
        halted = [pid for pid in one.pids if not watch.stopped(pid)] if hold and one.children else []
        wake.send(halted, signal.SIGSTOP)
        began = monotonic()
        size = one.confirm()
        took = monotonic() - began
        self.confirming += took
        one.confirm_due = now + watch.CONFIRM_SHARE * took
        one.report_due = max(one.confirm_due, now + watch.CONFIRM_INTERVAL)
        if size <= one.limit or one.settled:  # of what is below a template only the largest is ended: the rest goes on
            wake.send(halted, signal.SIGCONT)
        return size

    def struck(self, one: Watched, now: float) -> bool:
        """Has the kernel killed somebody in this group? It takes one process (version 1); the whole tree is to go."""
        if now < one.group_due or self.groups is None or one.group is None:
            return False
        one.group_due = now + watch.CONFIRM_INTERVAL
        return self.groups.out_of_memory(one.group)

    def throttle(self, one: Watched, now: float, busy: bool) -> None:
        """Keep one tree to its CPU share."""
        if not busy:
            if one.throttle is not None:
                one.throttle.release()
                one.throttle = None
            return
        if one.throttle is None:
            one.throttle = cpu.Throttle(one.cpu_share)
            one.throttle.begin(now, one.pids)
        else:
            one.throttle.tick(now, one.pids)

    # --- messages -------------------------------------------------------------------------------------------------

    def obey(self) -> bool:
        """One message of the host's; False at the end of the stream."""
        try:
            message = frames.receive(self.control)
        except (ConnectionError, frames.EndOfStream):
            return False
        if message is None or message.body.get("op") == "quit":
            return False
        body = message.body
        if body.get("op") in ("kill", "kill-template"):
            self.condemn((body["slot"], body["generation"]), whole=body["op"] == "kill-template")
        elif body.get("op") == "stats":
            self.say(self.statistics())
        return True

    def condemn(self, key: tuple[int, int], *, whole: bool) -> None:
        """Kill a process; one that has not said hello yet is killed when it does."""
        one = self.watched.get(key)
        if one is None:
            if self.board.owned(*key) and not self.board.read(key[0]).judged:
                self.condemned[key[0]] = key[1]
            return
        self.board.mark(one.slot, boards.KILLED)
        self.kill(one, whole=whole)

    def greet(self) -> None:
        """Register a process that says hello."""
        space = socket.CMSG_SPACE(_CREDENTIALS.size) if hasattr(socket, "CMSG_SPACE") else 0
        data, ancillary, _flags, _address = self.hello.recvmsg(4096, space)
        if not data:
            return
        try:
            hello = json.loads(data)
            pid = _sender(ancillary) or int(hello["pid"])
            one = Watched(pid, hello)
        except (
            ValueError, KeyError, TypeError, OverflowError, RecursionError, ProcessLookupError, FileNotFoundError,
        ):  # fmt: skip
            return  # forged, or dead already: what is not registered has no rights that it could lose
        except OSError as error:
            sys.stderr.write(f"process {pid} was ended because it cannot be watched: {error}\n")
            wake.send([pid], signal.SIGKILL)
            return
        key = (one.slot, one.generation)
        if key in self.watched or pid in self.pids or not (self.board.has(one.slot) and self.board.owned(*key)):
            one.close()
            return
        self.watched[key] = self.pids[pid] = one
        if one.pidfd >= 0:
            self.by_pidfd[one.pidfd] = one
            self.poller.register(one.pidfd)
        if one.role == "environment":
            self.settle(pid)
        self.enclose(one)
        self.board.mark(one.slot, boards.WATCHED)
        if self.condemned.pop(one.slot, None) == one.generation:
            self.condemn(key, whole=False)

    def settle(self, pid: int) -> None:
        """An environment has been forked: its template's init is over."""
        if any(one.role == "template" and not one.settled for one in self.watched.values()):
            template = self.pids.get(watch.parent(pid))
            if template is not None:
                template.settled = True

    def enclose(self, one: Watched) -> None:
        """Put a process into a control group, if that is worth it."""
        worth = one.role == "environment" and (one.reuse or one.cpu_share)
        if self.groups is None or not worth:
            return
        try:
            # /tmp is a tmpfs, charged to who writes it, but no memory of the function's: sampling keeps the exact limit.
            one.group = self.groups.create(one.limit + one.tmp_bytes, one.cpu_share, 1024)
            self.groups.attach(one.group, one.pid)
        except OSError:
            self.drop_group(one)  # not here, not now: sampling does it

    def say(self, body: dict[str, Any]) -> None:
        """Tell the host; it may be gone."""
        try:
            frames.send(self.control, body)
        except OSError:
            # The next poll finds the socket closed.
            return

    def statistics(self) -> dict[str, Any]:
        """What we cost."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "op": "stats",
            "watched": len(self.watched),
            "samples": self.samples,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "rss": watch.resident_of(os.getpid()) // MIB,
            "fds": len(os.listdir("/dev/fd")) - 1,  # but the one that lists them
        }

    # --- death ----------------------------------------------------------------------------------------------------

    def kill(self, one: Watched, *, whole: bool = False) -> None:
        """Kill a process and its descendants; for a template, its environments too.

        Descendants are listed before the first signal: afterwards they belong to somebody else. What is forked in between
        is found by the template, which sweeps after every death.
        """
        below = watch.descendants(one.pid) if whole or one.role == "environment" else []
        wake.kill(one.pidfd, one.pid)
        wake.send(below, signal.SIGKILL)

    def died(self, one: Watched) -> None:
        """Its pidfd says that it is dead: judge, and forget it."""
        if self.board.owned(one.slot, one.generation):
            if one.group and self.groups is not None and self.groups.out_of_memory(one.group):
                self.board.raise_peak(one.slot, one.limit)
                self.board.mark(one.slot, boards.OUT_OF_MEMORY, boards.CGROUP)
            self.board.mark(one.slot, boards.JUDGED)
        if one.throttle is not None:
            one.throttle.release()
        if one.pidfd >= 0:
            self.poller.unregister(one.pidfd)
            del self.by_pidfd[one.pidfd]
        del self.watched[one.slot, one.generation], self.pids[one.pid]
        self.drop_group(one)
        one.close()

    def drop_group(self, one: Watched) -> None:
        """Remove its group, or later, if processes are still leaving it."""
        if one.group is not None:
            self.dead_groups.append(one.group)
            one.group = None
        if self.groups is not None:
            self.dead_groups = [group for group in self.dead_groups if not self.groups.remove(group)]

    def end(self) -> None:
        """Kill everything below, whatever has become of it, and leave no group behind."""
        for one in self.watched.values():
            if one.throttle is not None:
                one.throttle.release()
        wake.send([self.zygote, *watch.descendants(self.zygote)], signal.SIGKILL)
        sandbox.sweep(())
        for one in self.watched.values():
            self.drop_group(one)
        patience = monotonic() + _LEAVING
        while self.dead_groups and self.groups is not None and monotonic() < patience:
            self.dead_groups = [group for group in self.dead_groups if not self.groups.remove(group)]


def _describe_memory(exact: str) -> str:
    if not watch.SIGHTED:
        return "not enforced: no /proc to read it from"
    return f"{exact} for reused environments, sampling for all" if exact else "sampling of the process tree"


def _hurry() -> None:
    """Be scheduled before the handlers that we watch, where we may (root): on a full machine a late look is a late kill."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except PermissionError:
        return


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def _sender(ancillary: list[Any]) -> int:
    """The process id that the kernel attached; 0 if it attached none."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == getattr(socket, "SCM_CREDENTIALS", None):
            return int(_CREDENTIALS.unpack_from(data)[0])
    return 0
