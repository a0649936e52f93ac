"""The clock that moves when told to."""

from __future__ import annotations

import pytest

from lambdalite.clock import ManualClock


def test_manual_clock_moves_only_when_told() -> None:
    """Both readings move by what `advance` was given, and subscribers hear of it."""
    clock, heard = ManualClock(100.0), []
    clock.subscribe(lambda: heard.append(clock.elapsed()))
    clock.advance(5, minutes=1, hours=1)

    assert (3765.0, 3665.0, [3665.0]) == (clock.now(), clock.elapsed(), heard)


def test_clock_does_not_go_back() -> None:
    """Going back is refused, and the clock stands where it stood."""
    clock = ManualClock(100.0)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)

    assert 100.0 == clock.now()


class Alarm:
    """Something timed: at each of its instants it notes that it ran, and it may set another."""

    def __init__(self, clock: ManualClock, name: str, *instants: float, story: list[tuple[str, float]]) -> None:
        self.clock, self.name, self.left, self.story = clock, name, sorted(instants), story
        self.again = 0.0
        self.done = 0

    def check_wait(self, *, idle: bool = False) -> None:
        assert idle

    def next_due(self, *, recurring: bool = True) -> float | None:
        return self.left[0] if self.left and (recurring or not self.again) else None

    def settle(self) -> None:
        while self.left and self.left[0] <= self.clock.now():
            at = self.left.pop(0)
            self.done += 1
            self.story.append((self.name, self.clock.now()))
            if self.again:
                self.left.append(at + self.again)


def test_clock_leads_through_what_becomes_due_in_order_of_time() -> None:
    """`advance` stops at every instant that something asked for, and at no other."""
    clock = ManualClock(0.1)
    story: list[tuple[str, float]] = []
    clock.attach(Alarm(clock, "a", 10.3, 30.7, story=story))
    clock.attach(Alarm(clock, "b", 20.1, 40.2, story=story))
    clock.advance(30.6)

    assert [("a", 10.3), ("b", 20.1), ("a", 30.7)] == story
    assert 40.2 == clock.advance_to_next() == clock.now()
    assert clock.advance_to_next() is None


def test_clock_does_what_is_due_already_before_it_moves() -> None:
    """Even a step of nothing settles what is due now."""
    clock = ManualClock(100.0)
    story: list[tuple[str, float]] = []
    clock.attach(Alarm(clock, "late", 50.0, story=story))
    clock.advance()

    assert [("late", 100.0)] == story


def test_clock_runs_until_idle_without_following_what_recurs() -> None:
    """Recurring things happen where the clock passes them, and do not keep it going."""
    clock = ManualClock(0.0)
    story: list[tuple[str, float]] = []
    tick = Alarm(clock, "tick", 10.0, story=story)
    tick.again = 10.0
    clock.attach(tick)
    clock.attach(Alarm(clock, "event", 25.0, story=story))
    clock.run_until_idle()

    assert [("tick", 10.0), ("tick", 20.0), ("event", 25.0)] == story


def test_clock_no_longer_leads_who_was_detached() -> None:
    """A closed App is not waited for."""
    clock = ManualClock(0.0)
    story: list[tuple[str, float]] = []
    alarm = Alarm(clock, "a", 5.0, story=story)
    clock.attach(alarm)
    clock.detach(alarm)
    clock.advance(10)

    assert [] == story


class Echo(Alarm):
    """One that, when it runs, gives another something to do at once."""

    other: Echo | None = None

    def settle(self) -> None:
        before = self.done
        super().settle()
        if self.done > before and self.other is not None and len(self.story) < 5:
            self.other.left.append(self.clock.now())


def test_clock_goes_round_until_nobody_has_anything_to_do() -> None:
    """What one App does may give work to another that was asked before: both are asked again."""
    clock = ManualClock(0.0)
    story: list[tuple[str, float]] = []
    first, second = Echo(clock, "a", story=story), Echo(clock, "b", 5.0, story=story)
    first.other, second.other = second, first
    clock.attach(first)
    clock.attach(second)
    clock.advance(5)

    assert [("b", 5.0), ("a", 5.0), ("b", 5.0), ("a", 5.0), ("b", 5.0)] == story


@pytest.mark.parametrize("start", [float("inf"), float("nan"), -1e12, 253_402_300_800.0])
def test_clock_stands_where_there_are_dates(start: float) -> None:
    """A clock beyond the year 9999 is refused at once, and not where the first date is written."""
    with pytest.raises(ValueError, match="years 1 to 9999"):
        ManualClock(start)


def test_clock_does_not_leave_the_dates() -> None:
    """A step that leads beyond them is refused, and the clock stands where it stood."""
    clock = ManualClock(100.0)
    with pytest.raises(ValueError, match="years 1 to 9999"):
        clock.advance(float("inf"))

    assert 100.0 == clock.now()
