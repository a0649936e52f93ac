"""What callers give: refused at the call, in words that say what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambdalite import App, Function, InvalidParameterValue, UsageError, arguments, limits
from lambdalite.clock import ManualClock
from lambdalite.engine import capacity
from lambdalite.engine.capacity import FOREVER, Capacity
from lambdalite.model.function import Version, configure
from lambdalite.names import function_arn
from lambdalite.observe.events import Observers

if TYPE_CHECKING:
    from collections.abc import Callable


def handler(event: Any, context: Any) -> Any:
    """A handler."""
    return event


@pytest.mark.parametrize("given", [{"group": "\ud800"}, {"client_context": "\ud800"}])
def test_half_a_character_is_refused(given: dict[str, Any]) -> None:
    """No store keeps it, no frame carries it; so whoever sends it hears of it."""
    with App() as app, pytest.raises(InvalidParameterValue, match=next(iter(given))):
        app.function(handler).send(1, **given)


WRONG: list[tuple[str, Callable[[App, Any], object]]] = [
    ("not by 5", lambda app, function: app[5]),  # type: ignore[index]
    ("not by 5", lambda app, function: app.invoke(5)),  # type: ignore[arg-type]
    ("not by 5", lambda app, function: app.remove(5)),  # type: ignore[arg-type]
    ("not by 5", lambda app, function: app.update(5)),  # type: ignore[arg-type]
    ("a handler is a callable", lambda app, function: app.update(function, 5)),
    ("takes a callable of one argument", lambda app, function: app.observe(5)),  # type: ignore[arg-type]
    ("map\\(\\) takes an iterable of events, not 5", lambda app, function: function.map(5)),
]


@pytest.mark.parametrize(("words", "call"), WRONG)
def test_wrong_types_are_refused_at_the_call(words: str, call: Callable[[App, Any], object]) -> None:
    """A UsageError says what was given and what it takes; nothing has changed."""
    with App() as app:
        function = app.function(handler)
        with pytest.raises(UsageError, match=words):
            call(app, function)

        assert handler is function.version.handler


def test_function_as_the_code_of_another_is_its_handler() -> None:
    """`update` takes the plain handler out of a Function, as `function` does."""
    with App() as app:
        first = app.function(handler)
        second: Function[Any, Any] = app.function(lambda event, context: event, name="second")

        assert handler is app.update(second, first).version.handler


@pytest.mark.parametrize("wait", [10**400, float("inf"), True])
def test_patience_without_end_is_as_long_as_it_takes(wait: Any) -> None:
    """A number too large for a float is a long time, not an OverflowError."""
    assert FOREVER == arguments.patience(wait)


def test_spares_beyond_reason_are_refused() -> None:
    """A million processes would be started ahead; the message names the most, and what else there is."""
    with pytest.raises(InvalidParameterValue, match=r"at most 100, not 1000000.*provisioned_concurrency"):
        App(spares=10**6)
    App(spares=limits.SPARES_MOST).close()


class FakeEnvironment:
    """An environment without a process."""

    idle_since = 0.0

    def close(self) -> None:
        """Nothing to let go."""


class FakeTemplate:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.made = 0

    def environment(self, *, provisioned: bool = False) -> FakeEnvironment:
        """One more."""
        del provisioned
        self.made += 1
        return FakeEnvironment()


@pytest.mark.parametrize(("provisioned", "made"), [(0, [2, 4, 5, 5]), (4, [4, 5, 5, 5])])
def test_no_invocation_pays_for_all_spares(monkeypatch: pytest.MonkeyPatch, provisioned: int, made: list[int]) -> None:
    """Two are started with each invocation until there are enough; what is provisioned comes at once."""
    template = FakeTemplate()
    monkeypatch.setattr(capacity, "_template", lambda version, supervisor: template)
    places = Capacity(account_limit=9, idle_seconds=60, spares=5, clock=ManualClock(), observers=Observers())
    config = configure({"name": "f", "provisioned_concurrency": provisioned})
    places.register(config)
    version = Version(config=config, arn=function_arn("f"), handler="m.f", revision=1)
    fleet = places.fleet(version, lambda: None)  # type: ignore[arg-type,return-value]
    assert fleet.meanwhile is not None

    found = []
    for _ in made:
        fleet.meanwhile()
        found.append(template.made)

    assert made == found
