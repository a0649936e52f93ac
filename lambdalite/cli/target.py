"""What FUNCTION on the command line means: the one place that turns the word into a Function."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambdalite.app import App
from lambdalite.errors import UsageError
from lambdalite.functions import Function

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = ["find", "function_of"]

_OFFERED = 8  # names listed when the one that was asked for is not there


def function_of(target: str, settings: Mapping[str, Any]) -> Function[Any, Any]:
    """The Function that ``target`` means, on an App that the caller closes.

    A decorated function keeps its App and its configuration, changed by ``settings``. Anything else gets an App of its
    own.

    Raises:
        UsageError: there is no such thing, or it is no handler.
        InvalidParameterValue: settings that AWS or lambdalite refuse.
    """
    sys.path.insert(0, str(Path.cwd()))
    found = find(target) if ":" in target else _decorated(target)
    if isinstance(found, Function):
        return found.app.update(found, **settings) if settings else found
    if found is not None and not callable(found):
        raise UsageError(f"{target} is no handler: it is {found!r}, which cannot be called with (event, context)")
    app = App(spares=0)  # one invocation: nothing is worth starting ahead
    return app.load(target, **settings) if found is None else app.function(found, **settings)


def find(target: str) -> Any:
    """What ``module:function`` or ``path/file.py:function`` names; dots in the function's part go into classes.

    Raises:
        UsageError: no such module, file or name; or the module fails to import.
    """
    place, _, qualname = target.rpartition(":")
    if not place or not qualname:
        raise UsageError(f"{target!r} is not module:function, nor path/file.py:function")
    module = _file(place) if place.endswith(".py") else _module(place, place)
    found: Any = module
    for part in qualname.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{place} has no {qualname!r}{_offer(module)}")
        found = getattr(found, part)
    return found


def _offer(module: ModuleType) -> str:
    own = [
        name
        for name, item in vars(module).items()
        if callable(item) and not name.startswith("_") and getattr(item, "__module__", None) == module.__name__
    ]
    return f": it has {', '.join(sorted(own)[:_OFFERED])}" if own else ""


def _decorated(target: str) -> Function[Any, Any] | None:
    """The decorated function behind a handler string, or None: then the string goes to the environment as it is."""
    module, _, name = target.replace("/", ".").rpartition(".")
    if not module or name == "py":
        raise UsageError(f"{target!r} does not say which function: use {target}:NAME")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except (Exception, SystemExit):  # the environment will import it again, and say what is wrong in AWS's words
        return None
    return found if isinstance(found, Function) else None


def _file(place: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise UsageError(f"there is no file {place}")
    root, name = path.parent, path.stem
    while (root / "__init__.py").exists() and root != root.parent:  # a module of a package may import its siblings
        root, name = root.parent, f"{root.name}.{name}"
    sys.path.insert(0, str(root))
    module = _module(name, place)
    if module.__file__ is None or Path(module.__file__).resolve() != path:
        raise UsageError(f"{place} has the name of another module, {module.__file__ or 'built in'}: rename the file")
    return module


def _module(name: str, place: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise UsageError(f"cannot import {place}: {type(error).__name__}: {error}{_where(error)}") from error


def _where(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    inside = "importlib" in last.filename or isinstance(error, SyntaxError)  # the latter says so itself
    return "" if inside else f" ({last.filename}, line {last.lineno})"
