"""Where /tmp cannot be covered: a directory of a process's own, found through TMPDIR.

Its owner holds a lock on it for as long as it lives, however it dies. So anybody who can lock such a directory knows that
its owner is gone, and removes it.
"""

from __future__ import annotations

import fcntl
import os
import sys

from lambdalite.runtime import copying

__all__ = ["Unusable", "claim", "remove", "remove_all", "remove_stale"]

_PREFIX = "lambdalite-tmp-"


class Unusable(Exception):
    """The directory that TMPDIR names cannot be used."""

    def __init__(self, root: str, reason: str) -> None:
        super().__init__(root, reason)
        self.root, self.reason = root, reason

    def __str__(self) -> str:
        return (
            f"TMPDIR is {self.root!r}, and no private directory can be made there ({self.reason}). Without mount namespaces "
            "each environment needs one: set TMPDIR to the absolute path of a directory that you can write to, or unset it"
        )


def claim(root: str, token: str, before: str | None) -> str:
    """Make this process's directory, with a copy of what is in `before`; point TMPDIR at it. Returns its path.

    Raises:
        Unusable: `root` is relative, missing, read-only or full.
    """
    if not os.path.isabs(root):
        raise Unusable(root, "the path is not absolute, and handlers start in directories of their own")
    path = _path(root, token, os.getpid())
    try:
        while not _lock_new(path):
            pass  # somebody saw it before it was locked, and took it for a stale one
        if before is not None and os.path.isdir(before):
            _copy(before, path)
    except OSError as error:
        raise Unusable(root, str(error)) from error
    os.environ["TMPDIR"] = path
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        tempfile.tempdir = None  # type: ignore[attr-defined]  # look TMPDIR up again
    return path


def _copy(source: str, target: str) -> None:
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        copying.copy_tree(fd, target)
    finally:
        os.close(fd)


def remove(root: str, token: str, pid: int) -> None:
    """The directory of `pid`, which has ended; nothing if it had none."""
    path = _path(root, token, pid)
    if os.path.isdir(path):
        _remove_tree(path)


def remove_all(root: str, token: str) -> None:
    """The directories of everybody who has this token; the caller sees to it that they have ended."""
    try:
        names = os.listdir(root)
    except OSError:  # it was removed with all that was in it
        return
    for name in names:
        if name.startswith(f"{_PREFIX}{token}-"):
            remove(root, token, int(name.rpartition("-")[2]))


def _remove_tree(path: str) -> None:
    """Whatever a handler has made of it: directories that may not be entered are opened first."""
    import shutil

    try:
        shutil.rmtree(path)
    except OSError:
        for directory, names, _ in os.walk(path):
            for name in names:
                _open_up(os.path.join(directory, name))
        shutil.rmtree(path, ignore_errors=True)
        if os.path.isdir(path):
            sys.stderr.write(f"lambdalite: {path} could not be removed\n")


def _open_up(directory: str) -> None:
    try:
        if not os.path.islink(directory):
            os.chmod(directory, 0o700)
    except OSError:
        return  # the second attempt to remove it will show


def remove_stale(root: str) -> None:
    """Directories whose owners are gone: killed together with everybody who would have removed them."""
    try:
        names = [name for name in os.listdir(root) if name.startswith(_PREFIX)]
    except OSError:
        return  # a root that cannot be read is `claim`'s to complain about
    for name in names:
        try:
            fd = _open(os.path.join(root, name))
        except OSError:  # another process was quicker, or it is another user's
            continue
        if _is_stale(fd):
            import shutil

            shutil.rmtree(os.path.join(root, name), ignore_errors=True)  # another process may be at it too
        os.close(fd)


def _path(root: str, token: str, pid: int) -> str:
    return os.path.join(root, f"{_PREFIX}{token}-{pid}")


def _lock_new(path: str) -> bool:
    """Make and lock it; False if it was removed in between. The descriptor stays open until the process ends.

    Raises OSError: it cannot be made, opened or locked, and trying again would not help.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:  # our own from the last round, which somebody is still removing
        pass
    try:
        os.chmod(path, 0o700)  # whatever the umask
        fd = _open(path)
    except FileNotFoundError:
        return False
    if _lock(fd) and os.path.isdir(path):
        return True
    os.close(fd)
    return False


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _lock(fd: int) -> bool:
    """Lock it; False if its owner lives. Raises OSError: this file system has no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_stale(fd: int) -> bool:
    """Is it one of our user's, whose owner has ended?"""
    try:
        return os.fstat(fd).st_uid == os.getuid() and _lock(fd)
    except OSError:
        return False
