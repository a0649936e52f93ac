"""The variables of an environment."""

# Helpers speak for themselves, and `expected == actual` is the order of the house.

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import lambdalite.runtime
from lambdalite.model.function import configure
from lambdalite.workers import environ


def variables(host: Any = None, **options: Any) -> Any:
    given = {"version": "$LATEST", "stream": "s", "kind": "on-demand", "handler": "m.h", "root": "/code"}
    version, stream, kind, handler, root = (options.pop(name, given[name]) for name in given)
    config = configure({"name": "f", **options})
    return environ.variables(config, version, stream, kind, handler=handler, root=root, host=host or {})


def test_an_environment_has_awss_variables() -> None:
    """All that AWS sets and that make sense here, with this interpreter's version."""
    runtime = f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}"

    assert {
        "_HANDLER": "m.h",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": runtime,
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "3",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
        "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        "AWS_ACCESS_KEY_ID": "lambdalite",
        "AWS_SECRET_ACCESS_KEY": "lambdalite",
        "AWS_SESSION_TOKEN": "lambdalite",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1",
        "_AWS_XRAY_DAEMON_PORT": "2000",
        "LAMBDA_TASK_ROOT": "/code",
        "LAMBDA_RUNTIME_DIR": str(Path(lambdalite.runtime.__file__).parent),
        "LC_CTYPE": "C.UTF-8",
        "TZ": ":UTC",
        "PWD": "/code",
        "SHLVL": "0",
        "OPENBLAS_NUM_THREADS": "1",
    } == variables(version="3", kind="snap-start", memory=256)


def test_the_hosts_secrets_stay_with_the_host() -> None:
    """Only what an interpreter needs is inherited."""
    host = {"PATH": "/bin", "LANG": "C", "DATABASE_PASSWORD": "x", "AWS_PROFILE": "prod", "COVERAGE_PROCESS_START": "c"}

    found = variables(host)

    assert {"PATH": "/bin", "LANG": "C", "COVERAGE_PROCESS_START": "c"} == {
        name: found[name] for name in host if name in found
    }


def test_the_users_variables_win_over_inherited_ones() -> None:
    """What the configuration says is what the handler sees."""
    found = variables({"PATH": "/bin"}, environment={"PATH": "/mine", "OPENBLAS_NUM_THREADS": "4", "STAGE": "test"})

    assert ("/mine", "4", "test") == (found["PATH"], found["OPENBLAS_NUM_THREADS"], found["STAGE"])


def test_json_logs_have_their_two_variables() -> None:
    """As on AWS, only in JSON format."""
    found = variables(log_format="JSON", log_level="ERROR")

    assert ("JSON", "ERROR") == (found["AWS_LAMBDA_LOG_FORMAT"], found["AWS_LAMBDA_LOG_LEVEL"])


@pytest.mark.parametrize(("memory", "threads"), [(128, "1"), (1769, "1"), (1770, "2"), (10_240, "6")])
def test_a_cpu_share_bounds_numeric_threads(memory: Any, threads: Any) -> None:
    """As many as AWS gives vCPUs, rounded up."""
    found = variables(memory=memory, cpu="aws")

    assert (threads, threads) == (found["OMP_NUM_THREADS"], found["OPENBLAS_NUM_THREADS"])


def test_the_root_is_the_working_directory_by_default() -> None:
    """Where the handler's code is not said."""
    assert str(Path.cwd()) == variables(root=None)["LAMBDA_TASK_ROOT"]


def test_reserved_names_are_those_that_a_configuration_refuses() -> None:
    """Whatever we set about the function cannot be the user's."""
    set_by_us = {
        name for name in variables() if name.startswith(("AWS_LAMBDA", "AWS_REGION", "AWS_SE", "AWS_ACC", "_H"))
    }

    assert set() == set_by_us - environ.RESERVED
