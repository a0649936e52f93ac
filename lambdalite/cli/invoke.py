"""``lambdalite invoke``: run a handler once."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lambdalite.cli.target import function_of
from lambdalite.errors import UsageError
from lambdalite.observe import Tail
from lambdalite.observe.lines import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from lambdalite.model.outcome import Outcome

__all__ = ["read_event", "run"]

_SETTINGS = ("memory", "timeout", "reuse", "isolation", "cpu")


def run(options: argparse.Namespace) -> int:
    """Run it; 0 for an answer, 1 for a failure of the function's."""
    settings = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    event = read_event(options.event)
    client = read_client_context(options.client_context)
    with _noise_to_stderr():
        function = function_of(options.function, settings)
        with function.app as app:
            tail = Tail(sys.stderr)
            if options.log_tail:
                app.logs.follow(tail)
            outcome = function.run(event, client_context=client)
        tail.flush()
    _tell(outcome, options)
    sys.stdout.buffer.write(outcome.payload + b"\n")
    sys.stdout.flush()
    return 0 if outcome.ok else 1


@contextlib.contextmanager
def _noise_to_stderr() -> Iterator[None]:
    """Keep standard output for the answer: what modules print while they are imported goes to standard error.

    The descriptor is turned round, not only ``sys.stdout``: C code and child processes write there too.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _tell(outcome: Outcome, options: argparse.Namespace) -> None:
    if options.json_report:
        print(json.dumps(outcome.report.as_dict()), file=sys.stderr)
    elif not (options.quiet or options.log_tail):  # the latter has shown it already
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


def read_client_context(text: str | None) -> str | None:
    """The client context as it is, if it is a JSON object.

    Raises:
        UsageError: it is not.
    """
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--client-context is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UsageError(f"--client-context takes a JSON object, not {text}")
    return text
