"""The attack battery: what hostile code tries, by tier, and what it gets; as whoever runs the tests and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lambdalite.runtime import linux

PACKAGE = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("sandboxed.py")
ORDINARY = 65534  # nobody
NOFILE, NPROC, TMP = 64, 20, 1 << 20
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces, Landlock, seccomp: Linux")

#: attack: (process, strict, process without any namespace). A set where privilege or kernel decide which error it is.
DENIED = frozenset({"EROFS", "EACCES", "EPERM"})
BATTERY: dict[str, tuple[Any, Any, Any]] = {
    "create_outside": (DENIED, DENIED, DENIED),
    "create_beside_code": (DENIED, DENIED, DENIED),
    "overwrite": (DENIED, DENIED, DENIED),
    "rename": (DENIED, DENIED, DENIED),
    "unlink": (DENIED, DENIED, DENIED),
    "truncate": (DENIED, DENIED, DENIED),
    "chmod": ("EROFS", "EROFS", "ok"),  # Landlock never covers metadata
    "utime": ("EROFS", "EROFS", "ok"),
    "setxattr": ("EROFS", "EROFS", frozenset({"ok", "ENOTSUP"})),
    "read_beside_code": ("precious", "precious", "precious"),
    "write_where_allowed": ("ok", "ok", "ok"),
    "fill_tmp": ("ENOSPC", "ENOSPC", None),
    "fill_inodes": ("ENOSPC", "ENOSPC", None),
    "write_null": ("ok", "ok", "ok"),
    "raw_disk": (DENIED, DENIED, DENIED),
    "connect_tcp": ("ok", "ENETUNREACH", "ok"),
    "send_udp": ("ok", "ENETUNREACH", "ok"),
    "netlink": ("ok", "ENETUNREACH", "ok"),
    "abstract_socket": ("EPERM", "EPERM", "EPERM"),
    "path_socket": (frozenset({"ok", "ECONNREFUSED"}), "EPERM", "ok"),
    "socketpair": ("ok", "ok", "ok"),
    "signal_host": ("ESRCH", "ESRCH", "EPERM"),
    "signal_everybody": (frozenset({"ok", "ESRCH", "EPERM"}),) * 3,  # it reaches nobody, and says so in several ways
    "signal_template": ("EPERM", "EPERM", "EPERM"),
    "signal_first": ("EPERM", "EPERM", "EPERM"),
    "signal_own_child": (-9, -9, -9),
    "see_host": ("ENOENT", "ENOENT", "ok"),
    "host_memory": ("ENOENT", "ENOENT", DENIED),
    "host_environment": ("ENOENT", "ENOENT", DENIED),
    "template_memory": (DENIED, DENIED, DENIED),
    "limit_host": ("ESRCH", "ESRCH", "EPERM"),
    "limit_template": ("EPERM", "EPERM", "EPERM"),
    "limit_itself": ("ok", "ok", "ok"),
    "renice_host": ("ESRCH", "EPERM", "EPERM"),
    "renice_user": ("EPERM", "EPERM", "EPERM"),  # with a PID namespace: its first process can do more than we
    "pin_host": ("ESRCH", "EPERM", "EPERM"),
    "schedule_host": ("ESRCH", "EPERM", "EPERM"),
    "schedule_itself": ("ok", "ok", "ok"),
    "memory_file": ("ok", "ENOSYS", "ok"),
    "stray_memory": ("ENOSYS", "ENOSYS", "ENOSYS"),
    "nested_user_namespace": ("EPERM", "EPERM", "EPERM"),
    "nested_namespaces": (frozenset({"EPERM", "ENOSPC"}), frozenset({"EPERM", "ENOSPC"}), "EPERM"),
    "remount": ("EPERM", "EPERM", "EPERM"),
    "unmount": ("EPERM", "EPERM", "EPERM"),
    "sysctl": (DENIED, DENIED, DENIED),
    "spare_from_oom": (DENIED, DENIED, DENIED),
    "be_important": (DENIED, DENIED, DENIED),
    "ptrace": ("EPERM", "EPERM", "EPERM"),
    "io_uring": ("EPERM", "EPERM", "EPERM"),
    "keyring": ("EPERM", "EPERM", "EPERM"),
    "raise_file_limit": ("not allowed to raise maximum limit",) * 3,
    "exhaust_files": ("EMFILE", "EMFILE", "EMFILE"),
    "capabilities": (["", "", "", "", "1", "2"],) * 3,
    "capabilities_of_child": ("", "", ""),
    "daemon": ("ok", "ok", "ok"),
    "ordinary_life": ("ok", "ok", "ok"),
}
TIERS = {"process": 0, "strict": 1, "bare": 2}


def directory(parents: list[str]) -> Path:
    """A directory of ours in the first of these that lets us: visible/victim, writable and root in it."""
    place = Path(next(parent for parent in parents if os.access(parent, os.W_OK))) / f"lambdalite-test-{os.getpid()}"
    for name in ("visible", "writable", "root"):
        (place / name).mkdir(parents=True)
    (place / "visible" / "victim").write_text("precious")
    return place


def inside(place: Path) -> dict[str, str]:
    """The facts about a directory."""
    visible = place / "visible"
    return {"visible": str(visible), "victim": str(visible / "victim"), "writable": str(place / "writable")}


@pytest.fixture(scope="module")
def host() -> Any:
    """What there is to attack: files, a listening port, unix sockets; readable by everybody."""
    place, elsewhere = directory(["/tmp"]), directory(["/var", str(Path.home())])
    tcp, abstract, path = (
        socket.create_server(("127.0.0.1", 0)),
        socket.socket(socket.AF_UNIX),
        socket.socket(socket.AF_UNIX),
    )
    abstract.bind(f"\0lambdalite-test-{os.getpid()}")
    path.bind(str(place / "visible" / "socket"))
    (place / "visible" / "socket").chmod(0o777)
    for listener in (abstract, path):
        listener.listen()
    facts = {
        "host": os.getpid(), "port": tcp.getsockname()[1], "abstract": f"lambdalite-test-{os.getpid()}",
        "socket": str(place / "visible" / "socket"), "tmp_bytes": TMP, "nofile": NOFILE, "nproc": NPROC,
        # without mounts /tmp stays the host's, so there is something to protect elsewhere only
        "bare": inside(elsewhere), **inside(place),
    }  # fmt: skip
    yield facts
    for listener in (tcp, abstract, path):
        listener.close()
    shutil.rmtree(place)
    shutil.rmtree(elsewhere)


def python_for(who: str) -> tuple[str, Any]:
    """An interpreter and Popen's arguments to run it as `who`; skips where there is none."""
    if who == "self":
        return sys.executable, {}
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else; the tests as 'self' are an ordinary user's already")
    as_nobody: dict[str, Any] = {"user": ORDINARY, "group": ORDINARY, "extra_groups": [], "cwd": "/"}
    for candidate in (sys.executable, "/usr/bin/python3"):
        check = f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); import lambdalite.runtime, tomllib"  # 3.11 or newer
        command = [candidate, "-I", "-c", check]
        try:
            if subprocess.run(command, stderr=subprocess.DEVNULL, check=False, **as_nobody).returncode == 0:
                return candidate, as_nobody
        except OSError:
            continue
    pytest.skip("no interpreter that an ordinary user can run")


def run(facts: dict[str, Any], who: str, tier: str, attacks: list[str], **more: Any) -> dict[str, Any]:
    """What the script prints."""
    python, arguments = python_for(who)
    facts = facts | (facts["bare"] if tier == "bare" else {})
    place = Path(facts["visible"]).parent
    for path in (place, *place.rglob("*")):
        os.chown(path, *((ORDINARY, ORDINARY) if arguments else (os.getuid(), os.getgid())))
    options = {
        "tmp_bytes": TMP, "writable": [facts["writable"]], "readable": [facts["visible"], str(SCRIPT.parent)],
        "network": tier != "strict", "unix_sockets": tier != "strict", "nofile": NOFILE, "nproc": NPROC,
        "root": str(place / "root"),
    }  # fmt: skip
    options |= more.pop("options", {})
    wish = {
        "package": str(PACKAGE), "tier": "strict" if tier == "strict" else "process", "namespaces": tier != "bare",
        "options": options, "attacks": attacks, "facts": facts, **more,
    }  # fmt: skip
    done = subprocess.run(
        [python, "-I", str(SCRIPT), json.dumps(wish)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        **arguments,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert "error" not in found, done.stderr
    return found


@pytest.fixture(scope="module")
def battery(host: dict[str, Any]) -> Any:
    """Runs the whole battery once for a tier and a user."""

    @cache
    def results(who: str, tier: str) -> dict[str, Any]:
        for victim in (host["victim"], host["bare"]["victim"]):
            Path(victim).write_text("precious")  # an older Landlock, simulated by another test, lets it be truncated
        promised = [attack for attack, expected in BATTERY.items() if expected[TIERS[tier]] is not None]
        found = run(host, who, tier, [*promised, "list_tmp"])
        if tier != "bare" and not found["report"]["mount_namespace"]["enforced"]:
            pytest.skip(f"no namespaces here: {found['report']['mount_namespace']['reason']}")
        return found

    return results


@pytest.mark.parametrize("attack", BATTERY)
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("who", ["self", "ordinary"])
def test_attack_gets_what_the_tier_promises(battery: Any, who: str, tier: str, attack: str) -> None:
    """Each attack, in each tier, ends as the table says."""
    expected = BATTERY[attack][TIERS[tier]]
    if tier == "bare" and linux.landlock.abi() < 6:
        pytest.skip("without namespaces, the table is that of Landlock 6")
    if expected is None:
        pytest.skip("not promised by this tier")

    result = battery(who, tier)["results"][attack]

    if isinstance(expected, frozenset):
        assert result in expected or str(result) in expected
    else:
        assert expected == result


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("who", ["self", "ordinary"])
def test_nothing_is_left(battery: Any, who: str, tier: str) -> None:
    """Daemons and children of every attack are gone when its environment is."""
    found = battery(who, tier)

    assert ([], 0) == (found["children"], found["left"])


@pytest.mark.parametrize("tier", ["process", "strict"])
@pytest.mark.parametrize("who", ["self", "ordinary"])
def test_environments_do_not_see_each_others_files(battery: Any, who: str, tier: str) -> None:
    """/tmp is empty but for what must stay visible, whatever earlier environments wrote."""
    assert [f"lambdalite-test-{os.getpid()}"] == battery(who, tier)["results"]["list_tmp"]


@pytest.mark.parametrize("who", ["self", "ordinary"])
@pytest.mark.parametrize("tier", TIERS)
def test_report_is_complete_and_honest(battery: Any, who: str, tier: str) -> None:
    """Every subject has its line; what is not enforced says so."""
    applied = battery(who, tier)["applied"]

    assert sorted(applied) == ["files", "filesystem", "network", "privileges", "processes", "signals", "tmp"]
    assert applied["network"]["enforced"] is (tier == "strict")
    assert applied["tmp"]["enforced"] is (tier != "bare")
    assert all(isinstance(line["detail"], str) and (line["how"] or line["detail"]) for line in applied.values())
    if tier == "bare":
        assert "not covered" in applied["filesystem"]["detail"]


@pytest.mark.parametrize("who", ["self", "ordinary"])
def test_zygote_is_process_one(battery: Any, who: str) -> None:
    """Where namespaces are permitted, nothing can outlive the zygote."""
    found = battery(who, "process")

    assert (1, True) == (found["zygote"], found["report"]["pid_namespace"]["enforced"])


@pytest.mark.parametrize("who", ["self", "ordinary"])
@pytest.mark.parametrize("tier", TIERS)
def test_what_init_left_is_there(host: dict[str, Any], who: str, tier: str) -> None:
    """Every environment finds the files that init wrote to /tmp, as its own copy."""
    if tier == "bare":
        pytest.skip("without mounts, init's files are found through TMPDIR")
    init = {"/tmp/made-by-init": "x", "/dev/shm/made-by-init": "y"}

    found = run(host, who, tier, ["list_tmp", "write_scratch", "list_tmp"], init=init)

    assert [f"lambdalite-test-{os.getpid()}", "made-by-init"] == found["results"]["list_tmp"]


@pytest.mark.parametrize("who", ["self", "ordinary"])
def test_code_in_tmp_itself_is_seen(host: dict[str, Any], who: str) -> None:
    """A script that lies in /tmp finds its neighbours, and cannot write to them."""
    found = run(host, who, "process", ["read_beside_code", "overwrite", "fill_tmp"], options={"readable": ["/tmp"]})

    assert {"read_beside_code": "precious", "overwrite": "EROFS", "fill_tmp": "ENOSPC"} == found["results"]


@pytest.mark.parametrize("who", ["self", "ordinary"])
def test_tmp_can_be_shared_on_request(host: dict[str, Any], who: str) -> None:
    """/tmp among the writable paths is the host's /tmp, and the report says so."""
    found = run(host, who, "process", ["write_where_allowed"], options={"writable": ["/tmp", host["writable"]]})

    assert (False, "ok") == (found["applied"]["tmp"]["enforced"], found["results"]["write_where_allowed"])


def test_processes_are_counted_in_a_user_namespace(host: dict[str, Any]) -> None:
    """An ordinary user's handler cannot fork more than the limit, however many processes the user has elsewhere."""
    found = run(host, "ordinary" if os.geteuid() == 0 else "self", "strict", ["exhaust_processes", "daemon"])

    assert {"exhaust_processes": "EAGAIN", "daemon": "ok"} == found["results"]


def test_strict_can_have_the_network(host: dict[str, Any]) -> None:
    """Asked for, the network is there; unix sockets stay closed."""
    found = run(host, "self", "strict", ["connect_tcp", "path_socket"], options={"network": True})

    assert {"connect_tcp": "ok", "path_socket": "EPERM"} == found["results"]


@pytest.mark.parametrize("tier", ["process", "bare"])
def test_process_tier_can_lose_the_network(host: dict[str, Any], tier: str) -> None:
    """Asked for, the network is gone, with namespaces and without."""
    found = run(host, "self", tier, ["connect_tcp", "send_udp"], options={"network": False})

    assert {"connect_tcp": "ENETUNREACH", "send_udp": "ENETUNREACH"} == found["results"]
    assert found["applied"]["network"]["enforced"]


def test_strict_without_namespaces_is_refused(host: dict[str, Any]) -> None:
    """What is missing is named, and what to do."""
    python, _ = python_for("self")
    options = {"tmp_bytes": TMP}
    wish = {
        "package": str(PACKAGE),
        "tier": "strict",
        "namespaces": False,
        "options": options,
        "attacks": [],
        "facts": host,
    }

    done = subprocess.run(
        [python, "-I", str(SCRIPT), json.dumps(wish)], capture_output=True, text=True, timeout=50, check=True
    )

    found = json.loads(done.stdout)
    assert found["unavailable"][0] == "a PID namespace"
    assert "isolation='process'" in found["text"]


@pytest.mark.parametrize("abi", [0, 1, 2, 3, 5])
def test_older_kernels_without_namespaces(host: dict[str, Any], abi: int) -> None:
    """Signals to the host are stopped by the system-call filter then; what is not covered is said, and only that."""
    if abi > linux.landlock.abi():
        pytest.skip("this kernel is older than that")
    attacks = ["signal_host", "signal_everybody", "signal_template", "limit_host", "overwrite", "truncate"]

    found = run(host, "self", "bare", attacks, abi=abi)

    applied = found["applied"]
    assert dict.fromkeys(attacks[:4], "EPERM") == {attack: found["results"][attack] for attack in attacks[:4]}
    assert ("EACCES" if abi else "ok") == found["results"]["overwrite"]
    assert ("EACCES" if abi >= 3 else "ok") == found["results"]["truncate"]
    assert (True, "seccomp") == (applied["signals"]["enforced"], applied["signals"]["how"])
    assert applied["filesystem"]["enforced"] is bool(abi)
    assert ("truncate" in applied["filesystem"]["detail"]) is (abi in {1, 2})
    assert ("through /proc" in applied["privileges"]["detail"]) is not bool(abi)


def test_older_kernels_with_namespaces(host: dict[str, Any]) -> None:
    """Without Landlock the read-only view still holds, /proc included, and nobody can take all environments down."""
    attacks = ["overwrite", "create_outside", "spare_from_oom", "sysctl", "signal_everybody", "signal_host", "fill_tmp"]

    found = run(host, "self", "process", attacks, abi=0)["results"]

    assert {"EPERM", "ESRCH"} >= {found["signal_everybody"], found["signal_host"]}
    assert dict.fromkeys(attacks[:4], "EROFS") == {attack: found[attack] for attack in attacks[:4]}
    assert found["fill_tmp"] == "ENOSPC"
