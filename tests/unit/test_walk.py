"""The walk with fake environments: how long it looks for one that lives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from lambdalite import limits
from lambdalite.engine.walk import walk
from lambdalite.errors import ServiceException
from lambdalite.model.function import Version, configure
from lambdalite.model.invocation import Invocation
from lambdalite.observe import Observatory
from lambdalite.workers.lifecycle import Phase
from lambdalite.workers.waiting import block

if TYPE_CHECKING:
    from collections.abc import Generator

VERSION = Version(config=configure({"name": "f"}), arn="arn:aws:lambda:us-east-1:1:function:f", handler="a.b")


class Dead:
    """An environment that was alive when it was put by, and is dead when it is asked to run."""

    phase = Phase.IDLE
    usable = False
    ended = 0

    def run(self, invocation: Invocation, meanwhile: Any) -> Generator[Any, None, None]:
        return
        yield

    def end_now(self) -> None:
        Dead.ended += 1


class Places:
    """A capacity that has nothing else."""

    def __init__(self) -> None:
        self.replaced = 0
        self.released: list[Any] = []

    def take(self, fleet: Any) -> Dead:
        return Dead()

    def replace(self, fleet: Any, environment: Dead) -> Dead:
        self.replaced += 1
        return Dead()

    def release(self, fleet: Any, environment: Dead) -> None:
        self.released.append(environment)


def test_walk_gives_up_where_every_environment_is_dead_before_it_reads_its_event() -> None:
    """An init that leaves something deadly behind must not make the walk go round for ever; the place comes back."""
    places = Places()
    fleet = SimpleNamespace(version=VERSION, meanwhile=None, template=SimpleNamespace(notes=()))
    invocation = Invocation(VERSION, b"{}", "id", VERSION.arn)
    plan = walk(cast("Any", places), cast("Any", fleet), Observatory(), invocation, None)
    with pytest.raises(ServiceException, match="9 environments of f in a row ended before they had read their event"):
        block(plan)

    assert (limits.REPLACEMENTS, 1) == (places.replaced, len(places.released))
