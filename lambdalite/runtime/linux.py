"""Linux system calls that Python does not offer, through ctypes.

Function objects and their prototypes are made once, at import, so that forked children find them ready and touch few
pages. On another operating system the module imports, and every call raises OSError(ENOSYS).

Numbers of system calls above 423 are the same on every architecture (the kernel's unified table); everything older goes
through the C library's own function.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

__all__ = [
    "CLONE_NEWIPC", "CLONE_NEWNET", "CLONE_NEWNS", "CLONE_NEWPID", "CLONE_NEWUSER",
    "attach_mount", "capabilities", "clone_mount", "drop_bounding", "landlock", "mount", "prctl", "set_capabilities", "set_mount",
    "unshare",
]  # fmt: skip

CLONE_NEWNS = 0x0002_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_REC, MS_PRIVATE = 0x4000, 0x4_0000

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37
PR_SET_NO_NEW_PRIVS = 38

CAP_SYS_ADMIN = 21
CAP_SETFCAP = 31

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY = 1

_CAPABILITY_VERSION_3 = 0x2008_0522


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    """Two halves of 32 bits: effective, permitted, inheritable."""

    _fields_ = (("words", ctypes.c_uint32 * 6),)


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("access_fs", ctypes.c_uint64), ("access_net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("access", ctypes.c_uint64), ("fd", ctypes.c_int))


_LINUX = sys.platform.startswith("linux")
_libc = ctypes.CDLL(None, use_errno=True)
_long, _text = ctypes.c_long, ctypes.c_char_p
_attr = _MountAttr()
_cap_header, _cap_data = _CapHeader(_CAPABILITY_VERSION_3, 0), _CapData()
_ruleset, _rule = _RulesetAttr(), _PathRule()
_ATTR, _HEADER, _DATA = ctypes.addressof(_attr), ctypes.addressof(_cap_header), ctypes.addressof(_cap_data)
_ATTR_SIZE = ctypes.sizeof(_attr)
_RULESET, _RULE = ctypes.addressof(_ruleset), ctypes.addressof(_rule)
# An older kernel refuses a structure with a non-zero tail, and accepts one that ends where its own does.
_RULESET_SIZES = (8, 8, 8, 8, 16, 16)  # by Landlock ABI 0 to 5; 24 bytes from ABI 6 on

if _LINUX:
    _prctl = _libc.prctl
    _prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    _mount = _libc.mount
    _mount.argtypes = (_text, _text, _text, ctypes.c_ulong, _text)
    _unshare = _libc.unshare
    _unshare.argtypes = (ctypes.c_int,)
    _capset, _capget = _libc.capset, _libc.capget
    _capset.argtypes = _capget.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    _numbers = _libc.syscall
    _numbers.argtypes = (_long,) * 6
    _numbers.restype = _long
    # The same C function under a second object: a prototype belongs to the object.
    _paths = ctypes.CDLL(None, use_errno=True).syscall
    _paths.argtypes = (_long, _long, _text, _long, _text, _long)
    _paths.restype = _long
    _set_attr = ctypes.CDLL(None, use_errno=True).syscall
    _set_attr.argtypes = (_long, _long, _text, _long, _long, _long)
    _set_attr.restype = _long


def _check(result: int, *what: object) -> int:
    """The result, or OSError with errno's text and what was attempted."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)} ({' '.join(map(str, what))})")
    return result


def _need_linux(what: str) -> None:
    if not _LINUX:
        raise OSError(errno.ENOSYS, f"{os.strerror(errno.ENOSYS)} ({what} exists on Linux only)")


def prctl(option: int, value: int = 0, pointer: int = 0) -> int:
    """prctl(2) with two arguments. Raises OSError."""
    _need_linux("prctl")
    return _check(_prctl(option, value, pointer, 0, 0), "prctl", option, value)


def unshare(flags: int) -> None:
    """unshare(2): leave the given namespaces for new ones. Raises OSError."""
    _need_linux("unshare")
    _check(_unshare(flags), "unshare", hex(flags))


def mount(source: bytes | None, target: bytes, kind: bytes | None, flags: int, data: bytes | None = None) -> None:
    """mount(2). Raises OSError."""
    _need_linux("mount")
    _check(_mount(source, target, kind, flags, data), "mount", (kind or b"").decode(), target.decode())


def clone_mount(path: bytes) -> int:
    """A descriptor of a detached copy of what is mounted at `path`, with everything below (open_tree, Linux 5.2)."""
    _need_linux("open_tree")
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    return _check(_paths(_OPEN_TREE, _AT_FDCWD, path, flags, None, 0), "open_tree", path.decode())


def attach_mount(fd: int, path: bytes) -> None:
    """Mount the detached copy `fd` at `path` (move_mount, Linux 5.2)."""
    _need_linux("move_mount")
    result = _paths(_MOVE_MOUNT, fd, b"", _AT_FDCWD, path, _MOVE_MOUNT_F_EMPTY_PATH)
    _check(result, "move_mount", path.decode())


def set_mount(where: bytes | int, *, read_only: bool, recursive: bool) -> None:
    """Make the mount at a path, or behind a descriptor, read-only or writable (mount_setattr, Linux 5.12)."""
    _need_linux("mount_setattr")
    _attr.attr_set, _attr.attr_clr = (MOUNT_ATTR_RDONLY, 0) if read_only else (0, MOUNT_ATTR_RDONLY)
    fd, path = (where, b"") if isinstance(where, int) else (_AT_FDCWD, where)
    flags = (_AT_RECURSIVE if recursive else 0) | (0 if path else _AT_EMPTY_PATH)
    result = _set_attr(_MOUNT_SETATTR, fd, path, flags, _ATTR, _ATTR_SIZE)
    _check(result, "mount_setattr", where)


def drop_bounding() -> None:
    """Empty the capability bounding set, up to the kernel's last capability.

    Without CAP_SETPCAP nothing changes and nothing raises: there is nothing to gain by it either, under no_new_privs.
    """
    _need_linux("prctl")
    number = 0
    while _prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1


def set_capabilities(effective: int = 0, permitted: int = 0) -> None:
    """Set both sets (bit masks by capability number), clear the inheritable and so the ambient one. Raises OSError."""
    _need_linux("capset")
    low = 0xFFFF_FFFF
    _cap_data.words[:] = (effective & low, permitted & low, 0, effective >> 32, permitted >> 32, 0)
    _check(_capset(_HEADER, _DATA), "capset", hex(effective), hex(permitted))


def capabilities() -> tuple[int, int]:
    """(effective, permitted) of this process, as bit masks; (0, 0) where there are none to have."""
    if not _LINUX:
        return 0, 0
    _check(_capget(_HEADER, _DATA), "capget")
    words = _cap_data.words
    return words[0] | words[3] << 32, words[1] | words[4] << 32


class landlock:  # noqa: N801 - a namespace of four calls, never instantiated
    """The three calls of landlock(7), and its version."""

    @staticmethod
    def abi() -> int:
        """The kernel's Landlock version, 0 if there is none or it is switched off."""
        if not _LINUX:
            return 0
        return max(0, int(_numbers(_LANDLOCK_CREATE, 0, 0, 1, 0, 0)))

    @staticmethod
    def create(abi: int, access_fs: int, access_net: int, scoped: int) -> int:
        """A ruleset's descriptor: which rights are refused unless a rule grants them. Raises OSError."""
        _ruleset.access_fs, _ruleset.access_net, _ruleset.scoped = access_fs, access_net, scoped
        size = _RULESET_SIZES[abi] if abi < len(_RULESET_SIZES) else 24
        return _check(_numbers(_LANDLOCK_CREATE, _RULESET, size, 0, 0, 0), "landlock_create_ruleset")

    @staticmethod
    def allow(ruleset: int, access: int, fd: int) -> None:
        """Grant rights at and beneath what `fd` (may be O_PATH) names. Raises OSError."""
        _rule.access, _rule.fd = access, fd
        _check(_numbers(_LANDLOCK_ADD, ruleset, 1, _RULE, 0, 0), "landlock_add_rule", hex(access))

    @staticmethod
    def restrict(ruleset: int) -> None:
        """Obey the ruleset from now on, for ever, in every future child. Raises OSError."""
        _check(_numbers(_LANDLOCK_RESTRICT, ruleset, 0, 0, 0, 0), "landlock_restrict_self")
