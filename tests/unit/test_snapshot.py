"""Whether a process may be forked from, and what is due before and after."""

# `expected == actual` is the order of the house.

from __future__ import annotations

import os
import random
import select
import socket
import sys
import threading
import types
from typing import Any

import pytest

from lambdalite.runtime import snapshot
from lambdalite.runtime.faults import Fault

linux = pytest.mark.skipif(sys.platform != "linux", reason="epoll and /proc are Linux's")


@pytest.fixture(autouse=True)
def marked() -> Any:
    """What is open before the test is not the test's."""
    snapshot.mark()
    yield
    snapshot._known.clear()


def test_nothing_open_is_safe() -> None:
    """No descriptor was opened since the mark."""
    assert None is snapshot._files()


def test_a_connected_socket_is_named_by_its_peer() -> None:
    """A connection would be everybody's."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
        snapshot.mark()
        with socket.create_connection(server.getsockname()) as connection:
            port = server.getsockname()[1]
            assert f"init left a socket (connected to 127.0.0.1:{port}) open" == snapshot._files()
            connection.close()
        assert None is snapshot._files()
        client.close()


def test_a_listening_socket_is_named_by_its_address() -> None:
    """So would a server be."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert f"init left a socket (at 127.0.0.1:{server.getsockname()[1]}) open" == snapshot._files()


def test_a_socket_pair_has_no_name() -> None:
    """The usual sign of an event loop that was made and not closed."""
    one, two = socket.socketpair()
    with one, two:
        assert "init left a socket (connected to an unnamed socket of this process) open" == snapshot._files()


@linux
def test_an_epoll_instance_is_not_safe() -> None:
    """Its registrations are shared by all who hold it."""
    with select.epoll() as epoll:
        expected = f"init left an event loop or selector (epoll) (descriptor {epoll.fileno()}) open"
        assert expected == snapshot._files()


def test_a_pipe_is_not_safe() -> None:
    """Two environments would take each other's bytes."""
    read, write = os.pipe()
    try:
        assert snapshot._files() in {f"init left a pipe (descriptor {fd}) open" for fd in (read, write)}
    finally:
        os.close(read)
        os.close(write)


@linux
def test_a_file_being_read_is_not_safe(tmp_path: Any) -> None:
    """Its position is shared."""
    file = tmp_path / "data.csv"
    file.write_text("x")
    with file.open():
        assert f"init left the file {file}, whose position would be shared, open" == snapshot._files()


def test_a_file_being_appended_to_is_safe(tmp_path: Any) -> None:
    """A log file: the kernel puts every line at the end."""
    with (tmp_path / "log").open("a"):
        assert None is snapshot._files()


def test_a_descriptor_that_was_open_before_is_ours() -> None:
    """Until it is closed and its number given to something else."""
    read, write = os.pipe()
    snapshot.mark()
    try:
        assert None is snapshot._files()
    finally:
        os.close(read)
        os.close(write)


@linux
def test_a_thread_is_named() -> None:
    """A fork would copy what it holds, and not the thread."""
    before = snapshot._threads()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="poller")
    thread.start()
    try:
        found = snapshot._threads()
    finally:
        stop.set()
        thread.join()

    if before is None:
        assert "init left a thread running: 'poller' (Thread)" == found
    else:
        assert "more" in str(found)


def test_without_proc_pythons_own_threads_are_seen() -> None:
    """Other systems only know what threading knows."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="poller")
    thread.start()
    try:
        found = snapshot._python_threads()
    finally:
        stop.set()
        thread.join()

    assert "'poller' (Thread)" in str(found)


@pytest.fixture
def hooks(monkeypatch: Any) -> Any:
    """A stand-in for snapshot_restore_py, which need not be installed."""
    module = types.SimpleNamespace(before=[], after=[])
    module.get_before_snapshot = lambda: module.before
    module.get_after_restore = lambda: module.after
    monkeypatch.setitem(sys.modules, "snapshot_restore_py", module)
    return module


def test_hooks_run_in_awss_order(hooks: Any) -> None:
    """Before a snapshot the last registered comes first, after a restore the first."""
    ran: list[str] = []
    hooks.before += [(ran.append, ("b1",), {}), (ran.append, ("b2",), {})]
    hooks.after += [(ran.append, ("a1",), {}), (ran.append, ("a2",), {})]

    snapshot.before_snapshot()
    snapshot.after_restore()

    assert ["b2", "b1", "a1", "a2"] == ran


@pytest.mark.parametrize(
    ("run", "category", "status"),
    [
        (snapshot.before_snapshot, "Runtime.BeforeSnapshotError", 64),
        (snapshot.after_restore, "Runtime.AfterRestoreError", 65),
    ],
)
@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_hook_that_fails_is_a_fault(hooks: Any, run: Any, category: Any, status: Any, error: Any) -> None:
    """With AWS's category and exit status; a hook that exits has failed as well."""

    def fail() -> Any:
        raise error("boom")

    hooks.before.append((fail, (), {}))
    hooks.after.append((fail, (), {}))

    with pytest.raises(Fault) as caught:
        run()

    fault = caught.value
    assert (error.__name__, "boom", category, status) == (fault.type, fault.message, fault.category, fault.exit_status)


def test_without_the_package_there_are_no_hooks(monkeypatch: Any) -> None:
    """Nothing is imported for it."""
    monkeypatch.delitem(sys.modules, "snapshot_restore_py", raising=False)

    snapshot.before_snapshot()
    snapshot.after_restore()

    assert "snapshot_restore_py" not in sys.modules


def test_reseeding_gives_numbers_of_its_own(monkeypatch: Any) -> None:
    """What the module seeded is forgotten, as far as the global generator goes."""
    state = random.getstate()
    try:
        random.seed(1)
        snapshot.reseed()
        assert random.Random(1).random() != random.random()
    finally:
        random.setstate(state)


def test_reseeding_includes_numpy_if_it_is_loaded(monkeypatch: Any) -> None:
    """And a module of the user's of that name does no harm."""
    calls = []
    monkeypatch.setitem(sys.modules, "numpy.random", types.SimpleNamespace(seed=lambda: calls.append("seed")))
    snapshot.reseed()
    monkeypatch.setitem(sys.modules, "numpy.random", types.SimpleNamespace())
    snapshot.reseed()

    assert ["seed"] == calls
