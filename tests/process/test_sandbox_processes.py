"""Zygotes that are born and die cleanly, and sweeps that leave nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import until

PACKAGE = Path(__file__).parents[2]
PREAMBLE = f"import sys; sys.path.insert(0, {str(PACKAGE)!r})\n" + textwrap.dedent("""
    import json, os, signal, select
    from lambdalite.runtime import sandbox

    def stay():
        signal.pause()
        os._exit(0)

    def child(work, *arguments):
        pid = os.fork()
        if not pid:
            try:
                work(*arguments)
            finally:
                os._exit(0)
        return pid

    def tell(**facts):
        print(json.dumps(facts), flush=True)
""")


def guardian(code: str) -> subprocess.Popen[str]:
    """A fresh interpreter that runs this code."""
    script = PREAMBLE + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-I", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def told(process: subprocess.Popen[str]) -> Any:
    """The next line it prints."""
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def finish(code: str) -> Any:
    """What the code tells, after it has ended well."""
    with guardian(code) as process:
        found = told(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
    return found


@pytest.mark.parametrize("namespaces", [True, False])
def test_guardian_stays_outside_and_has_one_child(namespaces: bool) -> None:
    """Forking a zygote leaves the caller's namespaces as they were, and no process but the zygote."""
    found = finish(f"""
        spaces = lambda: [os.readlink(f"/proc/self/ns/{{kind}}") for kind in ("pid", "mnt", "user", "pid_for_children")]
        before = spaces()
        pid, report = sandbox.fork_zygote({{"namespaces": {namespaces}}})
        if not pid:
            stay()
        tell(same=spaces() == before, only=sandbox.children() == [pid], swept=sandbox.sweep(()), left=sandbox.children())
    """)

    assert {"same": True, "only": True, "swept": 1, "left": []} == found


def test_report_without_namespaces_says_why() -> None:
    """Nothing is claimed that was not asked for."""
    found = finish("""
        pid, report = sandbox.fork_zygote({"namespaces": False})
        if not pid:
            stay()
        sandbox.sweep(())
        tell(**report)
    """)

    assert {"pid_namespace", "user_namespace", "mount_namespace", "proc"} == set(found)
    assert all(
        line == {"enforced": False, "how": "", "reason": "namespaces were not asked for"} for line in found.values()
    )


def test_everything_dies_with_the_guardian() -> None:
    """SIGKILL of the guardian takes a zygote that is process 1, its children, and daemons that ignore signals."""
    with guardian("""
        pid, report = sandbox.fork_zygote({"namespaces": True})
        if pid:
            tell(enforced=report["pid_namespace"]["enforced"], zygote=pid)
            os.waitpid(pid, 0)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        child(lambda: (os.setsid(), child(stay), stay()))
        stay()
    """) as process:
        facts = told(process)
        if not facts["enforced"]:
            process.kill()
            pytest.skip("PID namespaces are not permitted here")
        zygote = psutil.Process(facts["zygote"])
        assert until(lambda: len(zygote.children(recursive=True)) == 2)
        everybody = [zygote, *zygote.children(recursive=True)]

        process.kill()

        assert until(lambda: not any(each.is_running() for each in everybody))


def test_zygote_without_namespaces_outlives_its_guardian() -> None:
    """It has to clean up after the guardian, so it must not die of the guardian's death."""
    with guardian("""
        pid, report = sandbox.fork_zygote({"namespaces": False})
        if pid:
            tell(zygote=pid)
            os.waitpid(pid, 0)
        parent = os.getppid()
        stay()
    """) as process:
        zygote = psutil.Process(told(process)["zygote"])

        process.kill()
        process.wait(30)

        assert zygote.is_running()
        zygote.kill()


def test_sweep_keeps_those_it_is_told_to() -> None:
    """Only unknown children are killed, and all of them are reaped."""
    found = finish("""
        sandbox.become_subreaper()
        kept, other = child(stay), child(stay)
        tell(swept=sandbox.sweep({kept}), left=sandbox.children() == [kept], rest=sandbox.sweep(()), none=sandbox.sweep(()))
    """)

    assert {"swept": 1, "left": True, "rest": 1, "none": 0} == found


def test_sweep_kills_the_stopped() -> None:
    """SIGSTOP is no shelter."""
    found = finish("""
        pid = child(lambda: (os.kill(os.getpid(), signal.SIGSTOP), stay()))
        os.waitpid(pid, os.WUNTRACED)
        tell(swept=sandbox.sweep(()), left=sandbox.children())
    """)

    assert {"swept": 1, "left": []} == found


def test_sweep_finds_what_a_dead_child_leaves() -> None:
    """Daemons of several generations and sessions become our children one after the other, and go."""
    found = finish("""
        sandbox.become_subreaper()
        ready, told = os.pipe()
        def daemon(depth):
            os.setsid()
            if depth:
                child(daemon, depth - 1)
            os.write(told, b"x")
            stay()
        child(daemon, 9)
        count = 0
        while count < 10:
            count += len(os.read(ready, 10))
        tell(swept=sandbox.sweep(()), left=sandbox.children())
    """)

    assert {"swept": 10, "left": []} == found


@pytest.mark.parametrize("session", ["", "os.setsid()"])
@pytest.mark.slow
def test_sweep_catches_those_who_run_away(session: str) -> None:
    """Chains of processes that fork and exit without end, in one group or each in its own session."""
    found = finish(
        f"""
        pid, report = sandbox.fork_zygote({{"namespaces": True}})  # should the test fail, they die with process 1
        if pid:
            os.waitpid(pid, 0)
            sys.exit(0)
        sandbox.become_subreaper()
        ready, told = os.pipe()
        def runner():
            os.setsid()
            while True:
                if os.fork():
                    os._exit(0)
                {session or "pass"}
                os.write(told, b"x")
        for _ in range(4):
            child(runner)
        count = 0
        while count < 40:
            count += len(os.read(ready, 100))
        sandbox.sweep(())
        tell(left=sandbox.children())
        os._exit(0)
    """
    )

    assert {"left": []} == found


@pytest.mark.slow
def test_sweep_survives_a_fork_bomb() -> None:
    """A hundred processes that fork as fast as they can are gone after one sweep."""
    found = finish("""
        pid, report = sandbox.fork_zygote({"namespaces": True})
        if pid:
            os.waitpid(pid, 0)
            sys.exit(0)
        sandbox.become_subreaper()
        ready, told = os.pipe()
        fuel, tank = os.pipe()
        os.write(tank, bytes(1000))  # a thousand at most, should the test fail: this machine has other users
        def bomb():
            os.setsid()
            while os.read(fuel, 1):
                os.fork()
                os.write(told, b"x")
        child(bomb)
        count = 0
        while count < 100:
            count += len(os.read(ready, 1000))
        sandbox.sweep(())
        tell(left=sandbox.children())
        os._exit(0)
    """)

    assert {"left": []} == found


def test_children_without_the_kernels_list() -> None:
    """Kernels without CONFIG_PROC_CHILDREN: the parent's pid in every stat file gives the same answer."""
    found = finish("""
        from lambdalite.runtime import processes
        pids = [child(stay) for _ in range(3)]
        tell(same=sorted(processes._children_by_scan()) == sorted(processes.children()) == sorted(pids))
        sandbox.sweep(())
    """)

    assert {"same": True} == found


def test_private_directory_is_removed_when_its_owner_is_gone(tmp_path: Path) -> None:
    """Killed with everybody who would have cleaned up, it is removed by the next one; a living owner's is not."""
    found = finish(f"""
        from lambdalite.runtime import private
        root = {str(tmp_path)!r}
        def own(words):
            private.claim(root, "token", None)
            open(os.path.join(os.environ["TMPDIR"], "file"), "w").close()
            os.write(words, b"x")
            stay()
        pids = []
        for _ in range(2):
            read, write = os.pipe()
            pids.append(child(own, write))
            os.read(read, 1)
        os.kill(pids[0], signal.SIGKILL)
        os.waitpid(pids[0], 0)
        private.remove_stale(root)
        living = os.listdir(root) == [f"lambdalite-tmp-token-{{pids[1]}}"]
        sandbox.sweep(())
        private.remove(root, "token", pids[1])
        removed = os.listdir(root) == []
        os.waitpid(child(private.claim, root, "token", None), 0)
        private.remove_all(root, "token")
        tell(living=living, removed=removed, left=os.listdir(root))
    """)

    assert {"living": True, "removed": True, "left": []} == found


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody whom modes stop")
def test_private_directory_that_was_locked_up_is_removed() -> None:
    """Directories that a handler made inaccessible do not stop whoever cleans up; what links point to stays as it is."""
    found = finish("""
        import tempfile
        root = tempfile.mkdtemp(dir="/tmp")
        os.chmod(root, 0o777)
        from lambdalite.runtime import private
        import shutil
        os.seteuid(65534)
        other = os.path.join(root, "other")
        os.mkdir(other, 0o755)
        path = private.claim(root, "token", None)
        os.makedirs(os.path.join(path, "locked", "up"))
        os.symlink(other, os.path.join(path, "locked", "link"))
        os.chmod(os.path.join(path, "locked", "up"), 0)
        os.chmod(os.path.join(path, "locked"), 0)
        private.remove(root, "token", os.getpid())
        tell(left=os.listdir(root), mode=os.stat(other).st_mode & 0o777)
        os.seteuid(0)
        shutil.rmtree(root)
    """)

    assert {"left": ["other"], "mode": 0o755} == found


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody whom modes stop")
def test_private_directory_is_made_under_any_umask() -> None:
    """A umask that takes everything away from everybody does not take it from us."""
    found = finish("""
        import shutil, tempfile
        root = tempfile.mkdtemp(dir="/tmp")
        os.chmod(root, 0o777)
        from lambdalite.runtime import private
        os.seteuid(65534)
        os.umask(0o777)
        signal.alarm(10)
        path = private.claim(root, "token", None)
        tell(mode=os.stat(path).st_mode & 0o777)
        os.seteuid(0)
        shutil.rmtree(root)
    """)

    assert {"mode": 0o700} == found


def test_probe_tries_everything() -> None:
    """Every primitive has its verdict, with the means or with the reason."""
    from lambdalite.runtime import probe

    found = probe.capabilities()

    assert "pid_namespace" in found
    assert all(bool(line["how"]) is line["available"] is not bool(line["reason"]) for line in found.values())
    assert os.getpid() in psutil.pids()


def test_entering_is_cheap_enough() -> None:
    """An environment of the process tier costs less than 12 ms of CPU on any machine (2.2 measured, half of it the fork)."""
    found = finish("""
        import resource
        pid, report = sandbox.fork_zygote({"namespaces": True})
        if pid:
            os.waitpid(pid, 0)
            sys.exit(0)
        plan = sandbox.prepare("process", {"tmp_bytes": 1 << 29})
        sandbox.enter_template(plan)
        def used():
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            return usage.ru_utime + usage.ru_stime
        before = used()
        for _ in range(20):
            os.waitpid(child(sandbox.enter_environment, plan), 0)
        tell(cheap=(used() - before) / 20 < 0.012)
        os._exit(0)
    """)

    assert {"cheap": True} == found
