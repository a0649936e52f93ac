"""The document and the tests agree on what is promised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
DOCUMENT = TESTS.parent / "docs" / "reference" / "patterns.md"
TABLES = {"M": "test_matching.py", "R": "test_refusals.py"}
PROMISE = re.compile(r"^- \*\*(PAT-\d+)\.\*\* (.*?)(?=^- |^#|^$|\Z)", re.MULTILINE | re.DOTALL)


def promises() -> list[tuple[str, str]]:
    """Number and text of each promise."""
    return PROMISE.findall(DOCUMENT.read_text(encoding="utf-8"))


def rows(table: str) -> set[str]:
    """The promises that a table of tests has rows for."""
    return set(re.findall(r'"(PAT-\d+)"', Path(__file__).with_name(TABLES[table]).read_text(encoding="utf-8")))


@pytest.mark.parametrize(("number", "text"), promises(), ids=[number for number, _ in promises()])
def test_each_promise_names_tests_that_exist(number: str, text: str) -> None:
    """The tests named at the end of a promise are there, and have rows for it if they are tables."""
    named = text[text.rindex("(") :].strip().removesuffix(")").removeprefix("(").replace("`", "")
    for test in map(str.strip, re.split(r"[,;]\s*", named)):
        if test in TABLES:
            assert number in rows(test)
        else:
            path, _, name = test.partition("::")
            assert f"def {name}(" in (TESTS / path).read_text(encoding="utf-8")


def test_each_row_belongs_to_a_promise() -> None:
    """No verdict and no refusal without a sentence that promises it."""
    assert rows("M") | rows("R") <= {number for number, _ in promises()}
