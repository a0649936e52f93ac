"""The process that ``lambdalite demo`` kills: it sends events into a store and runs them, and says so line by line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lambdalite.app import App
from lambdalite.demo import handlers
from lambdalite.observe import EventSettled

if TYPE_CHECKING:
    from lambdalite.functions import Function

__all__ = ["function", "main"]


def function(app: App) -> Function[Any, Any]:
    """The function whose events are sent: the same before the kill and after it."""
    return app.function(handlers.nap, name="order", reuse=True, timeout=30, reserved_concurrency=2)


def main() -> None:
    """``python -m lambdalite.cli.demo_host STORE COUNT``: send, then run until somebody ends it."""
    store, count = sys.argv[1], int(sys.argv[2])
    app = App(store=store)

    def tell(event: Any) -> None:
        if isinstance(event, EventSettled):
            print("done", event.request_id, flush=True)

    app.observe(tell)
    order = function(app)
    for _ in range(count):
        print("sent", order.send({"seconds": 0.05}).request_id, flush=True)
    app.run_forever()


if __name__ == "__main__":
    main()
