"""What `lambdalite` is inside an environment: names that do nothing, but for what a handler may ask of its App.

A handler's module is imported there again, decorators and all. It must not register functions, start processes or pull in
attrs, anyio, cloudpickle or psutil; it only has to define the handler. So an App accepts everything and keeps nothing, and
a decorated name is still the plain callable. Its `invoke` and `send` go through `current_app`, whose rules are theirs;
whatever needs the host's objects is refused in a sentence.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from lambdalite.errors import UsageError
from lambdalite.runtime import line

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["App", "Function", "current", "nothing"]


class Function:
    """A decorated handler inside an environment: call it as the plain function that it is."""

    def __init__(self, handler: Callable[..., Any], name: str | None = None) -> None:
        self.__lambdalite_handler__ = handler
        self.__lambdalite_name__ = name or _default_name(handler)
        functools.update_wrapper(self, handler, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__lambdalite_handler__(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self.__lambdalite_handler__, instance)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        handler = self.__dict__.get("__lambdalite_handler__")
        if name in _ASKED:
            return functools.partial(getattr(_client(), name), self)
        if name in _REFUSED:
            raise UsageError(_refusal(self.__lambdalite_name__, name))
        return getattr(handler, name)


_ASKED = frozenset(["invoke", "ainvoke", "send", "asend"])
_REFUSED = frozenset(["run", "arun", "map", "dry_run"])


def _refusal(who: str, name: str) -> str:
    return (
        f"{who}.{name} was used inside an environment: a handler can {who}.invoke(event) and {who}.send(event), and no more. "
        f"Or call {who}(event, context) as a plain function"
    )


def _default_name(handler: Any) -> str:
    """As the host names a function whose decorator does not."""
    while hasattr(handler, "func"):  # functools.partial
        handler = handler.func
    name = str(getattr(handler, "__name__", type(handler).__name__))
    return "lambda" if name == "<lambda>" else name


def _client() -> Any:
    from lambdalite.runtime import client

    return client.current_app()


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

    def function(self, handler: Callable[..., Any] | None = None, **options: Any) -> Any:
        """The decorator: marks the handler, and nothing else."""
        name = options.get("name")
        return (lambda given: Function(given, name)) if handler is None else Function(handler, name)

    def load(self, handler: str = "", **options: Any) -> Any:
        """A handler string means nothing here, but the function has a name."""
        return Loaded(options.get("name") or handler.rpartition(".")[2].rpartition("/")[2])

    def __getattr__(self, name: str) -> Any:
        """While a handler runs, `invoke` and `send` are `current_app`'s; a module's own code calls them in vain."""
        if name in _ASKED and line.running():
            return getattr(_client(), name)
        return super().__getattr__(name)

    def __getitem__(self, name: str) -> Any:
        """A function by name, for a handler that invokes it."""
        return Loaded(name)


class Loaded(Nothing):
    """What `App.load` gave, inside an environment: a function that has a name, and no callable here."""

    def __init__(self, name: str) -> None:
        self.__lambdalite_name__ = name

    def __getattr__(self, name: str) -> Any:
        if name in _ASKED:
            return functools.partial(getattr(_client(), name), self)
        if name in _REFUSED:
            raise UsageError(_refusal(self.__lambdalite_name__, name))
        return super().__getattr__(name)


def nothing(_event: Any, _context: Any) -> None:
    """A handler that does nothing: what the survey of enforcement runs."""


_default = App()


def current(name: str) -> Any:
    """What ``lambdalite.<name>`` is inside an environment, or None."""
    if name == "App":
        return App
    if name in ("function", "load", "default_app"):
        return (lambda: _default) if name == "default_app" else getattr(_default, name)
    if name == "current_app":
        from lambdalite.runtime import client

        return client.current_app
    return Nothing() if name.startswith("on_") else None
