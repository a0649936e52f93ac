"""Control groups, where they can be had: an exact memory limit, a CPU quota, a bound on processes.

Used for environments that are reused, and for every one whose CPU share is to be AWS's. Not for those that live for one
invocation: moving a process into a group costs 0.4-0.6 ms, now and then 9 (the kernel waits for a grace period), which is
as much as everything else that such an environment costs; sampling bounds them within `watch.SLACK`.

Version 1 needs root; version 2 a delegated group (systemd gives one to user services with ``Delegate=yes``). What is not
permitted is found out by trying.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

__all__ = ["Groups", "open_groups"]

_V1 = "/sys/fs/cgroup"
_PREFIX = "lambdalite-"
_PERIOD_US = 20_000  # short, so that a small share is spread and not one long pause every 100 ms


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def open_groups() -> Groups | None:
    """What this machine permits; None if it is nothing."""
    for kind in (_V1Groups, _V2Groups):
        groups = kind()
        if groups.usable():
            groups.sweep()
            return groups
    return None


class Groups(ABC):
    """Groups of one guardian, named after its process id."""

    name = ""

    def __init__(self) -> None:
        self._count = 0
        self._prefix = f"{_PREFIX}{os.getpid()}-"

    @abstractmethod
    def roots(self) -> list[str]:
        """The directories that groups are made in."""

    def usable(self) -> bool:
        """Can groups with a memory limit be made here?"""
        try:
            group = self.create(64 * 1024 * 1024, 0.0, 64)
        except OSError:
            return False
        self.remove(group)
        return True

    def sweep(self) -> None:
        """Remove what guardians that are gone have left."""
        for root in self.roots():
            for entry in os.listdir(root):
                owner = entry.removeprefix(_PREFIX).split("-")[0]
                if entry.startswith(_PREFIX) and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
                    self.remove(entry)

    def create(self, memory: int, share: float, tasks: int) -> str:
        """A new group's name.

        Raises:
            OSError: not permitted here.
        """
        self._count += 1
        group = f"{self._prefix}{self._count}"
        made = []
        try:
            for root in self.roots():
                os.mkdir(f"{root}/{group}")
                made.append(f"{root}/{group}")
            self.configure(group, memory, share, tasks)
        except OSError:
            for path in made:
                os.rmdir(path)
            raise
        return group

    @abstractmethod
    def configure(self, group: str, memory: int, share: float, tasks: int) -> None:
        """Write the limits."""

    def attach(self, group: str, pid: int) -> None:
        """Move a process into a group.

        Raises:
            OSError: it is gone, or not permitted.
        """
        for root in self.roots():
            _write(f"{root}/{group}/cgroup.procs", str(pid))

    def remove(self, group: str) -> bool:
        """Remove a group; False if it still has processes."""
        try:
            for root in self.roots():
                if os.path.isdir(f"{root}/{group}"):
                    os.rmdir(f"{root}/{group}")
        except OSError:
            return False
        return True

    @abstractmethod
    def out_of_memory(self, group: str) -> bool:
        """Has the kernel killed in this group?"""


class _V1Groups(Groups):
    name = "cgroup v1"

    def __init__(self) -> None:
        super().__init__()
        self._root = {name: path for name in ("memory", "cpu", "pids") if (path := _own_v1_group(name))}

    def roots(self) -> list[str]:
        return list(self._root.values())

    def usable(self) -> bool:
        return "memory" in self._root and super().usable()

    def configure(self, group: str, memory: int, share: float, tasks: int) -> None:
        inside = {name: f"{root}/{group}" for name, root in self._root.items()}
        _write(f"{inside['memory']}/memory.limit_in_bytes", str(memory))
        swap = f"{inside['memory']}/memory.memsw.limit_in_bytes"
        if os.path.exists(swap):
            _write(swap, str(memory))
        if "cpu" in inside and share:
            period = _PERIOD_US if share < 1 else 5 * _PERIOD_US
            _write(f"{inside['cpu']}/cpu.cfs_period_us", str(period))
            _write(f"{inside['cpu']}/cpu.cfs_quota_us", str(int(share * period)))
        if "pids" in inside:
            _write(f"{inside['pids']}/pids.max", str(tasks))

    def out_of_memory(self, group: str) -> bool:
        lines = _read(f"{self._root['memory']}/{group}/memory.oom_control").splitlines()
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)


class _V2Groups(Groups):
    name = "cgroup v2"

    def __init__(self) -> None:
        super().__init__()
        self._root = _own_v2_group()

    def roots(self) -> list[str]:
        return [self._root] if self._root else []

    def usable(self) -> bool:
        return bool(self._root) and os.path.exists(f"{self._root}/memory.max") and super().usable()

    def configure(self, group: str, memory: int, share: float, tasks: int) -> None:
        path = f"{self._root}/{group}"
        _write(f"{path}/memory.max", str(memory))
        if os.path.exists(f"{path}/memory.swap.max"):
            _write(f"{path}/memory.swap.max", "0")
        _write(f"{path}/memory.oom.group", "1")
        if share:
            period = _PERIOD_US if share < 1 else 5 * _PERIOD_US
            _write(f"{path}/cpu.max", f"{int(share * period)} {period}")
        if os.path.exists(f"{path}/pids.max"):
            _write(f"{path}/pids.max", str(tasks))

    def out_of_memory(self, group: str) -> bool:
        lines = _read(f"{self._root}/{group}/memory.events").splitlines()
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)


def _own_v1_group(controller: str) -> str:
    """The directory of our own group in a controller's hierarchy, so that what limits us limits our groups too.

    A container may show its own group as the root while the kernel names it by its path outside: then it is the root.
    Empty if there is no such controller.
    """
    try:
        lines = _read("/proc/self/cgroup").splitlines()
    except OSError:
        return ""
    root = f"{_V1}/{controller}"
    for line in lines:
        _, names, path = line.split(":", 2)
        own = root + path.rstrip("/")
        if controller in names.split(",") and os.path.isdir(own):
            return own
    return root if os.path.isdir(root) else ""


def _own_v2_group() -> str:
    try:
        line = next(line for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return ""
    path = line[3:].rstrip("/")
    return f"{_V1}{path}" if os.path.exists(f"{_V1}/cgroup.controllers") else ""
