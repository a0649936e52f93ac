"""Standard streams that are closed, or that do not take what is written."""

from __future__ import annotations

import errno
import os
import sys

__all__ = ["LOST", "close_stdout", "is_lost", "lose", "open_standard_streams"]

LOST = 74  # EX_IOERR of sysexits.h: the answer could not be written
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


def open_standard_streams() -> bool:
    """See to it that descriptors 0 to 2 are open: else a socket of ours could become "standard error" (sh: ``2>&-``).

    False if standard output was closed, so that nobody could read an answer.
    """
    was_open = sys.stdout is not None
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:  # the kernel gives the lowest free one
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    return was_open


def is_lost(error: OSError) -> bool:
    """Did writing to standard output fail? What was not written is still in its buffer, unless it has none."""
    try:
        sys.stdout.flush()
    except OSError:
        return True
    return error.errno in _FULL and error.filename is None


def lose(reason: str) -> int:
    """Say in a line that the answer is lost; the exit status."""
    close_stdout()
    sys.stderr.write(f"lambdalite: cannot write to standard output: {reason}\n")
    return LOST


def close_stdout() -> None:
    """Let the interpreter's last flush at exit go nowhere, without a complaint."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
