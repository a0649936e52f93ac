"""AWS's documents about asynchronous invocations: the destination record, and a dead letter's attributes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambdalite import errors, limits, names
from lambdalite.engine import next_step
from lambdalite.runtime import marshal
from lambdalite.runtime.faults import Fault

if TYPE_CHECKING:
    from lambdalite.model.queued import QueuedEvent

__all__ = ["dead_letter_attributes", "record", "within"]

_BOM = b"\xef\xbb\xbf"


def record(
    event: QueuedEvent,
    arn: str,
    number: str,
    *,
    condition: str,
    attempts: int,
    failure: str,
    answer: bytes,
    now: float,
) -> bytes:
    """AWS's destination record (version 1.0) as JSON bytes.

    Args:
        event: the event.
        arn: the function's unqualified ARN.
        number: the version, such as ``$LATEST``.
        condition: AWS's condition.
        attempts: how many times the function has run with it; if never, the record says nothing of a response.
        failure: of the last attempt; empty for an answer.
        answer: the last attempt's answer or error document.
        now: when the record is written, seconds since the epoch.
    """
    context = {
        "requestId": event.request_id,
        "functionArn": f"{arn}:{number}",
        "condition": condition,
        "approximateInvokeCount": attempts,
    }
    head = {"version": "1.0", "timestamp": names.timestamp(now), "requestContext": context}
    # The payloads are JSON already, and stay byte for byte what was sent and answered.
    parts = [_compact(head)[:-1], b',"requestPayload":', _embedded(event.payload)]
    if attempts:
        response: dict[str, Any] = {"statusCode": 200, "executedVersion": number}
        if failure:
            response["functionError"] = "Unhandled"
        parts += [b',"responseContext":', _compact(response), b',"responsePayload":', _embedded(answer)]
    return b"".join([*parts, b"}"])


def _embedded(payload: bytes) -> bytes:
    """A payload as part of a document. S: an empty one is ``{}``. O: what is no JSON, and NaN is none, is a string."""
    try:
        marshal.decode(payload)
    except Fault:
        return _compact(payload.decode("utf-8", "replace"))
    return payload.removeprefix(_BOM) or b"{}"


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def within(document: bytes, limit: int) -> bytes:
    """A destination record of at most ``limit`` bytes: if it is larger, without its payloads, the response's first.

    D: AWS drops the payload of what is too large for its destination, so that at least the rest arrives.
    """
    if len(document) <= limit:
        return document
    found = json.loads(document)
    for part in ("responsePayload", "requestPayload"):
        found.pop(part, None)
        document = _compact(found)
        if len(document) <= limit:
            break
    return document


def dead_letter_attributes(
    event: QueuedEvent, *, condition: str, attempts: int, failure: str, answer: bytes
) -> dict[str, dict[str, str]]:
    """Message attributes of a dead letter, in the form of SQS and SNS; arguments as for `record`.

    ErrorCode is the HTTP status of the last invocation: 200 where the function ran and failed, else the refusal's.
    """
    code, text = ("200", _error_message(answer)) if attempts else _refusal(condition, failure)
    return {
        "RequestID": {"DataType": "String", "StringValue": event.request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": code},
        "ErrorMessage": {"DataType": "String", "StringValue": _first_bytes(text, limits.ERROR_MESSAGE_BYTES)},
    }


def _refusal(condition: str, failure: str) -> tuple[str, str]:
    """Status and message for an event that never ran; O: one that grew too old waiting for its turn was throttled."""
    if condition == next_step.RECURSION:
        kind: type[errors.ServiceError] = errors.RecursiveInvocation
    else:
        kind = errors.ServiceError.by_code.get(failure, errors.TooManyRequests)
    return str(kind.status), str(kind())


def _error_message(answer: bytes) -> str:
    try:
        found = json.loads(answer)
    except ValueError:
        return answer.decode("utf-8", "replace")
    return str(found.get("errorMessage") or "") if isinstance(found, dict) else str(found)


def _first_bytes(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
