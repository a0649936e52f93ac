"""Modules loaded by name *and* file: what a name leads to in a child need not be what it led to in the host.

Test runners and scripts load modules under names that no search path knows, or that a path knows differently. The host
says the file it means; where the name does not lead there, the file is loaded under that name, and its packages too, so
that relative imports work.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["load", "load_main"]


def load(name: str, file: str | None) -> ModuleType:
    """The module of that name, from that file if one is given.

    Raises:
        ImportError: neither leads anywhere.
        Exception: whatever the module's own code raises.
    """
    if file is None or _leads_to(name, file):
        return importlib.import_module(name)
    found = sys.modules.get(name)
    return found if found is not None and _same(_origin(found.__spec__), file) else _load_file(name, file)


def load_main(file: str) -> ModuleType:
    """The host's main script as a module, ``__mp_main__`` to itself, so that its main guard holds."""
    return _load_file("__mp_main__", file, also="__main__")


def _leads_to(name: str, file: str) -> bool:
    """Would importing the name run this file? Imports its parent packages to find out, as an import would."""
    try:
        return _same(_origin(importlib.util.find_spec(name)), file)
    except (ImportError, ValueError):  # no such parent; a module without a spec
        return False


def _origin(spec: ModuleSpec | None) -> str | None:
    return None if spec is None else spec.origin


def _same(one: str | None, other: str) -> bool:
    return one is not None and os.path.realpath(one) == os.path.realpath(other)


def _load_file(name: str, file: str, also: str | None = None) -> ModuleType:
    _load_parents(name, file)
    package = os.path.dirname(file) if os.path.basename(file) == "__init__.py" else None
    # The loader is named because the script may not be called .py.
    loader = None if file.endswith(".so") else SourceFileLoader(name, file)
    spec = importlib.util.spec_from_file_location(
        name, file, loader=loader, submodule_search_locations=[package] if package else None
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be loaded as a module", name=name, path=file)
    module = importlib.util.module_from_spec(spec)
    before = {key: sys.modules.get(key) for key in (name, also) if key}
    sys.modules.update(dict.fromkeys(before, module))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        _restore(before)
        raise
    _bind(name, module)
    return module


def _restore(before: dict[str, ModuleType | None]) -> None:
    for key, module in before.items():
        if module is None:
            sys.modules.pop(key, None)
        else:
            sys.modules[key] = module


def _bind(name: str, module: ModuleType) -> None:
    """Make a module an attribute of its package, as the import system does."""
    parent, _, leaf = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], leaf, module)


def _load_parents(name: str, file: str) -> None:
    """See to it that every package above a module is in `sys.modules`, outermost first."""
    parents = name.split(".")[:-1]
    is_package = os.path.basename(file) == "__init__.py"
    folder = os.path.dirname(os.path.dirname(file) if is_package else file)
    folders = [folder]
    for _ in parents[1:]:
        folders.append(os.path.dirname(folders[-1]))
    for count, where in zip(range(1, len(parents) + 1), reversed(folders), strict=False):
        package = ".".join(parents[:count])
        if package not in sys.modules:
            _load_package(package, where)


def _load_package(name: str, folder: str) -> None:
    init = os.path.join(folder, "__init__.py")
    if _leads_to(name, init):
        importlib.import_module(name)
    elif os.path.isfile(init):
        _load_file(name, init)
    else:
        spec = ModuleSpec(name, None, is_package=True)
        assert spec.submodule_search_locations is not None
        spec.submodule_search_locations.append(folder)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        _bind(name, sys.modules[name])
