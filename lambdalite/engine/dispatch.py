"""Runs what the queue holds: claims events, walks them, settles them, delivers records; on one loop, in one thread.

Who does what::

    senders ── store.put ──► store ◄── turn ── Aside thread (one transaction: settle + claim)
       └────── wake ──────────────────┐  ▲│
                                      ▼  │▼
    the loop:  turns ──► lines (one a function: claimed events, those under way) ──► obey(walk) ──► decide ──► settled ─┐
                 ▲──────────────────────────────────────────────────────────────────────────────────────────────────────┘
                                     deliveries (one Aside thread for each destination)

Everything in `Dispatcher` belongs to the loop, except what its comments name. Turns are pipelined: while one is being
written, environments go on with what was claimed ahead; how much that is follows how much was settled during the last
turn, so quick handlers are kept busy and slow ones claim nothing that another host could run.

With a clock that is moved by hand everything happens one after the other, in order of due time, so a test sees the same
story each time.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import anyio

from lambdalite import limits
from lambdalite.clock import monotonic
from lambdalite.engine import deliver, lineage, next_step
from lambdalite.engine.aside import Aside
from lambdalite.engine.contained import contained
from lambdalite.errors import LambdaliteError, ServiceError, ServiceException
from lambdalite.model.function import ROLES
from lambdalite.model.queued import Settlement, State, delivery_lane, invocation_lane
from lambdalite.observe.events import EventSettled, RecordDelivered
from lambdalite.workers.waiting import obey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lambdalite.clock import Clock
    from lambdalite.engine.queue import Queue, Waiter
    from lambdalite.engine.timetable import Timetable
    from lambdalite.model.function import FunctionConfig, Version
    from lambdalite.model.outcome import Outcome
    from lambdalite.model.queued import QueuedEvent
    from lambdalite.observe import Observatory
    from lambdalite.store.interface import Claim
    from lambdalite.workers.waiting import Plan

__all__ = ["Dispatcher", "Question", "say"]

_TICK = 0.04  # O: seconds between looks for what other processes have stored
_REMARK = 60.0  # O: seconds between two remarks about one thing
_RETRY = 1.0  # O: seconds before the store is asked again after it failed
_AHEAD = 64  # O: the most that is claimed ahead for one function


class Line:
    """One function's claimed events."""

    __slots__ = ("ahead", "backlog", "lane", "places", "records", "running", "settled")

    def __init__(self, function: str) -> None:
        self.lane = invocation_lane(function)
        self.records = tuple(delivery_lane(function, role) for role in ROLES)
        self.backlog: deque[QueuedEvent] = deque()
        self.places = 1  # how many may run at once
        self.running = 0
        self.settled = 0  # since the last turn began
        self.ahead = 0  # how many may be claimed beyond what can run at once


class Dispatcher:
    """The queue's engine.

    Args:
        queue: what it serves.
        functions: name → version, as it stands now.
        plan: the walk of one event.
        accept: puts a record into a function's queue, for destinations that are functions.
        timetable: what fires schedules.
        observatory: hears of everything.
        clock: what due times are measured by.
        owner: this host's name in claims.
        parallel: how many events may run at once.
        claims: False: accept and watch, but run nothing.
    """

    def __init__(
        self,
        *,
        queue: Queue,
        functions: Callable[[], Mapping[str, Version]],
        plan: Callable[[Version, QueuedEvent], Plan[Outcome]],
        accept: Callable[..., str],
        timetable: Timetable,
        observatory: Observatory,
        clock: Clock,
        owner: str,
        parallel: int,
        claims: bool,
    ) -> None:
        self._queue, self._functions, self._plan, self._accept = queue, functions, plan, accept
        self._timetable, self._observatory, self._clock = timetable, observatory, clock
        self.owner, self._claims = owner, claims
        self._parallel = 1 if clock.manual else parallel
        self._lines: dict[str, Line] = {}
        self._waiting: dict[Line, None] = {}  # those with a backlog, in the order in which they came to have one
        self._desks: dict[str, Aside] = {}  # by lane of records
        self._delivering: set[str] = set()  # lanes with a record claimed
        self._records: deque[QueuedEvent] = deque()  # those of them that nobody delivers yet
        self._settled: list[Settlement] = []
        self._running = 0
        self._aside = Aside("lambdalite-store")
        self._woken = anyio.Event()
        self._stopping = False
        self._last: anyio.CancelScope | None = None  # what is done after the end has been asked for
        self._asked: list[Question] = []
        self._remarked: dict[str, float] = {}
        #: How many events and records it has taken up; other threads read it.
        self.taken = 0
        #: When there is something to do next by the clock; other threads read it.
        self.next_due: float | None = None

    # --- turns ----------------------------------------------------------------------------------------------------

    async def run(self, grace: Callable[[], float]) -> None:
        """Until told to stop; then what is under way may take ``grace()`` seconds more, and the rest is handed back."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._renew)
            tasks.start_soon(self._look_across)
            while not self._stopping:
                await self._turn()
            with anyio.move_on_after(grace()) as self._last:
                while self._running or len(self._delivering) > len(self._records):
                    await self._turn()
            tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._hand_back()

    async def _turn(self) -> None:
        asked, self._asked = self._asked, []
        waiters = self._queue.waiters() if self._clock.manual else ()
        self._woken = anyio.Event()
        settled, self._settled = self._settled, []
        rooms, limit, holds = self._rooms()
        try:
            claim = await self._aside.call(self._obtain, settled, rooms, limit, holds)
        except Exception as error:  # a Store of somebody else's may raise anything
            self._settled = settled + self._settled  # nothing is lost: they are written when the store can again
            self._asked += asked
            await self._complain(error)
            return
        self._tell(settled, claim)
        for event in claim.events:
            self._take(event)
        self._staff()
        self._answer(asked, waiters)
        if not self._settled and not self._woken.is_set():  # who asks wakes, and so does what ends
            await self._sleep(full=len(claim.events) >= limit)

    def _obtain(self, settled: list[Settlement], rooms: dict[str, int], limit: int, holds: dict[str, int]) -> Claim:
        """In the store's thread: fire what is scheduled, settle, claim."""
        now = self._clock.now()
        if self._claims and not self._stopping:
            self._timetable.fire(now)
        return self._queue.store.turn(settled, rooms, limit, now, self.owner, limits.LEASE_SECONDS, holds)

    def _rooms(self) -> tuple[dict[str, int], int, dict[str, int]]:
        """How many events of which lane may be claimed, how many together, and of which lane we hold how many."""
        rooms: dict[str, int] = {}
        holds: dict[str, int] = {}
        if self._stopping or not self._claims:
            return rooms, 0, holds
        ahead, held = 0, 0
        for name, version in self._functions().items():
            line = self._lines.get(name)
            if line is None:
                line = self._lines[name] = Line(name)
            line.ahead = 0 if self._clock.manual else min(2 * line.settled, _AHEAD)
            line.settled = 0
            ahead += line.ahead
            mine = line.running + len(line.backlog)
            held += mine
            line.places = self._places(version.config)
            rooms[line.lane], holds[line.lane] = line.places + line.ahead - mine, mine
            for lane in line.records:
                desk = self._desks.get(lane)  # busy without a delivery under way: with one that has been given up
                rooms[lane] = int(lane not in self._delivering and not (desk is not None and desk.busy))
        one = int(not held and not self._delivering)  # with a clock moved by hand: one after the other
        limit = one if self._clock.manual else max(self._parallel + ahead - held, 0)
        return {lane: room for lane, room in rooms.items() if room > 0}, limit, holds

    def _places(self, config: FunctionConfig) -> int:
        reserved = config.reserved_concurrency
        return self._parallel if reserved is None else max(min(reserved, self._parallel), 1)

    def _tell(self, settled: list[Settlement], claim: Claim) -> None:
        """The store has made it so: wake who waits, tell who listens."""
        for one in settled:
            if one.state.final and one.request_id not in claim.lost:
                self._queue.over(one.request_id)
        self.next_due = claim.next_due

    async def _sleep(self, *, full: bool) -> None:
        """Until something happens, or is due; with no room for more, until something that is under way is done."""
        due = _earliest(None if full else self.next_due, self._timetable.next_due())
        left = None if due is None or self._clock.manual else max(due - self._clock.now(), 0.001)
        with anyio.move_on_after(min(left, 3600.0) if left is not None else None):
            await self._woken.wait()

    async def _complain(self, error: Exception) -> None:
        for question in self._asked:
            question.answer(error)
        self._asked = []
        for request_id in self._queue.awaited:
            self._queue.over(request_id)  # perhaps it cannot be read either: who waits looks for himself
        what = (
            "the store cannot be used"
            if isinstance(error, LambdaliteError)
            else f"a turn failed, {type(error).__name__}"
        )
        self._remark("store", f"{what}: events wait, and nothing is lost: {error}")
        await anyio.sleep(_RETRY)

    def _remark(self, about: str, text: str) -> None:
        """Tell the terminal, of each thing once a minute: a disk that stays full is no news."""
        if monotonic() - self._remarked.get(about, -1e9) > _REMARK:
            self._remarked[about] = monotonic()
            say(text)

    def wake(self) -> None:
        """Something may have become claimable."""
        self._woken.set()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True
        self.wake()

    def hurry(self) -> None:
        """Wait no longer for what is under way."""
        if self._last is not None:
            self._last.cancel()

    # --- events ---------------------------------------------------------------------------------------------------

    def _take(self, event: QueuedEvent) -> None:
        self.taken += 1
        if event.role:
            self._delivering.add(event.lane)
            self._records.append(event)
        else:
            line = self._lines[event.function]
            line.backlog.append(event)
            self._waiting[line] = None

    def _staff(self) -> None:
        """Start what there is room for: records, which are few and quick, then events, line by line."""
        if self._stopping:
            return
        serial = self._clock.manual
        if serial and (self._running or len(self._delivering) > len(self._records)):
            return
        while self._records:
            self._tasks.start_soon(self._deliver, self._records.popleft())
            if serial:
                return
        while self._running < self._parallel:
            waiting = [line for line in self._waiting if line.running < line.places]
            if not waiting:
                return
            line = min(waiting, key=_running)  # the one that has least: a long line holds up no short one
            line.running += 1
            self._running += 1
            self._tasks.start_soon(self._work, line, self._next_of(line))

    def _next_of(self, line: Line) -> QueuedEvent:
        event = line.backlog.popleft()
        if not line.backlog:
            del self._waiting[line]
        return event

    async def _work(self, line: Line, event: QueuedEvent) -> None:
        """Run an event, and then what the line has more of, until none is left."""
        try:
            while True:
                settlement = await self._one(event)
                line.settled += 1
                self._settled.append(settlement)
                self.wake()
                if not line.backlog or self._stopping or len(self._waiting) > 1:
                    return  # with others waiting, the place goes to the one that has least
                event = self._next_of(line)
        finally:
            line.running -= 1
            self._running -= 1
            self._staff()
            self.wake()

    async def _one(self, event: QueuedEvent) -> Settlement:
        """One attempt, and what comes of it."""
        version = self._functions().get(event.function)
        if version is None:  # removed since it was claimed: some other host may have it
            return Settlement(
                request_id=event.request_id, state=State.WAITING, due=self._clock.now() + limits.BACKOFF[1],
                attempts=event.attempts, refusals=event.refusals + 1, failure="ResourceNotFoundException",
            )  # fmt: skip
        passes = lineage.passes(event.trace_id, version.arn)
        over = next_step.before(event, version.config, self._clock.now(), passes)
        outcome: Outcome | None = None
        result: Outcome | ServiceError
        if over is None:
            self._age(event)
            try:
                result = outcome = await obey(contained(self._plan(version, event), version, event.request_id))
            except ServiceError as error:
                result = error
            except Exception as error:  # one of the two service loops: what is wrong with one event ends no other
                result = ServiceException(f"{type(error).__name__}: {error}")
                self._remark(event.function, f"event {event.request_id} of {event.function} could not be run: {error}")
            step = next_step.decide(event, result, version.config, self._clock.now())
            failure = "" if outcome is not None and outcome.failure is None else _failure(result)
        else:
            step, failure = over, event.failure
        answer = event.answer if outcome is None else outcome.payload
        return self._settlement(event, version, step, failure, answer)

    def _settlement(
        self, event: QueuedEvent, version: Version, step: next_step.Again | next_step.Over, failure: str, answer: bytes
    ) -> Settlement:
        now = self._clock.now()
        if isinstance(step, next_step.Again):
            settlement = Settlement(
                request_id=event.request_id, state=State.WAITING, due=step.due, attempts=step.attempts,
                refusals=step.refusals, failure=failure, answer=answer,
            )  # fmt: skip
        else:
            settlement = Settlement(
                request_id=event.request_id, state=step.state, due=now, attempts=step.attempts, refusals=event.refusals,
                condition=step.condition, failure=failure, answer=answer, finished_at=now,
                deliveries=deliver.records(event, version, step, failure=failure, answer=answer, now=now),
            )  # fmt: skip
            self._count(event, step)
        if self._observatory.observers.active:
            self._observatory.observers.emit(
                EventSettled(
                    event.function, event.request_id, settlement.state.name, settlement.condition, settlement.attempts,
                    settlement.due if isinstance(step, next_step.Again) else None, now,
                )
            )  # fmt: skip
        return settlement

    def _age(self, event: QueuedEvent) -> None:
        age = max(self._clock.now() - event.accepted_at, 0.0)
        self._observatory.metrics.put("AsyncEventAge", age * 1000, event.function)

    def _count(self, event: QueuedEvent, over: next_step.Over) -> None:
        if over.state is not State.FAILED:
            return
        self._observatory.metrics.put("AsyncEventsDropped", 1, event.function)
        if over.condition == next_step.RECURSION:
            self._observatory.metrics.put("RecursiveInvocationsDropped", 1, event.function)

    # --- records --------------------------------------------------------------------------------------------------

    async def _deliver(self, event: QueuedEvent) -> None:
        """Hand a record to its destination, in a thread of that destination's own."""
        lane = event.lane
        desk = self._desks.get(lane)
        if desk is None:
            desk = self._desks[lane] = Aside(f"lambdalite-{event.role}", self.wake)
        error: BaseException | None = None
        try:
            version = self._functions().get(event.function)
            sink = deliver.sink_for(getattr(version and version.config, event.role, None), self._accept)
            with anyio.fail_after(limits.DELIVERY_SECONDS):
                error = await desk.call(deliver.attempt, sink, deliver.record_of(event))
        except TimeoutError:
            error = TimeoutError(f"the destination took longer than {limits.DELIVERY_SECONDS:g} s")
        except LambdaliteError as problem:  # there is no such sink
            error = problem
        finally:
            self._delivering.discard(lane)
            self._staff()
        settlement = deliver.after_delivery(event, error, self._clock.now())
        self._tell_of_delivery(event, error, given_up=settlement.state is State.FAILED)
        self._settled.append(settlement)
        self.wake()

    def _tell_of_delivery(self, event: QueuedEvent, error: BaseException | None, *, given_up: bool) -> None:
        request_id = deliver.record_of(event).request_id
        if given_up:
            name = "DeadLetterErrors" if event.role == "dead_letter" else "DestinationDeliveryFailures"
            self._observatory.metrics.put(name, 1, event.function)
            say(f"{event.role} of {event.function} took no record of {request_id}: {error}")
        if self._observatory.observers.active:
            told = "" if error is None else f"{type(error).__name__}: {error}"
            done = RecordDelivered(event.function, event.role, request_id, error is None, told, self._clock.now())
            self._observatory.observers.emit(done)

    # --- beside ---------------------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Keep our claims, and forget what is long over."""
        while True:
            await anyio.sleep(limits.LEASE_SECONDS / 3)
            try:
                await self._aside.call(self._look_after)
            except Exception as error:
                await self._complain(error)

    def _look_after(self) -> None:
        now, store = self._clock.now(), self._queue.store
        store.renew(self.owner, now, limits.LEASE_SECONDS)
        store.prune(now - limits.KEEP_SUCCEEDED, now - limits.KEEP_FAILED)

    async def _look_across(self) -> None:
        """See what other processes have stored. Nothing tells us of it, so we look; within a process nobody does."""
        store = self._queue.store
        while True:
            await anyio.sleep(_TICK)
            if store.changed():
                for request_id in self._queue.awaited:
                    self._queue.over(request_id)  # perhaps: who waits looks for himself
                self.wake()

    async def _hand_back(self) -> None:
        """Give what we hold to whoever comes next, and close what we own."""
        settled, self._settled = self._settled, []
        try:
            self._tell(settled, await self._aside.call(self._obtain, settled, {}, 0, {}))
            await self._aside.call(self._queue.store.hand_back, self.owner)
        except LambdaliteError as error:
            say(f"what was claimed could not be handed back, and comes back when its lease ends: {error}")
        for question in self._asked:
            question.answer(None)
        for desk in (self._aside, *self._desks.values()):
            desk.close()

    # --- questions from other threads -----------------------------------------------------------------------------

    def ask(self, question: Question) -> None:
        """Answer when a turn, begun after this, finds nothing to do. On the loop."""
        self._asked.append(question)
        self.wake()

    def _answer(self, asked: list[Question], waiters: tuple[Waiter, ...]) -> None:
        if not self._idle():
            self._asked += asked
            return
        for question in asked:
            question.answer(None)
        self._queue.idle(waiters)

    def _idle(self) -> bool:
        busy = self._running or self._delivering or self._settled
        return not busy and not any(line.backlog for line in self._lines.values())


class Question:
    """Somebody in another thread asks whether there is anything left to do."""

    __slots__ = ("error", "event")

    def __init__(self) -> None:
        self.event = threading.Event()
        self.error: Exception | None = None

    def answer(self, error: Exception | None) -> None:
        self.error = error
        self.event.set()


def _running(line: Line) -> int:
    return line.running


def _earliest(one: float | None, other: float | None) -> float | None:
    return one if other is None else other if one is None else min(one, other)


def _failure(result: Any) -> str:
    return result.failure.name if getattr(result, "failure", None) is not None else str(getattr(result, "code", ""))


def say(text: str) -> None:
    """Tell the terminal, if there is one that can be told."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"lambdalite: {text}\n")
    except (OSError, ValueError):  # a pipe that nobody reads any more, or closed: nobody is there to be told
        return
