"""The environment variables of an environment (SEMANTICS 10): AWS's, the user's, and next to nothing of the host's.

The host's own variables may hold secrets, so none is inherited but those that an interpreter needs to start programs
and to find its libraries. AWS's credentials are there because SDKs refuse to work without any; these open nothing.
A handler that is to reach the real AWS gets its credentials under names of its own, and passes them on itself.

What is not as on AWS, and why:

- ``AWS_LAMBDA_RUNTIME_API`` is missing: that API is not served, and nobody should find a dead address.
- ``PYTHONPATH`` is missing: it would only reach programs that the handler starts, and put our modules among theirs.
- ``OPENBLAS_NUM_THREADS`` is there. NumPy starts a thread per processor when it is imported, and a process with threads
  cannot be forked from (ISOLATION 4.3), so every environment would have to import NumPy again. One thread costs nothing
  on AWS's smaller sizes, and environments share the processors here as well. Under ``cpu="aws"`` there are as many
  threads as AWS gives vCPUs, rounded up. A variable of the user's own of that name has the last word.
"""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING

from lambdalite import names
from lambdalite.model.function import RESERVED_VARIABLES
from lambdalite.runtime import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambdalite.model.function import FunctionConfig

__all__ = ["RESERVED", "variables"]

RESERVED = RESERVED_VARIABLES  # checked where the configuration is: `lambdalite.model.function.configure`

_INHERITED = ("PATH", "LANG", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_INHERITED_PREFIX = "COVERAGE_"  # so that `coverage` can measure handlers
_NO_CREDENTIALS = "lambdalite"
_XRAY_HOST, _XRAY_PORT = "127.0.0.1", "2000"  # AWS's daemon listens on a link-local address; here nobody does


def variables(
    config: FunctionConfig,
    version: str,
    stream: str,
    initialization_type: str,
    *,
    handler: str = "",
    root: str | None = None,
    region: str = names.REGION,
    host: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """All variables of one environment.

    Args:
        config: the function's configuration.
        version: ``"$LATEST"`` or a number.
        stream: the environment's log stream.
        initialization_type: ``on-demand``, ``provisioned-concurrency`` or ``snap-start``.
        handler: as AWS would name it, ``module.function``.
        root: directory of the handler's code; the working directory if None.
        region: the function's.
        host: the host's variables; `os.environ` if None.
    """
    return {
        **_inherited(os.environ if host is None else host),
        **_platform(root or os.getcwd(), region),
        **_threads(config),
        **config.environment,  # AWS refuses its own names there, so nothing below is the user's
        **_function(config, version, stream, initialization_type, handler),
        **_credentials(),
    }


def _inherited(host: Mapping[str, str]) -> dict[str, str]:
    kept = {name: host[name] for name in _INHERITED if name in host}
    kept.update((name, value) for name, value in host.items() if name.startswith(_INHERITED_PREFIX))
    return kept


def _platform(root: str, region: str) -> dict[str, str]:
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "LC_CTYPE": "C.UTF-8",
        "TZ": ":UTC",
        "PWD": root,
        "SHLVL": "0",
        "LAMBDA_TASK_ROOT": root,
        "LAMBDA_RUNTIME_DIR": faults.OWN.rstrip(os.sep),
        "AWS_XRAY_DAEMON_ADDRESS": f"{_XRAY_HOST}:{_XRAY_PORT}",
        "_AWS_XRAY_DAEMON_ADDRESS": _XRAY_HOST,
        "_AWS_XRAY_DAEMON_PORT": _XRAY_PORT,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    }


def _threads(config: FunctionConfig) -> dict[str, str]:
    if config.cpu != "aws":
        return {"OPENBLAS_NUM_THREADS": "1"}
    count = str(math.ceil(config.cpu_share))
    return {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}


def _function(config: FunctionConfig, version: str, stream: str, kind: str, handler: str) -> dict[str, str]:
    found = {
        "_HANDLER": handler,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_NAME": config.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": kind,
        "AWS_LAMBDA_LOG_GROUP_NAME": names.log_group(config.name),
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
    }
    if config.log_format == "JSON":
        found |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": config.log_level}
    return found


def _credentials() -> dict[str, str]:
    return dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), _NO_CREDENTIALS)
