"""Memory in files that need no mapping: memfd_create(2), and open files of /dev/shm. No process's `statm` counts it.

Finding them means reading every descriptor of a process (4 µs each), which is too much for every look. So one number is
read first, the machine's whole shared memory (5 µs for all processes together): as long as that stands still, nobody has
filled such a file. What others do in the meantime could hide a change in it, so a busy process is read now and then anyway.

Not found: files that nobody has open, since they are passed through a socket, or mapped with pages that were never touched.
"""

from __future__ import annotations

import os
from time import monotonic

__all__ = ["INTERVAL", "STEP", "Files", "Level"]

STEP = 4 * 1024 * 1024  # bytes by which the machine's shared memory must have changed to be worth a search
INTERVAL = 2.0  # seconds after which a busy process's descriptors are read in any case
_PATIENCE = 0.01  # seconds for one search; a tree of many processes is searched in several rounds
_REST = 20  # a search that took so long is not continued for so many times as long
_WHERE = ("/memfd:", "/dev/shm/")


class Level:
    """Shared memory of the whole machine, bytes; always 0 where the kernel does not say."""

    def __init__(self) -> None:
        try:
            self._fd = os.open("/proc/meminfo", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def read(self) -> int:
        """As it is now."""
        if self._fd < 0:
            return 0
        _, _, rest = os.pread(self._fd, 4096, 0).partition(b"\nShmem:")
        return int(rest.split(None, 1)[0]) * 1024 if rest else 0


class Files:
    """Memory files of one process tree. Owned by the guardian's only thread."""

    __slots__ = ("_by_pid", "_due", "_level", "_rest", "size")

    def __init__(self) -> None:
        self.size = 0  # bytes, as last seen
        self._by_pid: dict[int, dict[tuple[int, int], int]] = {}
        self._level, self._due, self._rest = 0, 0.0, 0.0

    def look(self, now: float, level: int, pids: tuple[int, ...], *, busy: bool) -> None:
        """Weigh them, if the machine's level (bytes) has changed, or it is time. The first look only notes the level."""
        if not self._due:
            self._level, self._due = level, now + INTERVAL
            return
        wanted = abs(level - self._level) >= STEP or (busy and now >= self._due)
        if not wanted or now < self._rest:
            return
        began = monotonic()
        if self._search(pids, began + _PATIENCE):
            self._level, self._due = level, now + INTERVAL
        self._rest = now + _REST * (monotonic() - began)

    def _search(self, pids: tuple[int, ...], deadline: float) -> bool:
        """Read the descriptors of those whose turn it is; True if all were read."""
        known = {pid: self._by_pid[pid] for pid in pids if pid in self._by_pid}
        waiting = [pid for pid in pids if pid not in known] + list(known)  # those read longest ago come first
        read = 0
        for pid in waiting:
            known.pop(pid, None)
            known[pid] = held(pid)
            read += 1
            if monotonic() >= deadline:
                break
        self._by_pid = known
        files = {key: size for found in known.values() for key, size in found.items()}
        self.size = sum(files.values())
        return read == len(waiting)


def held(pid: int) -> dict[tuple[int, int], int]:
    """Bytes by device and inode of every such file that the process has open."""
    found: dict[tuple[int, int], int] = {}
    directory = f"/proc/{pid}/fd"
    try:
        names = os.listdir(directory)
    except OSError:  # it is gone, or made itself unreadable
        return found
    for name in names:
        path = f"{directory}/{name}"
        try:
            if os.readlink(path).startswith(_WHERE):
                what = os.stat(path)
                found[what.st_dev, what.st_ino] = what.st_blocks * 512
        except OSError:  # closed meanwhile
            continue
    return found
