"""Observers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, get_args

import pytest

from lambdalite import observe
from lambdalite.observe.events import EnvironmentStarted, Event, InvocationDone, Observers, Throttled
from lambdalite.observe.observatory import Observatory

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.model.outcome import Outcome

    Make = Callable[..., Outcome]

EVENT = EnvironmentStarted("f", "e1", 1.5, "fork")


def test_nobody_listens() -> None:
    """Without observers there is nothing to ask but one false value."""
    assert not Observers().active


def test_observers_hear_events_in_the_order_of_joining() -> None:
    """Each hears each event once."""
    heard: list[tuple[str, Event]] = []
    observers = Observers()
    observers.add(lambda event: heard.append(("a", event)))
    observers.add(lambda event: heard.append(("b", event)))
    observers.emit(EVENT)

    assert [("a", EVENT), ("b", EVENT)] == heard


def test_an_observer_that_left_hears_nothing() -> None:
    """Leaving twice is leaving once, and takes only one of two equal observers away."""
    heard: list[Event] = []
    observers = Observers()
    leave = observers.add(heard.append)
    observers.add(heard.append)
    leave()
    leave()
    observers.emit(EVENT)

    assert [EVENT] == heard


def test_an_observer_may_leave_while_it_hears() -> None:
    """Changing who listens does not disturb who is being told."""
    heard: list[str] = []
    observers = Observers()

    def once(event: Event) -> None:
        heard.append("once")
        leave()

    leave = observers.add(once)
    observers.add(lambda event: heard.append("always"))
    observers.emit(EVENT)
    observers.emit(EVENT)

    assert ["once", "always", "always"] == heard


def test_an_observer_that_raises_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    """It is reported once, counted each time, and the others hear the event."""
    heard: list[Event] = []
    observers = Observers()

    def broken(event: Event) -> NoReturn:
        raise RuntimeError("observer trouble")

    observers.add(broken)
    observers.add(heard.append)
    observers.emit(EVENT)
    observers.emit(EVENT)
    said = capsys.readouterr().err

    assert [EVENT, EVENT] == heard
    assert [2] == list(observers.failures.values())
    assert 1 == said.count("raised RuntimeError; the invocation is unharmed")
    assert "observer trouble" in said


def test_observatory_tells_of_outcomes_and_throttles(make: Make) -> None:
    """The walk's two calls become events."""
    heard: list[Event] = []
    observatory = Observatory(now=lambda: 5.0)
    observatory.observers.add(heard.append)
    outcome = make()
    observatory.done(outcome)
    observatory.throttled("f", "ConcurrentInvocationLimitExceeded")

    assert [InvocationDone(outcome), Throttled("f", "ConcurrentInvocationLimitExceeded", 5.0)] == heard
    assert 1 == observatory.metrics.get("Throttles", "f")


def test_observatory_prints_a_tail_on_request(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """`tail=True` shows logs on standard error."""
    Observatory(tail=True).done(make(output=b"hello\n"))

    assert "f | hello\n" in capsys.readouterr().err


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_every_event_is_exported_and_on_the_page(kind: type) -> None:
    """Its row in the how-to names each of its fields."""
    page = (Path(__file__).parents[3] / "docs/howto/logs-metrics-bill.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{kind.__name__}` |")]

    assert getattr(observe, kind.__name__) is kind
    assert [] == [field for field in kind._fields if f"`{field}`" not in row]


def test_importing_observe_is_light() -> None:
    """Neither the package nor the observatory loads attrs, json, logging or decimal; names come when asked for."""
    code = (
        "import sys, lambdalite.observe as observe; observe.Observatory(); "
        "heavy = {'attr', 'attrs', 'json', 'logging', 'decimal', 'asyncio', 'inspect'} & set(sys.modules); "
        "print(sorted(heavy)); [getattr(observe, name) for name in observe.__all__]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout
