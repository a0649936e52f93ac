"""Every way to die that the crash catalogue knows, as a handler: ``event["how"]`` names it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from typing import Any, Never

counter = 0


def die(event: Any, context: Any) -> Any:
    """Do what the event says; ``fine`` does nothing."""
    global counter
    counter += 1
    return globals()[f"how_{event['how']}"](event)


def how_fine(event: Any) -> int:
    return counter


def how_raise(event: Any) -> Never:
    raise ValueError("boom")


def how_sys_exit(event: Any) -> Never:
    sys.exit(event.get("status", 0))


def how_os_exit(event: Any) -> Never:
    os._exit(event.get("status", 0))


def how_signal(event: Any) -> None:
    os.kill(os.getpid(), event["number"])
    time.sleep(30)


def how_segfault(event: Any) -> None:
    ctypes.string_at(0)


def how_abort(event: Any) -> None:
    os.abort()


def how_sleep(event: Any) -> None:
    time.sleep(30)


def how_busy(event: Any) -> None:
    while True:
        pass


def how_stubborn(event: Any) -> None:
    while True:
        try:
            time.sleep(30)
        except BaseException:
            continue


def how_holds_the_gil(event: Any) -> None:
    # one C call that never lets go: a regular expression that backtracks for ages
    import re

    re.match(r"(a+)+$", "a" * 64 + "b")


def how_ignores_signals(event: Any) -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    time.sleep(30)


def how_hog(event: Any) -> None:
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))


def how_hog_in_a_child(event: Any) -> None:
    subprocess.run(
        [sys.executable, "-S", "-c", "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))"], check=False
    )
    time.sleep(30)


def how_hog_in_a_thread(event: Any) -> None:
    thread = threading.Thread(target=how_hog, args=(event,))
    thread.start()
    thread.join()


def how_hog_shared(event: Any) -> None:
    import mmap

    hoard = mmap.mmap(-1, 512 << 20)
    for at in range(0, 512 << 20, 4096):
        hoard[at] = 1
    time.sleep(30)


def how_sixty_threads(event: Any) -> str:
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(60)]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join()
    return "fine"


def how_untouched(event: Any) -> str:
    import mmap

    with mmap.mmap(-1, 1 << 30):
        return "fine"


def how_hundred_forks(event: Any) -> str:
    ballast = bytearray(4 << 20)
    children = []
    read, write = os.pipe()
    for _ in range(100):
        pid = os.fork()
        if not pid:
            os.close(write)
            os.read(read, 1)
            os._exit(len(ballast) & 0)
        children.append(pid)
    time.sleep(0.05)  # long enough for the guardian to look at all of them
    os.close(write)
    for pid in children:
        os.waitpid(pid, 0)
    return "fine"


def _channel() -> int:
    """The descriptor of the channel, as an attacker would find it: the first socket."""
    for fd in range(3, 64):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                return fd
        except OSError:
            continue
    raise LookupError("no socket")


def how_closes_the_channel(event: Any) -> None:
    os.close(_channel())
    time.sleep(30)


def how_garbage(event: Any) -> None:
    os.write(_channel(), b"\xff" * 64)
    time.sleep(30)


def how_oversize(event: Any) -> None:
    os.write(_channel(), struct.pack("!BIII", 17, 1, 3, 200 << 20))
    time.sleep(30)


def how_foreign_reply(event: Any) -> None:
    payload = b'"forged"'
    os.write(_channel(), struct.pack("!BIII", 17, 999_999, 1, len(payload)) + b"1" + payload)
    time.sleep(30)


def how_forged_fault(event: Any) -> None:
    meta = json.dumps({"phase": event["phase"]}).encode()
    payload: bytes = event["payload"].encode("latin-1")
    os.write(_channel(), struct.pack("!BIII", 18, 1, len(meta), len(payload)) + meta + payload)
    time.sleep(30)


def how_deep_meta(event: Any) -> None:
    meta = b"[" * 200_000
    frame = struct.pack("!BIII", 18, 1, len(meta), 0) + meta
    while frame:
        frame = frame[os.write(_channel(), frame) :]
    time.sleep(30)


def how_large(event: Any) -> str:
    return "x" * (7 << 20)


def how_just_fits(event: Any) -> str:
    return "x" * (6 * 1024 * 1024 + 100 - 2)


def how_unserialisable(event: Any) -> Any:
    return {1, 2}


def how_nan(event: Any) -> float:
    return float("nan")


def how_bytes(event: Any) -> bytes:
    return b"\x00\xff"


def how_deep(event: Any) -> Any:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def how_flood(event: Any) -> str:
    for _ in range(8):
        print("x" * (1 << 20))
    return "fine"


def how_daemon(event: Any) -> str:
    if not os.fork():
        os.setsid()
        if not os.fork():
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            time.sleep(60)
        os._exit(0)
    return "fine"


def _attempt(pid: int, number: int = signal.SIGKILL) -> str:
    try:
        os.kill(pid, number)
    except OSError as error:
        return type(error).__name__
    return "sent"


def how_kills_its_parent(event: Any) -> str:
    return _attempt(os.getppid())


def how_kills_init(event: Any) -> str:
    return _attempt(1)


def how_kills_the_host(event: Any) -> str:
    return _attempt(event["pid"])


def how_fills_tmp(event: Any) -> None:
    with open("/tmp/full", "wb") as file:
        while True:
            file.write(bytes(1 << 20))


def how_opens_everything(event: Any) -> str:
    files = []
    try:
        while True:
            files.append(open("/dev/null"))
    except OSError as error:
        return f"{error.errno} after {len(files)}" if len(files) < 1024 else "too many"


def how_closes_stdout(event: Any) -> str:
    sys.stdout.close()
    return "fine"


def how_decimal(event: Any) -> Any:
    from decimal import Decimal

    return json.loads(json.dumps({"n": 1})) | {"d": Decimal("1.10")}
