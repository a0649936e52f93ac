"""Descriptors kept in an asyncio loop: armed for each wait, moved between loops, closed from anywhere."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from lambdalite.workers.watching import Watch, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test has closed it


async def wait(watched: Watch, seconds: float = 20) -> list[tuple[int, int]] | None:
    """One wait, as `obey` does it."""
    loop = asyncio.get_running_loop()
    woken = loop.create_future()
    watched.arm(loop, woken)
    try:
        await asyncio.wait_for(woken, seconds)
    finally:
        found = watched.take()
    return found


def readers(loop: asyncio.AbstractEventLoop) -> int:
    """How many descriptors the loop watches beside its own."""
    return len(loop._selector.get_map()) - 1  # type: ignore[attr-defined]


def test_wait_ends_when_something_comes_and_says_where(pipe: Pipe) -> None:
    """Before the wait, during it, and again and again, with one descriptor in the loop."""

    async def main() -> None:
        loop, watched = asyncio.get_running_loop(), Watch((pipe[0],), writable=False)
        os.write(pipe[1], b"1")
        for byte in b"234":
            found = await wait(watched)
            assert found is not None
            assert [pipe[0]] == [fd for fd, _ in found]
            assert 1 == len(os.read(pipe[0], 1))
            loop.call_soon(os.write, pipe[1], bytes([byte]))
        assert 1 == readers(loop)
        watched.close()
        await asyncio.sleep(0)
        assert 0 == readers(loop)

    asyncio.run(main())


def test_wait_sees_what_is_left_from_before(pipe: Pipe) -> None:
    """It is armed by level: what was not read the last time counts again."""

    async def main() -> None:
        watched = Watch((pipe[0],), writable=False)
        os.write(pipe[1], b"12")
        assert await wait(watched)
        os.read(pipe[0], 1)
        assert await wait(watched)
        watched.close()

    asyncio.run(main())


def test_what_nobody_waits_for_is_not_lost(pipe: Pipe) -> None:
    """After a wait that was given up, data comes: the loop disarms it, and the next wait finds it."""

    async def main() -> None:
        watched = Watch((pipe[0],), writable=False)
        with pytest.raises(TimeoutError):
            await wait(watched, 0)
        os.write(pipe[1], b"1")
        for _ in range(3):
            await asyncio.sleep(0)
        assert [] == watched._epoll.poll(0)  # found by the loop, once, and disarmed
        assert await wait(watched)
        watched.close()

    asyncio.run(main())


def test_ready_to_write_is_watched_too(pipe: Pipe) -> None:
    """A pipe with room is ready at once."""

    async def main() -> None:
        watched = Watch((pipe[1],), writable=True)
        assert await wait(watched)
        watched.close()

    asyncio.run(main())


def test_channel_that_is_used_from_another_loop_moves_there(pipe: Pipe) -> None:
    """The loop of before forgets it; and back again."""
    watched = Watch((pipe[0],), writable=False)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    os.write(pipe[1], b"1")
    for loop in (first, second, first, second):
        assert loop.run_until_complete(wait(watched))
    first.run_until_complete(asyncio.sleep(0))

    assert (0, 1) == (readers(first), readers(second))
    first.close()
    second.close()
    third = asyncio.new_event_loop()
    assert third.run_until_complete(wait(watched))
    watched.close()
    third.run_until_complete(asyncio.sleep(0))
    assert 0 == readers(third)
    third.close()


def test_closing_in_another_thread_leaves_the_loop_clean(pipe: Pipe) -> None:
    """The descriptor's number is free for others only after the loop has let go of it."""

    async def main() -> None:
        loop, watched = asyncio.get_running_loop(), Watch((pipe[0],), writable=False)
        os.write(pipe[1], b"1")
        await wait(watched)
        thread = threading.Thread(target=watched.close)
        thread.start()
        thread.join()
        os.close(pipe[0])
        await asyncio.sleep(0)
        assert 0 == readers(loop)
        again = os.pipe()
        heard = asyncio.Event()
        loop.add_reader(again[0], heard.set)
        os.write(again[1], b"1")
        await asyncio.wait_for(heard.wait(), 20)
        loop.remove_reader(again[0])
        for end in again:
            os.close(end)
        watched.close()  # twice

    asyncio.run(main())


def test_closing_before_the_loop_of_before_has_let_go_leaves_both_clean(pipe: Pipe) -> None:
    """Its number is free for others only after every loop that it was in has let go of it."""
    watched = Watch((pipe[0],), writable=False)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    os.write(pipe[1], b"1")
    first.run_until_complete(wait(watched))
    second.run_until_complete(wait(watched))
    watched.close()
    second.run_until_complete(asyncio.sleep(0))
    assert not watched._epoll.closed
    first.run_until_complete(asyncio.sleep(0))

    assert watched._epoll.closed
    assert (0, 0) == (readers(first), readers(second))
    first.close()
    second.close()


def test_closing_after_its_loop_has_closed_is_quiet(pipe: Pipe) -> None:
    """A pool outlives many loops."""
    watched = Watch((pipe[0],), writable=False)
    os.write(pipe[1], b"1")
    asyncio.run(wait(watched))
    watched.close()


def test_without_a_descriptor_left_there_is_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller then does without."""

    def refuse() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("select.epoll", refuse)

    assert watch((0,), writable=False) is None
