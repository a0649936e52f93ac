"""What a child may use, and how that is enforced here: the one place that knows.

    prepare(tier, options)      in the template, before anything else: find out, build, open
    enter_template(plan)        everything that a fork inherits: read-only view, network, no_new_privs, system-call filter
    enter_environment(plan)     what must be each environment's own: /tmp, limits, the last capability, Landlock

The split is about cost: a filter takes 0.4 ms to install and nothing to inherit, so only what cannot be shared is left for
the environment. Each returns or contributes to *applied*: what is enforced, by what, and what is not; never a pretence.

Tier "process" takes the best this machine permits. Tier "strict" raises SandboxUnavailable where something is missing.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from lambdalite.runtime import landlock, linux, mounts, privileges, seccomp
from lambdalite.runtime.namespaces import fork_zygote, place
from lambdalite.runtime.processes import become_subreaper, children, sweep

__all__ = [
    "Plan",
    "SandboxUnavailable",
    "become_subreaper",
    "children",
    "enter_environment",
    "enter_template",
    "forget",
    "forget_all",
    "forget_dead",
    "fork_zygote",
    "prepare",
    "sweep",
]  # fmt: skip

_NO_MOUNTS = "where user namespaces are switched off, run as root, or use isolation='process'"


class SandboxUnavailable(Exception):
    """The strict tier asks for what this machine does not permit. `missing`: primitives; `hint`: what to do."""

    def __init__(self, missing: list[str], hint: str) -> None:
        super().__init__(missing, hint)
        self.missing, self.hint = missing, hint

    def __str__(self) -> str:
        return f"isolation='strict' is not available here: missing {', '.join(self.missing)}. {self.hint}"


class Plan:
    """One function's sandbox: what it asked for, what was built for it, how far its template has gone."""

    def __init__(self, tier: str, options: dict[str, Any]) -> None:
        self.strict = tier == "strict"
        self.network = bool(options.get("network", not self.strict))
        self.unix_sockets = bool(options.get("unix_sockets", not self.strict))
        self.nofile, self.nproc = int(options.get("nofile", 1024)), int(options.get("nproc", 1024))
        self.tmp_bytes, self.root = int(options["tmp_bytes"]), options.get("root", "")
        self.writable, self.readable = list(options.get("writable", ())), list(options.get("readable", ()))
        self.shield = list(options.get("shield", ()))
        self.linux = sys.platform.startswith("linux")
        self.mounts = place.mounts
        self.entered = False
        self.applied: dict[str, dict[str, Any]] = {}
        self.own_tmp: str | None = None
        self.token = os.urandom(6).hex()  # a shared directory must not be guessable
        self.no_filter = seccomp.available() if self.linux else f"{sys.platform} has no seccomp"
        self.build()

    def build(self) -> None:
        """Everything expensive: the filter's instructions, Landlock's descriptors, the view of the file system."""
        self.fence = landlock.Fence(self.writable, network=self.network)
        self.identity = privileges.Identity()
        if self.mounts:
            self.view = mounts.View(self.tmp_bytes, self.readable, self.writable)
            self.scratch = self.view.scratch
        else:
            self.scratch = mounts.scratch_directories()
        # The one unshare that an environment needs, and the last one that anything below will be allowed.
        self.unshare = linux.CLONE_NEWNS | (linux.CLONE_NEWUSER if place.user else 0)
        self.keep = 0
        if self.mounts:
            self.keep = 1 << linux.CAP_SYS_ADMIN if not place.user else (os.getuid() == 0) << linux.CAP_SETFCAP
        self.fenced_signals = self.fence.abi >= 6
        self.last_filter = not self.fenced_signals and not place.pid_namespace and not self.no_filter
        if not self.no_filter:
            self.filter = seccomp.filter_for(
                sockets=seccomp.families(network=self.network, unix_sockets=self.unix_sockets, closed=self.strict),
                unshare=self.unshare if self.mounts else 0,
                shield=self.shield,
                protect_all=not self.fenced_signals,
                memory_files=not self.strict,
                others=place.pid_namespace and not self.strict,
            )

    @property
    def fds(self) -> list[int]:
        """Descriptors that must stay open until enter_environment has been called."""
        return self.fence.fds


def prepare(tier: str, options: dict[str, Any]) -> Plan:
    """Find out what is possible and build what is expensive. Called once, in the template, before user code.

    `options`: tmp_bytes; writable, readable (paths); network, unix_sockets (bool); nofile, nproc; root (a directory on disk
    for private ones, used where /tmp cannot be covered); shield (pids that may not be signalled).

    Raises:
        SandboxUnavailable: tier "strict" lacks a primitive.
    """
    plan = Plan(tier, options)
    if plan.strict and (missing := _missing(plan)):
        raise SandboxUnavailable(missing, _hint())
    if plan.root and not plan.mounts:
        from lambdalite.runtime import private  # loaded here, for all forks

        private.remove_stale(plan.root)
    return plan


def _missing(plan: Plan) -> list[str]:
    needs = {
        "a PID namespace": place.pid_namespace,
        "a mount namespace with a read-only file system and a private /tmp": place.mounts,
        "a system-call filter": not plan.no_filter,
    }
    return [what for what, there in needs.items() if not there]


def _hint() -> str:
    reason = next(iter(place.reasons.values()), "")
    return f"The system said: {reason}. {_NO_MOUNTS.capitalize()}." if reason else f"{_NO_MOUNTS.capitalize()}."


def enter_template(plan: Plan) -> dict[str, Any]:
    """Everything a fork inherits. A second call does nothing. Returns what is applied so far.

    Raises:
        SandboxUnavailable: tier "strict" and a primitive failed although it had been found to work.
        OSError: tier "process", likewise.
        private.Unusable: no mounts, and TMPDIR is of no use.
    """
    if plan.entered:
        return plan.applied
    plan.entered = True
    become_subreaper()
    applied = plan.applied
    if plan.linux:
        privileges.lower_own_priority()
        privileges.no_core_dumps()
        applied["network"] = _enter_mounts(plan)
        privileges.hold_back(plan.keep)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        _fence_template(plan)
        if not plan.no_filter:
            plan.filter.install()
    _describe(plan)
    return applied


def _enter_mounts(plan: Plan) -> dict[str, Any]:
    """The read-only view, and an empty network where none is wanted; the report about the network."""
    flags = 0
    if plan.mounts:
        isolate = (linux.CLONE_NEWNET if not plan.network else 0) | (linux.CLONE_NEWIPC if plan.strict else 0)
        flags = isolate
        try:
            plan.view.enter_template(flags)
        except OSError as error:
            if plan.strict:
                raise SandboxUnavailable([f"namespaces ({error})"], _hint()) from error
            raise
    return _describe_network(plan, own_network=bool(flags & linux.CLONE_NEWNET))


def _fence_template(plan: Plan) -> None:
    """Init is fenced in as far as its environments can still mount; without mounts, as they will be."""
    if plan.mounts:
        landlock.scope(plan.fence.abi)
        return
    _private_directory(plan)
    if plan.fence.abi:
        plan.fence.enter(*plan.scratch, *([plan.root] if plan.root else []))


def enter_environment(plan: Plan) -> dict[str, Any]:
    """Make this freshly forked process an environment. Returns *applied*; JSON, short.

    Raises:
        SandboxUnavailable: tier "strict" and a primitive failed although it had been found to work.
        OSError: tier "process", likewise.
        private.Unusable: no mounts, and TMPDIR is of no use.
    """
    enter_template(plan)
    if not plan.linux:
        _private_directory(plan)
        privileges.no_core_dumps()
        privileges.limit(plan.nofile, None)
        return plan.applied
    try:
        if plan.mounts:
            _own_mounts(plan)
        else:
            _private_directory(plan)
        become_subreaper()  # a daemon of the handler's stays in its environment's tree, and so within its limits
        privileges.limit(plan.nofile, plan.nproc if plan.mounts and place.user else None)
        privileges.drop_all(bounding=plan.strict and plan.mounts and place.user)
        _fence_environment(plan)
    except OSError as error:
        if plan.strict:
            raise SandboxUnavailable([str(error)], _hint()) from error
        raise
    return plan.applied


def _own_mounts(plan: Plan) -> None:
    if plan.keep:
        linux.set_capabilities(plan.keep, plan.keep)
    linux.unshare(plan.unshare)
    if place.user:
        plan.identity.map()
    plan.view.enter_environment()
    if place.user:
        privileges.restrict_users()
    if plan.strict or not plan.fence.abi:  # otherwise Landlock closes it, for nothing
        mounts.close_proc()


def _fence_environment(plan: Plan) -> None:
    if plan.fence.abi:
        own = plan.scratch if plan.mounts else [*plan.scratch, *([plan.own_tmp] if plan.own_tmp else [])]
        plan.fence.enter(*own)
    plan.fence.forget()
    if plan.last_filter:
        seccomp.signal_filter(os.getpid()).install()


def _private_directory(plan: Plan) -> None:
    """Where /tmp cannot be covered; an environment finds there what init left in the template's."""
    if plan.root:
        from lambdalite.runtime import private

        plan.own_tmp = private.claim(plan.root, plan.token, plan.own_tmp)


def forget(plan: Plan, pid: int) -> None:
    """After the environment `pid` has been reaped: remove its private directory, if it had one."""
    if plan.root and not plan.mounts:
        from lambdalite.runtime import private

        private.remove(plan.root, plan.token, pid)


def forget_all(plan: Plan) -> None:
    """At the template's end: remove its own private directory and those of its environments, if there are any."""
    if plan.root and not plan.mounts:
        from lambdalite.runtime import private

        private.remove_all(plan.root, plan.token)


def forget_dead() -> None:
    """In the guardian, when all are dead: private directories of those that were killed before they could remove them."""
    if not place.mounts:
        from lambdalite.runtime import private

        private.remove_stale(os.environ.get("TMPDIR", "/tmp"))


def _entry(enforced: bool, how: str, detail: str = "") -> dict[str, Any]:
    return {"enforced": enforced, "how": how, "detail": detail}


def _describe(plan: Plan) -> None:
    """The part of *applied* that is the same for every environment of the function."""
    applied, abi = plan.applied, plan.fence.abi
    applied.setdefault("network", _describe_network(plan, own_network=False))
    applied["filesystem"] = _describe_files(plan, abi)
    applied["tmp"] = _describe_tmp(plan)
    applied["signals"] = _describe_signals(plan)
    own_count = plan.mounts and place.user
    applied["processes"] = (
        _entry(True, "RLIMIT_NPROC in its own user namespace", f"{plan.nproc} processes")
        if own_count
        else _entry(False, "", "not bounded by the sandbox; a pids cgroup does it where there is one")
    )
    applied["files"] = _entry(True, "RLIMIT_NOFILE", f"{plan.nofile} open files")
    applied["privileges"] = _describe_privileges(plan)


def _describe_tmp(plan: Plan) -> dict[str, Any]:
    if not plan.mounts:
        return _entry(
            False, "private directory", "private directory in TMPDIR, not bounded here; /tmp itself is shared"
        )
    if os.path.realpath("/tmp") not in plan.view.scratch:
        return _entry(False, "", "shared with the host, since /tmp itself is among the writable paths")
    links = "; what lies in /tmp is seen through links" if plan.view.linked else ""
    return _entry(True, "private tmpfs", f"/tmp {plan.tmp_bytes} bytes, ENOSPC when full{links}")


def _describe_files(plan: Plan, abi: int) -> dict[str, Any]:
    fence = f"landlock abi {abi}"
    if plan.mounts:
        return _entry(True, f"read-only mounts, {fence}" if abi else "read-only mounts")
    if not abi:
        return _entry(False, "", "not enforced: neither mount namespaces nor Landlock")
    gaps = "metadata not covered" if abi >= 3 else "metadata and truncate not covered"
    return _entry(True, fence, gaps)


def _describe_network(plan: Plan, *, own_network: bool) -> dict[str, Any]:
    if plan.network:
        return _entry(False, "", "open, as asked")
    how = [name for name, there in (("empty network namespace", own_network), ("seccomp", not plan.no_filter)) if there]
    if how:
        return _entry(True, ", ".join(how))
    if plan.fence.abi >= 4:
        return _entry(True, f"landlock abi {plan.fence.abi}", "TCP only; UDP not covered")
    return _entry(False, "", "not enforced: no network namespace, no seccomp, no Landlock 4")


def _describe_signals(plan: Plan) -> dict[str, Any]:
    how = [
        name
        for name, there in (
            ("pid namespace", place.pid_namespace),
            ("landlock scope", plan.fenced_signals),
            ("seccomp", plan.last_filter),
        )
        if there
    ]
    if not how:
        return _entry(False, "", "NOT PREVENTED: a handler can signal the host")
    gaps = "a handler cannot signal its own children" if plan.last_filter else ""
    if place.pid_namespace and not plan.fenced_signals:
        gaps = "environments of one app can signal each other"
    return _entry(True, ", ".join(how), gaps)


def _describe_privileges(plan: Plan) -> dict[str, Any]:
    if not plan.linux:
        return _entry(False, "", f"not enforced: {sys.platform} has no capabilities to drop")
    gaps = [f"no system-call filter: {plan.no_filter}"] if plan.no_filter else []
    if not plan.fence.abi and not place.pid_namespace:
        gaps.append("memory of the user's other processes can be reached through /proc: no PID namespace, no Landlock")
    how = "no capabilities, no_new_privs" + ("" if plan.no_filter else ", seccomp")
    return _entry(True, how, "; ".join(gaps))
