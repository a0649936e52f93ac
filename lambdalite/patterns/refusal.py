"""Why a pattern is refused, before it is dressed as AWS's answer.

AWS's matcher raises three kinds of exception, and which one it was shows in the text: only a syntax error carries a
position. Keeping them apart is what makes our messages AWS's to the letter.
"""

from __future__ import annotations

__all__ = ["PatternOverflow", "PatternRefused", "PatternSyntax", "PatternValue"]


class PatternRefused(Exception):
    """The pattern cannot be compiled; ``str()`` of it is AWS's reason."""


class PatternSyntax(PatternRefused):
    """The text is not JSON, or not a pattern; the reason ends with the position."""


class PatternValue(PatternRefused):
    """A value makes no sense to its operator; the reason has no position unless a list or range adds one."""


class PatternOverflow(PatternRefused):
    """A number is so large that AWS's own arithmetic gives up."""
