"""How a handler gets into another process: by name if it has one, by value if not (ISOLATION 4.2).

1. A function of an importable module travels as (module, qualified name, file) and is imported over there: its module
   initialises itself anew, as in AWS's init phase. The file settles which module is meant when the name alone does not
   (test runners load modules under names that no search path knows).
2. Everything else (``__main__``, notebooks, lambdas, closures, bound methods, partials, instances) is pickled by value.
3. A script's function that cannot be pickled travels as (file, qualified name), and the script is run again over there,
   under another name than ``__main__``.

What can travel in none of these ways is refused with the name of the variable that prevents it.
"""

from __future__ import annotations

import functools
import os
import sys
import types
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

import attrs

from lambdalite.errors import UsageError
from lambdalite.runtime import frames
from lambdalite.runtime.handler import bare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Code", "locate", "locate_string", "search_path"]


@attrs.frozen
class Code:
    """Where a handler's code is, ready to travel.

    Attributes:
        kind: ``"reference"``, ``"pickle"``, ``"main"`` or ``"string"``.
        meta: what `lambdalite.runtime.handler.load` wants; JSON can say it.
        blob: the pickle of kind ``"pickle"``, else empty.
        module: the module's name as the user knows it.
        description: for people, e.g. ``shop.orders.paid (/src/shop/orders.py:12)``.
        handler: as AWS would name it, ``module.function``.
        file: where the handler is written, None if in no file.
    """

    kind: str
    meta: dict[str, Any]
    blob: bytes = attrs.field(default=b"", repr=lambda blob: f"<{len(blob)} bytes>")
    module: str = ""
    description: str = ""
    handler: str = ""
    file: str | None = None


def locate(handler: Callable[..., Any]) -> Code:
    """How a callable travels.

    Raises:
        UsageError: it is not callable, or cannot travel; the message names the variable in the way and what to do.
    """
    handler = bare(handler)
    if not callable(handler):
        raise UsageError(f"{handler!r} is not callable: a handler is a function that takes (event, context)")
    named = _name(handler) or _name_of_decorated(handler)
    if named is None or named[0] == "__main__":
        return _by_value(handler, named)
    module, qualname = named
    file = _file(module)
    meta = {"kind": "reference", "module": module, "qualname": qualname, "file": file}
    return _code(handler, meta, named)


def locate_string(handler: str, root: str | None = None) -> Code:
    """How a handler string (``module.function``, ``path/module.function``) travels; nothing is imported here.

    Args:
        handler: as AWS takes it; what is wrong with it shows at init, in AWS's words.
        root: directory that it is relative to; the working directory and the import path if None.

    Raises:
        UsageError: ``root`` is not a directory.
    """
    if root is not None and not os.path.isdir(root):
        raise UsageError(f"root '{root}' of handler '{handler}' is not a directory: give the directory of its code")
    folder = _absolute(root or ".")
    module = handler.rpartition(".")[0]
    meta = {"kind": "string", "handler": handler, "root": folder}
    return Code("string", meta, module=module, description=f"{handler} (in {folder})", handler=handler)


def search_path() -> list[str]:
    """Where a child looks for modules: as this process does, and in the working directory; only what exists."""
    absolute = (_absolute(entry) for entry in (*sys.path, "."))
    return [entry for entry in dict.fromkeys(absolute) if os.path.exists(entry)]


def _absolute(path: str) -> str:
    """From the root, and without ``..``; but symbolic links stay, for users know their paths by these."""
    return os.path.abspath(path)


# --- by name ------------------------------------------------------------------------------------------------------


def _name(handler: Any) -> tuple[str, str] | None:
    """(module, qualified name) that lead back to this very handler, or None."""
    module, qualname = getattr(handler, "__module__", None), getattr(handler, "__qualname__", None)
    if isinstance(handler, types.MethodType):
        # Its own names are its function's. A class method's class may be known by name; an instance never is.
        owner = handler.__self__
        qualname = f"{owner.__qualname__}.{handler.__name__}" if isinstance(owner, type) else None
        module = getattr(owner, "__module__", None)
    if not isinstance(module, str) or not isinstance(qualname, str) or not _importable(module):
        return None
    found: Any = sys.modules[module]
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return (module, qualname) if _is(found, handler) else None


def _is(found: Any, handler: Any) -> bool:
    """True of the handler and of our wrapper around it. Every access makes a new bound method: those are only equal."""
    inner = bare(found) if found is not None else None
    return inner is handler or (isinstance(handler, types.MethodType) and bool(inner == handler))


def _importable(module: str) -> bool:
    """True if a child can have this module: there is a file, or it is part of the interpreter."""
    found = sys.modules.get(module)
    return found is not None and (module == "__main__" or _file(module) is not None or _loadable(found))


def _loadable(module: types.ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)
    return spec is not None and spec.origin in ("built-in", "frozen")


def _file(module: str) -> str | None:
    file = getattr(sys.modules.get(module), "__file__", None)
    return _absolute(file) if file and os.path.exists(file) else None


def _name_of_decorated(handler: Any) -> tuple[str, str] | None:
    """The name of a handler that a decorator hid: its own names are the decorator's, but the user's module has it."""
    for module in dict.fromkeys(function.__module__ for function in _inside(handler)):
        if module == "__main__" or not _importable(module):
            continue
        for name, value in list(vars(sys.modules[module]).items()):
            if _marked(value) and _is(value, handler):
                return module, name
    return None


def _marked(value: Any) -> bool:
    """True of what may be a handler. A module's globals may also be objects that answer to every attribute."""
    return callable(value) and not isinstance(value, (type, types.ModuleType))


def _inside(handler: Any, depth: int = 8) -> Iterator[types.FunctionType]:
    """The functions that a function closes over or wraps, itself included."""
    if not isinstance(handler, types.FunctionType) or not depth:
        return
    yield handler
    for _variable, value in closure(handler):
        yield from _inside(value, depth - 1)
    yield from _inside(getattr(handler, "__wrapped__", None), depth - 1)


def closure(function: types.FunctionType) -> list[tuple[str, Any]]:
    """Names and values of closure variables; those still unassigned are left out."""
    found = []
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:  # not assigned yet
            continue
    return found


# --- by value -----------------------------------------------------------------------------------------------------


def _by_value(handler: Any, named: tuple[str, str] | None) -> Code:
    from lambdalite.workers import pickling

    try:
        blob, modules = pickling.dumps(handler)
        if len(blob) > frames.PAYLOAD_BYTES:
            raise UsageError(pickling.too_large(handler, len(blob), frames.PAYLOAD_BYTES))
    except Exception as error:
        script = _file("__main__") if named else None
        if named is not None and script is not None:
            return _code(handler, {"kind": "main", "file": script, "qualname": named[1]}, named)
        if isinstance(error, UsageError):
            raise
        raise UsageError(pickling.explain(handler, error)) from error
    files = {module: _file(module) for module in modules if not _found_by_path(module)}
    meta = {"kind": "pickle", "description": _shown(handler), "modules": files}
    module = getattr(_innermost(handler), "__module__", None) or "__main__"
    return _code(handler, meta, (module, _shown(handler)), blob)


def _found_by_path(module: str) -> bool:
    """True if a plain import in a child finds this module, and from the file that it has here."""
    file = _file(module)
    if file is None:
        return True
    parent = module.rpartition(".")[0]
    path = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if parent and (path is None or not _found_by_path(parent)):
        return False
    spec = PathFinder.find_spec(module, list(path) if path is not None else None)
    return spec is not None and spec.origin is not None and os.path.realpath(spec.origin) == os.path.realpath(file)


# --- in words -----------------------------------------------------------------------------------------------------


def _code(handler: Any, meta: dict[str, Any], named: tuple[str, str], blob: bytes = b"") -> Code:
    module, qualname = named
    file, line = _source(handler)
    where = f" ({file}:{line})" if file else ""
    name = f"{module}.{qualname}"
    kept = file if file and os.path.exists(file) else None
    return Code(meta["kind"], meta, blob, module, name + where, name, kept)


def _source(handler: Any) -> tuple[str | None, int]:
    """File and line of a callable, as far as it has any."""
    handler = _innermost(handler)
    function = getattr(handler, "__func__", handler)
    if not isinstance(function, types.FunctionType):
        function = vars(type(handler)).get("__call__")
    code = getattr(function, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else (None, 0)


def _innermost(handler: Any) -> Any:
    while isinstance(handler, functools.partial):
        handler = handler.func
    return handler


def _shown(handler: Any) -> str:
    handler = _innermost(handler)
    return str(getattr(handler, "__qualname__", None) or type(handler).__qualname__)
