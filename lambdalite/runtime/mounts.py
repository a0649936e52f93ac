"""The file system an environment sees: everything read-only, and a private, bounded /tmp.

The template makes the view once: a mount namespace of its own, read-only from the root, with tmpfs on the directories that
programs take for scratch space. An environment copies that namespace and covers the scratch directories anew, so nothing
it writes is seen by the template or by another environment.

Code that lives below /tmp (a checkout, pytest's tmp_path) would vanish under the cover: such paths are mounted again on
top, at the same place. Where code lies in /tmp itself, its old content is mounted below the new /tmp, and every name in
it becomes a symbolic link: it can be read where it was, and nothing can be written to it.
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


_OLD = ".lambdalite-host"  # in a scratch directory: its old content


class _Extra(NamedTuple):
    source: str
    place: str
    writable: bool
    is_file: bool


class View:
    """What is covered, what shows through. Inputs: bytes of /tmp, paths that stay visible, paths that stay writable."""

    def __init__(self, tmp_bytes: int, readable: Iterable[str], writable: Iterable[str]) -> None:
        open_ = {os.path.realpath(path) for path in writable}
        seen = {os.path.realpath(path) for path in readable}
        everything = scratch_directories()
        self.scratch = [path for path in everything if path not in open_]
        self.linked = {path: os.listdir(path) for path in self.scratch if path in seen}
        self._extras = self._find_extras(seen, open_)
        sizes = {path: tmp_bytes if path == everything[0] else min(tmp_bytes, _SIDE_BYTES) for path in self.scratch}
        self._tmpfs = [
            (path.encode(), _tmpfs_options(size, len(self.linked.get(path, ())))) for path, size in sizes.items()
        ]
        self._seen: list[tuple[int, int]] = []
        self._skip: set[str] = set()
        self._prefixes = tuple(f"{path}/" for path in self.scratch)

    def _find_extras(self, readable: Iterable[str], writable: Iterable[str]) -> list[_Extra]:
        """Sorted, so that a directory comes before what is below it. What links show anyway is left out."""
        hidden = [path for path in self.scratch if path not in self.linked]
        wanted = {path: False for path in readable if _inside(path, hidden) and path not in hidden}
        # a place below a linked name cannot be made: mount the whole of what that name stands for
        wanted.update(
            (_first_below(top, path), False) for top in self.linked for path in writable if _inside(path, [top])
        )
        wanted.update(dict.fromkeys(writable, True))
        there = [path for path in sorted(wanted) if os.path.exists(path)]
        old = [_Extra(path, f"{path}/{_OLD}", writable=False, is_file=False) for path in self.linked]
        return old + [_Extra(path, path, wanted[path], not os.path.isdir(path)) for path in there]

    def enter_template(self, flags: int = 0) -> None:
        """A namespace of our own: read-only, scratch covered, extras on top. `flags`: further namespaces to leave.

        Raises OSError.
        """
        linux.unshare(linux.CLONE_NEWNS | flags)
        copies = [linux.clone_mount(os.fsencode(extra.source)) for extra in self._extras]
        linux.set_mount(b"/", read_only=True, recursive=True)
        if os.path.ismount("/proc"):  # environments write their id maps there
            linux.set_mount(b"/proc", read_only=False, recursive=False)
        for extra, copy in zip(self._extras, copies, strict=True):
            linux.set_mount(copy, read_only=not extra.writable, recursive=True)
        self._cover(copies, links=self.linked)
        self._seen = [_usage(path) for path in self.scratch]
        self._keep_topmost()

    def _keep_topmost(self) -> None:
        """An environment copies a tree with all that is mounted below: it needs the topmost covered places only."""
        covered = [extra.place for extra in self._extras if _inside(extra.place, self.scratch)]
        self._skip = set(covered)
        top = [path for path in covered if not _inside(path, [other for other in covered if other != path])]
        self._extras = [_Extra(e.place, e.place, e.writable, e.is_file) for e in self._extras if e.place in top]

    def enter_environment(self) -> None:
        """In a fresh copy of the template's namespace: cover scratch again and bring along what init left there.

        Raises OSError; ENOSPC cannot come from what init left, since the bounds are the same.
        """
        left = []
        for path, seen in zip(self.scratch, self._seen, strict=True):
            if _usage(path) != seen:
                left.append((path, os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)))
        copies = [linux.clone_mount(os.fsencode(extra.source)) for extra in self._extras]
        copied = [path for path, _fd in left]  # links come along with the rest
        self._cover(copies, links={path: names for path, names in self.linked.items() if path not in copied})
        for path, fd in left:
            from lambdalite.runtime import copying

            copying.copy_tree(fd, path, self._skip)
            os.close(fd)

    def _cover(self, copies: list[int], links: dict[str, list[str]]) -> None:
        """Cover scratch; put the copies and links in place; look the working directory up anew if it was covered."""
        directory = _directory()
        for target, options in self._tmpfs:
            linux.mount(b"tmpfs", target, b"tmpfs", _FLAGS, options)
        for extra, copy in zip(self._extras, copies, strict=True):
            _make_place(extra.place, is_file=extra.is_file)
            linux.attach_mount(copy, os.fsencode(extra.place))
            os.close(copy)
        for path, names in links.items():
            _link_all(path, names)
        if directory.startswith(self._prefixes) or directory in self.scratch:
            os.chdir(directory if os.path.isdir(directory) else self.scratch[0])


def _directory() -> str:
    """The working directory; empty if init deleted it, and then there is none to find again."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _first_below(top: str, path: str) -> str:
    """/tmp, /tmp/a/b/c → /tmp/a."""
    return f"{top}/{path[len(top) + 1 :].partition('/')[0]}"


def _tmpfs_options(size: int, links: int) -> bytes:
    return f"mode=1777,size={size},nr_inodes={max(1024, size // _PAGE) + links}".encode()


def _link_all(path: str, names: list[str]) -> None:
    """Names that are there already are places of extras."""
    there = set(os.listdir(path))
    for name in names:
        if name not in there:
            os.symlink(f"{_OLD}/{name}", f"{path}/{name}")


def close_proc() -> None:
    """Nothing below /proc is writable any more (sysctl files belong to root, whom a root host's handlers are)."""
    linux.set_mount(b"/proc", read_only=True, recursive=False)


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
