"""The pytest plugin: one fixture, `faas`, an App that dies with its test.

Imported in every pytest run of everybody who has lambdalite installed, so it imports nothing of ours until the fixture
is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambdalite.app import App
    from lambdalite.model.outcome import Outcome

__all__ = ["faas"]

_MARKER = (
    "lambdalite(**options): options of the App behind the `faas` fixture, such as concurrency=10 or isolation='strict'"
)
_KEPT = 20  # invocations shown with a failed test: the last ones


def pytest_addoption(parser: pytest.Parser) -> None:
    """Ini options."""
    help_text = "isolation tier of the `faas` fixture's App: process (default), strict or inline"
    parser.addini("lambdalite_isolation", help_text, default="process")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that `--strict-markers` passes."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def _lambdalite_processes() -> Iterator[None]:
    """Guardian and zygote for the whole session: so a test pays for its environments only."""
    from lambdalite.errors import UsageError
    from lambdalite.workers import launch

    try:
        held = launch.acquire()
    except UsageError:  # this platform has no isolation: the App says so when something is invoked
        yield
        return
    yield
    launch.release(held)


@pytest.fixture
def faas(request: pytest.FixtureRequest) -> Iterator[App]:
    """An App that dies with its test, on a clock that only the test moves (``faas.clock.advance(minutes=10)``).

    Handlers run for real, in real environments with real limits. A failed test shows what they logged. Options of the
    App come from ``@pytest.mark.lambdalite(…)``.
    """
    from lambdalite.app import App
    from lambdalite.clock import ManualClock

    options: dict[str, Any] = {"isolation": request.config.getini("lambdalite_isolation"), "clock": ManualClock()}
    for marker in reversed(list(request.node.iter_markers("lambdalite"))):  # the nearest comes last, and wins
        if marker.args:
            raise pytest.UsageError(
                f"@pytest.mark.lambdalite takes options by name, such as concurrency=10, not {marker.args}"
            )
        options.update(marker.kwargs)
    if options["isolation"] != "inline":
        request.getfixturevalue("_lambdalite_processes")
    with App(**options) as app:
        story = _Story(app)
        request.node.stash[_STORY] = story
        yield app
        story.finish()


class _Story:
    """The last outcomes of one test's App, for the report of a failure."""

    def __init__(self, app: App) -> None:
        from collections import deque

        self._outcomes: deque[Outcome] = deque(maxlen=_KEPT)
        self._count = 0
        self._stop = app.observe(self._note)

    def _note(self, event: Any) -> None:
        outcome = getattr(event, "outcome", None)
        if outcome is not None:
            self._count += 1
            self._outcomes.append(outcome)

    def finish(self) -> None:
        """No more to come."""
        self._stop()

    def text(self) -> str:
        """What the handlers logged, with each REPORT line; empty if nothing was invoked."""
        from lambdalite.observe.lines import printable

        parts = [printable(f"{outcome.version.name}:\n{outcome.log}").rstrip() for outcome in self._outcomes]
        if self._count > len(parts):
            parts.insert(0, f"({self._count - len(parts)} earlier invocations are not shown)")
        return "\n\n".join(parts)


_STORY = pytest.StashKey[_Story]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add what the handlers logged to the report of a failed test, or of a fixture that failed around it."""
    report = yield
    story = item.stash.get(_STORY, None)
    if story is not None and report.failed and story.text():
        report.sections.append(("lambdalite invocations", story.text()))
    if story is not None and report.when == "teardown":
        del item.stash[_STORY]  # items live as long as the session: their outcomes need not
    return report
