"""What type checkers infer of the public face. Checked, never run (``mypy`` covers ``tests``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypedDict, assert_type

import lambdalite
from lambdalite import App, Function, Outcome


class Event(TypedDict):
    """What goes in."""

    n: int


class Answer(TypedDict):
    """What comes out."""

    twice: int


app = App(concurrency=10, isolation="process", spares=2)


@app.function
def bare(event: Event, context: Any) -> Answer:
    """Decorated without options."""
    return {"twice": 2 * event["n"]}


@app.function(memory=512, timeout=10.0, reuse=True)
def configured(event: Event, context: Any) -> Answer:
    """Decorated with options."""
    return {"twice": 2 * event["n"]}


@lambdalite.function
def global_one(event: Event, context: Any) -> Answer:
    """On the default App."""
    return {"twice": 2 * event["n"]}


def plain(event: Event, context: Any) -> Answer:
    """Not decorated."""
    return {"twice": 2 * event["n"]}


assert_type(bare, Function[Event, Answer])
assert_type(configured, Function[Event, Answer])
assert_type(global_one, Function[Event, Answer])
assert_type(app.function(plain, name="other"), Function[Event, Answer])
assert_type(app.load("shop.orders.handler"), Function[Any, Any])

assert_type(lambdalite.current_app().send(bare, {"n": 1}, delay=2), str)
assert_type(lambdalite.current_app().invoke("other", {"n": 1}), Any)

assert_type(bare({"n": 1}, None), Answer)
assert_type(bare.invoke({"n": 1}, wait=2.5), Answer)
assert_type(bare.run({"n": 1}, wait=True), Outcome)
assert_type(bare.map([{"n": 1}, {"n": 2}], concurrency=2), Iterator[Answer])

bare.invoke({"m": 1})  # type: ignore[typeddict-item]
bare.invoke("text")  # type: ignore[arg-type]
bare.invoke({"n": 1}, wait="long")  # type: ignore[arg-type]


async def asynchronous() -> None:
    """The awaited twins."""
    assert_type(await bare.ainvoke({"n": 1}), Answer)
    assert_type(await bare.arun({"n": 1}), Outcome)


def errors(outcome: Outcome) -> None:
    """What is known of a failure."""
    assert_type(outcome.ok, bool)
    assert_type(outcome.failure, lambdalite.Failure | None)
    try:
        assert_type(outcome.value, Any)
    except lambdalite.OutOfMemory as error:
        assert_type((error.limit, error.peak, error.enforced_by), tuple[int, int, str])
    except lambdalite.TooManyRequests as refusal:
        assert_type((refusal.code, refusal.status, refusal.reason), tuple[str, int, str])
    with lambdalite.App() as inner:
        assert_type(inner, App)
