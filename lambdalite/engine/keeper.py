"""The thread that ends idle environments under the machine's own clock. It holds no App alive."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import weakref

    from lambdalite.engine.capacity import Capacity

__all__ = ["Keeper"]


class Keeper(threading.Thread):
    """Looks in every now and then; being late by a tenth of the idle time hurts nobody."""

    def __init__(self, capacity: weakref.ref[Capacity], idle_seconds: float) -> None:
        super().__init__(name="lambdalite-keeper", daemon=True)
        self._capacity, self._every = capacity, max(idle_seconds / 10, 0.01)
        self._stopped = threading.Event()

    def run(self) -> None:
        """Until stopped, or until the capacity is gone."""
        while not self._stopped.wait(self._every):
            capacity = self._capacity()
            if capacity is None:
                return
            capacity.reap()

    def stop(self) -> None:
        """End it and wait for it."""
        self._stopped.set()
        if self is not threading.current_thread():
            self.join()
