"""Where /tmp cannot be covered: a directory of a process's own, found through TMPDIR.

Its owner holds a lock on it for as long as it lives, however it dies. So anybody who can lock such a directory knows that
its owner is gone, and removes it.
"""

from __future__ import annotations

import fcntl
import os
import sys

from lambdalite.runtime import copying

__all__ = ["claim", "remove", "remove_all", "remove_stale"]

_PREFIX = "lambdalite-tmp-"


def claim(root: str, token: str, before: str | None) -> str:
    """Make this process's directory, with a copy of what is in `before`; point TMPDIR at it. Returns its path.

    Raises OSError: `root` is missing, read-only or full.
    """
    path = _path(root, token, os.getpid())
    while not _lock_new(path):
        pass  # somebody saw it before it was locked, and took it for a stale one
    if before is not None and os.path.isdir(before):
        fd = os.open(before, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            copying.copy_tree(fd, path)
        finally:
            os.close(fd)
    os.environ["TMPDIR"] = path
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.tempdir = None  # type: ignore[attr-defined]  # look TMPDIR up again
    return path


def remove(root: str, token: str, pid: int) -> None:
    """The directory of `pid`, which has ended; nothing if it had none."""
    path = _path(root, token, pid)
    if os.path.isdir(path):
        import shutil

        shutil.rmtree(path)


def remove_all(root: str, token: str) -> None:
    """The directories of everybody who has this token; the caller sees to it that they have ended."""
    for name in os.listdir(root):
        if name.startswith(f"{_PREFIX}{token}-"):
            remove(root, token, int(name.rpartition("-")[2]))


def remove_stale(root: str) -> None:
    """Directories whose owners are gone: killed together with everybody who would have removed them."""
    try:
        names = [name for name in os.listdir(root) if name.startswith(_PREFIX)]
    except OSError:
        return  # a root that cannot be read is `claim`'s to complain about
    for name in names:
        fd = _lock(os.path.join(root, name))
        if fd is not None:
            import shutil

            shutil.rmtree(os.path.join(root, name), ignore_errors=True)  # another process may be at it too
            os.close(fd)


def _path(root: str, token: str, pid: int) -> str:
    return os.path.join(root, f"{_PREFIX}{token}-{pid}")


def _lock_new(path: str) -> bool:
    """Make and lock it; False if it was removed in between. The descriptor stays open until the process ends."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:  # our own from the last round, which somebody is still removing
        pass
    fd = _lock(path)
    if fd is None or not os.path.isdir(path):
        if fd is not None:
            os.close(fd)
        return False
    return True


def _lock(path: str) -> int | None:
    """A descriptor that holds the lock; None if somebody else has it, or if it is not ours, or gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(fd).st_uid == os.getuid():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
    except BlockingIOError:
        pass  # its owner lives
    os.close(fd)
    return None
