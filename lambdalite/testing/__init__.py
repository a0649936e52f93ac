"""For tests: time that only the test moves."""

from __future__ import annotations

from lambdalite.clock import ManualClock

__all__ = ["ManualClock"]
