"""Fork the zygote, into namespaces where that is permitted.

The best: the zygote is process 1 of a PID namespace with its own /proc. Whatever kills it, nothing below it survives, and nothing
below it can see or signal anything outside. Needs CAP_SYS_ADMIN or an unprivileged user namespace. Permission is found
by trying: sysctls and flags lie (AppArmor, container profiles).

    guardian ──fork──► middle ── unshare ──fork──► zygote        middle exits; the guardian, a subreaper, is now the parent

The middle process is there because unshare(CLONE_NEWPID) marks its caller for ever, and the guardian must stay outside.
PR_SET_PDEATHSIG would fire when the middle process exits: so the zygote asks for it only when the guardian, having reaped
the middle process, says go. If the guardian dies in between, reading "go" ends with end-of-file and the zygote exits.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NoReturn

from lambdalite.runtime import linux, mounts, privileges, processes

__all__ = ["Place", "fork_zygote", "place"]


class Place:
    """Where this process and its descendants live; set once, in the zygote, and inherited by every fork."""

    def __init__(self) -> None:
        self.pid_namespace = False
        self.mounts = False
        self.user = False  # mounting is permitted by way of a user namespace, not by a capability held outside
        self.reasons: dict[str, str] = {}

    def why_not(self, what: str) -> str:
        """Why a namespace is missing, in words."""
        return self.reasons.get(what, "namespaces were not asked for")


place = Place()

#: Best first: PID namespace or not, by a user namespace or not.
_WAYS = ((True, False), (True, True), (False, False), (False, True))


def fork_zygote(wish: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Fork. In the caller: (the child's pid as the caller sees it, report). In the child: (0, report).

    Input: {"namespaces": bool}. The caller must be single-threaded; it becomes a subreaper. Report: for each of
    pid_namespace, user_namespace, mount_namespace, proc: {"enforced", "how", "reason"}, plain words.
    """
    processes.become_subreaper()
    failures: dict[str, str] = {}
    if wish.get("namespaces") and sys.platform.startswith("linux"):
        for pid_namespace, user in _WAYS:
            result = _attempt(pid_namespace=pid_namespace, user=user, failures=failures)
            if result is not None:
                return result
    elif wish.get("namespaces"):
        failures = dict.fromkeys(("pid", "mount"), f"{sys.platform} has no namespaces")
    return _plain(failures)


def _plain(failures: dict[str, str]) -> tuple[int, dict[str, Any]]:
    place.reasons = dict(failures)
    pid = os.fork()
    if not pid:
        processes.become_subreaper()
    return pid, _report()


def _attempt(*, pid_namespace: bool, user: bool, failures: dict[str, str]) -> tuple[int, dict[str, Any]] | None:
    """One way; None if it is not permitted, and then nothing of it is left."""
    words_read, words_write = os.pipe()
    go_read, go_write = os.pipe()
    flags = linux.CLONE_NEWNS | (linux.CLONE_NEWPID if pid_namespace else 0) | (linux.CLONE_NEWUSER if user else 0)
    before = set(processes.children())
    child = os.fork()
    if not child:
        os.close(words_read)
        os.close(go_write)
        _become(flags, words_write, go_read)
        place.pid_namespace, place.mounts, place.user, place.reasons = pid_namespace, True, user, dict(failures)
        return 0, _report()
    os.close(words_write)
    os.close(go_read)
    try:
        pid, reason = _listen(words_read, child if not pid_namespace else 0)
        if pid_namespace:
            os.waitpid(child, 0)
        if not reason:
            reason = _arm(go_write, words_read)
    finally:
        os.close(words_read)
        os.close(go_write)
    if reason:
        processes.sweep(before)
        what = "pid" if pid_namespace else "mount"
        told = failures.get(what, "")
        failures[what] = told if reason in told else f"{told}; {reason}".lstrip("; ")
        return None
    place.pid_namespace, place.mounts, place.user, place.reasons = pid_namespace, True, user, dict(failures)
    return pid, _report()


def _listen(words: int, pid: int) -> tuple[int, str]:
    """(the zygote's pid, why it failed) from what the child and its child say; "ready" comes last."""
    text = b""
    while not text.endswith((b"ready\n", b"failed\n")):
        part = os.read(words, 4096)
        if not part:
            return pid, "the process died while entering its namespaces"
        text += part
    reason = ""
    for line in text.decode(errors="replace").splitlines():
        word, _, rest = line.partition(" ")
        pid = int(rest) if word == "pid" else pid
        reason = rest if word == "reason" else reason
    return pid, reason


def _arm(go: int, words: int) -> str:
    """Tell the zygote that its parent is settled; empty when it is armed, otherwise why not."""
    try:
        os.write(go, b"g")
        armed = os.read(words, 16)
    except BrokenPipeError:
        armed = b""
    return "" if armed else "the process died right after entering its namespaces"


def _become(flags: int, words: int, go: int) -> None:
    """In the child: become the zygote, or say why not and exit."""
    try:
        identity = privileges.Identity()
        linux.unshare(flags)
        if flags & linux.CLONE_NEWUSER:
            identity.map()
        if flags & linux.CLONE_NEWPID:
            _fork_first(words)
        linux.mount(None, b"/", None, linux.MS_REC | linux.MS_PRIVATE)
        if flags & linux.CLONE_NEWPID:
            linux.mount(b"proc", b"/proc", b"proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
        _rehearse(identity if flags & linux.CLONE_NEWUSER else None)
    except OSError as error:
        _fail(words, error)
    _settle(flags, words, go)


def _fork_first(words: int) -> None:
    """Fork process 1 of the new namespace; return in it. Its parent says its pid and exits."""
    pid = os.fork()
    if pid:
        os.write(words, b"pid %d\n" % pid)
        os._exit(0)
    if os.getpid() != 1:
        raise OSError(0, f"process id {os.getpid()} in a new PID namespace, 1 expected")


def _settle(flags: int, words: int, go: int) -> None:
    """Wait for the guardian's word, then tie our life to its life."""
    os.write(words, b"ready\n")
    if not os.read(go, 1):
        os._exit(1)  # the guardian has died
    if flags & linux.CLONE_NEWPID:
        linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        # Killed with the guardian, it could not clean up after it: it watches the guardian instead.
        processes.become_subreaper()
    try:
        os.write(words, b"armed")
    except BrokenPipeError:  # the guardian died before the signal was armed
        os._exit(1)
    os.close(words)
    os.close(go)


def _fail(words: int, error: OSError) -> NoReturn:
    os.write(words, b"reason %s\nfailed\n" % str(error).replace("\n", " ").encode())
    os._exit(1)


def _rehearse(identity: privileges.Identity | None) -> None:
    """Do in a throw-away child what templates and environments will do; raise OSError if it is not permitted."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            view = mounts.View(1 << 20, (), ())
            view.enter_template()
            linux.unshare(linux.CLONE_NEWNS | (linux.CLONE_NEWUSER if identity else 0))
            if identity:
                identity.map()
            view.enter_environment()
        except OSError as error:
            os.write(write, json.dumps([error.errno, str(error)]).encode())
        finally:
            os._exit(0)
    os.close(write)
    told = os.read(read, 4096)
    os.close(read)
    os.waitpid(pid, 0)
    if told:
        number, text = json.loads(told)
        raise OSError(number, text)


def _report() -> dict[str, Any]:
    by = "an unprivileged user namespace" if place.user else "CAP_SYS_ADMIN"
    pid, mount = place.why_not("pid"), place.why_not("mount")
    return {
        "pid_namespace": _line(place.pid_namespace, f"the zygote is process 1, by {by}", pid),
        "user_namespace": _line(
            place.user, "own uid and gid, mapped to themselves", "not needed" if place.mounts else mount
        ),
        "mount_namespace": _line(place.mounts, f"private mounts, by {by}", mount if "mount" in place.reasons else pid),
        "proc": _line(place.pid_namespace, "a /proc of the PID namespace", pid),
    }


def _line(enforced: bool, how: str, reason: str) -> dict[str, Any]:
    return {"enforced": enforced, "how": how if enforced else "", "reason": "" if enforced else reason}
