"""Our runtime beside AWS's own runtime client: the same in, the same out.

`awslambdaric` is the program that AWS runs in its Python environments. Where it is not installed, nothing is compared.
"""

# Helpers speak for themselves.

from __future__ import annotations

import collections
import decimal
import enum
import json
import math
import os
import re
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest

from lambdalite.runtime import context, faults, handler, logs, marshal, snapshot
from lambdalite.runtime.faults import Fault

bootstrap = pytest.importorskip("awslambdaric.bootstrap", reason="AWS's runtime client (awslambdaric) is not installed")
from awslambdaric import lambda_runtime_marshaller  # noqa: E402 - after the check
from awslambdaric.lambda_context import LambdaContext  # noqa: E402
from awslambdaric.lambda_runtime_exception import FaultException  # noqa: E402

Point = collections.namedtuple("Point", "x y")  # noqa: PYI024 - what users write


class Number(enum.IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()


class Listing(list[Any]):
    def _asdict(self) -> Any:
        return {"n": len(self)}


class Odd(list[Any]):
    def _asdict(self) -> Any:
        return 5


class Wanting(dict[str, Any]):
    def _asdict(self, how: Any) -> Any:
        return {}


class Shaped:
    def _asdict(self) -> Any:
        return {"shape": Point(1, decimal.Decimal("1.50"))}


class Half(float):
    def __repr__(self) -> str:
        return "half"


def circular() -> Any:
    value: Any = {}
    value["a"] = [value]
    return value


def nested(depth: Any) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


ANSWERS = [
    None,
    True,
    0,
    -1.5,
    1e300,
    10**40,
    "",
    'é😀\u2028\x7f"\\\n\x00',
    [],
    {},
    [[], {}, ()],
    {"a": {"b": [1, (2, 3), None, False]}},
    Point(1, Point(2, [Point(3, 4)])),
    {Point(1, 2).x: Point(1, 2)},
    Listing([1, 2]),
    [Odd([1])],
    Wanting(a=1),
    Shaped(),
    Number.ONE,
    {Number.ONE: Number.ONE},
    Text("sub"),
    Half(0.5),
    {Half(0.5): Half(0.5)},
    collections.OrderedDict(b=1, a=2),
    collections.defaultdict(list, a=[1]),
    collections.Counter("aab"),
    decimal.Decimal("1.10"),
    {"d": [decimal.Decimal("1E+5"), decimal.Decimal("-0"), decimal.Decimal("NaN"), decimal.Decimal("sNaN")]},
    [decimal.Decimal("Infinity"), decimal.Decimal("-Infinity")],
    [math.nan, math.inf, -math.inf],
    {math.nan: 1, math.inf: 2, True: 3, None: 4, 1.5: 5, 7: 6},
    {1: "a", "1": "b"},
    b"raw \xff",
    [b"text", {"k": b"v"}],
    {b"k": 1, "k": 2},
    [b"\xff"],
    {b"\xff": 1},
    bytearray(b"x"),
    memoryview(b"x"),
    {1, 2},
    frozenset({1}),
    range(3),
    object,
    object(),
    (item for item in [1]),
    {(1, 2): 3},
    {decimal.Decimal(1): 2},
    {frozenset(): 1},
    [1, {"deep": {"set": {1}}}],
    1 + 2j,
    ...,
    10**5_000,
    circular(),
    nested(100_000),
    nested(500),
    types.SimpleNamespace(a=1),
]


def theirs(answer: Any, runtime: Any, monkeypatch: Any) -> Any:
    """What AWS's marshaller makes of an answer: bytes, or the message of its fault."""
    monkeypatch.setenv("AWS_EXECUTION_ENV", f"AWS_Lambda_{runtime}")
    try:
        text, _content_type = lambda_runtime_marshaller.LambdaMarshaller().marshal_response(answer)
    except FaultException as fault:
        return fault.exception_type, fault.msg
    return text if isinstance(text, bytes) else text.encode("utf-8")


def ours(answer: Any, ascii_only: Any) -> Any:
    try:
        return marshal.encode(answer, ascii_only)
    except Fault as fault:
        return fault.type, fault.message


def same_words(message: Any) -> Any:
    """Python's JSON library and theirs differ in a type's module, and in where exactly the stack ran out."""
    message = re.sub(r"(recursion depth exceeded) while .*", r"\1", message)
    return re.sub(r"not (\w+\.)*(\w+)$", r"not \2", message)


@pytest.mark.parametrize("runtime", ["python3.11", "python3.13"])
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{type(answer).__name__}")
def test_answers_are_written_alike(answer: Any, runtime: Any, monkeypatch: Any) -> None:
    """Byte for byte, or the same fault in the same words."""
    expected = theirs(answer, runtime, monkeypatch)
    found = ours(answer, runtime == "python3.11")

    if isinstance(expected, tuple):
        assert (expected[0], same_words(expected[1])) == (found[0], same_words(found[1]))
    else:
        assert expected == found


@pytest.mark.parametrize(
    "payload",
    [b"null", b'"\\ud83d\\ude00 \\ud800"', '{"é": [1, 2.50, 1e3, true]}'.encode(), b" [1] ", b'{"a":1,"a":2}', b"-0"],
)
def test_events_are_read_alike(payload: Any) -> None:
    """The handler sees the same object."""
    assert lambda_runtime_marshaller.LambdaMarshaller().unmarshal_request(payload) == marshal.decode(payload)


@pytest.mark.parametrize("payload", [b"[" * 100_000, b"1" * 5_000])
def test_events_that_python_cannot_hold_fail_alike(payload: Any) -> None:
    """The same type, and words that begin alike (the libraries name their own functions after that)."""
    with pytest.raises(FaultException) as expected:
        lambda_runtime_marshaller.LambdaMarshaller().unmarshal_request(payload)
    with pytest.raises(Fault) as found:
        marshal.decode(payload)

    assert (expected.value.exception_type, expected.value.msg[:70]) == (found.value.type, found.value.message[:70])


# --- the whole of an invocation -----------------------------------------------------------------------------------


def boom(event: Any, context: Any) -> Any:
    raise ValueError(event)


def group(event: Any, context: Any) -> Any:
    raise ExceptionGroup("several", [ValueError("one")])


def silent(event: Any, context: Any) -> Any:
    raise KeyError


def chained(event: Any, context: Any) -> Any:
    try:
        boom(event, context)
    except ValueError as error:
        raise RuntimeError("é\nsecond line") from error


def forever(event: Any, context: Any) -> Any:
    return forever(event, context)


def unwritable(event: Any, context: Any) -> Any:
    return {"a": {1, 2}}


class Recorder:
    """Stands where AWS's client and log stand, and keeps what it is given."""

    def __init__(self) -> None:
        self.marshaller = lambda_runtime_marshaller.LambdaMarshaller()
        self.lines: list[str] = []

    def post_invocation_error(self, _id: Any, document: Any, _xray: Any, _invocation: Any) -> Any:
        self.document = document.encode()

    def post_invocation_result(self, _id: Any, result: Any, _type: Any, _invocation: Any) -> Any:
        self.document = result.encode()

    def log_error(self, lines: Any) -> Any:
        self.lines = lines


def run_theirs(function: Any, payload: Any, client: Any = None, identity: Any = None) -> Any:
    recorder = Recorder()
    bootstrap.handle_event_request(
        recorder, function, "id-1", payload, "application/json", client, identity, "arn", 1_000, None, recorder
    )
    return recorder.document, "\r".join(recorder.lines) + "\n" if recorder.lines else ""


CONFIG = {"name": "f", "version": "$LATEST", "memory": 128, "log_group": "g", "log_stream": "s"}


def run_ours(function: Any, payload: Any, client: Any = None, identity: Any = None) -> Any:
    meta = {"id": "id-1", "deadline_ms": 1_000, "arn": "arn", "client": client}
    meta["identity"] = json.loads(identity) if identity else None
    try:
        built = context.build(meta, CONFIG)
        return marshal.encode(handler.call(function, marshal.decode(payload), built), True), ""
    except Fault as fault:
        return faults.payload(fault, "id-1"), logs.fault_line(fault, "id-1")


@pytest.fixture
def as_python_3_11(monkeypatch: Any) -> Any:
    """Both sides escape what is not ASCII, whichever interpreter runs the test."""
    monkeypatch.setenv("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11")
    monkeypatch.setattr(marshal, "ASCII", True)


@pytest.mark.usefixtures("as_python_3_11")
@pytest.mark.parametrize("function", [boom, group, silent, chained, unwritable])
def test_failed_invocations_answer_and_log_alike(function: Any) -> None:
    """Error document and log line, byte for byte."""
    assert run_theirs(function, b'"why"') == run_ours(function, b'"why"')


@pytest.mark.usefixtures("as_python_3_11")
def test_endless_recursion_answers_alike() -> None:
    """But for the number of repeated frames: theirs begin deeper or less deep than ours."""
    expected, found = (
        re.sub(rb"repeated \d+ more", b"repeated N more", run(forever, b"1")[0]) for run in (run_theirs, run_ours)
    )

    assert expected == found


@pytest.mark.usefixtures("as_python_3_11")
@pytest.mark.parametrize("client", ["{", "nonsense", '{"a": NaN'])
def test_a_bad_client_context_answers_alike(client: Any) -> None:
    """Error document and log line, byte for byte."""
    assert run_theirs(boom, b"1", client=client) == run_ours(boom, b"1", client=client)


CLIENT = json.dumps(
    {
        "client": {"app_title": "t", "other": 1},
        "custom": {"a": [1]},
        "env": None,
        "w3c": {"traceparent": "x", "baggage": 1},
    }
)


@pytest.mark.parametrize("client", [None, "{}", '{"client": {}}', '{"w3c": 5}', CLIENT])
@pytest.mark.parametrize("identity", [None, '{"cognitoIdentityId": "i", "cognitoIdentityPoolId": "p"}', "{}"])
def test_contexts_are_alike(client: Any, identity: Any, monkeypatch: Any) -> None:
    """The same public attributes, the same repr, the same trace context."""
    names = {"LOG_GROUP_NAME": "g", "LOG_STREAM_NAME": "s", "FUNCTION_NAME": "f", "FUNCTION_VERSION": "$LATEST"}
    for name, value in (*names.items(), ("FUNCTION_MEMORY_SIZE", "128")):
        monkeypatch.setenv(f"AWS_LAMBDA_{name}", value)
    parsed = [None if text is None else json.loads(text) for text in (client, identity)]
    expected = LambdaContext("id-1", *parsed, 1_000, "arn", "blue")
    meta = {"id": "id-1", "deadline_ms": 1_000, "arn": "arn", "client": client, "tenant": "blue"}
    meta["identity"] = None if identity is None else json.loads(identity)
    found = context.build(meta, CONFIG)

    assert repr(expected) == repr(found)
    assert expected.w3c() == found.w3c()
    assert {name for name in dir(expected) if not name.startswith("_")} == {
        name for name in dir(found) if not name.startswith("_")
    }


# --- init ---------------------------------------------------------------------------------------------------------

MODULES = {
    "contract_ok.py": "def handle(event, context): pass",
    "contract_import.py": "import not_there_at_all",
    "contract_from.py": "from json import not_there_at_all",
    "contract_syntax.py": "x = 1\ny = (\n",
    "contract_indent.py": "def f():\npass\n",
    "contract_raise.py": "def f():\n    raise ValueError('early')\nf()\n",
    "contract_pkg/inner.py": "def handle(event, context): pass",
}


@pytest.fixture
def project(tmp_path: Any, monkeypatch: Any) -> Any:
    """The modules above, importable; forgotten before and after each side loads one."""
    for path, text in MODULES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))

    def forget() -> Any:
        for name in [name for name in sys.modules if name.startswith("contract_")]:
            del sys.modules[name]

    yield forget
    forget()


def load_theirs(text: Any) -> Any:
    try:
        bootstrap._get_handler(text)
    except FaultException as fault:
        return fault.exception_type, fault.msg, fault.trace or []
    except Exception:
        result = bootstrap.build_fault_result(sys.exc_info(), None)
        stack = result["stackTrace"]
        # This file is above their frames, which hides these from their own filter; on AWS nothing is above them.
        last = max(index for index, entry in enumerate(stack) if "/bootstrap.py" in entry)
        return result["errorType"], result["errorMessage"], stack[last + 1 :]
    return "found"


def load_ours(text: Any) -> Any:
    try:
        handler.load({"kind": "string", "handler": text})
    except Fault as fault:
        return fault.type, fault.message, fault.stack
    return "found"


@pytest.mark.parametrize(
    "text",
    [
        "contract_ok.handle",
        "contract_ok.missing",
        "contract_ok",
        "",
        ".",
        "sys.exit",
        "time.x.y",
        "contract_import.handle",
        "contract_from.handle",
        "contract_syntax.handle",
        "contract_indent.handle",
        "contract_raise.handle",
        "contract_pkg/inner.handle",
        "contract_pkg.inner.handle",
        "contract_pkg/none.handle",
        "contract_none.handle",
    ],
)
def test_handler_strings_are_found_and_refused_alike(text: Any, project: Any) -> None:
    """Type, message and stack of every way in which init fails."""
    expected = load_theirs(text)
    project()

    assert expected == load_ours(text)


# --- logging ------------------------------------------------------------------------------------------------------

LOGGING = textwrap.dedent(
    """
    import logging, sys
    logger = logging.getLogger("shop.orders")
    logger.debug("debug %s", 1)
    logger.info("info %s", 2)
    logger.warning("warning \\u00e9")
    logger.error({"a": 1}, extra={"order": 7, "odd": {1}})
    logger.log(35, "between")
    logger.critical("two\\nlines")
    try:
        1 / 0
    except ZeroDivisionError:
        logger.exception("bad")
    sys.stdout.write("\\n")
    logging.getLogger().setLevel("DEBUG")
    logger.debug("shown now")
    """
)
THEIRS = """
import os
os.environ.update(AWS_LAMBDA_LOG_FORMAT=form, **({"AWS_LAMBDA_LOG_LEVEL": level} if level else {}))
from awslambdaric import bootstrap
bootstrap._GLOBAL_AWS_REQUEST_ID, bootstrap._GLOBAL_TENANT_ID = "id-1", tenant
level = bootstrap._AWS_LAMBDA_LOG_LEVEL
bootstrap._setup_logging(bootstrap._AWS_LAMBDA_LOG_FORMAT, level, bootstrap.StandardLogSink())
"""
OURS = """
import sys
sys.path.insert(0, root)
from lambdalite.runtime import logs
assert "logging" not in sys.modules
logs.configure({"log_format": form, "log_level": level})
logs.begin("id-1", tenant)
"""


def printed(setup: Any, form: Any, level: Any, tenant: Any) -> Any:
    """What a fresh interpreter prints, with its times blotted out."""
    root = str(Path(__file__).parents[2])
    given = f"form, level, tenant, root = {form!r}, {level!r}, {tenant!r}, {root!r}\n"
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-c", given + setup + LOGGING], capture_output=True, check=True, encoding="utf-8", env=env
    )
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", "TIME", done.stdout)
    # Their handler, which writes events and not a stream, leaves the line of a traceback open; the script closes it.
    return re.sub(r"\n+", "\n", text)


@pytest.mark.parametrize(("form", "level"), [("Text", ""), ("JSON", "INFO"), ("JSON", "DEBUG"), ("JSON", "ERROR")])
@pytest.mark.parametrize("tenant", [None, "blue"])
def test_logging_prints_alike(form: Any, level: Any, tenant: Any) -> None:
    """Every level, extras, dicts, exceptions: line for line, but for what AWS's platform drops below the level."""
    expected = printed(THEIRS, form, level, tenant)
    if form == "JSON" and level != "DEBUG":
        expected = "".join(line for line in expected.splitlines(True) if "shown now" not in line)

    assert expected == printed(OURS, form, level, tenant)


# --- snapshots ----------------------------------------------------------------------------------------------------


def test_hooks_run_alike() -> None:
    """AWS's own registry: reverse order before, order of registration after."""
    registry = pytest.importorskip("snapshot_restore_py", reason="snapshot_restore_py is not installed")
    runner = pytest.importorskip("awslambdaric.lambda_runtime_hooks_runner")

    def run(before: Any, after: Any) -> Any:
        ran: list[str] = []
        for name in "ab":
            registry.register_before_snapshot(ran.append, f"before {name}")
            registry.register_after_restore(ran.append, f"after {name}")
        before()
        after()
        registry.get_before_snapshot().clear()
        registry.get_after_restore().clear()
        return ran

    expected = run(runner.run_before_snapshot, runner.run_after_restore)
    assert expected == run(snapshot.before_snapshot, snapshot.after_restore)
