"""AWS's handler and formatters for `logging`; imported only once `logging` is."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from typing import TYPE_CHECKING, Any

from lambdalite.runtime.logs import JSON_TIME, TEXT_FORMAT, TEXT_TIME

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Handler", "JsonFormatter", "handler"]

# R: attributes of a record that are no `extra`.
_STANDARD = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created "  # noqa: SIM905
    "msecs relativeCreated thread threadName processName process aws_request_id tenant_id _frame_type".split()
)
_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode  # R: what is no JSON is shown, not refused


class Handler(logging.Handler):
    """Writes what the formatter makes, its newline included, to whatever `sys.stdout` is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record.

        On AWS every record is an event of its own; here the log is a stream, so a record ends its line. (The text
        format ends in a newline, but a traceback goes behind it.)
        """
        text = self.format(record)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()  # so that a record is in the log even if the process is killed next


def handler(form: str, level: str, stamp: Callable[[logging.LogRecord], bool]) -> Handler:
    """The root logger's handler for a log format.

    In JSON format AWS drops records below the function's level wherever they come from, hence the handler's own level.
    """
    made = Handler()
    if form == "JSON":
        made.setFormatter(JsonFormatter())
        made.setLevel(level)
    else:
        made.setFormatter(logging.Formatter(TEXT_FORMAT, TEXT_TIME))
    made.addFilter(stamp)
    return made


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self) -> None:
        super().__init__(datefmt=JSON_TIME)

    def format(self, record: logging.LogRecord) -> str:
        """The record's object, without what is None."""
        record.levelno = min(50, max(0, record.levelno)) // 10 * 10  # R: AWS knows five levels
        record.levelname = logging.getLevelName(record.levelno)
        plain = isinstance(record.msg, dict) and not record.args
        fields: dict[str, Any] = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": record.levelname,
            "message": record.msg if plain else record.getMessage(),
            "logger": record.name,
            **_exception(record),
            "requestId": getattr(record, "aws_request_id", None),
        }
        if record.exc_info:
            fields["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        tenant = getattr(record, "tenant_id", None)
        if tenant is not None:
            fields["tenantId"] = tenant
        taken = _STANDARD.union(fields, _RESULT)
        fields.update((name, value) for name, value in record.__dict__.items() if name not in taken)
        return _encode({name: value for name, value in fields.items() if value is not None}) + "\n"


_RESULT = ("stackTrace", "errorType", "errorMessage", "location")


def _exception(record: logging.LogRecord) -> dict[str, Any]:
    if not record.exc_info:
        return {}
    kind, error, tb = record.exc_info
    if kind is None:  # R fails here (`exc_info=True` outside an except block); saying nothing of an error is right
        return {}
    return {"stackTrace": traceback.format_tb(tb), "errorType": kind.__name__, "errorMessage": str(error)}
