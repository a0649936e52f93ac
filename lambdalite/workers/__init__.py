"""Processes seen from outside: how code gets into them, how they start, answer, die, and why they died."""
