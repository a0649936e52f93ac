"""What the child says about an error."""

# Helpers speak for themselves, and `expected == actual` is the order of the house.

from __future__ import annotations

import json
from typing import Any

import pytest

from lambdalite.runtime import faults, handler
from lambdalite.runtime.faults import Fault

HERE = __file__


def boom(event: Any, context: Any) -> Any:
    raise ValueError("boom")


def nested(event: Any, context: Any) -> Any:
    try:
        boom(event, context)
    except ValueError as error:
        error.add_note("seen on the way")
        raise KeyError(event) from error


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


async def later(event: Any, context: Any) -> Any:
    boom(event, context)


def fault_of(function: Any, event: Any = 1) -> Any:
    with pytest.raises(Fault) as caught:
        handler.call(function, event, None)
    return caught.value


def line_of(function: Any, offset: Any) -> Any:
    return function.__code__.co_firstlineno + offset


def test_a_fault_has_the_handlers_frames_only() -> None:
    """Type, message and stack are AWS's; our own frames are not in it."""
    fault = fault_of(boom)

    stack = [f'  File "{HERE}", line {line_of(boom, 1)}, in boom\n    raise ValueError("boom")\n']
    assert ("ValueError", "boom", stack) == (fault.type, fault.message, fault.stack)


def test_a_fault_of_an_async_handler_hides_the_event_loop() -> None:
    """The frames of asyncio, between ours and the user's, are no concern of the user's."""
    fault = fault_of(later)

    assert ["later", "boom"] == [entry.split(" in ")[1].split("\n")[0] for entry in fault.stack]


def test_the_trace_tells_causes_and_notes() -> None:
    """The traceback for people has what AWS's stack leaves out."""
    trace = fault_of(nested, "k").trace

    assert "runtime" not in trace
    assert "ValueError: boom\nseen on the way\n" in trace
    assert "The above exception was the direct cause of the following exception" in trace
    assert trace.endswith("KeyError: 'k'\n")


def test_the_trace_tells_every_exception_of_a_group() -> None:
    """An exception group is told with its members."""

    def both(event: Any, context: Any) -> Any:
        raise ExceptionGroup("both", [ValueError("one"), TypeError("two")])

    fault = fault_of(both)

    assert ("ExceptionGroup", "both (2 sub-exceptions)") == (fault.type, fault.message)
    assert "ValueError: one" in fault.trace
    assert "TypeError: two" in fault.trace


def test_a_fault_survives_an_exception_that_cannot_be_shown() -> None:
    """An exception whose __str__ raises still has a type, a stack and a message."""

    def mute(event: Any, context: Any) -> Any:
        raise Mute

    fault = fault_of(mute)

    message = "<Mute: its message cannot be shown, __str__ failed>"
    assert ("Mute", message, 1) == (fault.type, fault.message, len(fault.stack))


def test_a_call_with_wrong_arguments_has_an_empty_stack() -> None:
    """No frame is the user's when the handler was never entered."""
    fault = fault_of(lambda event: event)

    assert ("TypeError", []) == (fault.type, fault.stack)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_exception_ends_the_process(error: Any) -> None:
    """As AWS's runtime, we catch Exception and nothing above it."""

    def leave(event: Any, context: Any) -> Any:
        raise error

    with pytest.raises(error):
        handler.call(leave, None, None)


def test_endless_recursion_is_a_fault_with_a_short_stack() -> None:
    """Repeated frames are summed up as Python does."""

    def forever(event: Any, context: Any) -> Any:
        return forever(event, context)

    fault = fault_of(forever)

    assert "RecursionError" == fault.type
    assert "[Previous line repeated" in fault.stack[-1]


def test_the_document_has_awss_keys_in_awss_order() -> None:
    """The payload of a failed invocation, byte for byte."""
    document = faults.payload(Fault("ValueError", "boom", ["  File\n"]), "id-1")

    assert (
        b'{"errorMessage": "boom", "errorType": "ValueError", "requestId": "id-1", "stackTrace": ["  File\\n"]}'
        == document
    )


def test_the_document_of_a_monstrous_error_still_fits() -> None:
    """A message larger than the Runtime API takes is cut, with a note; a stack keeps both ends."""
    fault = Fault("ValueError", "é" * 3_200_000, ["x" * 100_000] * 50)

    document = faults.payload(fault, "id")

    assert len(document) <= faults.DOCUMENT_BYTES
    assert "more characters" in json.loads(document)["errorMessage"]


def test_a_document_shows_a_lone_surrogate_as_its_escape() -> None:
    """An error must arrive, whatever is in its message."""
    assert r"\ud83d" in faults.payload(Fault("E", "\ud83d"), "").decode()


def test_a_trace_is_bounded() -> None:
    """The traceback keeps its beginning and its end."""

    def long(event: Any, context: Any) -> Any:
        raise ValueError("x" * 1_000_000)

    trace = fault_of(long).trace

    assert len(trace) < faults.TRACE_CHARACTERS + 100
    assert "characters left out" in trace


def test_a_fault_shows_itself() -> None:
    """The text of a fault, for our own logs."""
    assert "Runtime.X: why" == str(Fault("Runtime.X", "why"))
