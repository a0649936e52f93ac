"""The event pattern language of EventBridge: compile, match, explain; and match many rules at once.

::

    from lambdalite import patterns

    rule = patterns.compile({"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}})
    rule.matches({"source": "shop", "detail": {"total": 250}})  # True
    print(patterns.explain(rule, {"source": "shop", "detail": {"total": "250"}}))

    index = patterns.RuleIndex({"big-orders": rule})
    index.match({"source": "shop", "detail": {"total": 250}})  # ["big-orders"]

An island: it knows nothing of buses, functions or clocks. docs/reference/patterns.md specifies the language.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambdalite.errors import InvalidPattern
from lambdalite.patterns.explain import Explanation, Failure
from lambdalite.patterns.explain import explain as _explain
from lambdalite.patterns.index import RuleIndex
from lambdalite.patterns.pattern import Dialect, Pattern, compile_pattern

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Explanation", "Failure", "InvalidPattern", "Pattern", "RuleIndex", "compile", "explain", "matches"]


def compile(pattern: str | bytes | Mapping[str, Any], dialect: Dialect = "eventbridge") -> Pattern:  # noqa: A001
    """Compile a pattern, given as JSON text or as the object it stands for.

    Args:
        pattern: The pattern. An object is written as JSON first: positions in errors refer to ``json.dumps(pattern)``.
        dialect: ``"eventbridge"``, or ``"event-source-mapping"``: without wildcard, cidr and the nested forms of
            anything-but, at most 4096 characters, and with AWS's only message about what is wrong.

    Raises:
        InvalidPattern: AWS would refuse it; the message is AWS's.
    """
    return compile_pattern(pattern, dialect)


def matches(pattern: Pattern | str | bytes | Mapping[str, Any], event: Mapping[str, Any] | str | bytes) -> bool:
    """Whether an event matches a pattern.

    Raises:
        InvalidPattern: AWS would refuse the pattern.
        InvalidParameterValue: the event is text, but not a JSON object.
    """
    return _compiled(pattern).matches(event)


def explain(pattern: Pattern | str | bytes | Mapping[str, Any], event: Mapping[str, Any] | str | bytes) -> Explanation:
    """Why an event matches a pattern or not: each field that failed, what it wanted, what was there, the likely reason.

    Raises:
        InvalidPattern: AWS would refuse the pattern.
    """
    return _explain(_compiled(pattern), event)


def _compiled(pattern: Pattern | str | bytes | Mapping[str, Any]) -> Pattern:
    return pattern if isinstance(pattern, Pattern) else compile_pattern(pattern)
