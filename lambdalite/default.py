"""The App behind `lambdalite.function` and friends: made on first use, closed when the interpreter exits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar, overload

from lambdalite.app import App

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from lambdalite.functions import Function

__all__ = ["default_app", "function", "load", "on_schedule"]

E = TypeVar("E")
A = TypeVar("A")

_default: App | None = None
_default_lock = threading.Lock()


def default_app() -> App:
    """The App behind `lambdalite.function` and friends: made on first use, closed when the interpreter exits."""
    global _default  # noqa: PLW0603 - that is what a default is
    with _default_lock:
        if _default is None or _default.closed:
            _default = App()
        return _default


@overload
def function(handler: Callable[[E, Any], A], **options: Any) -> Function[E, A]: ...


@overload
def function(handler: None = None, **options: Any) -> Callable[[Callable[[E, Any], A]], Function[E, A]]: ...


def function(handler: Any = None, **options: Any) -> Any:
    """`App.function` on the default App."""
    return default_app().function(handler, **options)


def load(handler: str, *, root: str | os.PathLike[str] | None = None, **options: Any) -> Function[Any, Any]:
    """`App.load` on the default App."""
    return default_app().load(handler, root=root, **options)


def on_schedule(expression: str, **options: Any) -> Callable[[Function[E, A]], Function[E, A]]:
    """`App.on_schedule` on the default App."""
    return default_app().on_schedule(expression, **options)
