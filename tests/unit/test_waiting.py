"""One logic, two waits: the same plans obeyed by a thread, by asyncio and by trio."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import anyio
import pytest

from lambdalite.clock import monotonic
from lambdalite.workers.waiting import Turn, Wait, block, obey, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambdalite.workers.waiting import Plan


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that does not block."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    yield read, write
    os.close(read)
    os.close(write)


def reading(read: int, deadline: float | None) -> Plan[bytes]:
    """Wait until there is something to read, or until the deadline has passed."""
    wait = Wait((read,))
    while True:
        try:
            return os.read(read, 10)
        except BlockingIOError:
            if deadline is not None and monotonic() >= deadline:
                return b"late"
        yield wait.until(deadline)


def cleaning(read: int, seen: list[str]) -> Plan[None]:
    """Wait for ever, and note what came instead."""
    try:
        yield Wait((read,)).until(None)
    except BaseException as error:
        seen.append(type(error).__name__)
        raise


def test_block_reads_what_is_there(pipe: tuple[int, int]) -> None:
    """Readiness from another thread wakes it; the plan's answer is the call's."""
    thread = threading.Thread(target=os.write, args=(pipe[1], b"hello"))
    thread.start()

    assert b"hello" == block(reading(pipe[0], None))
    thread.join()


def test_block_returns_when_the_deadline_has_passed(pipe: tuple[int, int]) -> None:
    """A deadline in the past is no wait at all."""
    assert b"late" == block(reading(pipe[0], monotonic() - 1))


@pytest.mark.anyio
async def test_obey_reads_what_is_there(pipe: tuple[int, int]) -> None:
    """The same under asyncio and trio, woken by another task."""
    answers: list[bytes] = []

    async def read() -> None:
        answers.append(await obey(reading(pipe[0], None)))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        os.write(pipe[1], b"hello")

    assert [b"hello"] == answers


@pytest.mark.anyio
async def test_obey_returns_when_the_deadline_has_passed(pipe: tuple[int, int]) -> None:
    """The same under asyncio and trio."""
    assert b"late" == await obey(reading(pipe[0], monotonic() - 1))


@pytest.mark.anyio
async def test_cancellation_is_thrown_into_the_plan(pipe: tuple[int, int]) -> None:
    """Its cleanup runs where it stands, and the cancellation goes on."""
    seen: list[str] = []
    async with anyio.create_task_group() as group:
        group.start_soon(obey, cleaning(pipe[0], seen))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()

    assert ["Cancelled"] == [name.removesuffix("Error") for name in seen]


@pytest.mark.anyio
async def test_two_descriptors_wake_on_either(pipe: tuple[int, int]) -> None:
    """A wait for several descriptors ends with the first."""
    other, unused = os.pipe()

    def either() -> Plan[bytes]:
        yield Wait((other, pipe[0])).until(None)
        return os.read(pipe[0], 10)

    os.write(pipe[1], b"second")
    assert b"second" == await obey(either())
    os.close(other)
    os.close(unused)


def taking(turn: Turn) -> Plan[bool]:
    """Wait for a turn."""
    yield turn
    return turn.given


def test_turn_is_given_across_threads() -> None:
    """Before or after the taker begins to wait."""
    early, late = Turn(None), Turn(None)
    early.give()
    thread = threading.Thread(target=late.give)
    thread.start()

    assert (True, True) == (block(taking(early)), block(taking(late)))
    thread.join()


def test_turn_that_never_comes_ends_with_the_deadline() -> None:
    """The taker finds that it was not given."""
    assert not block(taking(Turn(monotonic() - 1)))


@pytest.mark.anyio
async def test_turn_is_given_to_a_task_from_a_thread() -> None:
    """Tasks of asyncio and trio are woken from outside their loop."""
    turn = Turn(None)
    answers: list[bool] = []

    async def take() -> None:
        answers.append(await obey(taking(turn)))

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        thread = threading.Thread(target=turn.give)
        thread.start()
    thread.join()

    assert [True] == answers


# --- within -------------------------------------------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[tuple[int, int]]:
    """A second pipe."""
    read, write = os.pipe()
    yield read, write
    os.close(read)
    os.close(write)


def bounded(plan: Plan[bytes], deadline: float, beside: int) -> Plan[bytes | None]:
    """A part of a plan that has a deadline, and nothing else that may end it."""
    return within(plan, deadline, beside, lambda: False)


def waiting(read: int, told: list[str]) -> Plan[bytes]:
    """Wait until there is something to read, and note what came instead."""
    try:
        return (yield from reading(read, None))
    except GeneratorExit:
        told.append("closed")
        raise


def test_plan_within_its_time_gives_its_answer(pipe: tuple[int, int]) -> None:
    """A part of another plan, it waits as it would alone, but never longer than the whole may take."""
    read, write = pipe
    deadline = monotonic() + 60
    plan = bounded(reading(read, None), deadline, read)

    assert deadline == next(plan).deadline
    os.write(write, b"x")
    assert b"x" == block(bounded(reading(read, None), deadline, read))
    plan.close()


def test_plan_that_has_less_time_of_its_own_keeps_it(pipe: tuple[int, int]) -> None:
    """The nearer deadline counts."""
    near = monotonic() + 1
    plan = bounded(reading(pipe[0], near), near + 1, pipe[0])

    assert near == next(plan).deadline
    plan.close()


def test_plan_is_closed_when_the_time_is_up(pipe: tuple[int, int]) -> None:
    """It cleans up as if it had been cancelled, and there is no answer."""
    told: list[str] = []

    assert block(bounded(waiting(pipe[0], told), monotonic() + 0.01, pipe[0])) is None
    assert ["closed"] == told


def test_exception_within_reaches_the_inner_plan(pipe: tuple[int, int]) -> None:
    """Ctrl-C is thrown where the innermost stands, and comes out again."""
    told = []

    def guarded() -> Plan[bytes]:
        try:
            return (yield from reading(pipe[0], None))
        except KeyboardInterrupt:
            told.append("interrupted")
            raise

    plan = bounded(guarded(), monotonic() + 60, pipe[0])
    next(plan)

    with pytest.raises(KeyboardInterrupt):
        plan.throw(KeyboardInterrupt())
    assert ["interrupted"] == told


@pytest.mark.anyio
async def test_plan_is_closed_when_what_it_is_done_for_ends(pipe: tuple[int, int], other: tuple[int, int]) -> None:
    """Asyncio and trio: a descriptor beside its own wakes it, and then it is asked whether it is still needed."""
    told: list[str] = []
    ends: list[bool] = [False, True]
    os.write(other[1], b"x")

    assert await obey(within(waiting(pipe[0], told), monotonic() + 60, other[0], lambda: ends.pop(0))) is None
    assert (["closed"], []) == (told, ends)


def test_error_of_whoever_is_asked_closes_the_plan(pipe: tuple[int, int], other: tuple[int, int]) -> None:
    """It comes out, and the plan has cleaned up."""
    told: list[str] = []
    answers = [False]
    os.write(other[1], b"x")

    with pytest.raises(IndexError):
        block(within(waiting(pipe[0], told), monotonic() + 60, other[0], answers.pop))
    assert ["closed"] == told


def test_turns_and_writes_are_waited_for_alone(pipe: tuple[int, int], other: tuple[int, int]) -> None:
    """They have no place for another descriptor, and take no time."""
    waits: list[Turn | Wait] = [Turn(None), Wait((pipe[1],), writable=True)]

    def each() -> Plan[None]:
        yield from waits

    assert waits == list(within(each(), monotonic() + 60, other[0], lambda: False))
