"""Frozen values: what a function is, what an invocation asks, what came of it. No I/O, no clock, no locks."""
