"""Who may import whom: lower never imports higher, and what runs in a child needs nothing but the standard library."""

from __future__ import annotations

import ast
import pathlib
import sys
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import pytest

import lambdalite

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = pathlib.Path(lambdalite.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# What each part may import while the program runs. Imports for type checkers only (TYPE_CHECKING) bind nothing.
LEAVES = {"errors", "limits", "names", "clock"}
MAY_IMPORT = {
    "errors": set(),
    "limits": set(),
    "names": set(),
    "clock": set(),
    "runtime": {"errors"},
    "patterns": {"errors"},
    "schedules": {"errors"},
    "observe": LEAVES,
    "model": LEAVES | {"observe"},
    "workers": LEAVES | {"model", "runtime"},
    "store": LEAVES | {"model"},
    "engine": LEAVES | {"model", "observe", "runtime", "schedules", "store", "workers"},
    "mapping": LEAVES,
    "arguments": LEAVES | {"engine", "model", "runtime"},
    "functions": LEAVES | {"arguments", "mapping", "sent", "workers"},
    "enforcement": LEAVES | {"model", "runtime", "workers"},
    "sent": LEAVES | {"arguments", "model", "runtime", "workers"},
    "background": LEAVES | {"engine", "model", "store"},
    "foreground": LEAVES,
    "gateway": LEAVES | {"engine", "model", "sent", "workers"},
    "serving": LEAVES | {"arguments", "foreground", "functions", "schedules", "sent"},
    "app": LEAVES
    | {
        "arguments",
        "background",
        "enforcement",
        "engine",
        "functions",
        "gateway",
        "model",
        "observe",
        "runtime",
        "serving",
        "workers",
    },
    "default": {"app"},
    "demo": set(),
    "testing": {"clock"},
    "pytest_plugin": {"app", "clock", "errors", "observe", "workers"},
    "cli": LEAVES | {"__init__", "app", "demo", "enforcement", "functions", "model", "observe", "schedules", "store"},
    "__main__": {"cli"},
    "__init__": {"runtime"},
}


def part_of(module: str) -> str:
    """``lambdalite.engine.walk`` is of ``engine``; ``lambdalite`` itself is ``__init__``."""
    _, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    known = bool(first) and ((ROOT / first).is_dir() or (ROOT / f"{first}.py").is_file())
    return first if known else "__init__"


def module_of(path: pathlib.Path) -> str:
    """The dotted name of a source file."""
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def imports(node: ast.AST) -> Iterator[str]:
    """Dotted names that a syntax tree imports while it runs."""
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from imports(child)


def imported_by(path: pathlib.Path) -> set[str]:
    """Dotted names that a source file imports while it runs."""
    return set(imports(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_module_imports_only_what_its_part_may(path: pathlib.Path) -> None:
    """A module imports from its own part and from the parts that the table gives it."""
    own = part_of(module_of(path))
    found = {part_of(name) for name in imported_by(path) if name.split(".")[0] == "lambdalite"} - {own}

    assert set() == found - MAY_IMPORT[own]


def test_table_is_a_ladder() -> None:
    """No part can reach itself through what it may import."""
    order = list(TopologicalSorter(MAY_IMPORT).static_order())

    assert set(MAY_IMPORT) == set(order)


def test_table_lists_what_is_there() -> None:
    """Every module and subpackage has its row, and no row stands for nothing."""
    assert {part_of(module_of(path)) for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    "path", [path for path in FILES if part_of(module_of(path)) in {"runtime", "errors"}], ids=module_of
)
def test_child_code_needs_the_standard_library_only(path: pathlib.Path) -> None:
    """What runs in a child imports no package that has to be installed."""
    roots = {name.split(".")[0] for name in imported_by(path)}
    optional = {"cloudpickle"} if path.stem in {"template", "handler", "modules"} else set()  # unpickles by reference

    assert set() == roots - set(sys.stdlib_module_names) - {"lambdalite"} - optional


def test_demo_handlers_are_plain() -> None:
    """The demo's handlers are what a user writes: standard library and their own modules."""
    roots = {name.split(".")[0] for path in sorted((ROOT / "demo").glob("*.py")) for name in imported_by(path)}

    assert set() == roots - set(sys.stdlib_module_names) - {"lambdalite"}
