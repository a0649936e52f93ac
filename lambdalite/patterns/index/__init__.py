"""Matching many rules together: the cost follows the rules that match, not the rules there are."""

from lambdalite.patterns.index.rules import RuleIndex

__all__ = ["RuleIndex"]
