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


def test_marker_with_mistakes_says_so(pytester: pytest.Pytester) -> None:
    """Options without a name, and options that there are not, are errors: never ignored."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.lambdalite(10)
        def test_unnamed(faas):
            pass

        @pytest.mark.lambdalite(concurency=10)
        def test_misspelt(faas):
            pass
        """
    )

    result = pytester.runpytest_subprocess(*RUN)

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*takes options by name, such as concurrency=10, not (10,)*", "*'concurency'*"])


def test_ini_option_and_marker_choose_the_isolation(pytester: pytest.Pytester) -> None:
    """The ini option is for all tests, and the marker has the last word; inline tests start no process."""
    pytester.makeini("[pytest]\nlambdalite_isolation = inline\n")
    pytester.makepyfile(
        """
        import os, pytest
        from lambdalite.workers import launch

        def pid(event, context):
            return os.getpid()

        def test_ini(faas):
            assert faas.function(pid).config.isolation == "inline"
            assert launch._current is None

        @pytest.mark.lambdalite(isolation="process")
        def test_marker(faas):
            function = faas.function(pid)
            assert function.config.isolation == "process"
            assert function.invoke() != os.getpid()
        """
    )

    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=2)


def test_fixture_that_fails_shows_what_handlers_logged(pytester: pytest.Pytester) -> None:
    """An error in another fixture's setup or teardown has the section as well."""
    pytester.makepyfile(
        """
        import pytest

        def chatty(event, context):
            print("said in", event)

        @pytest.fixture
        def shop(faas):
            faas.function(chatty).invoke("setup")
            raise RuntimeError

        @pytest.fixture
        def till(faas):
            yield
            faas.function(chatty).invoke("teardown")
            raise RuntimeError

        def test_setup(shop):
            pass

        def test_teardown(till):
            pass
        """
    )

    result = pytester.runpytest_subprocess(*RUN)

    result.assert_outcomes(errors=2, passed=1)
    result.stdout.fnmatch_lines(["said in setup*", "said in teardown*"])


def test_outcomes_do_not_live_as_long_as_the_session(pytester: pytest.Pytester) -> None:
    """Once a test is over and reported, its App is garbage."""
    pytester.makepyfile(
        """
        import gc, weakref
        kept = []

        def test_one(faas):
            faas.function(lambda event, context: 1, name="f").invoke()
            kept.append(weakref.ref(faas))

        def test_two():
            gc.collect()
            assert kept[0]() is None
        """
    )

    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=2)


def test_processes_are_shared_by_the_session(pytester: pytest.Pytester) -> None:
    """One guardian serves all tests: each pays for its environments only."""
    pytester.makepyfile(
        """
        import pytest
        seen = set()

        @pytest.mark.parametrize("n", range(3))
        def test_n(faas, n):
            faas.function(lambda event, context: None, name="f").invoke()
            seen.add(faas.supervisor().pid)
            assert len(seen) == 1
        """
    )

    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=3)


def test_nothing_is_imported_until_the_fixture_is_used(pytester: pytest.Pytester) -> None:
    """A run that does not use the fixture does not even import the App."""
    pytester.makepyfile(
        """
        import sys

        def test_plain():
            assert "lambdalite.app" not in sys.modules
        """
    )

    pytester.runpytest_subprocess(*RUN).assert_outcomes(passed=1)


def test_can_be_switched_off(pytester: pytest.Pytester) -> None:
    """``-p no:lambdalite`` leaves no fixture and no marker behind."""
    pytester.makepyfile("def test_it(faas): pass")

    result = pytester.runpytest_subprocess(*RUN, "-p", "no:lambdalite")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'faas' not found*"])


def test_works_in_random_order(pytester: pytest.Pytester) -> None:
    """With pytest-randomly shuffling tests and reseeding ``random``, and warnings being errors."""
    pytest.importorskip("pytest_randomly")
    pytester.makepyfile(
        """
        import random, pytest

        def draw(event, context):
            return random.random()

        @pytest.mark.parametrize("n", range(5))
        def test_n(faas, n):
            function = faas.function(draw)
            assert function.invoke() != function.invoke()
        """
    )

    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error").assert_outcomes(passed=5)


def test_plugin_imports_nothing_heavy() -> None:
    """Everybody's pytest run imports the plugin: it brings in none of attrs, anyio, cloudpickle, psutil, nor the App."""
    code = (
        "import pytest, sys; before = set(sys.modules); import lambdalite.pytest_plugin; "
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('encodings')))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout

    assert "['lambdalite', 'lambdalite.pytest_plugin', 'lambdalite.runtime']" == found.strip()
