"""``lambdalite invoke``: run a handler once."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambdalite.app import App
from lambdalite.errors import UsageError
from lambdalite.function import Function
from lambdalite.observe.lines import printable

if TYPE_CHECKING:
    import argparse
    from types import ModuleType

    from lambdalite.model.outcome import Outcome

__all__ = ["find", "run"]


def run(options: argparse.Namespace) -> int:
    """Run it; 0 for an answer, 1 for a failure of the function's."""
    names = ("memory", "timeout", "isolation", "cpu")
    settings = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    event = read_event(options.event)
    with App() as app:
        function = _function(app, options.function, settings)
        outcome = function.run(event, client_context=options.client_context)
    _tell(outcome, options)
    sys.stdout.flush()
    sys.stdout.buffer.write(outcome.payload + b"\n")
    sys.stdout.flush()
    return 0 if outcome.ok else 1


def _tell(outcome: Outcome, options: argparse.Namespace) -> None:
    if options.report:
        print(json.dumps(outcome.report.as_dict()), file=sys.stderr)
    elif not options.quiet:
        sys.stderr.write(printable(outcome.log) if sys.stderr.isatty() else outcome.log)
    sys.stderr.flush()


def read_event(source: str | None) -> bytes:
    """The event's bytes from a file, from standard input for ``-``, or ``{}``.

    Raises:
        UsageError: the file cannot be read.
    """
    if source is None:
        return b"{}"
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the event: {error}") from error


def _function(app: App, target: str, settings: dict[str, Any]) -> Function[Any, Any]:
    sys.path.insert(0, str(Path.cwd()))
    if ":" not in target:
        return app.load(target, **settings)
    found = find(target)
    if isinstance(found, Function):
        options = {name: getattr(found.config, name) for name in _kept(found)}
        return app.function(found.version.handler, **{**options, **settings})
    return app.function(found, **settings)


def _kept(function: Function[Any, Any]) -> list[str]:
    import attrs

    return [field.name for field in attrs.fields(type(function.config))]


def find(target: str) -> Any:
    """What ``module:function`` or ``file.py:function`` means.

    Raises:
        UsageError: no such module, file or name; or the module fails to import.
    """
    place, _, qualname = target.rpartition(":")
    found: Any = _module(place)
    for part in qualname.split("."):
        if not hasattr(found, part):
            offer = ", ".join(sorted(name for name, item in vars(found).items() if callable(item) and name[0] != "_")[:8])
            raise UsageError(f"{place} has no {qualname!r}" + (f": it has {offer}" if offer else ""))
        found = getattr(found, part)
    return found


def _module(place: str) -> ModuleType:
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        path = Path(place).resolve()
        if not path.exists():
            raise UsageError(f"there is no file {place}")
        sys.path.insert(0, str(path.parent))
        return importlib.import_module(path.stem)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"cannot import {place}: {type(error).__name__}: {error}") from error
