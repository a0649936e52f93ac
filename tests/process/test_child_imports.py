"""What an environment has loaded when the user's handler runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from lambdalite import App

MODULE = """
import sys
import lambdalite

app = lambdalite.App()

@app.function(memory=256)
def handler(event, context):
    return sorted(name for name in sys.modules if name.split(".")[0] in event)
"""
HEAVY = ["anyio", "asyncio", "attr", "attrs", "cloudpickle", "dataclasses", "inspect", "psutil"]


@pytest.mark.parametrize("reuse", [False, True])
def test_environment_loads_nothing_of_ours_but_its_runtime(app: App, tmp_path: Path, reuse: bool) -> None:
    """A module that imports and uses lambdalite's decorators brings in `runtime` and `errors`, and nothing else of it."""
    (tmp_path / "decorated.py").write_text(MODULE, encoding="utf-8")
    function = app.load("decorated.handler", root=tmp_path, reuse=reuse)
    loaded = function.invoke(["lambdalite"])

    assert [] == [name for name in loaded if name.split(".")[1:2] not in ([], ["errors"], ["runtime"])]


def test_environment_loads_nothing_heavy(app: App, tmp_path: Path) -> None:
    """Nobody pays in a cold start for a package that has to be installed, or for a slow module of the standard library."""
    (tmp_path / "decorated.py").write_text(MODULE, encoding="utf-8")

    assert [] == app.load("decorated.handler", root=tmp_path).invoke(HEAVY)
