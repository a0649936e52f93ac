"""How things are called."""

from __future__ import annotations

import uuid

import pytest

from lambdalite import names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f", ("f", None)),
        ("f:$LATEST", ("f", "$LATEST")),
        ("function:f:1", ("f", "1")),
        ("123456789012:function:f", ("f", None)),
        (names.function_arn("f", "prod"), ("f", "prod")),
        ("no such/name", None),
    ],
)
def test_function_is_split_from_its_qualifier(text: str, expected: tuple[str, str | None] | None) -> None:
    """Names, partial ARNs and ARNs mean a name and a qualifier; anything else nothing."""
    assert expected == names.split_function(text)


def test_request_ids_are_random_uuids() -> None:
    """A request id is a UUID of version 4."""
    assert (4, uuid.RFC_4122) == (uuid.UUID(names.request_id()).version, uuid.UUID(names.request_id()).variant)


def test_times_are_spelled_as_aws_does() -> None:
    """Epoch seconds become UTC with milliseconds, and the day of a log stream."""
    assert "1970-01-01T00:00:01.500Z" == names.timestamp(1.5)
    assert names.log_stream("1", 0.0).startswith("1970/01/01/[1]")
