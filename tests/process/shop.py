"""Importable handlers for the tests of invoking."""

from __future__ import annotations

import functools
import os
import time
from typing import Any

import lambdalite

calls = 0
app = lambdalite.App()  # inert inside an environment


def echo(event: Any, context: Any) -> Any:
    return event


def describe(event: Any, context: Any) -> dict[str, Any]:
    return {
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "version": context.function_version,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "left": context.get_remaining_time_in_millis(),
        "tenant": context.tenant_id,
        "identity": context.identity.cognito_identity_id,
        "client": context.client_context.custom if context.client_context else None,
        "environment": dict(os.environ),
        "tz": time.tzname[0],
    }


def count(event: Any, context: Any) -> list[int]:
    global calls
    calls += 1
    return [calls, os.getpid()]


def sleep(event: Any, context: Any) -> str:
    time.sleep(event)
    return "slept"


def files_in_tmp() -> list[str]:
    """The files; directories may be there because code lies below the host's /tmp."""
    return sorted(name for name in os.listdir("/tmp") if os.path.isfile(f"/tmp/{name}"))


def write_and_list(event: Any, context: Any) -> list[str]:
    with open(f"/tmp/{event}", "w") as file:
        file.write("x")
    return files_in_tmp()


async def coroutine(event: Any, context: Any) -> Any:
    import asyncio

    await asyncio.sleep(0)
    return {"async": event}


@app.function(memory=256)
def decorated(event: Any, context: Any) -> Any:
    return ["decorated", event]


def calls_itself_through_lambdalite(event: Any, context: Any) -> Any:
    return decorated.invoke(event)


def uses(event: Any, context: Any) -> Any:
    return getattr(decorated, event)


def shouting(handler: Any) -> Any:
    @functools.wraps(handler)
    def wrapper(event: Any, context: Any) -> Any:
        return str(handler(event, context)).upper()

    return wrapper


@shouting
def wrapped(event: Any, context: Any) -> Any:
    return event


class Service:
    """A class with a method for a handler."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def handle(self, event: Any, context: Any) -> Any:
        return self.factor * event

    def __call__(self, event: Any, context: Any) -> Any:
        return -self.factor * event


def logs(event: Any, context: Any) -> None:
    import logging

    print("printed")
    logging.getLogger().setLevel("INFO")
    logging.info("logged %s", event)
    os.write(1, b"written\n")


def random_numbers(event: Any, context: Any) -> Any:
    import random

    return random.random()
