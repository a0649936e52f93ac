"""What `lambdalite` is inside an environment: names that do nothing.

A handler's module is imported there again, decorators and all. It must not register functions, start processes or pull in
attrs, anyio, cloudpickle or psutil; it only has to define the handler. So an App accepts everything and keeps nothing, a
decorated name is still the plain callable, and invoking from inside a handler is refused in a sentence.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lambdalite.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["App", "Function", "current", "nothing"]


class Function:
    """A decorated handler inside an environment: call it as the plain function that it is."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        self.__lambdalite_handler__ = handler
        functools.update_wrapper(self, handler, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__lambdalite_handler__(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self.__lambdalite_handler__, instance)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        handler = self.__dict__.get("__lambdalite_handler__")
        if name in _REFUSED:
            who = getattr(handler, "__name__", "function")
            raise UsageError(
                f"{who}.{name} was used inside an environment: a handler cannot invoke functions through lambdalite yet. "
                f"Call {who}(event, context) as a plain function, or let the caller of this handler invoke both"
            )
        return getattr(handler, name)


_REFUSED = frozenset(["invoke", "ainvoke", "run", "arun", "map", "dry_run", "send", "asend"])


class Nothing:
    """Accepts every call and attribute; as a decorator it gives back what it decorates."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and (callable(args[0]) or isinstance(args[0], (staticmethod, classmethod))):
            return args[0]
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return


class App(Nothing):
    """An App inside an environment."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        pass

    def function(self, handler: Callable[..., Any] | None = None, **_options: Any) -> Any:
        """The decorator: marks the handler, and nothing else."""
        return Function if handler is None else Function(handler)

    def load(self, *_args: Any, **_kwargs: Any) -> Any:
        """A handler string means nothing here."""
        return Nothing()


def nothing(_event: Any, _context: Any) -> None:
    """A handler that does nothing: what the survey of enforcement runs."""


_default = App()


def current(name: str) -> Any:
    """What ``lambdalite.<name>`` is inside an environment, or None."""
    if name == "App":
        return App
    if name in ("function", "load", "default_app"):
        return (lambda: _default) if name == "default_app" else getattr(_default, name)
    return Nothing() if name.startswith("on_") else None
