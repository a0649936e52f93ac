"""Stores of both kinds, and events for them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from lambdalite.model.queued import QueuedEvent, Settlement, State, invocation_lane
from lambdalite.store import open_store

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from lambdalite.store.interface import Claim, Store

NOW = 1_000.0
LEASE = 30.0


class Make(Protocol):
    """Makes events named e1, e2, … unless said otherwise."""

    def __call__(self, **fields: Any) -> QueuedEvent: ...


@pytest.fixture
def make() -> Make:
    """A factory of events of the function ``f``, accepted and due at `NOW`."""
    numbers = itertools.count(1)

    def made(**fields: Any) -> QueuedEvent:
        function = fields.get("function", "f")
        plain: dict[str, Any] = {
            "request_id": f"e{next(numbers)}",
            "lane": invocation_lane(function),
            "function": function,
            "payload": b"{}",
            "accepted_at": NOW,
            "due": NOW,
        }
        return QueuedEvent(**(plain | fields))

    return made


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Store]:
    """An empty store of each kind."""
    found = open_store(None if request.param == "memory" else tmp_path / "jobs.db", "process-crash")
    yield found
    found.close()


@pytest.fixture
def claim(store: Store) -> Callable[..., Claim]:
    """A turn of the host ``o`` at `NOW` with room for ten events of ``f``, unless said otherwise."""

    def turn(*settlements: Settlement, **fields: Any) -> Claim:
        asked: dict[str, Any] = {
            "rooms": {invocation_lane("f"): 10},
            "limit": 10,
            "now": NOW,
            "owner": "o",
            "lease": LEASE,
        } | fields
        return store.turn(settlements, **asked)

    return turn


@pytest.fixture
def over() -> Callable[..., Settlement]:
    """A factory of settlements: succeeded, unless said otherwise."""

    def made(request_id: str, state: State = State.SUCCEEDED, **fields: Any) -> Settlement:
        plain: dict[str, Any] = {"due": NOW, "attempts": 1, "refusals": 0}
        if state.final:
            plain |= {"finished_at": NOW, "condition": "Success", "answer": b"1"}
        return Settlement(request_id=request_id, state=state, **(plain | fields))

    return made
