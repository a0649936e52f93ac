"""Python's logging as AWS formats it, and the line that an error leaves."""

# `expected == actual` is the order of the house.

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any

import pytest

from lambdalite.runtime import logs
from lambdalite.runtime.faults import Fault

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


@pytest.fixture
def configure(monkeypatch: Any) -> Any:
    """`logs.configure` with everything put back afterwards."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    monkeypatch.setattr(logging.Formatter, "converter", time.gmtime)
    monkeypatch.setattr(logs, "_request_id", "")
    monkeypatch.setattr(logs, "_tenant", None)
    monkeypatch.setattr(logs, "_configured", None)
    yield logs.configure
    root.setLevel(level)
    root.handlers[:] = handlers


def test_text_format_is_awss(configure: Any, capsys: Any) -> None:
    """Level, time in UTC with milliseconds, request id and message, separated by tabs."""
    configure({"log_format": "Text"})
    logs.begin("id-1")
    logging.getLogger("shop").warning("%s left", 3)

    assert re.fullmatch(rf"\[WARNING\]\t{STAMP}\.\d{{3}}Z\tid-1\t3 left\n", capsys.readouterr().out)


def test_a_traceback_in_text_ends_its_line(configure: Any, capsys: Any) -> None:
    """What follows in the log begins on a line of its own."""
    configure({"log_format": "Text"})
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("shop").exception("bad")

    assert capsys.readouterr().out.endswith("ValueError: boom\n")


def test_text_format_leaves_the_level_alone(configure: Any) -> None:
    """As on AWS, the root logger stays at WARNING in text, whatever the level configured."""
    logging.getLogger().setLevel("WARNING")
    configure({"log_format": "Text", "log_level": "DEBUG"})

    assert logging.WARNING == logging.getLogger().level


@pytest.mark.parametrize(
    ("configured", "expected"), [(None, "INFO"), ("TRACE", "DEBUG"), ("FATAL", "CRITICAL"), ("WARN", "WARNING")]
)
def test_json_format_sets_the_level(configure: Any, configured: Any, expected: Any) -> None:
    """INFO unless configured; TRACE is Python's DEBUG."""
    configure({"log_format": "JSON", "log_level": configured})

    assert expected == logging.getLevelName(logging.getLogger().level)


def test_json_format_has_awss_keys(configure: Any, capsys: Any) -> None:
    """One object a line, with what was given as extra."""
    configure({"log_format": "JSON"})
    logs.begin("id-1", "blue")
    logging.getLogger("shop").info("sold %d", 2, extra={"order": 7, "odd": {1}})

    found = json.loads(capsys.readouterr().out)
    assert re.fullmatch(rf"{STAMP}Z", found.pop("timestamp"))
    assert {
        "level": "INFO",
        "message": "sold 2",
        "logger": "shop",
        "requestId": "id-1",
        "tenantId": "blue",
        "order": 7,
        "odd": "{1}",
    } == found


def test_json_format_keeps_a_dict_as_an_object(configure: Any, capsys: Any) -> None:
    """A message that is a dict is not turned into text."""
    configure({"log_format": "JSON"})
    logging.getLogger("shop").info({"a": 1})

    assert {"a": 1} == json.loads(capsys.readouterr().out)["message"]


def test_json_format_tells_an_exception(configure: Any, capsys: Any) -> None:
    """Type, message, stack and the place of the log call."""
    configure({"log_format": "JSON"})
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("shop").exception("bad")

    found = json.loads(capsys.readouterr().out)
    assert ("ValueError", "boom") == (found["errorType"], found["errorMessage"])
    assert found["location"].startswith(f"{__file__}:test_json_format_tells_an_exception:")
    assert found["stackTrace"][0].startswith(f'  File "{__file__}"')


def test_json_format_drops_what_is_below_the_level(configure: Any, capsys: Any) -> None:
    """AWS filters by the function's level even where a logger was set lower."""
    configure({"log_format": "JSON", "log_level": "ERROR"})
    logger = logging.getLogger("shop.loud")
    logger.setLevel("DEBUG")
    logger.info("hidden")
    logger.error("shown")

    assert ["shown"] == [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]


def test_configuring_again_replaces_the_handler(configure: Any, capsys: Any) -> None:
    """A record is written once, in the last format."""
    configure({"log_format": "JSON"})
    configure({"log_format": "Text"})
    logging.getLogger("shop").error("once")

    assert 1 == capsys.readouterr().out.count("once")


def test_a_finder_waits_for_logging(monkeypatch: Any) -> None:
    """As long as logging is not imported, one finder stands first, and is not added twice."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.delitem(sys.modules, "logging")
    monkeypatch.setattr(logs, "_setup", logs._setup)

    logs.configure({"log_format": "Text"})
    logs.configure({"log_format": "Text"})

    assert [True] == [isinstance(finder, logs._Finder) for finder in sys.meta_path if isinstance(finder, logs._Finder)]
    assert sys.meta_path[0].find_spec("json", None) is None


def test_a_fault_in_text_is_one_event() -> None:
    """Lines joined by carriage returns, indented by no-break spaces."""
    fault = Fault("ValueError", "boom", ['  File "m.py", line 2, in h\n    raise x\n', ""])

    assert (
        '[ERROR] ValueError: boom\rTraceback (most recent call last):\r\xa0\xa0File "m.py", line 2, in h'
        "\r\xa0\xa0\xa0\xa0raise x\r\n"
    ) == logs.fault_line(fault, "id-1")


def test_a_fault_without_a_message_has_no_colon() -> None:
    """As AWS's runtime prints it."""
    assert "[ERROR] KeyError\rTraceback (most recent call last):\n" == logs.fault_line(Fault("KeyError", ""), "")


def test_a_fault_in_json_is_an_object() -> None:
    """The error document with time and level in front."""
    line = logs.fault_line(Fault("ValueError", "boom", ["x"]), "id-1", "JSON")

    found = json.loads(line)
    assert ["timestamp", "level", "errorMessage", "errorType", "requestId", "stackTrace"] == list(found)
    assert line.endswith("}\n")
