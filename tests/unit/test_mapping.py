"""The progress bar of many invocations."""

from __future__ import annotations

import io

from lambdalite.mapping import Progress


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        return True


def test_bar_says_how_far_and_how_many_failed() -> None:
    """Half of the bar is full when half is done; failures are counted; the last state stays."""
    screen = Terminal()
    bar = Progress(4, "orders", screen)
    bar.step(ok=True)
    bar.step(ok=False)
    bar.finish()

    assert f"orders {'█' * 12}{'░' * 12} 2/4" in bar.line()
    assert bar.line().endswith("1 failed")
    assert screen.getvalue().endswith("1 failed\x1b[K\n")


def test_file_gets_one_line() -> None:
    """On anything but a terminal nothing is drawn before the end, and no control sequences then."""
    file = io.StringIO()
    bar = Progress(None, "orders", file)
    bar.step(ok=True)

    assert "" == file.getvalue()
    bar.finish()
    assert ("orders 1 ·", 1, False) == (file.getvalue()[:10], file.getvalue().count("\n"), "\x1b" in file.getvalue())
