"""The documentation's examples, executed."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BLOCK = re.compile(r"^```python run\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def script(path: pathlib.Path) -> str:
    """A page's runnable blocks as one script, each line where it is on the page, so that a traceback names it."""
    text = path.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        code = block[1].splitlines()
        start = text.count("\n", 0, block.start(1))
        lines[start : start + len(code)] = code
    return "\n".join(lines)


PAGES = {
    str(path.relative_to(ROOT)): path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if BLOCK.search(path.read_text(encoding="utf-8"))
}


def test_tutorial_is_executed() -> None:
    """The tutorial has runnable blocks: a page whose marks were lost would pass by running nothing."""
    assert "docs/tutorial.md" in PAGES


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_run(page: str, tmp_path: pathlib.Path) -> None:
    """A page's blocks, in order, run as a user's script, with warnings as errors."""
    program = tmp_path / "example.py"
    program.write_text(script(PAGES[page]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
    )

    assert (0, "") == (done.returncode, done.stderr)
