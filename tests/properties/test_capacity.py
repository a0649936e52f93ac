"""Capacity under every order of events: counts keep to their limits, no place leaks, and no waiter is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from lambdalite import limits
from lambdalite.clock import ManualClock
from lambdalite.engine import capacity as module
from lambdalite.engine.capacity import FOREVER, Capacity
from lambdalite.engine.placement import Place, decide
from lambdalite.errors import TooManyRequests
from lambdalite.model.function import Version, configure
from lambdalite.names import function_arn
from lambdalite.observe.events import Observers
from lambdalite.workers.lifecycle import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCOUNT = 5
RESERVED = {"free": None, "other": None, "two": 2, "off": 0}
UNRESERVED = ACCOUNT - 2


class FakeEnvironment:
    """An environment without a process."""

    def __init__(self, template: FakeTemplate) -> None:
        self.version, self.template = template.version, template
        self.id = f"{self.version.name}-{len(template.made)}"
        self.phase = Phase.STARTING
        self.failed: object = None
        self.idle_since = 0.0
        self.closed = False
        template.made.append(self)

    def close(self) -> None:
        """End it."""
        self.phase, self.closed = Phase.DEAD, True


class FakeTemplate:
    """A template without a process."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.made: list[FakeEnvironment] = []
        self.closed = False

    def environment(self, *, provisioned: bool = False) -> FakeEnvironment:
        """Another environment."""
        self.closed = False
        return FakeEnvironment(self)

    def close(self) -> None:
        """End it."""
        self.closed = True


@pytest.fixture(autouse=True, scope="module")
def _fakes() -> Iterator[None]:
    """Templates without processes, and an account small enough to be filled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_template", lambda version, supervisor: FakeTemplate(version))
        patch.setattr(limits, "UNRESERVED_MINIMUM", 1)
        yield


def finish(step: Callable[[], Any]) -> tuple[str, Any]:
    """One step of a plan: ("waits", turn), ("has", environment) or ("refused", reason)."""
    try:
        return "waits", step()
    except StopIteration as done:
        return "has", done.value
    except TooManyRequests as refusal:
        return "refused", refusal.reason


class Machine(RuleBasedStateMachine):
    """Callers that come, wait, give up and leave, in any order, while functions are updated and idle ones reaped."""

    held = Bundle("held")
    waiting = Bundle("waiting")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.capacity = Capacity(
            account_limit=ACCOUNT, idle_seconds=60.0, spares=1, clock=self.clock, observers=Observers()
        )
        self.revision = 0
        self.versions: dict[str, Version] = {}
        self.templates: list[Any] = []
        self.in_hand: list[tuple[Any, FakeEnvironment]] = []
        self.waiters: list[tuple[Any, Any, Any]] = []
        for name in RESERVED:
            self.declare(name)

    def declare(self, name: str) -> None:
        """A new revision of a function."""
        self.revision += 1
        config = configure({"name": name, "reserved_concurrency": RESERVED[name], "reuse": name != "other"})
        self.capacity.register(config)
        self.versions[name] = Version(config=config, arn=function_arn(name), handler="m.f", revision=self.revision)

    def fleet(self, name: str) -> Any:
        """The current environments of a function."""
        fleet = self.capacity.fleet(self.versions[name], lambda: None)  # type: ignore[arg-type,return-value]
        if fleet.template not in self.templates:
            self.templates.append(fleet.template)
        return fleet

    def hold(self, fleet: Any, environment: Any) -> tuple[Any, Any]:
        """A caller has an environment: nobody else has it, and it can be used."""
        assert environment not in [other for _, other in self.in_hand]
        assert not environment.closed
        environment.phase = Phase.BUSY
        self.in_hand.append((fleet, environment))
        return fleet, environment

    def expected(self, name: str) -> Place:
        """What the counts of this test say about another invocation."""
        counts = dict.fromkeys(RESERVED, 0)
        for fleet, _ in [*self.in_hand, *[(fleet, None) for fleet, _, turn in self.waiters if turn.given]]:
            counts[fleet.version.name] += 1
        unreserved = counts["free"] + counts["other"]
        return decide(counts[name], RESERVED[name], unreserved, UNRESERVED, 0)

    @rule(target=held, name=st.sampled_from(list(RESERVED)))
    def call(self, name: str) -> Any:
        """A caller that does not wait is served, or refused with the reason that the counts give."""
        fleet, expected = self.fleet(name), self.expected(name)
        environment = self.capacity.take(fleet)
        state, got = (
            ("has", environment) if environment is not None else finish(self.capacity.acquire(fleet, None).__next__)
        )
        if state == "has":
            assert expected is Place.START
            return self.hold(fleet, got)
        assert (state, got) == ("refused", expected.value)
        return None

    @rule(target=waiting, name=st.sampled_from(["free", "other", "two"]))
    def queue(self, name: str) -> Any:
        """A caller that waits is served at once if there is room, and queues if there is none."""
        fleet, expected = self.fleet(name), self.expected(name)
        plan = self.capacity.acquire(fleet, FOREVER)
        state, got = finish(plan.__next__)
        if state == "has":
            assert expected is Place.START
            self.hold(fleet, got)
            return None
        assert state == "waits"
        assert expected is not Place.START
        self.waiters.append((fleet, plan, got))
        return fleet, plan, got

    @rule(waiter=consumes(waiting), patience_ends=st.booleans())
    def go_on(self, waiter: Any, patience_ends: bool) -> None:
        """A waiter whose turn has come has an environment; one whose patience ends is refused, and leaves no trace."""
        if waiter is None or waiter not in self.waiters or not (waiter[2].given or patience_ends):
            return
        fleet, plan, turn = waiter
        self.waiters.remove(waiter)
        state, got = finish(lambda: plan.send(None))
        if turn.given:
            assert state == "has"
            self.hold(fleet, got)
        else:
            assert state == "refused"

    @rule(waiter=consumes(waiting))
    def cancel(self, waiter: Any) -> None:
        """A waiter that is cancelled leaves no trace, and passes on what it had been given."""
        if waiter is not None and waiter in self.waiters:
            self.give_up(waiter)

    def give_up(self, waiter: Any) -> None:
        """Throw Ctrl-C into a waiter."""
        self.waiters.remove(waiter)
        with pytest.raises(KeyboardInterrupt):
            waiter[1].throw(KeyboardInterrupt())

    @rule(caller=consumes(held), usable=st.booleans())
    def leave(self, caller: Any, usable: bool) -> None:
        """An environment is given back, for use again or dead."""
        if caller is not None and caller in self.in_hand:
            self.give_back(caller, usable)

    @precondition(lambda self: self.in_hand)
    @rule(usable=st.booleans())
    def leave_first(self, usable: bool) -> None:
        """As `leave`, also for those that had to wait."""
        self.give_back(self.in_hand[0], usable)

    def give_back(self, caller: Any, usable: bool) -> None:
        """Release a place."""
        fleet, environment = caller
        self.in_hand.remove(caller)
        environment.phase = Phase.IDLE if usable and fleet.version.config.reuse else Phase.STOPPING
        self.capacity.release(fleet, environment)

    @rule(name=st.sampled_from(list(RESERVED)))
    def update(self, name: str) -> None:
        """A new revision: the old one's environments end."""
        before = self.versions[name]
        self.declare(name)
        self.capacity.retire(before)

    @rule(name=st.sampled_from(["free", "other", "two"]))
    def refill(self, name: str) -> None:
        """Spares are started."""
        self.capacity.refill(self.fleet(name))

    @rule(seconds=st.integers(1, 90))
    def time_passes(self, seconds: int) -> None:
        """Idle environments end in time."""
        self.clock.advance(seconds)
        self.capacity.reap()

    @invariant()
    def counts_are_those_of_the_callers(self) -> None:
        """In use is what callers have in their hands, or have been given: no more, no less, and within the limits."""
        given = [fleet.version.name for fleet, _, turn in self.waiters if turn.given]
        names = [fleet.version.name for fleet, _ in self.in_hand] + given
        statistics = self.capacity.statistics()

        assert len(names) == statistics.in_use
        assert len(self.waiters) - len(given) == statistics.waiting
        assert names.count("two") <= 2
        assert names.count("off") == 0
        assert names.count("free") + names.count("other") <= UNRESERVED

    @invariant()
    def nobody_waits_for_a_place_that_is_free(self) -> None:
        """While somebody waits, there is no room for it."""
        for fleet, _, turn in self.waiters:
            assert turn.given or self.expected(fleet.version.name) is not Place.START

    @invariant()
    def environments_are_in_hands_idle_or_closed(self) -> None:
        """Every environment ever made is with a caller, kept, or closed."""
        kept: list[Any] = [one for fleet in self.capacity.fleets() for one in fleet.idle]
        hands = [environment for _, environment in self.in_hand]
        given = sum(turn.given for _, _, turn in self.waiters)
        loose = [
            one for t in self.templates for one in t.made if not one.closed and one not in kept and one not in hands
        ]

        assert len(loose) <= given

    def teardown(self) -> None:
        """When everybody has left and the App closes, nothing is left."""
        for waiter in list(self.waiters):
            self.give_up(waiter)
        while self.in_hand:
            self.give_back(self.in_hand[0], usable=True)
        self.capacity.close()

        assert (0, 0, 0, ACCOUNT) == self.capacity.statistics()
        assert all(one.closed for template in self.templates for one in template.made)
        assert all(template.closed for template in self.templates)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCapacity = Machine.TestCase
