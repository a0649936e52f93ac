"""The parts of the sandbox that can be looked at without a sandbox: filter programs, paths, copies."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from lambdalite.runtime import copying, mounts, seccomp

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
ALLOW = 0x7FFF_0000
X86_64, AARCH64 = 0xC000_003E, 0xC000_00B7
MACHINES = {"x86_64": (X86_64, 0), "aarch64": (AARCH64, 1)}


def verdict(program: seccomp.Filter, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would do: 0 to allow, an errno otherwise. A little interpreter of the instructions in use."""
    data = struct.pack(
        "=IIQ6Q",
        number,
        arch,
        0,
        *(value & 0xFFFF_FFFF_FFFF_FFFF for value in (*arguments, *[0] * (6 - len(arguments)))),
    )
    code = list(struct.iter_unpack("=HBBI", program._code.raw[:-1]))
    position, accumulator = 0, 0
    while True:
        operation, yes, no, value = code[position]
        position += 1
        if operation == 0x06:
            return 0 if value == ALLOW else value & 0xFFFF
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
            continue
        hit = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[operation]
        position += yes if hit else no


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """(architecture word, column in the tables), with filters built for that machine."""
    monkeypatch.setattr(seccomp, "_machine", lambda: request.param)
    return MACHINES[request.param]


def test_denied_calls_are_denied_and_others_are_not(machine: tuple[int, int]) -> None:
    """Every call of the list fails with EPERM, clone3 with ENOSYS, a call that is not there passes."""
    arch, column = machine
    program = seccomp.filter_for(sockets=None, unshare=0)
    numbers = [row[column] for row in seccomp._DENIED.values() if row[column] >= 0]

    assert {errno.EPERM} == {verdict(program, arch, number) for number in numbers}
    assert errno.ENOSYS == verdict(program, arch, seccomp._CALLS["clone3"][column])
    assert 0 == verdict(program, arch, 9999)


def test_no_number_stands_twice(machine: tuple[int, int]) -> None:
    """A table with a number twice has a typing error in it."""
    column = machine[1]
    tables = (
        seccomp._DENIED, seccomp._CALLS, seccomp._STRAY, seccomp._MEMORY_FILES, seccomp._ON_OTHERS, seccomp._ON_KINDS
    )  # fmt: skip
    numbers = [row[column] for table in tables for row in table.values() if row[column] >= 0]

    assert sorted(set(numbers)) == sorted(numbers)


def test_foreign_tables_are_refused(machine: tuple[int, int]) -> None:
    """A call by way of i386 or x32 cannot slip past a filter that knows other numbers."""
    program = seccomp.filter_for(sockets=None, unshare=0)

    assert errno.EPERM == verdict(program, 0x4000_0003, 1)
    if machine[0] == X86_64:
        assert errno.ENOSYS == verdict(program, X86_64, 0x4000_0000 | 41)


def test_threads_pass_and_namespaces_do_not(machine: tuple[int, int]) -> None:
    """Clone is judged by its flags; unshare takes exactly the one combination that an environment needs."""
    arch, column = machine
    clone, unshare = seccomp._CALLS["clone"][column], seccomp._CALLS["unshare"][column]
    program = seccomp.filter_for(sockets=None, unshare=0x0002_0000)

    assert 0 == verdict(program, arch, clone, 0x003D_0F00)
    assert errno.EPERM == verdict(program, arch, clone, 0x1000_0000 | 17)
    assert [0, errno.EPERM] == [verdict(program, arch, unshare, flags) for flags in (0x0002_0000, 0x1002_0000)]


def test_limits_are_set_for_oneself_only(machine: tuple[int, int]) -> None:
    """prlimit64: own limits may be set, others' only read; a pointer counts with both its halves."""
    arch, column = machine
    program, call = seccomp.filter_for(sockets=None, unshare=0), seccomp._CALLS["prlimit64"][column]
    low, high = 0x1000, 1 << 32

    assert [0, 0, 0] == [verdict(program, arch, call, *a) for a in ((0, 7, low, 0), (0, 7, 0, low), (5, 7, 0, low))]
    assert [errno.EPERM] * 2 == [verdict(program, arch, call, 5, 7, new, 0) for new in (low, high)]


def test_priorities_of_others(machine: tuple[int, int]) -> None:
    """Where others are out of bounds, priority and processors are set for the caller alone; else everybody decides."""
    arch, column = machine
    closed, open_ = (seccomp.filter_for(sockets=None, unshare=0, others=others) for others in (False, True))
    calls = [(row[column], 0) for row in seccomp._ON_OTHERS.values()]

    assert {0} == {verdict(closed, arch, call, 0) for call, _ in calls}
    assert {errno.EPERM} == {verdict(closed, arch, call, 5) for call, _ in calls}
    for *numbers, process in seccomp._ON_KINDS.values():
        kinds = [(process, 0), (process, 5), (process + 1, 0), (process + 2, 0)]
        refused = errno.EPERM
        assert [0, refused, refused, refused] == [verdict(closed, arch, numbers[column], *kind) for kind in kinds]
        assert {0} == {verdict(open_, arch, numbers[column], *kind) for kind in kinds}
    assert {0} == {verdict(open_, arch, call, 5) for call, _ in calls}


def test_memory_that_is_nobodys(machine: tuple[int, int]) -> None:
    """System V's objects and POSIX's queues do not exist; memory files exist unless they are switched off."""
    arch, column = machine
    strays = [row[column] for row in seccomp._STRAY.values()]
    files = [row[column] for row in seccomp._MEMORY_FILES.values()]
    default = seccomp.filter_for(sockets=None, unshare=0)
    closed = seccomp.filter_for(sockets=None, unshare=0, memory_files=False)

    assert {errno.ENOSYS} == {verdict(default, arch, call) for call in strays}
    assert ({0}, {errno.ENOSYS}) == tuple({verdict(p, arch, call) for call in files} for p in (default, closed))


@pytest.mark.parametrize(
    ("network", "unix", "closed", "expected"),
    [
        (True, True, False, [0, 0, 0, 0]),
        (True, False, True, [errno.EPERM, 0, 0, errno.ENETUNREACH]),
        (False, True, False, [0, errno.ENETUNREACH, errno.ENETUNREACH, errno.ENETUNREACH]),
        (False, False, True, [errno.EPERM, errno.ENETUNREACH, errno.ENETUNREACH, errno.ENETUNREACH]),
    ],
)
def test_socket_families(
    machine: tuple[int, int], network: bool, unix: bool, closed: bool, expected: list[int]
) -> None:
    """Unix, IPv4, IPv6, vsock: what may be opened, and how the others fail."""
    arch, column = machine
    program = seccomp.filter_for(sockets=seccomp.families(network=network, unix_sockets=unix, closed=closed), unshare=0)
    families = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, 40)

    assert expected == [verdict(program, arch, seccomp._CALLS["socket"][column], family) for family in families]


def test_signals_only_for_oneself(machine: tuple[int, int]) -> None:
    """The last resort: own process and own group, nobody else; no signals by descriptor."""
    arch, column = machine
    program = seccomp.signal_filter(77)
    kill, pidfd = seccomp._CALLS["kill"][column], seccomp._CALLS["pidfd_send_signal"][column]

    assert [0, 0, errno.EPERM, errno.EPERM] == [verdict(program, arch, kill, pid, 9) for pid in (77, 0, 78, -1)]
    assert errno.EPERM == verdict(program, arch, pidfd, 3)


def test_shielded_processes(machine: tuple[int, int]) -> None:
    """Named pids and everybody at once are out of reach, others are not."""
    arch, column = machine
    program = seccomp.filter_for(sockets=None, unshare=0, shield=[12], protect_all=True)
    kill = seccomp._CALLS["kill"][column]

    assert [errno.EPERM, errno.EPERM, 0] == [verdict(program, arch, kill, pid, 9) for pid in (12, -1, 13)]


@pytest.mark.parametrize(
    ("path", "expected"), [("/tmp", True), ("/tmp/a", True), ("/tmpfs", False), ("/", False), ("/var/tmp", False)]
)
def test_inside(path: str, expected: bool) -> None:
    """Below means below a directory, not below its name."""
    assert expected is mounts._inside(path, ["/tmp"])


def test_first_below() -> None:
    """The name in the upper directory by which one gets to the lower."""
    assert mounts._first_below("/tmp", "/tmp/a/b") == "/tmp/a"
    assert mounts._first_below("/tmp", "/tmp/a") == "/tmp/a"


def test_copy_is_faithful(tmp_path: Path) -> None:
    """Bytes, modes, times, links and directories arrive; what is to be skipped, and sockets, do not."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep" / "er").mkdir(parents=True)
    target.mkdir()
    (source / "deep" / "er" / "file").write_bytes(b"x" * 3_000_000)
    (source / "deep" / "er" / "file").chmod(0o640)
    os.utime(source / "deep" / "er" / "file", ns=(1_000, 2_000))
    (source / "link").symlink_to("nowhere")
    (source / "skipped").write_text("no")
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(source / "sock"))
    fd = os.open(source, os.O_RDONLY)

    copying.copy_tree(fd, str(target), {str(target / "skipped")})

    os.close(fd)
    copy = target / "deep" / "er" / "file"
    assert ["deep", "fifo", "link"] == sorted(os.listdir(target))
    assert copy.read_bytes() == b"x" * 3_000_000
    assert (0o640, 2_000) == (copy.stat().st_mode & 0o777, copy.stat().st_mtime_ns)
    assert (target / "link").readlink().name == "nowhere"
