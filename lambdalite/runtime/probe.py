"""Which primitives this machine permits, found by trying each one in a throw-away process.

Flags and sysctls lie (AppArmor, container profiles, read-only mounts), so nothing is concluded from them. Every trial runs in a
child of a fresh interpreter: the calling process, which may be full of threads, never forks.

    python -I lambdalite/runtime/probe.py        prints the same as JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["capabilities", "main"]

_PATIENCE = 30.0  # seconds for all trials together; they take 0.1 to 0.4 on a loaded machine (measured)


def capabilities() -> dict[str, dict[str, Any]]:
    """Primitive → {"available": bool, "how": str, "reason": str}; `how` if it is available, `reason` if not.

    Takes as long as starting an interpreter and some twenty forks. Raises RuntimeError if that interpreter fails, and
    subprocess.TimeoutExpired if a trial hangs.
    """
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = f"import sys; sys.path.insert(0, {package!r}); from lambdalite.runtime.probe import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode:
        text = done.stderr.decode(errors="replace")[-2000:]
        raise RuntimeError(f"the probe ended with status {done.returncode}; report this with: {text}")
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def main() -> None:
    """Try everything; one JSON object on standard output."""
    sys.stdout.write(json.dumps({name: _try(trial) for name, trial in _TRIALS.items()}) + "\n")
    sys.stdout.flush()


def _try(trial: Callable[[], str]) -> dict[str, Any]:
    """Run it in a child, which says how it went through a pipe."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(read)
        word = b"-died"
        try:
            word = b"+" + trial().encode()
        except Exception as error:
            word = b"-" + (str(error) or type(error).__name__).encode()
        finally:
            os.write(write, word[:4096])
            os._exit(0)
    os.close(write)
    said = os.read(read, 4096).decode(errors="replace")
    os.close(read)
    status = os.waitpid(pid, 0)[1]
    said = said or f"-the trial ended with wait status {status}"
    good = said.startswith("+")
    return {"available": good, "how": said[1:] if good else "", "reason": "" if good else said[1:]}


def _enter(flags: int) -> str:
    """Leave for new namespaces, by a capability or by a user namespace; how."""
    from lambdalite.runtime import linux, privileges

    identity = privileges.Identity()
    try:
        linux.unshare(flags)
    except PermissionError:
        linux.unshare(flags | linux.CLONE_NEWUSER)
        identity.map()
        return "by a user namespace"
    return "by CAP_SYS_ADMIN"


def _user_namespace() -> str:
    from lambdalite.runtime import linux, privileges

    identity = privileges.Identity()
    linux.unshare(linux.CLONE_NEWUSER)
    identity.map()
    # AppArmor may let the namespace be made and then take its capabilities away
    linux.unshare(linux.CLONE_NEWNS)
    linux.mount(None, b"/", None, linux.MS_REC | linux.MS_PRIVATE)
    return "own uid and gid mapped"


def _pid_namespace() -> str:
    from lambdalite.runtime import namespaces

    pid, report = namespaces.fork_zygote({"namespaces": True})
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    found = report["pid_namespace"]
    if not found["enforced"]:
        raise OSError(found["reason"])
    return f"{found['how']}, with its own /proc"


def _mount_namespace() -> str:
    from lambdalite.runtime import linux, mounts

    how = _enter(linux.CLONE_NEWNS)
    linux.mount(None, b"/", None, linux.MS_REC | linux.MS_PRIVATE)
    mounts.View(1 << 20, (), ()).enter_template()
    return f"{how}: read-only from the root, tmpfs on /tmp"


def _network_namespace() -> str:
    from lambdalite.runtime import linux

    return _enter(linux.CLONE_NEWNET)


def _landlock() -> str:
    import tempfile

    from lambdalite.runtime import landlock, linux

    abi = linux.landlock.abi()
    if not abi:
        raise OSError("the kernel has none, or it is switched off (lsm= on its command line)")
    directory = tempfile.gettempdir()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    landlock.Fence((), network=True).enter()
    try:
        tempfile.TemporaryFile(dir=directory).close()
    except OSError:
        return f"ABI {abi}"
    raise OSError("a write went through in spite of the rules")


def _seccomp() -> str:
    import socket

    from lambdalite.runtime import linux, seccomp

    reason = seccomp.available()
    if reason:
        raise OSError(reason)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.filter_for(sockets=[], unshare=0).install()
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
    except OSError:
        return f"a filter for {os.uname().machine}"
    raise OSError("a socket opened in spite of the filter")


_V1 = {"memory": "memory.limit_in_bytes", "cpu": "cpu.cfs_quota_us", "pids": "pids.max"}
_V2 = {"memory": "memory.max", "cpu": "cpu.max", "pids": "pids.max"}


def _cgroup(controller: str) -> Callable[[], str]:
    def trial() -> str:
        reasons = []
        for version, (directory, knob) in _cgroup_places(controller).items():
            path = os.path.join(directory, f"lambdalite-probe-{os.getpid()}")
            try:
                os.mkdir(path)
                try:
                    _check_knob(path, knob, version)
                finally:
                    os.rmdir(path)
            except OSError as error:
                reasons.append(f"{version}: {error}")
            else:
                return f"cgroup {version}, {directory}"
        raise OSError("; ".join(reasons) or f"no cgroup hierarchy with {controller}")

    return trial


def _check_knob(path: str, knob: str, version: str) -> None:
    if not os.path.exists(os.path.join(path, knob)):
        raise OSError(f"{knob} is missing in {os.path.dirname(path)}: the controller is not delegated ({version})")
    os.close(os.open(os.path.join(path, knob), os.O_WRONLY | os.O_CLOEXEC))


def _cgroup_places(controller: str) -> dict[str, tuple[str, str]]:
    """Version → (our own cgroup's directory, the file that sets the limit)."""
    roots = _cgroup_roots()
    places = {}
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _number, names, path = line.rstrip("\n").split(":", 2)
            if controller in names.split(",") and controller in roots:
                places["v1"] = (roots[controller] + path.rstrip("/"), _V1[controller])
            if not names and "" in roots:
                places["v2"] = (roots[""] + path.rstrip("/"), _V2[controller])
    return places


def _cgroup_roots() -> dict[str, str]:
    """Controller (empty for v2) → where it is mounted."""
    roots = {}
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _source, target, kind, options, *_rest = line.split()
            if kind == "cgroup2":
                roots[""] = target
            if kind == "cgroup":
                roots.update(dict.fromkeys(options.split(","), target))
    return roots


def _pidfd() -> str:
    fd = os.pidfd_open(os.getpid())
    os.close(fd)
    return "pidfd_open"


def _subreaper() -> str:
    from lambdalite.runtime import linux

    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    return "PR_SET_CHILD_SUBREAPER"


def _children_file() -> str:
    with open(f"/proc/self/task/{os.getpid()}/children", "rb"):
        return "/proc/<pid>/task/<tid>/children"


def _oom_score() -> str:
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")
    return "/proc/self/oom_score_adj"


def _memfd() -> str:
    os.close(os.memfd_create("probe"))
    return "memfd_create"


def _schedstat() -> str:
    with open("/proc/self/schedstat", "rb") as file:
        file.read()
    return "/proc/<pid>/schedstat, nanoseconds"


_TRIALS: dict[str, Callable[[], str]] = {
    "user_namespace": _user_namespace,
    "pid_namespace": _pid_namespace,
    "mount_namespace": _mount_namespace,
    "network_namespace": _network_namespace,
    "landlock": _landlock,
    "seccomp": _seccomp,
    "cgroup_memory": _cgroup("memory"),
    "cgroup_cpu": _cgroup("cpu"),
    "cgroup_pids": _cgroup("pids"),
    "pidfd": _pidfd,
    "subreaper": _subreaper,
    "children_file": _children_file,
    "oom_score_adj": _oom_score,
    "memfd": _memfd,
    "schedstat": _schedstat,
}

if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    main()
