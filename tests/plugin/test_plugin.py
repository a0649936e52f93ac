"""The `faas` fixture, in pytest runs of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inner runs do not inherit this run's options."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


RUN = ("-p", "no:randomly", "-p", "no:cacheprovider")


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_faas_runs_handlers_of_the_test_module(pytester: pytest.Pytester, mode: str) -> None:
    """Module-level, nested and lambda handlers run in environments under both import modes."""
    pytester.makepyfile(
        """
        import os

        def double(event, context):
            return {"n": 2 * event["n"], "pid": os.getpid(), "name": context.function_name}

        def test_module_level(faas):
            answer = faas.function(double).invoke({"n": 21})
            assert (answer["n"], answer["name"]) == (42, "double")
            assert answer["pid"] != os.getpid()

        def test_nested(faas):
            factor = 3
            def triple(event, context):
                return factor * event
            assert faas.function(triple).invoke(5) == 15
            assert faas.function(lambda event, context: event, name="echo").invoke("x") == "x"
        """
    )

    result = pytester.runpytest_subprocess(*RUN, f"--import-mode={mode}", "--strict-markers")

    result.assert_outcomes(passed=2)


def test_failed_test_shows_what_handlers_logged(pytester: pytest.Pytester) -> None:
    """A failed test has a section with the output and the REPORT line of every invocation."""
    pytester.makepyfile(
        """
        def chatty(event, context):
            print("I was given", event)

        def test_fails(faas):
            faas.function(chatty).invoke("cheese")
            assert False
        """
    )

    result = pytester.runpytest_subprocess(*RUN)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*lambdalite invocations*", "*I was given cheese*", "REPORT RequestId:*"])


def test_marker_sets_options_of_the_app(pytester: pytest.Pytester) -> None:
    """``@pytest.mark.lambdalite(…)`` passes strict markers, and the nearest one wins."""
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.lambdalite(concurrency=7)

        def test_module(faas):
            assert faas.statistics().account_limit == 7

        @pytest.mark.lambdalite(concurrency=9)
        def test_nearest(faas):
            assert faas.statistics().account_limit == 9
        """
    )

    pytester.runpytest_subprocess(*RUN, "--strict-markers").assert_outcomes(passed=2)


def test_clock_is_driven_by_the_test(pytester: pytest.Pytester) -> None:
    """Idle environments end when the test says that ten minutes have passed."""
    pytester.makepyfile(
        """
        def test_reaped(faas):
            function = faas.function(lambda event, context: None, name="f", reuse=True)
            function.invoke()
            assert faas.statistics().idle == 1
            faas.clock.advance(minutes=11)
            assert faas.statistics().idle == 0
        """
    )

    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=1)


def test_app_dies_with_its_test(pytester: pytest.Pytester) -> None:
    """A function kept beyond its test refuses, in a sentence."""
    pytester.makepyfile(
        """
        import pytest, lambdalite
        kept = []

        def test_one(faas):
            kept.append(faas.function(lambda event, context: 1, name="f"))
            assert kept[0].invoke() == 1

        def test_two():
            with pytest.raises(lambdalite.UsageError, match="closed"):
                kept[0].invoke()
        """
    )

    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=2)


def test_works_under_xdist(pytester: pytest.Pytester) -> None:
    """Each worker process has processes of its own."""
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", range(6))
        def test_n(faas, n):
            assert faas.function(lambda event, context: event, name="f").invoke(n) == n
        """
    )

    pytester.runpytest_subprocess(*RUN, "-n", "2").assert_outcomes(passed=6)


def test_plugin_imports_nothing_heavy() -> None:
    """Everybody's pytest run imports the plugin: it brings in none of attrs, anyio, cloudpickle, psutil, nor the App."""
    code = (
        "import pytest, sys; before = set(sys.modules); import lambdalite.pytest_plugin; "
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('encodings')))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout

    assert "['lambdalite', 'lambdalite.pytest_plugin', 'lambdalite.runtime']" == found.strip()
