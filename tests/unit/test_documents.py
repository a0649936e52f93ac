"""Destination records and dead letters: AWS's documents, whole, after masking ids and times."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lambdalite.engine.documents import dead_letter_attributes, record, within
from lambdalite.model.queued import QueuedEvent
from lambdalite.names import function_arn, request_id

NOW = 1_793_613_600.123  # 2026-11-02T10:00:00.123Z
ARN = function_arn("f")
ERROR = b'{"errorMessage": "no such user", "errorType": "KeyError", "requestId": "id-1", "stackTrace": []}'
EVENT = b'{"user": 7, "price": 1.10}'

#: What AWS sends, ids and times masked.
RECORDS = {
    "Success": {
        "version": "1.0",
        "timestamp": "TIME",
        "requestContext": {
            "requestId": "ID",
            "functionArn": f"{ARN}:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"user": 7, "price": 1.1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"ok": True},
    },
    "RetriesExhausted": {
        "version": "1.0",
        "timestamp": "TIME",
        "requestContext": {
            "requestId": "ID",
            "functionArn": f"{ARN}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"user": 7, "price": 1.1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {
            "errorMessage": "no such user",
            "errorType": "KeyError",
            "requestId": "id-1",
            "stackTrace": [],
        },
    },
    "ZeroReservedConcurrency": {
        "version": "1.0",
        "timestamp": "TIME",
        "requestContext": {
            "requestId": "ID",
            "functionArn": f"{ARN}:$LATEST",
            "condition": "ZeroReservedConcurrency",
            "approximateInvokeCount": 0,
        },
        "requestPayload": {},
    },
}


def event(payload: bytes = EVENT, **facts: Any) -> QueuedEvent:
    """An event of function ``f``."""
    given = {"request_id": request_id(), "accepted_at": NOW, "due": NOW, **facts}
    return QueuedEvent(lane="invoke:f", function="f", payload=payload, **given)


def written(
    payload: bytes = EVENT, *, condition: str = "Success", attempts: int = 1, failure: str = "", answer: bytes = b"null"
) -> bytes:
    """A record."""
    one = event(payload)
    return record(one, ARN, "$LATEST", condition=condition, attempts=attempts, failure=failure, answer=answer, now=NOW)


def masked(document: bytes) -> str:
    """A record with its own id and time masked, keys in their order."""
    text = re.sub(r'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"', '"timestamp":"TIME"', document.decode())
    return re.sub(r'"requestId":"[0-9a-f-]{36}"', '"requestId":"ID"', text)


def as_aws(condition: str) -> str:
    """The recorded document as text, keys in AWS's order."""
    return json.dumps(RECORDS[condition])


@pytest.mark.parametrize(
    ("condition", "document"),
    [
        ("Success", written(answer=b'{"ok": true}')),
        ("RetriesExhausted", written(condition="RetriesExhausted", attempts=3, failure="HANDLER", answer=ERROR)),
        ("ZeroReservedConcurrency", written(b"", condition="ZeroReservedConcurrency", attempts=0)),
    ],
)
def test_record_is_the_document_of_aws(condition: str, document: bytes) -> None:
    """Every key, in AWS's order; no response where the function never ran; an empty event is ``{}``."""
    assert as_aws(condition) == json.dumps(json.loads(masked(document)))


def test_record_tells_its_time_to_the_millisecond() -> None:
    """As AWS writes it, in UTC."""
    assert b'"timestamp":"2026-11-02T10:00:00.123Z"' in written()


def test_record_names_the_version_that_ran() -> None:
    """In the ARN and in the response."""
    document = json.loads(record(event(), ARN, "7", condition="Success", attempts=1, failure="", answer=b"1", now=NOW))

    assert (f"{ARN}:7", "7") == (
        document["requestContext"]["functionArn"],
        document["responseContext"]["executedVersion"],
    )


def test_payloads_stay_byte_for_byte() -> None:
    """Numbers that a float would round, and text as it was written, are embedded as they are."""
    document = written(b'{"n": 12345678901234567890.10, "t": "\\u00e9\xc3\xa9"}', answer=b"1e400")

    assert b'"requestPayload":{"n": 12345678901234567890.10, "t": "\\u00e9\xc3\xa9"}' in document
    assert document.endswith(b'"responsePayload":1e400}')


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"not JSON", "not JSON"),
        (b"NaN", "NaN"),
        (b"", {}),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        ('{"a":1}'.encode("utf-16"), None),
        (b"\xff\x00", "�\x00"),
        (b'{"a":1} {"b":2}', '{"a":1} {"b":2}'),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_what_is_no_json_is_embedded_as_a_string(answer: bytes, expected: object) -> None:
    """So that the record is JSON whatever the handler has answered."""
    found = json.loads(written(answer=answer))["responsePayload"]

    assert found == expected if expected is not None else isinstance(found, str)


def test_record_within_its_limit_is_left_alone() -> None:
    """Byte for byte."""
    document = written()

    assert document is within(document, len(document))


def test_record_too_large_for_its_destination_drops_payloads() -> None:
    """The response's first, then the event's; what happened is still told."""
    document = written(b'"' + b"e" * 500 + b'"', answer=b'"' + b"a" * 500 + b'"')
    without_answer, without_both = within(document, 1_000), within(document, 500)

    assert "responsePayload" not in json.loads(without_answer)
    assert "e" * 500 == json.loads(without_answer)["requestPayload"]
    assert {"version", "timestamp", "requestContext", "responseContext"} == set(json.loads(without_both))
    assert without_both == within(document, 10)  # no less can be told


# --- dead letters -------------------------------------------------------------------------------------------------


def attributes(
    *, attempts: int = 3, condition: str = "RetriesExhausted", failure: str = "HANDLER", answer: bytes = ERROR
) -> Any:
    """Attributes of a dead letter."""
    one = event(request_id="id-1")
    return dead_letter_attributes(one, condition=condition, attempts=attempts, failure=failure, answer=answer)


def test_dead_letter_has_the_attributes_of_aws() -> None:
    """Request id, status 200 since the function ran, and its error message."""
    assert attributes() == {
        "RequestID": {"DataType": "String", "StringValue": "id-1"},
        "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": "no such user"},
    }


@pytest.mark.parametrize(
    ("condition", "failure", "code", "message"),
    [
        ("ZeroReservedConcurrency", "", "429", "Rate Exceeded."),
        ("EventAgeExceeded", "", "429", "Rate Exceeded."),
        ("EventAgeExceeded", "TooManyRequestsException", "429", "Rate Exceeded."),
        ("EventAgeExceeded", "ServiceException", "500", "The service encountered an internal error."),
        ("RetriesExhausted", "InvalidRequestContentException", "400", "The request body could not be parsed as JSON."),
        (
            "RecursiveInvocation",
            "",
            "400",
            "Lambda has detected your function being invoked in a recursive loop with other resources and stopped it.",
        ),
    ],
)
def test_dead_letter_of_what_never_ran_tells_why(condition: str, failure: str, code: str, message: str) -> None:
    """Status and words of the refusal."""
    found = attributes(attempts=0, condition=condition, failure=failure, answer=b"")

    assert (code, message) == (found["ErrorCode"]["StringValue"], found["ErrorMessage"]["StringValue"])


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("e" * 2_000, "e" * 1_024),
        ("é" * 2_000, "é" * 512),
        ("x" + "é" * 2_000, "x" + "é" * 511),
        ("\N{PILE OF POO}" * 2_000, "\N{PILE OF POO}" * 256),
        ("\ud800", "?"),
        (None, ""),
    ],
)
def test_error_message_is_cut_between_characters(message: str | None, expected: str) -> None:
    """The first kilobyte, in UTF-8."""
    answer = json.dumps({"errorMessage": message, "errorType": "E"}).encode()

    assert expected == attributes(answer=answer)["ErrorMessage"]["StringValue"]


def test_error_that_is_no_document_is_its_own_message() -> None:
    """Whatever the function left behind."""
    assert "died" == attributes(answer=b"died")["ErrorMessage"]["StringValue"]
