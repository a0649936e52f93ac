"""Handlers and peers' functions, importable everywhere, so that nobody pays for pickling code."""

import time

EVENT = {
    "version": "2.0",
    "routeKey": "POST /orders/{id}",
    "rawPath": "/orders/7",
    "rawQueryString": "verbose=1",
    "headers": {f"x-header-{n:02d}": f"value-{n:02d}-abcdefgh" for n in range(20)},
    "requestContext": {
        "accountId": "123456789012",
        "http": {"method": "POST", "path": "/orders/7", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
        "stage": "$default",
        "timeEpoch": 1_762_000_000_000,
    },
    "body": '{"item": 7, "count": 1}',
    "isBase64Encoded": False,
}
BIG = {"rows": [{"id": n, "name": f"row {n}", "price": n / 7, "tags": ["a", "b"]} for n in range(3600)]}


def echo(event, context=None):
    return event


def sleep(event, context=None):
    time.sleep(event)
    return "slept"


def crash(event, context=None):
    import os

    if event:
        os._exit(3)
    return "fine"


def hog(event, context=None):
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))


def burn(event, context=None):
    """CPU seconds used during so many wall seconds of spinning."""
    began, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < event:
        pass
    return time.process_time() - cpu


def number(event, context):
    return event["n"]


def moment(event, context):
    import time

    return time.monotonic()
