"""The system-call filter: a denylist in the kernel's classic BPF, built once and inherited by every fork.

What is refused has no use in a handler and is how sandboxes are left: other processes' memory, kernel modules, keys,
namespaces, io_uring (which opens sockets without the socket call). mount(2) itself stays out of the list: environments
need it to set up their /tmp; afterwards they hold no capability, and cannot get one, so the kernel refuses it.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

from lambdalite.runtime import linux

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Filter", "available", "families", "filter_for", "signal_filter"]

_X86_64, _AARCH64 = "x86_64", "aarch64"
_ARCH_WORD = {_X86_64: 0xC000_003E, _AARCH64: 0xC000_00B7}

#: name: (x86_64, aarch64); -1 where the architecture never had it
_DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "process_madvise": (440, 440),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "setns": (308, 268), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "open_by_handle_at": (304, 265), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "syslog": (103, 116),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "sethostname": (170, 161), "setdomainname": (171, 162), "vhangup": (153, 58),
    "iopl": (172, -1), "ioperm": (173, -1), "modify_ldt": (154, -1),
}  # fmt: skip
#: What outlives every process and is in nobody's size: System V's memory, semaphores and messages, POSIX's queues.
_STRAY = {"shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180)}
#: Memory that sampling finds only if it looks for it.
_MEMORY_FILES = {"memfd_create": (319, 279), "memfd_secret": (447, 447)}
#: Calls whose first argument is a process, 0 for the caller.
_ON_OTHERS = {
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
}  # fmt: skip
#: Calls with a kind and a number; and the kind that is a process.
_ON_KINDS = {"setpriority": (141, 140, 0), "ioprio_set": (251, 30, 1)}
_CALLS = {
    "clone": (56, 220), "clone3": (435, 435), "unshare": (272, 97), "socket": (41, 198),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "prlimit64": (302, 261),
}  # fmt: skip

# Every CLONE_NEW* flag that clone(2) takes: time, mount, cgroup, uts, ipc, user, pid, network.
_NAMESPACES = 0x80 | 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; arguments are 8 bytes each, low half first
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000
_MODE_FILTER = 2
_X32_BIT = 0x4000_0000
_AF_NETLINK = 16  # getaddrinfo asks it which addresses the machine has
_INSTRUCTION = struct.Struct("=HBBI")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter:
    """A program in the form in which the kernel takes it."""

    def __init__(self, code: list[tuple[int, int, int, int]]) -> None:
        self._code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*line) for line in code))
        self._program = _Program(len(code), ctypes.addressof(self._code))
        self._address = ctypes.addressof(self._program)

    def install(self) -> None:
        """Obey from now on, for ever, in every future child. Needs no_new_privs. Raises OSError."""
        linux.prctl(linux.PR_SET_SECCOMP, _MODE_FILTER, self._address)


def available() -> str:
    """Empty if filters can be built here, otherwise why not."""
    machine = _machine()
    if machine not in _ARCH_WORD:
        return f"no table of system calls for {machine}"
    status = _status()
    return "" if "Seccomp:" in status else "the kernel has no seccomp"


def _machine() -> str:
    uname = os.uname()
    # A 32-bit interpreter on a 64-bit kernel uses another table.
    return uname.machine if uname.sysname == "Linux" and struct.calcsize("P") == 8 else f"{uname.sysname} 32-bit"


def _status() -> str:
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        return file.read()


def families(*, network: bool, unix_sockets: bool, closed: bool) -> list[int] | None:
    """Address families that socket(2) may open; None for all.

    `closed` is the strict tier: nothing that is not named here, so no vsock, no packet, no kernel crypto.
    """
    if network and unix_sockets and not closed:
        return None
    allowed = [int(socket.AF_UNIX)] if unix_sockets else []
    if network:
        allowed += [int(socket.AF_INET), int(socket.AF_INET6), _AF_NETLINK]
    return allowed


def filter_for(
    *,
    sockets: list[int] | None,
    unshare: int,
    shield: Iterable[int] = (),
    protect_all: bool = False,
    memory_files: bool = True,
    others: bool = True,
) -> Filter:
    """The filter of a template and its environments.

    `sockets`: families allowed, None for all. `unshare`: the one combination of flags that may be unshared, which an
    environment uses once. `shield`: pids that may not be signalled. `protect_all`: refuse kill(-1, …). `memory_files`: may
    they be made? `others`: may other processes' (and single threads') priority and processors be set?

    Limits are set for oneself alone: lowered limits of a parent would stay lowered, and its next child would fail.
    """
    index = 0 if _machine() == _X86_64 else 1
    code = _prologue(index)
    code += _deny((numbers[index] for numbers in _DENIED.values() if numbers[index] >= 0), errno.EPERM)
    # clone3 has its flags behind a pointer, out of a filter's sight; C libraries fall back to clone
    absent = [_CALLS["clone3"], *_STRAY.values(), *(() if memory_files else _MEMORY_FILES.values())]
    code += _deny((numbers[index] for numbers in absent), errno.ENOSYS)
    code += _on(_CALLS["clone"][index], [*_argument(0), (_ANY_BIT, 0, 1, _NAMESPACES), _fail(errno.EPERM)])
    code += _on(_CALLS["unshare"][index], [*_argument(0), (_EQUAL, 1, 0, unshare), _fail(errno.EPERM)])
    code += _on(_CALLS["prlimit64"][index], _limits_rule())
    if not others:
        code += _others_rules(index)
    code += _socket_rule(_CALLS["socket"][index], sockets)
    victims = [*([-1] if protect_all else []), *shield]
    if victims:
        code += _on(_CALLS["kill"][index], [*_argument(0), *_refuse_values(victims)])
    return Filter([*code, (_RETURN, 0, 0, _ALLOW)])


def signal_filter(pid: int) -> Filter:
    """For kernels without any other fence: signals only for the process itself.

    Popen.kill() and its like stop working inside a handler; that is the price, see the report.
    """
    index = 0 if _machine() == _X86_64 else 1
    code = _prologue(index)
    code += _deny([_CALLS["tkill"][index], _CALLS["pidfd_send_signal"][index]], errno.EPERM)
    for name in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        code += _on(_CALLS[name][index], [*_argument(0), (_EQUAL, 2, 0, pid), (_EQUAL, 1, 0, 0), _fail(errno.EPERM)])
    return Filter([*code, (_RETURN, 0, 0, _ALLOW)])


def _prologue(index: int) -> list[tuple[int, int, int, int]]:
    """Refuse other architectures' tables (i386, x32), then hold the call's number."""
    arch = _ARCH_WORD[(_X86_64, _AARCH64)[index]]
    code = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch), _fail(errno.EPERM), (_LOAD, 0, 0, _NUMBER)]
    if index == 0:
        code += [(_AT_LEAST, 0, 1, _X32_BIT), _fail(errno.ENOSYS)]
    return code


def _fail(number: int) -> tuple[int, int, int, int]:
    return _RETURN, 0, 0, _ERRNO | number


def _argument(position: int) -> list[tuple[int, int, int, int]]:
    return [(_LOAD, 0, 0, _ARGUMENT + 8 * position)]


def _deny(numbers: Iterable[int], error: int) -> list[tuple[int, int, int, int]]:
    code = []
    for number in numbers:
        code += [(_EQUAL, 0, 1, number), _fail(error)]
    return code


def _on(number: int, body: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """For this call only: the body, then allow."""
    return [(_EQUAL, 0, len(body) + 1, number), *body, (_RETURN, 0, 0, _ALLOW)]


def _refuse_values(values: Iterable[int]) -> list[tuple[int, int, int, int]]:
    code = []
    for value in values:
        code += [(_EQUAL, 0, 1, value & 0xFFFF_FFFF), _fail(errno.EPERM)]
    return code


def _limits_rule() -> list[tuple[int, int, int, int]]:
    """prlimit64(pid, what, new, old): pass for oneself, and for whoever only reads (`new`, a pointer, is null)."""
    allow = (_RETURN, 0, 0, _ALLOW)
    low, high = _ARGUMENT + 8 * 2, _ARGUMENT + 8 * 2 + 4
    body = [*_argument(0), (_EQUAL, 0, 1, 0), allow]
    return [
        *body,
        (_LOAD, 0, 0, low),
        (_EQUAL, 0, 3, 0),
        (_LOAD, 0, 0, high),
        (_EQUAL, 0, 1, 0),
        allow,
        _fail(errno.EPERM),
    ]


def _others_rules(index: int) -> list[tuple[int, int, int, int]]:
    code = []
    for numbers in _ON_OTHERS.values():
        code += _on(numbers[index], [*_argument(0), (_EQUAL, 1, 0, 0), _fail(errno.EPERM)])
    for x86_64, aarch64, kind in _ON_KINDS.values():
        body = [*_argument(0), (_EQUAL, 0, 2, kind), *_argument(1), (_EQUAL, 1, 0, 0), _fail(errno.EPERM)]
        code += _on((x86_64, aarch64)[index], body)
    return code


def _socket_rule(number: int, allowed: list[int] | None) -> list[tuple[int, int, int, int]]:
    """Unix sockets: not permitted. Any other family: the network is unreachable, which is what programs expect."""
    if allowed is None:
        return []
    body = _argument(0)
    body += [line for family in allowed for line in ((_EQUAL, 0, 1, family), (_RETURN, 0, 0, _ALLOW))]
    body += [(_EQUAL, 0, 1, int(socket.AF_UNIX)), _fail(errno.EPERM), _fail(errno.ENETUNREACH)]
    return _on(number, body)
