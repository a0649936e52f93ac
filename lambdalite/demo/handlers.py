"""The demo's handlers. They run in environments: everything here is plain Python of the standard library."""

from __future__ import annotations

import base64
import ctypes
import time
from typing import TYPE_CHECKING, Any

from lambdalite.demo import png

if TYPE_CHECKING:
    from lambdalite.runtime.context import LambdaContext

calls = 0


def thumbnail(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """A picture in, a smaller one out."""
    picture = png.decode(base64.b64decode(event["png"]))
    print(f"read {picture.width}x{picture.height}, {context.get_remaining_time_in_millis()} ms left")
    small = png.shrink(picture, event["width"])
    return {"width": small.width, "height": small.height, "png": base64.b64encode(png.encode(small)).decode()}


def hang(_event: Any, _context: LambdaContext) -> None:
    """Never answers, and will not be told."""
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: S112 - that is the point
            continue


def hog(_event: Any, _context: LambdaContext) -> None:
    """Takes memory until somebody stops it."""
    hoard = []
    while True:
        hoard.append(bytearray(1024 * 1024))


def crash(event: dict[str, Any], _context: LambdaContext) -> str:
    """Reads address 0 if asked to."""
    return str(ctypes.string_at(0)) if event["crash"] else "fine"


def count(_event: Any, _context: LambdaContext) -> int:
    """How often this module's global has been counted up."""
    global calls  # noqa: PLW0603 - that is the point
    calls += 1
    return calls


def nap(event: dict[str, Any], _context: LambdaContext) -> str:
    """Keeps its environment busy for a while."""
    time.sleep(event["seconds"])
    return "rested"


def fail(event: dict[str, Any], _context: LambdaContext) -> float:
    """Divides by what it is given."""
    return _divide(1, event["by"])


def _divide(one: float, other: float) -> float:
    return one / other
