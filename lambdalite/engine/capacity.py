"""Environments and who has them: the engine's only shared state, under one lock.

Guarantees, and why they hold:

- *One invocation an environment, never more in use than the limits allow*: an environment is counted and handed over in
  one critical section (`placement.decide` sees the counts that the same section then changes).
- *First come, first served*, for those who wait: a released place goes to the oldest waiter that may have it, within the
  releasing section; nobody who arrives later can take it in between.
- *Nothing slow under the lock*: processes are started and ended by the caller after leaving it.

A waiter that gives up races with the one who gives: both decide under the lock. If the place was given first, the waiter
finds it in its hands and releases it as if it had used it.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from lambdalite import limits, names
from lambdalite.clock import monotonic
from lambdalite.engine.placement import Place, decide
from lambdalite.errors import (
    InvalidParameterValue,
    ResourceNotFound,
    ServiceException,
    TooManyRequests,
    UsageError,
)
from lambdalite.observe.events import EnvironmentStopped
from lambdalite.workers.lifecycle import Phase
from lambdalite.workers.waiting import Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lambdalite.clock import Clock
    from lambdalite.model.function import FunctionConfig, Version
    from lambdalite.observe.events import Observers
    from lambdalite.workers.environment import Environment
    from lambdalite.workers.inline import InlineEnvironment, InlineTemplate
    from lambdalite.workers.launch import Supervisor
    from lambdalite.workers.template import Template
    from lambdalite.workers.waiting import Plan

__all__ = ["FOREVER", "Capacity", "Statistics"]

FOREVER = 10.0**9  # seconds of patience: as long as it takes


class Statistics(NamedTuple):
    """A moment's counts.

    Attributes:
        in_use: environments in use.
        idle: initialised, waiting for an invocation.
        waiting: callers waiting for room.
        account_limit: the most that may be in use.
    """

    in_use: int
    idle: int
    waiting: int
    account_limit: int


class Fleet:
    """All environments of one version. Guarded by `Capacity`'s lock."""

    __slots__ = ("function", "idle", "in_use", "meanwhile", "retired", "template", "version")

    def __init__(self, version: Version, template: Template | InlineTemplate, function: Function) -> None:
        self.version, self.template, self.function = version, template, function
        self.idle: deque[Environment | InlineEnvironment] = deque()  # the most recently used at the right end
        self.in_use = 0
        self.retired = False  # another revision has taken its place, or the App is closing
        #: What to do while an environment of this fleet works: start spares, if the fleet keeps any.
        self.meanwhile: Callable[[], None] | None = None


class Function:
    """Counts of one function, over its versions. Guarded by `Capacity`'s lock."""

    __slots__ = ("in_use", "provisioned", "reserved", "waiters")

    def __init__(self, reserved: int | None, provisioned: int) -> None:
        self.reserved, self.provisioned = reserved, provisioned
        self.in_use = 0
        self.waiters: deque[Waiter] = deque()


class Waiter:
    """A caller that waits for room."""

    __slots__ = ("dismissed", "environment", "fleet", "given", "ticket", "turn")

    def __init__(self, fleet: Fleet, turn: Turn, ticket: int) -> None:
        self.fleet, self.turn, self.ticket = fleet, turn, ticket
        self.given = False
        self.dismissed: Exception | None = None  # there will never be room: raise this
        self.environment: Environment | InlineEnvironment | None = None


class Capacity:
    """The places of one App."""

    def __init__(
        self, *, account_limit: int, idle_seconds: float, spares: int, clock: Clock, observers: Observers
    ) -> None:
        self.account_limit, self.idle_seconds, self.spares, self.clock = account_limit, idle_seconds, spares, clock
        self._observers = observers
        self._lock = threading.Lock()  # guards everything below
        self._fleets: dict[tuple[str, str, int], Fleet] = {}
        self._functions: dict[str, Function] = {}
        self._unreserved_in_use = 0
        self._reserved_total = 0
        self._ticket = 0
        self._waiting = 0

    # --- configuration --------------------------------------------------------------------------------------------

    def register(self, config: FunctionConfig) -> None:
        """Take a function's reservation into account.

        Raises:
            InvalidParameterValue: reservations would leave too little for everybody else, in AWS's words.
        """
        with self._lock:
            known = self._functions.get(config.name)
            before = known.reserved or 0 if known is not None else 0
            reserved = config.reserved_concurrency
            self._check(config, before)
            if known is None:
                known = self._functions[config.name] = Function(reserved, config.provisioned_concurrency)
            elif (known.reserved is None) != (reserved is None):
                # in-use environments change sides, or the unreserved pool would leak a place for each of them
                self._unreserved_in_use += known.in_use if reserved is None else -known.in_use
            self._reserved_total += (reserved or 0) - before
            known.reserved, known.provisioned = reserved, config.provisioned_concurrency

    def _check(self, config: FunctionConfig, before: int) -> None:
        reserved, provisioned = config.reserved_concurrency, config.provisioned_concurrency
        left = self.account_limit - self._reserved_total + before
        if reserved:
            keep = min(limits.UNRESERVED_MINIMUM, self.account_limit)
            if left - reserved < keep:
                raise InvalidParameterValue(
                    "Specified ReservedConcurrentExecutions for function decreases account's "
                    f"UnreservedConcurrentExecution below its minimum value of [{keep}]."
                )
        if reserved is not None and provisioned > reserved:
            raise InvalidParameterValue(
                f" ReservedConcurrentExecutions  {reserved} should not be lower than function's total provisioned "
                f"concurrency [{provisioned}]."
            )
        if reserved is None and provisioned > left:
            raise InvalidParameterValue(
                f"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{left}]."
            )

    def fleet(self, version: Version, supervisor: Callable[[], Supervisor]) -> Fleet:
        """The version's environments; its template handle is made on first need."""
        found = self._fleets.get(version.key)  # reading a dict needs no lock; entries are only ever added whole
        if found is not None:
            return found
        template = _template(version, supervisor)
        with self._lock:
            fleet = Fleet(version, template, self._functions[version.name])
            if self._floor(version.config):
                fleet.meanwhile = partial(self.refill, fleet)
            return self._fleets.setdefault(version.key, fleet)

    # --- acquire and release --------------------------------------------------------------------------------------

    def take(self, fleet: Fleet) -> Environment | InlineEnvironment | None:
        """An initialised environment if one is at hand and there is room: what most invocations find."""
        with self._lock:
            return self._place(fleet)[1] if fleet.idle else None

    def acquire(self, fleet: Fleet, patience: float | None) -> Plan[Environment | InlineEnvironment]:
        """A place, and the environment in it: an initialised one, or a new one that still has to be started.

        Args:
            fleet: the version's environments.
            patience: seconds to wait for room; None: not at all.

        Raises:
            TooManyRequests: there is no room (any more); ``.reason`` as AWS.
            ServiceException: this machine has no room; the place is given back.
        """
        with self._lock:
            place, environment = self._place(fleet)
            waiter = None
            if place not in (Place.REUSE, Place.START):
                if patience is None:
                    raise TooManyRequests(reason=place.value)
                waiter = self._enqueue(fleet, patience)
        if waiter is not None:
            environment = yield from self._wait(waiter, place)
        if environment is None:
            environment = self._open(fleet)
        return environment

    def _place(self, fleet: Fleet) -> tuple[Place, Environment | InlineEnvironment | None]:
        function, idle = fleet.function, fleet.idle
        reserved = function.reserved
        place = decide(
            function.in_use, reserved, self._unreserved_in_use, self.account_limit - self._reserved_total, len(idle)
        )
        if place is Place.REUSE or place is Place.START:
            fleet.in_use += 1
            function.in_use += 1
            if reserved is None:
                self._unreserved_in_use += 1
            return place, idle.pop() if place is Place.REUSE else None
        return place, None

    def _enqueue(self, fleet: Fleet, patience: float) -> Waiter:
        self._ticket += 1
        self._waiting += 1
        deadline = None if patience >= FOREVER else monotonic() + patience  # no timer for as long as it takes
        waiter = Waiter(fleet, Turn(deadline), self._ticket)
        fleet.function.waiters.append(waiter)
        return waiter

    def _wait(self, waiter: Waiter, place: Place) -> Plan[Environment | InlineEnvironment | None]:
        try:
            yield waiter.turn
        except BaseException:
            if not self._leave(waiter):
                self._hand_back(waiter)
            raise
        if self._leave(waiter):
            raise TooManyRequests(reason=place.value) if waiter.dismissed is None else waiter.dismissed
        return waiter.environment

    def _leave(self, waiter: Waiter) -> bool:
        """Leave the queue; False if the place had been given already."""
        with self._lock:
            if waiter.given:
                return False
            if waiter.dismissed is None:
                waiter.fleet.function.waiters.remove(waiter)
                self._waiting -= 1
            return True

    def _hand_back(self, waiter: Waiter) -> None:
        if waiter.environment is not None:
            self.release(waiter.fleet, waiter.environment)
        else:
            self._give_up_place(waiter.fleet)

    def _open(self, fleet: Fleet) -> Environment | InlineEnvironment:
        try:
            return fleet.template.environment()
        except BaseException:
            self._give_up_place(fleet)
            raise

    def _give_up_place(self, fleet: Fleet) -> None:
        with self._lock:
            woken = self._vacate(fleet)
        self._after_vacating(fleet, woken)

    def release(self, fleet: Fleet, environment: Environment | InlineEnvironment) -> None:
        """Give a place back: a usable environment of a current version is kept, any other is closed."""
        keep = False
        if environment.phase is Phase.IDLE:
            with self._lock:
                # Decided under the lock: `retire` may be at work in another thread, and would not see it again.
                keep = not fleet.retired
                if keep:
                    environment.idle_since = self.clock.elapsed()
                    fleet.idle.append(environment)
                    woken = self._vacate(fleet)
        if not keep:
            try:
                self._end(environment, "used" if environment.failed is None else "failed")
            finally:  # Ctrl-C may arrive here, or an observer leave with one: the place is free all the same
                self._give_up_place(fleet)
        elif woken is not None or fleet.retired:
            self._after_vacating(fleet, woken)

    def _after_vacating(self, fleet: Fleet, woken: Waiter | None) -> None:
        """Outside the lock: wake who got the place; let a retired version's template go with its last invocation."""
        if woken is not None:
            woken.turn.give()
        if fleet.retired and not fleet.in_use:
            fleet.template.close()

    def _vacate(self, fleet: Fleet) -> Waiter | None:
        """One place less in use; the waiter that gets it, if any. Under the lock."""
        function = fleet.function
        fleet.in_use -= 1
        function.in_use -= 1
        if function.reserved is None:
            self._unreserved_in_use -= 1
        if not self._waiting:
            return None
        queues = sorted((one for one in self._functions.values() if one.waiters), key=lambda one: one.waiters[0].ticket)
        for queue in queues:
            waiter = queue.waiters[0]
            place, environment = self._place(waiter.fleet)
            if place is Place.REUSE or place is Place.START:
                queue.waiters.popleft()
                self._waiting -= 1
                waiter.given, waiter.environment = True, environment
                return waiter
        return None

    def replace(self, fleet: Fleet, environment: Environment | InlineEnvironment) -> Environment | InlineEnvironment:
        """A new environment in the place of one that died while it was idle.

        Raises:
            ServiceException: this machine has no room; the place is still the caller's, with the old environment in it.
        """
        fresh = fleet.template.environment()
        environment.close()
        return fresh

    # --- started ahead --------------------------------------------------------------------------------------------

    def _floor(self, config: FunctionConfig) -> int:
        """How many initialised environments a fleet should have at hand."""
        ahead = 0 if config.reuse or config.isolation == "inline" else self.spares
        return max(config.provisioned_concurrency, ahead)

    def refill(self, fleet: Fleet) -> None:
        """Start environments ahead; their init goes on while nobody waits.

        What is provisioned is there after the first invocation. Spares beyond that come a few with each: whoever asks for
        many must not make one caller wait while all are forked.
        """
        config, ready = fleet.version.config, len(fleet.idle)
        spares = min(self._floor(config) - ready, limits.SPARES_AT_ONCE)
        for _ in range(max(config.provisioned_concurrency - ready, spares)):
            try:
                spare = fleet.template.environment(provisioned=bool(config.provisioned_concurrency))
            except ServiceException:
                return  # a spare is a favour: whoever needs a place that is not there will be told so
            spare.idle_since = self.clock.elapsed()
            with self._lock:
                if not fleet.retired:
                    fleet.idle.appendleft(spare)
                    continue
            spare.close()

    # --- housekeeping ---------------------------------------------------------------------------------------------

    def reap(self) -> int:
        """End environments that have been idle for too long; how many."""
        now = self.clock.elapsed()
        ended: list[Environment | InlineEnvironment] = []
        with self._lock:
            for fleet in self._fleets.values():
                keep = fleet.version.config.provisioned_concurrency
                while len(fleet.idle) > keep and now - fleet.idle[0].idle_since >= self.idle_seconds:
                    ended.append(fleet.idle.popleft())
        for environment in ended:
            self._end(environment, "idle")
        return len(ended)

    def evict(self) -> bool:
        """End the environment that has been idle longest, whoever's it is; False if there is none."""
        with self._lock:
            fleets = [fleet for fleet in self._fleets.values() if fleet.idle]
            if not fleets:
                return False
            environment = min(fleets, key=lambda fleet: fleet.idle[0].idle_since).idle.popleft()
        self._end(environment, "evicted")
        return True

    def _end(self, environment: Environment | InlineEnvironment, why: str) -> None:
        environment.close()
        if self._observers.active:
            self._observers.emit(EnvironmentStopped(environment.version.name, environment.id, why))

    def retire(self, version: Version, why: str = "updated") -> None:
        """Close a version's idle environments and its template; those in use end when they are released."""
        with self._lock:
            fleet = self._fleets.pop(version.key, None)
            idle = list(fleet.idle) if fleet is not None else []
            if fleet is not None:
                fleet.retired = True
                fleet.idle.clear()
        for environment in idle:
            self._end(environment, why)
        if fleet is not None and not fleet.in_use:
            fleet.template.close()

    def forget(self, name: str) -> None:
        """A function is removed: its reservation is free again."""
        with self._lock:
            function = self._functions.pop(name, None)
            if function is None:
                return
            self._reserved_total -= function.reserved or 0
            waiters = self._dismiss(function, ResourceNotFound(f"Function not found: {names.function_arn(name)}"))
        for waiter in waiters:
            waiter.turn.give()

    def _dismiss(self, function: Function, error: Exception) -> list[Waiter]:
        """Empty a function's queue; under the lock. The caller wakes them after leaving it."""
        waiters = list(function.waiters)
        function.waiters.clear()
        self._waiting -= len(waiters)
        for waiter in waiters:
            waiter.dismissed = error
        return waiters

    def versions(self) -> Iterator[Version]:
        """The versions that have, or had, environments."""
        return iter([fleet.version for fleet in self._fleets.values()])

    def fleets(self) -> list[Fleet]:
        """A snapshot of the fleets."""
        return list(self._fleets.values())

    def close(self) -> None:
        """End everything; callers still inside see their environments die, and those who wait for room are told."""
        error = UsageError("this App was closed while the call was waiting for room")
        with self._lock:
            waiters = [waiter for function in self._functions.values() for waiter in self._dismiss(function, error)]
        for waiter in waiters:
            waiter.turn.give()
        for fleet in self.fleets():
            self.retire(fleet.version, "closed")
            fleet.template.close()

    def abandon(self) -> None:
        """In a forked child of the host: close our copies of descriptors; the processes are the parent's."""
        for fleet in self._fleets.values():
            fleet.template.abandon()
            for environment in fleet.idle:
                environment.abandon()
        self._fleets = {}

    def statistics(self) -> Statistics:
        """Counts as of now."""
        with self._lock:
            in_use = sum(function.in_use for function in self._functions.values())
            idle = sum(len(fleet.idle) for fleet in self._fleets.values())
            return Statistics(in_use, idle, self._waiting, self.account_limit)

    def in_use(self, name: str) -> int:
        """Environments in use by one function."""
        function = self._functions.get(name)
        return 0 if function is None else function.in_use


def _template(version: Version, supervisor: Callable[[], Supervisor]) -> Template | InlineTemplate:
    # Imported on first need: a program that only declares functions does not pay for running them.
    if version.config.isolation == "inline":
        from lambdalite.workers.inline import InlineTemplate

        return InlineTemplate(version)
    from lambdalite.workers.template import Template

    return Template(version, supervisor)
