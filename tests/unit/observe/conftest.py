"""Outcomes by hand, as the walk would have made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambdalite.model.function import Version, configure
from lambdalite.model.outcome import Failure, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

STARTED_AT = 1_793_613_600.0  # 2026-11-02T10:00:00Z
MIB = 1024 * 1024
FIELDS = ("log_format", "memory", "timeout", "cpu", "architecture", "ephemeral_storage")


@pytest.fixture
def make() -> Callable[..., Outcome]:
    """Make an outcome of function ``f``, 12.34 ms and 45 MiB; outcomes of equal configuration share a version."""
    versions: dict[tuple[Any, ...], Version] = {}

    def made(failure: Failure | None = None, payload: bytes = b"{}", **options: Any) -> Outcome:
        config = {"name": options.pop("name", "f")}
        config |= {field: options.pop(field) for field in FIELDS if field in options}
        number = options.pop("number", "$LATEST")
        key = (number, *sorted(config.items()))
        if key not in versions:
            arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
            versions[key] = Version(config=configure(config), arn=arn, handler="m.handler", number=number)
        facts = {"request_id": "id-1", "started_at": STARTED_AT, "duration": 0.01234, "log_stream": "stream-1"}
        facts |= {"max_memory_used": 45 * MIB - 100}
        return Outcome(version=versions[key], failure=failure, payload=payload, **{**facts, **options})

    return made


@pytest.fixture
def timed_out(make: Callable[..., Outcome]) -> Outcome:
    """An invocation killed 4 ms after its deadline."""
    payload = (
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id-1 Error: Task timed out after 3.00 seconds"}'
    )
    return make(Failure.TIMEOUT, payload, duration=3.004)
