"""The life of an environment, as a table.

Rule 1: everything that changes a phase is in this file. Rule 2: this file knows neither processes nor sockets.

::

    STARTING ──ready──► IDLE ──invoke──► BUSY ──answered──► IDLE        (reuse)
        │                 │                │ └───finished──► STOPPING   (one invocation only)
        │                 └──retire──► STOPPING
        └──── fail / kill ────────────────┴──► DEAD   ◄──gone── STOPPING

DEAD is final. What an illegal event changes is nothing.
"""

from __future__ import annotations

import enum

from lambdalite.errors import InternalError

__all__ = ["TRANSITIONS", "Event", "Phase", "step"]


class Phase(enum.Enum):
    """Where an environment stands."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    STOPPING = "stopping"
    DEAD = "dead"

    # Members are singletons, so identity will do; Enum's own hash goes through Python code, twice for every look-up.
    __hash__ = object.__hash__


class Event(enum.Enum):
    """What can happen to it."""

    READY = "its init is done"
    INVOKE = "an invocation is sent to it"
    ANSWERED = "it answered and stays warm"
    FINISHED = "it answered and is not used again"
    RETIRE = "it is not needed any more"
    FAIL = "its process ended by itself"
    KILL = "we ended its process"
    GONE = "its process is gone and its descriptors are closed"

    __hash__ = object.__hash__


TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.STARTING, Event.READY): Phase.IDLE,
    (Phase.STARTING, Event.RETIRE): Phase.STOPPING,
    (Phase.STARTING, Event.FAIL): Phase.STOPPING,
    (Phase.STARTING, Event.KILL): Phase.STOPPING,
    (Phase.IDLE, Event.INVOKE): Phase.BUSY,
    (Phase.IDLE, Event.RETIRE): Phase.STOPPING,
    (Phase.IDLE, Event.FAIL): Phase.STOPPING,
    (Phase.IDLE, Event.KILL): Phase.STOPPING,
    (Phase.BUSY, Event.ANSWERED): Phase.IDLE,
    (Phase.BUSY, Event.FINISHED): Phase.STOPPING,
    (Phase.BUSY, Event.FAIL): Phase.STOPPING,
    (Phase.BUSY, Event.KILL): Phase.STOPPING,
    (Phase.STOPPING, Event.KILL): Phase.STOPPING,
    (Phase.STOPPING, Event.GONE): Phase.DEAD,
}


def step(phase: Phase, event: Event) -> Phase:
    """The phase after ``event``.

    Raises:
        InternalError: the event is not legal in this phase; nothing has changed.
    """
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise InternalError(f"an environment that is {phase.value} was told that {event.value}") from None
