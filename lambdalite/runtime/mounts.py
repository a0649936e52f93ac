"""The file system an environment sees: everything read-only, and a private, bounded /tmp.

The template makes the view once: a mount namespace of its own, read-only from the root, with tmpfs on the directories that
programs take for scratch space. An environment copies that namespace and covers the scratch directories anew, so nothing
it writes is seen by the template or by another environment.

Code that lives below /tmp (a checkout, pytest's tmp_path) would vanish under the cover: such paths are mounted again on
top, at the same place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from lambdalite.runtime import linux

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["SCRATCH", "View", "scratch_directories"]

SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")
_SIDE_BYTES = 64 * 1024 * 1024  # /var/tmp and /dev/shm: Docker's default for /dev/shm; AWS offers neither
_PAGE = 4096  # tmpfs counts in pages; one inode a page bounds the kernel memory that empty files take
_FLAGS = linux.MS_NOSUID | linux.MS_NODEV


def scratch_directories() -> list[str]:
    """Those of SCRATCH that exist, links resolved, each once; /tmp first."""
    found = dict.fromkeys(os.path.realpath(path) for path in SCRATCH if os.path.isdir(path))
    return [path for path in found if not _inside(path, [other for other in found if other != path])]


class _Extra(NamedTuple):
    path: str
    writable: bool


class View:
    """What is covered, what shows through. Inputs: bytes of /tmp, paths that stay visible, paths that stay writable."""

    def __init__(self, tmp_bytes: int, readable: Iterable[str], writable: Iterable[str]) -> None:
        self.scratch = scratch_directories()
        self._data = [
            f"mode=1777,size={size},nr_inodes={max(1024, size // _PAGE)}".encode()
            for size in (tmp_bytes, *(min(tmp_bytes, _SIDE_BYTES) for _ in self.scratch[1:]))
        ]
        self._extras = self._find_extras(readable, writable)
        covered = [extra.path for extra in self._extras if _inside(extra.path, self.scratch)]
        self._visible = [path for path in covered if not _inside(path, [other for other in covered if other != path])]
        self._seen: list[tuple[int, int]] = []

    def _find_extras(self, readable: Iterable[str], writable: Iterable[str]) -> list[_Extra]:
        """Sorted so that a directory comes before what is below it; a scratch directory itself is never one."""
        wanted = {os.path.realpath(path): False for path in readable}
        wanted = {path: False for path in wanted if _inside(path, self.scratch)}
        wanted.update((os.path.realpath(path), True) for path in writable)
        return [
            _Extra(path, wanted[path]) for path in sorted(wanted) if path not in self.scratch and os.path.exists(path)
        ]

    def enter_template(self, flags: int = 0) -> None:
        """A namespace of our own: read-only, scratch covered, extras on top. `flags`: further namespaces to leave.

        Raises OSError.
        """
        linux.unshare(linux.CLONE_NEWNS | flags)
        copies = [linux.clone_mount(os.fsencode(extra.path)) for extra in self._extras]
        linux.set_mount(b"/", read_only=True, recursive=True)
        if os.path.ismount("/proc"):  # environments write their id maps there, then close it
            linux.set_mount(b"/proc", read_only=False, recursive=False)
        for extra, copy in zip(self._extras, copies, strict=True):
            linux.set_mount(copy, read_only=not extra.writable, recursive=True)
        self._cover([extra.path for extra in self._extras], copies)
        self._seen = [self._usage(path) for path in self.scratch]

    def enter_environment(self) -> None:
        """In a fresh copy of the template's namespace: cover scratch again and bring along what init left there.

        Raises OSError; ENOSPC cannot come from what init left, since the bounds are the same.
        """
        used = [path for path, seen in zip(self.scratch, self._seen, strict=True) if self._usage(path) != seen]
        left = [(path, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) for path in used]
        self._cover(self._visible, [linux.clone_mount(os.fsencode(path)) for path in self._visible])
        for path, fd in left:
            from lambdalite.runtime import copying

            copying.copy_tree(fd, path, {extra.path for extra in self._extras})
            os.close(fd)

    def close_proc(self) -> None:
        """Nothing below /proc is writable any more (sysctl files belong to root, whom a root host's handlers are)."""
        if os.path.ismount("/proc"):
            linux.set_mount(b"/proc", read_only=True, recursive=False)

    def _cover(self, paths: list[str], copies: list[int]) -> None:
        """Tmpfs over scratch; then the copies at their old places; then the working directory, looked up anew."""
        directory = os.getcwd()
        files = [not os.path.isdir(path) for path in paths]
        for path, data in zip(self.scratch, self._data, strict=True):
            linux.mount(b"tmpfs", path.encode(), b"tmpfs", _FLAGS, data)
        for path, copy, is_file in zip(paths, copies, files, strict=True):
            _make_place(path, is_file=is_file)
            linux.attach_mount(copy, os.fsencode(path))
            os.close(copy)
        os.chdir(directory if os.path.isdir(directory) else self.scratch[0])

    @staticmethod
    def _usage(path: str) -> tuple[int, int]:
        """(inodes, blocks) in use: what init left in scratch shows here, for the price of one system call."""
        found = os.statvfs(path)
        return found.f_files - found.f_ffree, found.f_blocks - found.f_bfree


def _make_place(path: str, *, is_file: bool) -> None:
    """Something to mount on."""
    if os.path.lexists(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if is_file:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    else:
        os.mkdir(path)


def _inside(path: str, directories: Iterable[str]) -> bool:
    """Is it one of them, or below one of them?"""
    return any(path == directory or path.startswith(directory.rstrip("/") + "/") for directory in directories)
