"""What is public, and what importing it costs."""

from __future__ import annotations

import importlib
import pathlib
import pkgutil
import subprocess
import sys

import pytest

import lambdalite

HEAVY = ["anyio", "asyncio", "attr", "attrs", "cloudpickle", "psutil", "trio"]


def modules() -> list[str]:
    """Every module of the package that can be imported without doing anything."""
    found = pkgutil.walk_packages(lambdalite.__path__, "lambdalite.")
    return sorted(module.name for module in found if not module.name.endswith("__main__"))


def loaded_by(statement: str) -> list[str]:
    """Which heavy modules a fresh interpreter has after a statement."""
    code = f"import sys\nHEAVY = {HEAVY}\n{statement}\nprint(*sorted(name for name in HEAVY if name in sys.modules))"
    root = str(pathlib.Path(lambdalite.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_all_is_sorted() -> None:
    """`__all__` is in alphabetical order, each name once."""
    assert sorted(set(lambdalite.__all__)) == lambdalite.__all__


@pytest.mark.parametrize("name", lambdalite.__all__)
def test_every_public_name_is_bound_on_first_use(name: str) -> None:
    """Each name of `__all__` can be had, comes from the module that defines it, and is in `dir()`."""
    value = getattr(lambdalite, name)

    assert value is getattr(importlib.import_module(f"lambdalite.{lambdalite._HOME[name]}"), name)
    assert name in dir(lambdalite)


def test_all_and_homes_agree() -> None:
    """What is exported is what can be found, no more and no less."""
    assert lambdalite.__all__ == sorted(lambdalite._HOME)


def test_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it does on any module."""
    with pytest.raises(AttributeError) as caught:
        lambdalite.funktion  # noqa: B018 - the access is the test

    assert str(caught.value) == "module 'lambdalite' has no attribute 'funktion'"


@pytest.mark.parametrize("name", modules())
def test_all_names_of_a_module_exist(name: str) -> None:
    """A module's `__all__` names only what the module has, each name once; the linter sorts it."""
    module = importlib.import_module(name)
    exported = list(getattr(module, "__all__", []))

    assert len(set(exported)) == len(exported)
    assert [] == [entry for entry in exported if not hasattr(module, entry)]


def test_import_is_light() -> None:
    """`import lambdalite` loads nothing that has to be installed, and no asyncio."""
    assert loaded_by("import lambdalite") == []


def test_app_and_function_load_attrs_only() -> None:
    """What is needed to declare functions is attrs; the rest waits for the first invocation."""
    assert loaded_by("from lambdalite import App, function") == ["attr", "attrs"]


def test_plugin_is_light() -> None:
    """Everybody's pytest imports the plugin at start: it brings nothing of ours and nothing heavy with it."""
    code = "import pytest; before = set(sys.modules); import lambdalite.pytest_plugin; now = set(sys.modules) - before"

    assert loaded_by(f"{code}; HEAVY[:] = now") == ["lambdalite", "lambdalite.pytest_plugin", "lambdalite.runtime"]


def test_child_s_modules_are_light() -> None:
    """Everything that runs in a child can be imported without anything that has to be installed."""
    names = [name for name in modules() if name.startswith("lambdalite.runtime")]

    assert loaded_by(f"import {', '.join(names)}, lambdalite.errors") == []
