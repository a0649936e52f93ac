"""Copy what a function's init left in /tmp, as it is: names, bytes, modes, times, links. Loaded only when there is something."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["copy_tree"]

_CHUNK = 1024 * 1024


def copy_tree(source: int, target: str, skip: Container[str] = ()) -> None:
    """Copy the content of the directory open at `source` into the directory `target`.

    `skip`: target paths that are left alone, with all below them. Sockets and devices are not copied; a hard link becomes a file.
    Raises OSError (ENOSPC when the target is full).
    """
    with os.scandir(source) as entries:
        for entry in entries:
            path = os.path.join(target, entry.name)
            if path not in skip:
                _copy(source, entry.name, path, skip)


def _copy(directory: int, name: str, path: str, skip: Container[str]) -> None:
    found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        os.symlink(os.readlink(name, dir_fd=directory), path)
    elif stat.S_ISDIR(found.st_mode):
        _copy_directory(directory, name, path, skip)
    elif stat.S_ISREG(found.st_mode):
        _copy_file(directory, name, path)
    elif stat.S_ISFIFO(found.st_mode):
        os.mkfifo(path)
    else:
        return
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(path, stat.S_IMODE(found.st_mode))
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def _copy_directory(directory: int, name: str, path: str, skip: Container[str]) -> None:
    if not os.path.isdir(path):
        os.mkdir(path, 0o700)
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        copy_tree(fd, path, skip)
    finally:
        os.close(fd)


def _copy_file(directory: int, name: str, path: str) -> None:
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while chunk := os.read(source, _CHUNK):
                _write_all(target, chunk)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _write_all(target: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(target, view) :]
