"""The lines that AWS writes about an invocation."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdalite.model.outcome import Failure
from lambdalite.observe import lines
from lambdalite.observe.lines import Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.model.outcome import Outcome

    Make = Callable[..., Outcome]

VERSION = f"python:{sys.version_info[0]}.{sys.version_info[1]}.v{sys.version_info[2]}"
ARN = f"arn:aws:lambda:us-east-1::runtime:{hashlib.sha256(VERSION.encode()).hexdigest()}"
KILLED = "RequestId: id-1 Error: Runtime exited with error: signal: killed"
EXITED = json.dumps({"errorType": "Runtime.ExitError", "errorMessage": KILLED}).encode()
SIZES = "Memory Size: 128 MB\tMax Memory Used: 45 MB"


def records(text: str) -> list[dict[str, Any]]:
    """A JSON log's lines, decoded."""
    return [json.loads(line) for line in text.splitlines()]


def test_report_line_of_a_warm_success(make: Make) -> None:
    """A warm success has no Init Duration and no Status, and its line ends in a tab."""
    report = lines.report(make())

    assert f"REPORT RequestId: id-1\tDuration: 12.34 ms\tBilled Duration: 13 ms\t{SIZES}\t" == str(report)


def test_report_line_of_a_cold_success(make: Make) -> None:
    """A cold start adds Init Duration, and init is billed."""
    report = lines.report(make(init_duration=0.1102))

    assert (
        f"REPORT RequestId: id-1\tDuration: 12.34 ms\tBilled Duration: 123 ms\t{SIZES}\tInit Duration: 110.20 ms\t"
    ) == str(report)


def test_report_line_of_a_timeout(timed_out: Outcome) -> None:
    """A timeout lasted its timeout, however late it was killed, and has a Status without an Error Type."""
    report = lines.report(timed_out)

    assert (f"REPORT RequestId: id-1\tDuration: 3000.00 ms\tBilled Duration: 3000 ms\t{SIZES}\tStatus: timeout") == str(
        report
    )


def test_report_line_of_an_exit(make: Make) -> None:
    """An exit has a Status and an Error Type."""
    report = lines.report(make(Failure.EXITED, EXITED))

    assert str(report).endswith("\tMax Memory Used: 45 MB\tStatus: error\tError Type: Runtime.ExitError")


def test_error_type_cannot_forge_a_report(make: Make) -> None:
    """The errorType is the child's word: tabs and newlines in it do not make fields or lines, and it has an end."""
    payload = json.dumps({"errorType": "A\tMax Memory Used: 1 MB\nREPORT" + "x" * 9000}).encode()
    report = lines.report(make(Failure.HANDLER, payload))

    assert ("A Max Memory Used: 1 MB REPORTxxx", 1000) == ((report.error_type or "")[:33], len(report.error_type or ""))


def test_report_tells_how_limits_were_enforced(make: Make) -> None:
    """The report carries what the line does not: the enforcement of CPU share and memory."""
    report = lines.report(make(Failure.OUT_OF_MEMORY, EXITED, enforced_by="sampling", cpu="aws"))

    assert ("aws", "sampling") == (report.cpu, report.enforced_by)


@pytest.mark.parametrize(
    ("duration", "init", "expected"),
    [
        (0.1, 0.2, 300),  # 0.30000000000000004 seconds
        (0.1, None, 100),
        (0.0123, 0.1102, 123),
        (0.000001, None, 1),
        (0.100001, None, 101),
        (0.0, None, 0),
        (1.001, None, 1001),
        (900.0, 10.0, 910_000),
    ],
)
def test_billed_duration_rounds_up_to_a_millisecond(
    make: Make, duration: float, init: float | None, expected: Any
) -> None:
    """Init and invoke together are rounded up, and float dust is not billed."""
    assert expected == lines.billed_ms(make(duration=duration, init_duration=init))


@given(milliseconds=st.integers(0, 900_000), init=st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_whole_milliseconds_are_billed_as_they_are(milliseconds: int, init: int) -> None:
    """No whole number of milliseconds is ever billed as one more."""

    class Facts:
        failure = None
        duration = milliseconds / 1000
        init_duration = init / 1000

    assert milliseconds + init == lines.billed_ms(Facts())  # type: ignore[arg-type]


def test_text_of_a_cold_success(make: Make) -> None:
    """INIT_START, START, what was printed, END, REPORT."""
    outcome = make(output=b"hello\nworld\n", init_duration=0.1)

    assert [
        f"INIT_START Runtime Version: {VERSION}\tRuntime Version ARN: {ARN}",
        "START RequestId: id-1 Version: $LATEST",
        "hello",
        "world",
        "END RequestId: id-1",
        str(outcome.report),
    ] == outcome.log.splitlines()


def test_text_of_a_timeout(timed_out: Outcome) -> None:
    """The fault stands between the output and END."""
    assert [
        "START RequestId: id-1 Version: $LATEST",
        "RequestId: id-1 Error: Task timed out after 3.00 seconds",
        "Sandbox.Timedout",
        "END RequestId: id-1",
    ] == timed_out.log.splitlines()[:4]


def test_handler_error_is_not_printed_twice(make: Make) -> None:
    """The runtime printed the handler's error already: the supervisor adds no fault."""
    payload = (
        b'{"errorMessage":"RequestId: id-1 Error: boo","errorType":"ValueError","requestId":"id-1","stackTrace":[]}'
    )
    outcome = make(Failure.HANDLER, payload, output=b"[ERROR] ValueError: boo\n")

    assert 1 == outcome.log.count("boo")


def test_response_too_large_is_a_fault(make: Make) -> None:
    """What AWS's supervisor refuses gets a fault line with the request id."""
    payload = b'{"errorMessage":"Response payload size exceeded","errorType":"Function.ResponseSizeTooLarge"}'
    outcome = make(Failure.RESPONSE_TOO_LARGE, payload)

    assert "RequestId: id-1 Error: Response payload size exceeded\nFunction.ResponseSizeTooLarge\n" in outcome.log


def test_failed_init_has_an_init_report(make: Make) -> None:
    """What a failing init printed comes before INIT_REPORT, and that before START."""
    payload = b'{"errorMessage":"Unable to import module","errorType":"Runtime.ImportModuleError","requestId":""}'
    outcome = make(
        Failure.INIT, payload, output=b"[ERROR] Runtime.ImportModuleError\n", init_duration=0.5, duration=0.0
    )

    assert [
        "[ERROR] Runtime.ImportModuleError",
        "INIT_REPORT Init Duration: 500.00 ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError",
        "START RequestId: id-1 Version: $LATEST",
        "END RequestId: id-1",
    ] == outcome.log.splitlines()[1:5]


def test_init_that_timed_out(make: Make) -> None:
    """An init that takes too long has Status timeout and a fault."""
    payload = b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId:  Error: Task timed out after 10.00 seconds"}'
    outcome = make(Failure.INIT, payload, init_duration=10.0, duration=0.0)

    assert "INIT_REPORT Init Duration: 10000.00 ms\tPhase: init\tStatus: timeout\n" in outcome.log
    assert "RequestId:  Error: Task timed out after 10.00 seconds\nSandbox.Timedout\n" in outcome.log
    assert "timeout" == outcome.report.status


def test_cut_output_is_said(make: Make) -> None:
    """Output beyond the bound is never dropped silently."""
    outcome = make(output=b"x\n", output_dropped=1_234_567)

    assert (
        "[lambdalite] output cut: 2 bytes kept, 1,234,567 dropped; print less, or write to a file in /tmp\n"
        in outcome.log
    )


def test_output_of_any_bytes_is_text(make: Make) -> None:
    """Bytes that are no UTF-8 are replaced; a carriage return ends no line; the last newline adds no empty one."""
    outcome = make(output=b"\xff\xfe\n[ERROR] boom\rTraceback\n\nend")

    assert ["\ufffd\ufffd", "[ERROR] boom\rTraceback", "", "end"] == [line.message for line in lines.lines(outcome)][
        1:-2
    ]


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[1]", b"null", b"[" * 100_000, b'{"errorType": 5}'])
def test_an_unreadable_error_document_leaves_the_log_readable(make: Make, payload: bytes) -> None:
    """The document is the child's word: whatever it is, there is a log."""
    assert "\tStatus: error" in make(Failure.EXITED, payload).log


def test_json_log_is_made_of_platform_events(make: Make) -> None:
    """JSON format has AWS's system events around the output."""
    outcome = make(output=b'{"level":"INFO"}\n', init_duration=0.1, log_format="JSON")
    found = records(outcome.log)

    assert ["platform.initStart", "platform.start", None, "platform.runtimeDone", "platform.report"] == [
        record.get("type") for record in found
    ]
    assert {
        "time": "2026-11-02T10:00:00.012Z",
        "type": "platform.report",
        "record": {
            "requestId": "id-1",
            "metrics": {
                "durationMs": 12.34,
                "billedDurationMs": 113,
                "memorySizeMB": 128,
                "maxMemoryUsedMB": 45,
                "initDurationMs": 100.0,
            },
            "status": "success",
        },
    } == found[-1]


def test_json_log_of_a_fault(make: Make) -> None:
    """A fault is a platform.fault, and the report has an errorType; dropped output is a platform.logsDropped."""
    found = records(make(Failure.EXITED, EXITED, log_format="JSON", output_dropped=7).log)
    kinds = {record["type"]: record["record"] for record in found}

    assert 7 == kinds["platform.logsDropped"]["droppedBytes"]
    assert (
        "RequestId: id-1 Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n"
        == kinds["platform.fault"]
    )
    assert ("error", "Runtime.ExitError") == (
        kinds["platform.report"]["status"],
        kinds["platform.report"]["errorType"],
    )


def test_json_log_of_a_failed_init(make: Make) -> None:
    """JSON format has a platform.initReport for an init that failed."""
    payload = b'{"errorMessage":"no","errorType":"Runtime.ImportModuleError"}'
    found = records(make(Failure.INIT, payload, init_duration=0.5, log_format="JSON").log)

    assert {
        "initializationType": "on-demand",
        "phase": "init",
        "status": "error",
        "errorType": "Runtime.ImportModuleError",
        "metrics": {"durationMs": 500.0},
    } == found[1]["record"]


def test_tail_is_the_last_four_kilobytes(make: Make) -> None:
    """LogType=Tail answers the end of the log, 4 KB of it."""
    tail = lines.tail(make(output=b"x" * 10_000 + b"\n"))

    assert 4096 == len(tail)
    assert tail.endswith(b"Max Memory Used: 45 MB\t\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x1b]0;no end\nnext\x07", "\nnext"),
        ("\x1bPdevice\x1b\\after", "after"),
        ("\x1bcreset", "reset"),
        ("\x9b2Jcleared", "cleared"),
        ("one\rtwo\r\nthree", "one\ntwo\nthree"),
        ("bell\x07 null\x00 delete\x7f", "bell null delete"),
        ("\x1b", ""),
        ("\x1b[\x1b[2J", ""),
        ("naïve 日本", "naïve 日本"),
    ],
)
def test_printable_text_cannot_control_a_terminal(text: str, expected: Any) -> None:
    """Escape sequences and control characters go; text, tabs and newlines stay."""
    assert expected == lines.printable(text)


@given(st.text(alphabet=st.characters(max_codepoint=0x100), max_size=50))
@settings(max_examples=300, deadline=None)
def test_printable_text_has_no_control_characters_left(text: str) -> None:
    """Whatever the input, nothing below a space is left but newline and tab."""
    left = {character for character in lines.printable(text) if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0}

    assert left <= {"\n", "\t"}


def test_report_is_a_value() -> None:
    """A report compares and prints by its facts."""
    report = Report("id", 1.0, 1, 128, 30)

    assert report == Report("id", 1.0, 1, 128, 30)
    assert "success" == report.status
