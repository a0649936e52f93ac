"""The crash catalogue of init: what a module may do while it is imported, and what becomes of it and of everybody else.

Init runs in a function's template (in strict, in each environment), which holds descriptors that environments do not have.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from lambdalite import App

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")

STATUS = "Runtime exited with error: exit status "
NO_REASON = "Runtime exited without providing a reason"
#: writes what it is given to every descriptor it finds, from a process of its own, so that the guardian knows it not yet
_SPRAY = """
import os
if not os.fork():
    for fd in range(3, 64):
        for words in {words}:
            try:
                os.write(fd, words)
            except OSError:
                pass
    os._exit(0)
os.wait()
"""


def hello(fields: str) -> bytes:
    """A forged registration."""
    return f'{{"generation":1,"role":"environment","memory_bytes":1,{fields}}}'.encode()


#: what init does → the end of the error, or nothing if it is none of our business
INITS: dict[str, tuple[str, str]] = {
    "garbage": (_SPRAY.format(words=[b"\xff" * 64]), ""),
    "deep JSON": (_SPRAY.format(words=[b"[" * 4000]), ""),
    "no such slot": (_SPRAY.format(words=[hello('"slot":1000000000'), hello('"slot":-1'), hello('"slot":0')]), ""),
    "infinite slot": (_SPRAY.format(words=[hello('"slot":Infinity')]), ""),
    "no number": (_SPRAY.format(words=[hello(f'"slot":{slot},"cpu_share":NaN') for slot in range(1, 9)]), ""),
    "no size": (_SPRAY.format(words=[hello(f'"slot":{slot},"reuse":1,"tmp_bytes":"x"') for slot in range(1, 9)]), ""),
    "frame on the link": (_SPRAY.format(words=[b"\x13" + b"\0" * 7 + b"\x05" + b"\0" * 4 + b"words"]), ""),
    "closes the standard streams": ("import os\nos.closerange(0, 3)", ""),
    "closes everything": ("import os\nos.closerange(3, 200)", STATUS + "70"),
    "deletes its directory": (
        "import os, tempfile\nwith tempfile.TemporaryDirectory() as name: os.chdir(name)\n",
        "",
    ),
    "raises KeyboardInterrupt": ("raise KeyboardInterrupt", STATUS + "1"),
    "raises BaseException": ("raise BaseException('words')", STATUS + "1"),
    "raises SystemExit": ("raise SystemExit(3)", STATUS + "3"),
    "exits": ("import os\nos._exit(0)", NO_REASON),
    "kills its group": ("import os\nos.kill(0, 9)", "signal: killed"),
    "goes on with its child": ("import os\nos.fork()", ""),
    "exits in forks": ("import os\nos.register_at_fork(after_in_child=lambda: os._exit(7))", STATUS + "7"),
    "ignores dead children": ("import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)", ""),
    "wants no descriptors": ("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))", STATUS + "70"),
}


#: what an init that has the channel, since it runs in the environment, may write to it
FRAMES: dict[str, tuple[int, bytes, bytes]] = {
    "no meta": (16, b"words", b""),
    "no init": (16, b'{"init": "words"}', b""),
    "no output": (16, b'{"output": "w"}', b""),
    "no document": (18, b'{"phase": "init"}', b"words"),
    "no object": (18, b'{"phase": "init"}', b"[]"),
    "no kind": (99, b"{}", b""),
    "a call": (21, b'{"op": "invoke", "function": "bystander", "call": 1}', b"{}"),
    "a call with half a document": (21, b'{"op": ', b"{}"),
}


def bystander(event: object, context: object) -> str:
    """Another function, whose environment is kept."""
    return "unharmed"


@pytest.mark.parametrize("how", INITS)
@pytest.mark.parametrize("reuse", [False, True], ids=["fresh", "reused"])
def test_init_harms_nobody_else(app: App, tmp_path: Path, how: str, reuse: bool) -> None:
    """It fails, or the function works; twice; the guardian stays who it is, and the neighbour notices nothing."""
    source, error = INITS[how]
    (tmp_path / "hostile.py").write_text(f"{source}\ndef handler(event, context): return 'fine'\n")
    neighbour = app.function(bystander, reuse=True, timeout=30)
    neighbour.invoke({})
    guardian = app.supervisor().pid
    function = app.load("hostile.handler", root=str(tmp_path), reuse=reuse, timeout=30)

    outcomes = [function.run({}) for _ in range(2)]

    assert [not error] * 2 == [outcome.ok for outcome in outcomes]
    assert all(outcome.ok or outcome.error_message.endswith(error) for outcome in outcomes)
    assert ("unharmed", guardian) == (neighbour.invoke({}), app.supervisor().pid)


@pytest.mark.parametrize("what", FRAMES)
def test_forged_end_of_init_is_an_exit(app: App, tmp_path: Path, what: str) -> None:
    """In strict, init could tell the host anything: what is not well-formed ends the environment, like garbage later on."""
    kind, meta, payload = FRAMES[what]
    source = (
        "import os, struct, time\n"
        f"frame = struct.pack('!BIII', {kind}, 0, {len(meta)}, {len(payload)}) + {meta!r} + {payload!r}\n"
        "for fd in range(3, 64):\n"
        "    try:\n"
        "        if os.readlink(f'/proc/self/fd/{fd}').startswith('socket:'): os.write(fd, frame)\n"
        "    except OSError: pass\n"
        "time.sleep(30)\n"
        "def handler(event, context): return 'fine'\n"
    )
    (tmp_path / "forger.py").write_text(source)
    function = app.load("forger.handler", root=str(tmp_path), isolation="strict", timeout=30)

    outcome = function.run({})

    assert (False, NO_REASON) == (outcome.ok, outcome.error_message[-len(NO_REASON) :])
