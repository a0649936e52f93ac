"""Python's `logging` inside a handler, and the line that an error leaves in the log, as AWS's runtime prints them.

AWS's runtime imports `logging` before anything else. Here nobody pays for it who does not use it: as long as it is not
imported, a finder waits for it, and sets it up the moment it is. So a handler never sees it otherwise than set up.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from lambdalite.runtime.faults import Fault

__all__ = ["begin", "configure", "fault_line"]

TEXT_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"  # R
TEXT_TIME = "%Y-%m-%dT%H:%M:%S"  # R
JSON_TIME = "%Y-%m-%dT%H:%M:%SZ"  # R
JSON_LEVEL = "INFO"  # D: the application log level of the JSON format, unless configured; text has none
_INDENT = "\u00a0"  # R: NO-BREAK SPACE, since viewers of logs trim spaces

# Owned by the one thread that runs invocations: written by `begin`, read by every log record.
_request_id = ""
_tenant: str | None = None
_setup: tuple[str, str] = ("Text", "")  # log format, level
_configured: tuple[Any, str, str] | None = None  # handler on the root logger, format, level


def configure(config: Mapping[str, Any]) -> None:
    """Make `logging` format as AWS does, now or as soon as it is imported. Call before the user's code runs.

    Args:
        config: ``log_format`` (``"Text"`` or ``"JSON"``) and ``log_level``, which counts in JSON only, as on AWS.
    """
    global _setup  # noqa: PLW0603 - `logging` itself is global
    as_json = str(config.get("log_format", "")).upper() == "JSON"
    level = str(config.get("log_level") or JSON_LEVEL).upper() if as_json else ""
    _setup = ("JSON" if as_json else "Text", {"TRACE": "DEBUG"}.get(level, level))
    module = sys.modules.get("logging")
    if module is not None:
        _install(module)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def begin(request_id: str, tenant: str | None = None) -> None:
    """An invocation starts: log records carry its id from now on."""
    global _request_id, _tenant
    _request_id, _tenant = request_id, tenant


# --- waiting for logging ------------------------------------------------------------------------------------------


class _Finder:
    """Waits for ``import logging``, then leaves."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of `logging` with a loader that sets it up; None for all other modules."""
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None else None
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader)  # type: ignore[assignment]  # by shape, not by descent
                return spec
        return None


class _Loader:
    """Loads as another loader does, then sets `logging` up."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # get_source and the like, for tracebacks and debuggers

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the other loader."""
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        """As the other loader; then what it was before we came, and set up."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _install(module)


# --- logging, set up ----------------------------------------------------------------------------------------------


def _install(module: Any) -> None:
    """Put AWS's handler on the root logger, in the place of one we put there earlier."""
    global _configured  # noqa: PLW0603 - `logging` itself is global
    from lambdalite.runtime import logformat

    root = module.getLogger()
    if _configured is not None:
        root.removeHandler(_configured[0])
    form, level = _setup
    handler = logformat.handler(form, level, _stamp)
    module.Formatter.converter = time.gmtime  # R: for everybody's formatters
    if level:
        root.setLevel(level)
    root.addHandler(handler)
    _configured = (handler, form, level)


def _stamp(record: logging.LogRecord) -> bool:
    """Tell a record which invocation it belongs to."""
    record.aws_request_id = _request_id
    record.tenant_id = _tenant
    return True


# --- errors -------------------------------------------------------------------------------------------------------


def fault_line(fault: Fault, request_id: str, log_format: str = "Text") -> str:
    """What AWS's runtime prints for an unhandled error, its newline included.

    In text, the lines of the traceback are joined by carriage returns, so that the log shows one event.
    """
    if log_format.upper() == "JSON":
        return _json_line(fault, request_id)
    head = "[ERROR]" + (f" {fault.type}" if fault.type else "")
    if fault.message:
        head += (": " if fault.type else " ") + fault.message
    lines = [head, "Traceback (most recent call last):"]
    for entry in fault.stack:
        lines += [_indented(line) for line in entry.splitlines()] if entry else [""]
    return "\r".join(lines) + "\n"


def _indented(line: str) -> str:
    bare = line.lstrip(" ")
    return _INDENT * (len(line) - len(bare)) + bare


def _json_line(fault: Fault, request_id: str) -> str:
    from lambdalite.runtime.marshal import dumps

    fields = {
        "timestamp": time.strftime(JSON_TIME, time.gmtime()),
        "level": "ERROR",
        "errorMessage": fault.message,
        "errorType": fault.type,
        "requestId": request_id,
        "stackTrace": fault.stack,
    }
    return dumps(fields) + "\n"
