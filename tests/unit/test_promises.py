"""The specification's promises are numbered, and each names what keeps it."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "specification.md").read_text(encoding="utf-8")
PROMISES = {
    int(number): body
    for number, body in re.findall(r"^P(\d+)\. (.*?)(?=^P\d+\. |^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}


def keepers(body: str) -> list[str]:
    """The tests and benchmarks that a promise names."""
    return re.findall(r"`((?:tests|benchmarks)/[^`]+)`", body)


def functions(path: pathlib.Path) -> set[str]:
    """Names of a module's functions and classes, ``Class::method`` included."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def test_promises_are_numbered_without_gaps() -> None:
    """P1, P2, … in order: a number, once given, stays."""
    assert list(range(1, len(PROMISES) + 1)) == list(PROMISES)


@pytest.mark.parametrize("number", PROMISES)
def test_promise_names_what_keeps_it(number: int) -> None:
    """Each promise names at least one test or benchmark, and all that it names are there."""
    named = keepers(PROMISES[number])

    assert named
    for keeper in named:
        path, _, test = keeper.partition("::")
        assert (ROOT / path).exists(), keeper
        assert not test or test in functions(ROOT / path), keeper
