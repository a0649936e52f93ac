"""The documentation is complete: what a user can set, call, catch or hit has its line on a page."""

from __future__ import annotations

import argparse
import ast
import inspect
import pathlib
import re

import attrs
import pytest

import lambdalite
from lambdalite import cli, errors, limits
from lambdalite.errors import ServiceError
from lambdalite.model.function import FunctionConfig, configure
from lambdalite.model.outcome import Failure, Outcome
from lambdalite.runtime.context import LambdaContext

ROOT = pathlib.Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def page(name: str) -> str:
    """The text of one page."""
    return (DOCS / name).read_text(encoding="utf-8")


def rows(name: str) -> dict[str, list[str]]:
    """The rows of a page's tables: the first cell's first `code` to the other cells."""
    found = {}
    for line in page(name).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        code = re.search(r"`([^`]+)`", cells[0]) if cells else None
        if code:
            found[code[1]] = cells[1:]
    return found


def missing(names: list[str], text: str) -> list[str]:
    """The names that a text does not have as a word."""
    return [name for name in names if not re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text)]


def public(kind: type) -> list[str]:
    """Public members of a class, its attrs fields included."""
    return [name for name in dir(kind) if not name.startswith("_")]


def commands() -> dict[str, argparse.ArgumentParser]:
    """The subcommands of the command line."""
    (choices,) = [action.choices for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(choices)


def test_every_option_of_a_function_has_its_row() -> None:
    """The table of options has each field of FunctionConfig and nothing else."""
    assert {field.name for field in attrs.fields(FunctionConfig)} == set(rows("reference/options.md"))


@pytest.mark.parametrize(
    ("option", "low", "high"),
    [
        ("memory", *limits.MEMORY_MIB),
        ("timeout", *limits.TIMEOUT),
        ("ephemeral_storage", *limits.EPHEMERAL_STORAGE_MIB),
        ("init_timeout", *limits.INIT_TIMEOUT),
        ("maximum_retry_attempts", *limits.RETRY_ATTEMPTS),
        ("maximum_event_age", *limits.EVENT_AGE),
    ],
)
def test_ranges_are_the_real_ones(option: str, low: float, high: float) -> None:
    """The documented range of an option is the one that is checked."""
    assert f"{low:g}-{high:,.0f}" in rows("reference/options.md")[option][1]


@pytest.mark.parametrize(
    "option",
    [
        "memory",
        "timeout",
        "ephemeral_storage",
        "init_timeout",
        "log_format",
        "log_level",
        "maximum_retry_attempts",
        "maximum_event_age",
        "recursive_loop",
    ],
)
def test_defaults_are_the_real_ones(option: str) -> None:
    """The documented default of an option is the one that is used."""
    value = getattr(configure({"name": "f"}), option)

    assert (f'`"{value}"`' if isinstance(value, str) else f"{value:g}") == rows("reference/options.md")[option][0]


def test_every_argument_of_app_has_its_row() -> None:
    """The table of the App's arguments has each of them."""
    assert [] == [name for name in inspect.signature(lambdalite.App).parameters if name not in rows("reference/app.md")]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (lambdalite.App, "reference/app.md"),
        (lambdalite.Function, "reference/function.md"),
        (Outcome, "reference/function.md"),
        (LambdaContext, "reference/context.md"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_public_member_is_named(kind: type, name: str) -> None:
    """Each public method and property is on its reference page."""
    inside = {"plan", "check", "supervisor", "clock", "region", "account", "defaults", "rebind"}  # how the parts meet

    assert [] == missing([member for member in public(kind) if member not in inside], page(name))


def test_every_public_name_is_on_a_page() -> None:
    """Each name of `lambdalite.__all__` is in the reference."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)

    assert [] == missing(lambdalite.__all__, text)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_has_its_row(name: str) -> None:
    """The table of errors has each class with its sentence, and AWS's code and status where there are."""
    error = getattr(errors, name)
    code, status = (error.code, str(error.status)) if issubclass(error, ServiceError) else ("", "")
    row = rows("reference/errors.md")[name]

    assert (error.__doc__ or "").strip().splitlines()[0] == row[2]
    assert name == "ServiceError" or [code, status] == row[:2]


@pytest.mark.parametrize("failure", list(Failure), ids=lambda failure: failure.name)
def test_every_failure_is_named(failure: Failure) -> None:
    """The reference has every value of `Outcome.failure`."""
    assert [] == missing([failure.name], page("reference/function.md"))


def limits_with_sources() -> dict[str, list[str]]:
    """Each number of `limits.py`: how it is written there, and the comment that gives its source."""
    source = pathlib.Path(limits.__file__).read_text(encoding="utf-8")
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id != "MIB":
            comment = lines[node.lineno - 1].partition("  # ")[2]
            found[node.targets[0].id] = [f"`{ast.get_source_segment(source, node.value)}`", comment]
    return found


def test_limits_page_is_the_module() -> None:
    """The page of limits has each number of `lambdalite.limits`, as written there, with its source."""
    assert limits_with_sources() == rows("reference/limits.md")


def test_every_limit_has_a_source() -> None:
    """Each number says where it comes from: recorded (S), API model (B), documentation (D) or ours (O)."""
    assert [] == [name for name, (_, source) in limits_with_sources().items() if source[:1] not in {*"SBDO"}]


@pytest.mark.parametrize("command", commands())
def test_every_command_and_option_is_named(command: str) -> None:
    """The page of the command line has each command and each of its long options."""
    flags = [flag for action in commands()[command]._actions for flag in action.option_strings if flag[:2] == "--"]

    assert [] == missing([f"lambdalite {command}", *set(flags) - {"--help"}], page("reference/cli.md"))


def test_every_page_is_reachable() -> None:
    """Each page is in a table of contents."""
    listed = {DOCS / "index.md"}
    for path in PAGES:
        for block in re.findall(r"```\{toctree\}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            entries = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith(":")]
            listed |= {path.parent / f"{entry}.md" for entry in entries}

    assert set(PAGES) == listed


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md"], ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: pathlib.Path) -> None:
    """Each relative link of a page leads to a file."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))

    assert [] == [link for link in links if not (path.parent / link).exists()]
