"""Importable handlers that ask their App for something."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import lambdalite
from lambdalite.runtime import IN_CHILD, frames

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

app = lambdalite.App()  # inert inside an environment


def echo(event: Any, context: Any) -> Any:
    return event


def where(event: Any, context: Any) -> Any:
    return [event, os.getpid(), context.function_name, context.tenant_id, os.environ.get("_X_AMZN_TRACE_ID")]


def with_client_context(event: Any, context: Any) -> Any:
    return context.client_context.custom


def relay(event: Any, context: Any) -> Any:
    """Invoke what the event says, with what it says."""
    return lambdalite.current_app().invoke(event["function"], event.get("event"), **event.get("options", {}))


def tell(event: Any, context: Any) -> Any:
    """The same, and say what came of it."""
    try:
        return relay(event, context)
    except lambdalite.FunctionError as error:
        outcome = error.outcome
        return [
            type(error).__name__, error.type, error.message, len(error.stack), str(error), outcome.request_id,
            outcome.exit_code,
        ]  # fmt: skip
    except lambdalite.LambdaliteError as error:
        return [type(error).__name__, str(error), getattr(error, "reason", None)]


def send(event: Any, context: Any) -> Any:
    try:
        return lambdalite.current_app().send(event["function"], event.get("event"), **event.get("options", {}))
    except lambdalite.LambdaliteError as error:
        return [type(error).__name__, str(error)]


def again(event: Any, context: Any) -> Any:
    """How deep it gets by invoking itself."""
    try:
        return lambdalite.current_app().invoke(context.function_name, event + 1)
    except lambdalite.ServiceError as error:
        return [event, error.code]


def send_again(event: Any, context: Any) -> int:
    lambdalite.current_app().send(context.function_name, event + 1)
    return int(event)


def sleep(event: Any, context: Any) -> str:
    time.sleep(event)
    return "slept"


def die(event: Any, context: Any) -> None:
    os._exit(event)


def fail(event: Any, context: Any) -> None:
    raise ValueError(event)


@app.function(name="known-as")
def decorated(event: Any, context: Any) -> Any:
    return ["decorated", event]


loaded = app.load("caller.echo", name="loaded")


def by_object(event: Any, context: Any) -> Any:
    """Every way to name another function, and to ask."""

    async def later() -> Any:
        return await decorated.ainvoke(4), await lambdalite.current_app().ainvoke(decorated, 5)

    return [
        decorated.invoke(1), lambdalite.current_app().invoke(decorated, 2), loaded.invoke(3), *asyncio.run(later()),
        app.invoke("known-as", 6), app["known-as"].invoke(7),
    ]  # fmt: skip


def what_is_reachable(event: Any, context: Any) -> Any:
    client = lambdalite.current_app()
    try:
        client.put_events([])
    except lambdalite.UsageError as error:
        return [[name for name in dir(client) if not name.startswith("_")], str(error)]


async def gather(event: Any, context: Any) -> Any:
    client = lambdalite.current_app()
    return await asyncio.gather(*(client.ainvoke("echo", number) for number in range(event)))


def in_trio(event: Any, context: Any) -> Any:
    import trio

    return trio.run(lambdalite.current_app().ainvoke, "echo", event)


def in_threads(event: Any, context: Any) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    client = lambdalite.current_app()
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda number: client.invoke("echo", number), range(event)))


told_late: list[str] = []


def leaves_a_thread(event: Any, context: Any) -> Any:
    """Answer while a thread calls and calls; later, say when the thread was refused."""
    line = _line()

    def work() -> None:
        client = lambdalite.current_app()
        try:
            while True:
                client.invoke("echo", 1)
        except lambdalite.UsageError as error:
            told_late.append(str(error))

    if event == "start":
        threading.Thread(target=work).start()
        while not line._caller:
            os.sched_yield()
    return list(told_late)


def forks(event: Any, context: Any) -> Any:
    """What a forked process gets when it calls; then the environment itself calls."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            lambdalite.current_app().invoke("echo", 1)
            told = "no error"
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(write, told.encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return [os.read(read, 1000).decode(), lambdalite.current_app().invoke("echo", 2)]


def interrupted(event: Any, context: Any) -> Any:
    """An alarm's exception leaves a call in the middle; those that follow get their own answers."""

    def ring(*_: Any) -> None:
        raise TimeoutError("alarm")

    signal.signal(signal.SIGALRM, ring)
    client, told = lambdalite.current_app(), []
    for number in range(3):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            client.invoke("sleep", 0.3)
        except TimeoutError as error:
            told.append(str(error))
        told.append(client.invoke("echo", "x" * 300_000 + str(number))[-1])
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    with contextlib.suppress(TimeoutError):
        client.invoke("sleep", 0.3)
    return told


def calls_in_a_signal_handler(event: Any, context: Any) -> Any:
    told = []

    def ring(*_: Any) -> None:
        try:
            lambdalite.current_app().invoke("echo", 1)
        except lambdalite.UsageError as error:
            told.append(str(error))

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    return [lambdalite.current_app().invoke("sleep", 0.3), told]


# --- hostile ------------------------------------------------------------------------------------------------------


def _line() -> Any:
    from lambdalite.runtime import line

    return line.current


def _channel() -> socket.socket:
    return _line()._sock  # type: ignore[no-any-return]


def _call(meta: Any, payload: bytes = b"{}", number: int = 1) -> bytes:
    return frames.encode(frames.CALL, meta if isinstance(meta, bytes) else json.dumps(meta).encode(), payload, number)


def _call_and_die() -> None:
    _channel().sendall(_call(GOOD))
    os._exit(3)


def _call_and_answer() -> None:
    """Ask for what takes long, and answer without waiting for it."""
    _channel().sendall(_call({"op": "invoke", "function": "sleep", "call": 1}, b"300"))
    _channel().sendall(frames.encode(frames.ANSWER, b"1", b"1", 1))


GOOD = {"op": "invoke", "function": "echo", "call": 1}
HOSTILE: dict[str, Callable[[], Any]] = {
    "no json": lambda: _channel().sendall(_call(b"garbage")),
    "no object": lambda: _channel().sendall(_call([1])),
    "no number": lambda: _channel().sendall(_call({"op": "invoke", "function": "echo"})),
    "a number that is none": lambda: _channel().sendall(_call({**GOOD, "call": "1"})),
    "a number too large": lambda: _channel().sendall(_call({**GOOD, "call": 1 << 32})),
    "another invocation's": lambda: _channel().sendall(_call(GOOD, number=7)),
    "two at once": lambda: _channel().sendall(_call(GOOD) + _call({**GOOD, "call": 2})),
    "an answer at once": lambda: _channel().sendall(_call(GOOD) + frames.encode(frames.ANSWER, b"1", b"1", 1)),
    "an answer meanwhile": _call_and_answer,
    "a giant payload": lambda: _channel().sendall(frames.HEAD.pack(frames.CALL, 1, 2, 0xFFFFFFFF) + b"{}"),
    "a giant meta": lambda: _channel().sendall(frames.HEAD.pack(frames.CALL, 1, 0xFFFFFFFF, 0)),
    "a reply": lambda: _channel().sendall(frames.encode(frames.REPLY, b"{}", b"", 1)),
    "a call, and death": _call_and_die,
    "nesting": lambda: _channel().sendall(_call(b'{"a":' * 100_000)),
}
STRANGE: list[dict[str, Any]] = [
    {},
    {"op": 1, "function": "echo"},
    {"op": "stop", "function": "echo"},
    {"op": "__class__", "function": "echo"},
    {"op": "invoke"},
    {"op": "invoke", "function": None},
    {"op": "invoke", "function": ["echo"]},
    {"op": "invoke", "function": ""},
    {"op": "invoke", "function": "../echo"},
    {"op": "invoke", "function": "x" * 100_000},
    {"op": "invoke", "function": "nobody"},
    {"op": "invoke", "function": "echo", "qualifier": 3},
    {"op": "invoke", "function": "echo", "qualifier": "7"},
    {"op": "invoke", "function": "echo", "tenant_id": ""},
    {"op": "invoke", "function": "echo", "tenant_id": "x" * 500_000},
    {"op": "invoke", "function": "echo", "client_context": 5},
    {"op": "invoke", "function": "echo", "client_context": "x" * 10_000},
    {"op": "send", "function": "echo", "group": "\ud800"},
    {"op": "send", "function": "echo", "group": ""},
    {"op": "send", "function": "echo", "delay": -1},
    {"op": "send", "function": "echo", "delay": float("nan")},
    {"op": "send", "function": "echo", "delay": float("inf")},
    {"op": "send", "function": "echo", "at": float("inf")},
    {"op": "send", "function": "echo", "at": "tomorrow"},
    {"op": "send", "function": "echo", "priority": 1.5},
    {"op": "send", "function": "echo", "priority": 10**30},
    {"op": "send", "function": "echo", "request_id": "a b"},
    {"op": "send", "function": "echo", "request_id": 7},
    {"op": "send", "function": "echo", "maximum_retry_attempts": 9},
    {"op": "send", "function": "echo", "maximum_event_age": "long"},
]


def hostile(event: Any, context: Any) -> Any:
    HOSTILE[event]()
    time.sleep(30)


def strange(event: Any, context: Any) -> Any:
    """Ask what no client of ours would ask; what the host says to each."""
    line = _line()
    refused = [line.call(meta, b"{}")[0].get("code") for meta in STRANGE]
    return [*refused, line.call({"op": "send", "function": "echo"}, b"{")[0]["code"]]


def dies_waiting(event: Any, context: Any) -> Any:
    """Be killed by its own alarm while it waits for what takes longer than any test."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    return lambdalite.current_app().invoke("sleep", 300)


def flood(event: Any, context: Any) -> Any:
    """Ask as fast as it can, and never read."""
    sock = _channel()
    while True:
        sock.sendall(_call({**GOOD, "op": "nothing"}))


at_import = "nothing was tried"
if IN_CHILD:
    try:
        lambdalite.current_app().invoke("echo", 1)
    except lambdalite.UsageError as error:
        at_import = str(error)


def tried_at_import(event: Any, context: Any) -> str:
    return at_import


def loaded_modules(event: Any, context: Any) -> list[str]:
    lambdalite.current_app().invoke("echo")
    return sorted(name for name in sys.modules if name.split(".")[0] in ("attrs", "anyio", "cloudpickle", "psutil"))
