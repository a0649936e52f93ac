"""What hostile handlers try. Each attack returns "ok" if it went through, otherwise the name of the error.

Runs inside an environment, in an interpreter that knows the standard library only. `facts` come from the test: pids, ports and
paths of the host.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

Facts = dict[str, Any]
_libc = ctypes.CDLL(None, use_errno=True)


def run(name: str, facts: Facts) -> object:
    """The result of one attack."""
    try:
        result = globals()[name](facts)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except ValueError as error:  # setrlimit's way to say EPERM
        return str(error)
    return "ok" if result is None else result


def _call(number: int) -> None:
    """A raw system call with zero arguments."""
    if _libc.syscall(number, 0, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "")


def create_outside(facts: Facts) -> None:
    os.mkdir(f"/lambdalite-attack-{os.getpid()}")


def create_beside_code(facts: Facts) -> None:
    with open(os.path.join(facts["visible"], "new"), "w"):
        pass


def overwrite(facts: Facts) -> None:
    with open(facts["victim"], "r+"):
        pass


def rename(facts: Facts) -> None:
    os.rename(facts["victim"], facts["victim"] + "2")


def unlink(facts: Facts) -> None:
    os.unlink(facts["victim"])


def truncate(facts: Facts) -> None:
    os.truncate(facts["victim"], 0)


def chmod(facts: Facts) -> None:
    os.chmod(facts["victim"], 0o777)


def utime(facts: Facts) -> None:
    os.utime(facts["victim"])


def setxattr(facts: Facts) -> None:
    os.setxattr(facts["victim"], "user.attack", b"1")


def read_beside_code(facts: Facts) -> str:
    with open(facts["victim"]) as file:
        return file.read()


def write_where_allowed(facts: Facts) -> None:
    with open(os.path.join(facts["writable"], f"new-{os.getpid()}"), "w"):
        pass


def write_scratch(facts: Facts) -> None:
    for directory in ("/tmp", "/var/tmp", "/dev/shm"):
        with open(f"{directory}/new", "w") as file:
            file.write("x")


def list_tmp(facts: Facts) -> list[str]:
    return sorted(os.listdir("/tmp"))


def fill_tmp(facts: Facts) -> None:
    with open("/tmp/full", "wb") as file:
        file.write(bytes(facts["tmp_bytes"] + 1))


def fill_inodes(facts: Facts) -> None:
    for number in range(max(1024, facts["tmp_bytes"] // 4096) + 1):  # one a page, and never fewer than 1024
        os.close(os.open(f"/tmp/{number}", os.O_CREAT | os.O_WRONLY))


def write_null(facts: Facts) -> None:
    with open("/dev/null", "w") as file:
        file.write("x")


def raw_disk(facts: Facts) -> None:
    for name in os.listdir("/sys/block"):
        if os.path.exists(f"/dev/{name}"):
            os.close(os.open(f"/dev/{name}", os.O_WRONLY))
    raise PermissionError(errno.EACCES, "no disk to open")


def connect_tcp(facts: Facts) -> None:
    socket.create_connection(("127.0.0.1", facts["port"]), timeout=2).close()


def send_udp(facts: Facts) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"x", ("127.0.0.1", facts["port"]))


def netlink(facts: Facts) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()


def abstract_socket(facts: Facts) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.connect("\0" + facts["abstract"])


def path_socket(facts: Facts) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.connect(facts["socket"])


def socketpair(facts: Facts) -> None:
    left, right = socket.socketpair()
    left.close()
    right.close()


def signal_host(facts: Facts) -> None:
    os.kill(facts["host"], signal.SIGUSR1)


def signal_everybody(facts: Facts) -> None:
    os.kill(-1, signal.SIGKILL)  # the template and the zygote must live to tell


def signal_template(facts: Facts) -> None:
    os.kill(os.getppid(), signal.SIGKILL)


def signal_first(facts: Facts) -> None:
    os.kill(1, signal.SIGKILL)


def signal_own_child(facts: Facts) -> int:
    pid = os.fork()
    if not pid:
        signal.pause()
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def see_host(facts: Facts) -> None:
    os.stat(f"/proc/{facts['host']}")


def host_memory(facts: Facts) -> None:
    os.close(os.open(f"/proc/{facts['host']}/mem", os.O_RDWR))


def host_environment(facts: Facts) -> None:
    with open(f"/proc/{facts['host']}/environ", "rb") as file:
        file.read()


def template_memory(facts: Facts) -> None:
    os.close(os.open(f"/proc/{os.getppid()}/mem", os.O_RDWR))


def limit_host(facts: Facts) -> None:
    # its own values: reaching it is the attack, and the host under attack is the one that runs the tests
    resource.prlimit(facts["host"], resource.RLIMIT_NOFILE, resource.prlimit(facts["host"], resource.RLIMIT_NOFILE))


def limit_template(facts: Facts) -> None:
    parent = os.getppid()
    resource.prlimit(parent, resource.RLIMIT_NOFILE, resource.prlimit(parent, resource.RLIMIT_NOFILE))


def limit_itself(facts: Facts) -> None:
    for pid in (0, os.getpid()):
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(0, resource.RLIMIT_NOFILE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))


def renice_host(facts: Facts) -> None:
    os.setpriority(os.PRIO_PROCESS, facts["host"], os.getpriority(os.PRIO_PROCESS, 0))


def renice_user(facts: Facts) -> None:
    os.setpriority(os.PRIO_USER, os.getuid(), os.getpriority(os.PRIO_PROCESS, 0))


def pin_host(facts: Facts) -> None:
    os.sched_setaffinity(facts["host"], os.sched_getaffinity(0))


def schedule_host(facts: Facts) -> None:
    os.sched_setscheduler(facts["host"], os.SCHED_OTHER, os.sched_param(0))


def schedule_itself(facts: Facts) -> None:
    os.nice(1)
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def memory_file(facts: Facts) -> None:
    os.close(os.memfd_create("hoard"))


def stray_memory(facts: Facts) -> None:
    if _libc.shmget(0, 4096, 0o600) < 0:
        raise OSError(ctypes.get_errno(), "")


def nested_user_namespace(facts: Facts) -> None:
    if _libc.unshare(0x1000_0000) < 0:
        raise OSError(ctypes.get_errno(), "")


def nested_namespaces(facts: Facts) -> None:
    if _libc.unshare(0x1002_0000) < 0:
        raise OSError(ctypes.get_errno(), "")


def remount(facts: Facts) -> None:
    if _libc.mount(None, b"/", None, 0x1000 | 32, None) < 0:  # MS_BIND | MS_REMOUNT, without MS_RDONLY
        raise OSError(ctypes.get_errno(), "")


def unmount(facts: Facts) -> None:
    if _libc.umount2(b"/tmp", 2) < 0:
        raise OSError(ctypes.get_errno(), "")


def sysctl(facts: Facts) -> None:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))


def spare_from_oom(facts: Facts) -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")


def be_important(facts: Facts) -> None:
    os.nice(-5)


def ptrace(facts: Facts) -> None:
    _call(101 if os.uname().machine == "x86_64" else 117)


def io_uring(facts: Facts) -> None:
    _call(425)


def keyring(facts: Facts) -> None:
    _call(250 if os.uname().machine == "x86_64" else 219)


def raise_file_limit(facts: Facts) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (facts["nofile"] * 2, facts["nofile"] * 2))


def exhaust_files(facts: Facts) -> None:
    for _ in range(facts["nofile"] + 1):
        os.dup(0)


def exhaust_processes(facts: Facts) -> None:
    for _ in range(facts["nproc"] + 1):
        if not os.fork():
            signal.pause()


def see_shared_memory(facts: Facts) -> int:
    """Segments of System V shared memory in sight."""
    with open("/proc/sysvipc/shm") as file:
        return len(file.readlines()) - 1


def capabilities(facts: Facts) -> list[str]:
    """The sets, the bounding set first, then no_new_privs and the filter's mode."""
    with open("/proc/self/status") as file:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return [lines[name].lstrip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp")]


def capabilities_of_child(facts: Facts) -> str:
    """Effective capabilities after exec, which gives them back to root unless that is forbidden."""
    import subprocess

    return subprocess.check_output(["grep", "CapEff", "/proc/self/status"], text=True).split()[1].lstrip("0")


def descriptors(facts: Facts) -> list[int]:
    """What is open, apart from what the test harness holds."""
    return sorted(int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}"))


def daemon(facts: Facts) -> None:
    """Leave somebody behind who left the session and ignores signals."""
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        while True:
            signal.pause()


def ordinary_life(facts: Facts) -> None:
    """What honest handlers do all day must go on working."""
    import asyncio
    import subprocess
    import tempfile
    import threading
    from concurrent.futures import ThreadPoolExecutor

    thread = threading.Thread(target=time.time)
    thread.start()
    thread.join()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(abs, range(4))) == [0, 1, 2, 3]
    assert (
        subprocess.run([sys.executable, "-I", "-S", "-c", "print(1)"], stdout=subprocess.PIPE, check=True).stdout
        == b"1\n"
    )
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"x")

    async def shell() -> bytes:
        process = await asyncio.create_subprocess_exec("echo", "hi", stdout=subprocess.PIPE)
        return (await process.communicate())[0]

    assert asyncio.run(shell()) == b"hi\n"
    child = subprocess.Popen(["sleep", "100"])
    child.kill()
    assert child.wait() == -signal.SIGKILL
