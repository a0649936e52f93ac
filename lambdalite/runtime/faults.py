"""What the child says about an error: AWS's document for programs, a whole traceback for people.

AWS's document shows the handler's frames only. So does the traceback: whatever lies in this package, or belongs to the
loop that runs an ``async`` handler, is taken off the top.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from traceback import FrameSummary, TracebackException
    from types import TracebackType

__all__ = ["RESPONSE_TOO_LARGE", "Fault", "describe", "from_exception", "payload"]

OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep
_IMPORTLIB = "importlib"  # in the names of the import system's files, frozen or not
DOCUMENT_BYTES = 6 * 1024 * 1024  # S: the Runtime API takes no more than 6 MB and 100 bytes
RESPONSE_TOO_LARGE = (  # S: byte for byte, without the spaces and keys of other documents
    b'{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).",'
    b'"errorType":"Function.ResponseSizeTooLarge"}'
)
TRACE_CHARACTERS = 256 * 1024  # O: enough for every sane traceback, and small enough for a frame's meta


# S: AWS's document for an answer over the limit: this order, no spaces, no request id
RESPONSE_TOO_LARGE = (
    b'{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).",'
    b'"errorType":"Function.ResponseSizeTooLarge"}'
)


class Fault(Exception):
    """An error as AWS's runtime reports it.

    Attributes:
        type: errorType, a class name or ``Runtime.…``.
        message: errorMessage.
        stack: stackTrace, lines as `traceback.format_list` makes them.
        trace: the traceback for people: every frame of the user's, causes, notes and groups. May be empty.
        request_error: the *event* was refused; AWS answers InvalidRequestContent and runs nothing.
        category: what the platform calls it in its log: the type, except for SnapStart's hooks.
        exit_status: with which the runtime ends, None if it goes on.
    """

    def __init__(
        self,
        type: str,  # noqa: A002 - AWS's own word
        message: str,
        stack: Iterable[str] = (),
        trace: str = "",
        *,
        request_error: bool = False,
        category: str = "",
        exit_status: int | None = None,
    ) -> None:
        super().__init__(type, message)
        self.type = type
        self.message = message
        self.stack = list(stack)
        self.trace = trace
        self.request_error = request_error
        self.category = category or type
        self.exit_status = exit_status

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


def describe(error: BaseException) -> str:
    """``str(error)``, also of an exception whose ``__str__`` raises or answers no string."""
    try:
        return str(error)
    except Exception:
        return f"<{type(error).__name__}: its message cannot be shown, __str__ failed>"


def from_exception(error: BaseException, own_files: str | tuple[str, ...] = OWN) -> Fault:
    """An exception of the user's code as a Fault.

    Args:
        error: what was raised; its traceback tells the stack.
        own_files: beginnings of the names of files whose frames are no concern of the user's.
    """
    import traceback

    frames = [
        (frame.filename, frame.lineno, frame.name, frame.line) for frame in _frames(error.__traceback__, own_files)
    ]
    # Tuples, not FrameSummary objects: those would add the lines of ^^^^ that AWS's runtime does not print.
    stack = traceback.format_list(frames)  # type: ignore[arg-type]
    return Fault(type(error).__name__, describe(error), stack, _trace(error, own_files))


def _frames(tb: TracebackType | None, own_files: str | tuple[str, ...]) -> list[FrameSummary]:
    import traceback

    found = traceback.extract_tb(tb)
    return found[_own(found, own_files) :]


def _own(frames: list[FrameSummary], own_files: str | tuple[str, ...]) -> int:
    """How many frames at the top are ours, or asyncio's between two of ours."""
    count = 0
    for index, frame in enumerate(frames):
        if frame.filename.startswith(own_files):
            count = index + 1
        elif f"{os.sep}asyncio{os.sep}" not in frame.filename:
            break
    # All frames ours: the fault is in how the handler was called (wrong number of arguments). RIC shows its own frame
    # then; ours would tell nobody anything.
    return count


def _trace(error: BaseException, own_files: str | tuple[str, ...]) -> str:
    import traceback

    try:
        story = traceback.TracebackException.from_exception(error)
        _strip(story, own_files, set())
        text = "".join(story.format())
    except Exception as failure:  # a traceback that cannot be formatted must not hide the error it belongs to
        return f"{type(error).__name__}: {describe(error)}\n(its traceback cannot be formatted: {failure!r})\n"
    if len(text) <= TRACE_CHARACTERS:
        return text
    half = TRACE_CHARACTERS // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _strip(story: TracebackException, own_files: str | tuple[str, ...], seen: set[int]) -> None:
    """Take our frames off an exception and everything it refers to."""
    if id(story) in seen:
        return
    seen.add(id(story))
    if story.stack:
        del story.stack[: _own(story.stack, own_files)]
        while len(story.stack) > 1 and _IMPORTLIB in story.stack[0].filename:  # AWS shows these; people need not
            del story.stack[0]
    for other in (story.__cause__, story.__context__, *(getattr(story, "exceptions", None) or ())):
        if other is not None:
            _strip(other, own_files, seen)


def payload(fault: Fault, request_id: str) -> bytes:
    """AWS's error document (SEMANTICS 3), never larger than the Runtime API would take.

    Args:
        fault: the error.
        request_id: of the invocation; empty during init.
    """
    document = _document(fault.message, fault, request_id)
    if len(document) <= DOCUMENT_BYTES:
        return document
    return _document(*_shortened(fault, len(document)), request_id)


def _document(message: str, fault: Fault, request_id: str) -> bytes:
    from lambdalite.runtime.marshal import ASCII, dumps

    fields = {"errorMessage": message, "errorType": fault.type, "requestId": request_id, "stackTrace": fault.stack}
    # A lone surrogate in a message has no UTF-8; it is shown as its escape, since an error must always arrive.
    return dumps(fields, ascii_only=ASCII).encode("utf-8", "backslashreplace")


def _shortened(fault: Fault, size: int) -> tuple[str, Fault]:
    """Message and fault that fit: the message is cut, with a note; a monstrous stack keeps both ends."""
    budget = DOCUMENT_BYTES // 16  # a character takes up to 12 bytes as JSON (a pair of \uXXXX escapes)
    message, stack = fault.message, fault.stack
    if len(message) > budget:
        message = (
            f"{message[:budget]}… [{len(message) - budget} more characters: the document of {size} bytes was too large]"
        )
    if sum(map(len, stack)) > budget:
        stack = [line[:4096] for line in (*stack[:20], f"  … {len(stack)} lines, shortened …\n", *stack[-20:])]
    return message, Fault(fault.type, message, stack)
