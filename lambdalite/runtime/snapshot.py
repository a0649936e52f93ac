"""Whether environments may be forked from this process, and what is due before and after (SEMANTICS 20, ISOLATION 4.3).

A fork copies memory, not threads; and it shares every open file with all its siblings. So a process with a second
thread would be copied half, and one with a connection, an epoll instance or a half-read file would make environments
hear each other. Such a function is not snapshotted: each of its environments does its own init.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from lambdalite.runtime.faults import from_exception

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["after_restore", "before_snapshot", "mark", "reseed", "unsafe"]

_STREAMS = 3  # standard input, output and error are set anew in every environment
# Kernel objects that have a state of their own, shared by everybody who holds a descriptor of them.
_SHARED = ("eventpoll", "eventfd", "timerfd", "inotify", "io_uring", "signalfd", "fanotify")

# What was open before the user's code ran: descriptor → identity. Written by `mark`, in the one thread there is.
_known: dict[int, tuple[int, int]] = {}


# --- is it safe? --------------------------------------------------------------------------------------------------


def mark() -> None:
    """Remember what is open now, before the user's code, and so is not the user's. `handler.load` does this."""
    _known.clear()
    _known.update((fd, (found.st_dev, found.st_ino)) for fd, found in _open_files())


def unsafe() -> str | None:
    """Why this process must not be forked from, in words for the user; None if it may be."""
    return _threads() or _children() or _running_loop() or _files()


def _threads() -> str | None:
    """A second thread. NumPy's OpenBLAS starts none under OPENBLAS_NUM_THREADS=1, which environments get."""
    try:
        tasks = {int(task) for task in os.listdir("/proc/self/task")}
    except OSError:  # no /proc: Python's own threads are all that can be seen
        return _python_threads()
    others = sorted(tasks - {os.getpid()})
    if not others:
        return None
    names = _thread_names()
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return f"init left a thread running: {names.get(others[0]) or _command(others[0])}{more}"


def _python_threads() -> str | None:
    import _thread

    count = _thread._count()  # noqa: SLF001 - threads started by Python, the main one excluded
    names = [name for name in _thread_names().values() if "MainThread" not in name]
    return f"init left a thread running: {', '.join(names) or count}" if count else None


def _thread_names() -> dict[int, str]:
    """Native id → name, of the threads that `threading` knows."""
    threading = sys.modules.get("threading")
    if threading is None:
        return {}
    return {thread.native_id: f"{thread.name!r} ({type(thread).__name__})" for thread in threading.enumerate()}


def _command(task: int) -> str:
    try:
        with open(f"/proc/self/task/{task}/comm") as file:
            return f"{file.read().strip()!r} (not started by Python)"
    except OSError:  # it ended meanwhile
        return f"thread {task}"


def _children() -> str | None:
    """A child process: it is this process's, and would be nobody's in an environment."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            pids = file.read().split()
    except OSError:  # a kernel without that file: ask multiprocessing, if it is in use
        process = sys.modules.get("multiprocessing.process")
        pids = [str(child.pid) for child in process.active_children()] if process is not None else []
    return f"init left a child process running: {pids[0]}" if pids else None


def _running_loop() -> str | None:
    events = sys.modules.get("asyncio.events")
    running = events is not None and events._get_running_loop() is not None  # noqa: SLF001
    return "init left an event loop running" if running else None


def _files() -> str | None:
    """The first descriptor that init opened and that siblings must not share."""
    for fd, found in _open_files():
        if _known.get(fd) == (found.st_dev, found.st_ino):
            continue
        reason = _shared(fd, found)
        if reason:
            return f"init left {reason} open"
    return None


def _open_files() -> Iterator[tuple[int, os.stat_result]]:
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in os.listdir(folder):
        fd = int(name)
        if fd < _STREAMS:
            continue
        try:
            yield fd, os.fstat(fd)
        except OSError:  # the descriptor with which the folder was read
            continue


def _shared(fd: int, found: os.stat_result) -> str | None:
    """What is wrong with sharing a descriptor; None if nothing is."""
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFSOCK:
        return f"a socket ({_peer(fd)})"
    if kind == stat.S_IFIFO:
        return f"a pipe (descriptor {fd})"
    if kind == stat.S_IFREG:
        return f"the file {_target(fd)}, whose position would be shared," if _has_position(fd) else None
    target = _target(fd)
    if target.startswith("anon_inode:") and any(word in target for word in _SHARED):
        what = "an event loop or selector (epoll)" if "eventpoll" in target else target.removeprefix("anon_inode:")
        return f"{what} (descriptor {fd})"
    return None


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return f"descriptor {fd}"


def _has_position(fd: int) -> bool:
    """True if two processes would disturb each other: unless they only append."""
    import fcntl

    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    return not (flags & os.O_APPEND and flags & os.O_ACCMODE == os.O_WRONLY)


def _peer(fd: int) -> str:
    import socket

    with socket.socket(fileno=os.dup(fd)) as sock:
        try:
            return f"connected to {_address(sock.getpeername())}"
        except OSError:  # not connected
            return f"at {_address(sock.getsockname())}"


def _address(address: object) -> str:
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}"
    return str(address) or "an unnamed socket of this process"


# --- hooks (snapshot_restore_py) ----------------------------------------------------------------------------------


def before_snapshot() -> None:
    """Run what the user registered to run before a snapshot, last registered first.

    Raises:
        Fault: a hook failed; exit status 64, category ``Runtime.BeforeSnapshotError``.
    """
    module = sys.modules.get("snapshot_restore_py")
    if module is not None:
        hooks = module.get_before_snapshot()
        while hooks:
            _run(hooks.pop(), "Runtime.BeforeSnapshotError", 64)


def after_restore() -> None:
    """Run what the user registered to run after a restore, in order of registration.

    Raises:
        Fault: a hook failed; exit status 65, category ``Runtime.AfterRestoreError``.
    """
    module = sys.modules.get("snapshot_restore_py")
    if module is not None:
        for hook in module.get_after_restore():
            _run(hook, "Runtime.AfterRestoreError", 65)


def _run(hook: tuple, category: str, status: int) -> None:  # type: ignore[type-arg]
    function, args, kwargs = hook
    try:
        function(*args, **kwargs)
    except BaseException as error:  # R: a hook that exits has failed too
        fault = from_exception(error)
        fault.category, fault.exit_status = category, status
        raise fault from error


# --- randomness ---------------------------------------------------------------------------------------------------


def reseed() -> None:
    """Give this process random numbers of its own, where the fork copied a generator's state.

    `secrets`, `uuid` and `os.urandom` need nothing. Generators that the user made (``random.Random()``,
    ``numpy.random.default_rng()``) cannot be found; make those inside the handler.
    """
    for name in ("random", "numpy.random"):
        module: ModuleType | None = sys.modules.get(name)
        # A module of the user's may have the name and not the function, and one that init imports may be half loaded.
        seed = getattr(module, "seed", None)
        if seed is not None:
            seed()
