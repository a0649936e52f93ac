"""Handlers by value: a pickler that knows our own objects, and a search for what cannot be pickled.

Pickles go from the host to its children only, so a child can never make the host run anything.
"""

from __future__ import annotations

import dis
import functools
import io
import sys
import types
from typing import TYPE_CHECKING, Any

import cloudpickle

from lambdalite.runtime import inert
from lambdalite.workers.code import closure

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["dumps", "explain", "too_large"]

_DEPTH = 12  # O: levels that the search for the culprit goes down
_STREAMS = (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # untyped package
    """Pickles functions by value where they have no name, and our own objects as what they are in a child: inert."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        """How an object travels; NotImplemented leaves it to pickle."""
        ours = _inert(obj)
        if ours is not None:
            return ours
        if isinstance(obj, _STREAMS):
            return _stream(obj)
        if isinstance(obj, types.CodeType):
            return _code(obj)
        if isinstance(obj, types.ModuleType):
            self.modules.add(obj.__name__)
        reduced = super().reducer_override(obj)
        by_name = reduced is NotImplemented and isinstance(obj, (type, types.FunctionType))
        if by_name and isinstance(obj.__module__, str):
            self.modules.add(obj.__module__)
        return reduced


def _inert(obj: Any) -> tuple[Any, tuple[Any, ...]] | None:
    """A Function travels as its bare handler in an inert wrapper, an App as an inert App; locks and registries stay."""
    kind = type(obj)
    if not kind.__module__.startswith("lambdalite."):
        return None
    if kind.__name__ == "Function" and kind is not inert.Function:
        handler = getattr(obj, "__lambdalite_handler__", None)
        return (inert.Loaded, (obj.name,)) if handler is None else (inert.Function, (handler, _name(obj)))
    return (inert.App, ()) if kind.__name__ == "App" and kind is not inert.App else None


def _name(function: Any) -> str | None:
    """What its App calls it: over there it can be invoked and sent to by that."""
    found = getattr(function, "name", None)
    return found if isinstance(found, str) else None


def _code(code: types.CodeType) -> tuple[Any, tuple[Any, ...]]:
    """As cloudpickle does, but with the file's name, which it leaves out: tracebacks should show the user's lines."""
    make, args = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    return make, tuple(code.co_filename if item == "<dynamic-code>" else item for item in args)


def _stream(stream: Any) -> tuple[Any, tuple[Any, ...]]:
    """Standard streams are over there what they are here.

    Raises:
        TypeError: any other file. It would travel as a copy of its text, or not at all: neither is what the code says.
    """
    for name in ("stdout", "stderr", "stdin", "__stdout__", "__stderr__", "__stdin__"):
        if stream is getattr(sys, name):
            return getattr, (sys, name)
    raise TypeError(f"cannot pickle '{type(stream).__name__}' object: an open file")


def dumps(handler: Any) -> tuple[bytes, set[str]]:
    """The pickle of a handler, and the names of the modules that it refers to.

    Raises:
        Exception: whatever the part raises that cannot be pickled; `explain` says which.
    """
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(handler)
    return file.getvalue(), pickler.modules - {"__main__", "builtins"}


# --- what is in the way -------------------------------------------------------------------------------------------


def explain(handler: Any, error: Exception) -> str:
    """Why a handler cannot travel: the variable in the way, and what to do."""
    name = getattr(handler, "__qualname__", None) or repr(handler)
    path, culprit = _culprit(handler)
    if not path:
        return (
            f"{name} cannot travel to another process ({type(error).__name__}: {error}): "
            "define the handler at the top level of a module"
        )
    return (
        f"{name} cannot travel to another process: {' → '.join(path)} ({_kind(culprit)}) cannot be copied "
        f"({_why(error)}). Create it inside the handler, or define the handler at the top level of an importable module"
    )


def too_large(handler: Any, size: int, limit: int) -> str:
    """Why a pickle is too large: the variable that makes it so, and what to do."""
    sizes = [(len(dumps(value)[0]), label, value) for label, value in _parts(handler)]
    largest = max(sizes, key=lambda entry: entry[0], default=None)
    blame = "" if largest is None else f"; {largest[1]} ({_kind(largest[2])}) alone takes {largest[0]:,} bytes"
    name = getattr(handler, "__qualname__", None) or repr(handler)
    return (
        f"{name} takes {size:,} bytes to copy to another process, and {limit:,} are the most{blame}. "
        "Load it inside the handler, or define the handler at the top level of an importable module"
    )


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _kind(value: Any) -> str:
    kind = type(value)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _culprit(value: Any) -> tuple[list[str], Any]:
    """The way to the innermost part that cannot be pickled by itself, and that part."""
    path: list[str] = []
    seen: set[int] = set()
    while len(path) < _DEPTH:
        seen.add(id(value))
        for label, part in _parts(value):
            if id(part) not in seen and not _travels(part):
                path.append(label)
                value = part
                break
        else:
            break
    return path, value


def _travels(value: Any) -> bool:
    try:
        dumps(value)
    except Exception:  # whatever it is, this is where
        return False
    return True


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value brings along, each with its name."""
    if isinstance(value, types.FunctionType):
        yield from _function_parts(value)
    elif isinstance(value, types.MethodType):
        yield "its instance", value.__self__
        yield "its function", value.__func__
    elif isinstance(value, functools.partial):
        yield "the function of the partial", value.func
        yield from ((f"argument {index}", item) for index, item in enumerate(value.args, 1))
        yield from ((f"argument '{name}'", item) for name, item in value.keywords.items())
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif hasattr(value, "__dict__") and not isinstance(value, (type, types.ModuleType)):
        inner = getattr(value, "__lambdalite_handler__", None)
        attributes = vars(value) if inner is None else {"__lambdalite_handler__": inner}
        yield from ((f"attribute '{name}'", item) for name, item in attributes.items())


def _function_parts(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    yield from ((f"closure variable '{name}'", item) for name, item in closure(function))
    for name in dict.fromkeys(_global_names(function.__code__)):
        if name in function.__globals__:
            yield f"global '{name}'", function.__globals__[name]
    yield from ((f"default value {index}", item) for index, item in enumerate(function.__defaults__ or (), 1))
    yield from ((f"default value of '{name}'", item) for name, item in (function.__kwdefaults__ or {}).items())
    yield from ((f"attribute '{name}'", item) for name, item in vars(function).items())


def _global_names(code: types.CodeType) -> Iterator[str]:
    """Names of the globals that code reads, nested functions included."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)
