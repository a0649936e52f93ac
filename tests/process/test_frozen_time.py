"""A host whose clock a test has frozen: handlers run on real time all the same, and so do their deadlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import shop
import time_machine
from freezegun import freeze_time

import lambdalite
from lambdalite import Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from lambdalite import App


def test_deadline_holds_in_a_thread(app: App) -> None:
    """A call that blocks answers, and a hang is ended."""
    function = app.function(shop.sleep, timeout=0.3)

    with freeze_time("2001-01-01"):
        answer, outcome = function.run(0), function.run(20)

    assert (None, Failure.TIMEOUT) == (answer.failure, outcome.failure)


@pytest.mark.anyio
async def test_deadline_holds_in_an_event_loop(app: App) -> None:
    """The loop's clock stands still, so its timers never ring; the hang is ended nevertheless."""
    function = app.function(shop.sleep, timeout=0.3)

    with freeze_time("2001-01-01"):
        answer, outcome = await function.arun(0), await function.arun(20)

    assert (None, Failure.TIMEOUT) == (answer.failure, outcome.failure)


@pytest.mark.parametrize("freeze", [freeze_time, time_machine.travel], ids=["freezegun", "time-machine"])
def test_handler_has_the_time_that_it_has(app: App, freeze: Callable[[str], AbstractContextManager[object]]) -> None:
    """What is left until the deadline does not depend on what the host believes the date to be."""
    function = app.function(shop.describe, timeout=60)

    with freeze("2001-01-01"):
        told = function.run()

    assert 0 < told.value["left"] <= 60_000
    assert told.started_at > 1.7e9


@pytest.mark.anyio
async def test_patience_ends_in_an_event_loop(app: App) -> None:
    """Seconds of `wait=` are real ones too."""
    function = app.function(shop.sleep, timeout=5, reserved_concurrency=0)

    with freeze_time("2001-01-01"), pytest.raises(lambdalite.TooManyRequests):
        await function.arun(0, wait=0.05)
