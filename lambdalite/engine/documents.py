"""AWS's documents about asynchronous invocations: the destination record, and a dead letter's attributes."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from lambdalite import limits, names

if TYPE_CHECKING:
    from lambdalite.model.queued import QueuedEvent

__all__ = ["dead_letter_attributes", "record", "timestamp"]


def timestamp(at: float) -> str:
    """Seconds since the epoch as AWS writes them: ``2026-11-02T10:00:00.000Z``."""
    moment = dt.datetime.fromtimestamp(round(at, 3), tz=dt.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def record(
    event: QueuedEvent, arn: str, *, condition: str, attempts: int, failure: str, answer: bytes, now: float
) -> bytes:
    """AWS's destination record (version 1.0) as JSON bytes.

    Args:
        event: the event.
        arn: the function's unqualified ARN.
        condition: AWS's condition.
        attempts: how many times the function has run with it; if never, the record says nothing of a response.
        failure: of the last attempt; empty for an answer.
        answer: the last attempt's answer or error document, embedded as it is.
        now: when the record is written, seconds since the epoch.
    """
    context = {
        "requestId": event.request_id,
        "functionArn": f"{arn}:{names.LATEST}",
        "condition": condition,
        "approximateInvokeCount": attempts,
    }
    head = {"version": "1.0", "timestamp": timestamp(now), "requestContext": context}
    # The payloads are JSON already, and stay byte for byte what was sent and answered.
    parts = [json.dumps(head, separators=(",", ":"))[:-1].encode(), b',"requestPayload":', event.payload or b"{}"]
    if attempts:
        response = {"statusCode": 200, "executedVersion": names.LATEST}
        if failure:
            response["functionError"] = "Unhandled"
        parts += [b',"responseContext":', json.dumps(response, separators=(",", ":")).encode()]
        parts += [b',"responsePayload":', _embedded(answer)]
    return b"".join([*parts, b"}"])


def _embedded(answer: bytes) -> bytes:
    """An answer as JSON: a handler may have answered bytes that are none, and then it is a string."""
    try:
        json.loads(answer)
    except ValueError:
        return json.dumps(answer.decode("utf-8", "replace")).encode()
    return answer


def dead_letter_attributes(event: QueuedEvent, *, attempts: int, answer: bytes) -> dict[str, dict[str, str]]:
    """Message attributes of a dead letter, in the form of SQS and SNS.

    ErrorCode is the status of the last invocation: 200 where the function ran and failed, 429 where it never ran.
    """
    code, text = ("200", _error_message(answer)) if attempts else ("429", "Rate Exceeded.")
    return {
        "RequestID": {"DataType": "String", "StringValue": event.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": code},
        "ErrorMessage": {"DataType": "String", "StringValue": _first_bytes(text, limits.ERROR_MESSAGE_BYTES)},
    }


def _error_message(answer: bytes) -> str:
    try:
        found = json.loads(answer)
    except ValueError:
        return answer.decode("utf-8", "replace")
    return str(found.get("errorMessage", "")) if isinstance(found, dict) else str(found)


def _first_bytes(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
