"""The life of an environment: every phase with every event."""

from __future__ import annotations

import itertools

import pytest

from lambdalite.errors import InternalError
from lambdalite.workers.lifecycle import TRANSITIONS, Event, Phase, step

PAIRS = list(itertools.product(Phase, Event))


@pytest.mark.parametrize(("phase", "event"), [pair for pair in PAIRS if pair in TRANSITIONS])
def test_legal_event_leads_where_the_table_says(phase: Phase, event: Event) -> None:
    """A legal event leads to the phase in the table."""
    assert TRANSITIONS[phase, event] is step(phase, event)


@pytest.mark.parametrize(("phase", "event"), [pair for pair in PAIRS if pair not in TRANSITIONS])
def test_illegal_event_raises_and_changes_nothing(phase: Phase, event: Event) -> None:
    """An illegal event is an InternalError that names both, and the table stays as it was."""
    before = dict(TRANSITIONS)

    with pytest.raises(InternalError) as caught:
        step(phase, event)

    assert f"an environment that is {phase.value} was told that {event.value}" == str(caught.value)
    assert before == TRANSITIONS


def test_dead_is_final() -> None:
    """Nothing leads out of DEAD, and everything else can get there."""
    assert [] == [phase for phase, _ in TRANSITIONS if phase is Phase.DEAD]
    assert Phase.DEAD is step(step(Phase.BUSY, Event.KILL), Event.GONE)
