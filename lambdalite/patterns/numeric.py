"""Numbers as AWS compares them: decimals between -5e9 and 5e9 with at most six places.

Within those limits 300, 300.0 and 3.0e2 are one number, and two of them differ only if their decimals do: such decimals
are 1e-6 apart while floats below 5e9 are at most 9.6e-7 apart, so each has a float of its own and comparing the floats
compares the decimals. Outside, a number takes no part in numeric comparison; it equals only what is written alike.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html#filtering-numeric-matching
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from lambdalite.patterns.refusal import PatternOverflow, PatternValue

__all__ = ["HIGHEST", "LOWEST", "RawNumber", "number_in_event", "number_in_pattern", "parse_float"]

LOWEST, HIGHEST = -5_000_000_000, 5_000_000_000
MAX_PLACES = 6
_MICRO = 10**MAX_PLACES
_LONG = 2**63 - 1  # AWS scales by a million into a 64-bit integer; beyond it the error is another one
_EXACTLY_SCALED = 1e8  # below it, scaling a float by a million and rounding cannot miss


class RawNumber:
    """A number outside the comparable ones. It equals what is written alike: ``key`` is its text, or the int it is."""

    __slots__ = ("key",)

    def __init__(self, key: str | int) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return other.__class__ is RawNumber and self.key == other.key

    def __hash__(self) -> int:
        return hash((RawNumber, self.key))

    def __repr__(self) -> str:
        return str(self.key)


def number_in_pattern(text: str) -> int | float:
    """The number that JSON ``text`` stands for.

    Raises:
        PatternValue: it is outside [-5e9, 5e9], or has more than six decimals.
        PatternOverflow: it is beyond even what AWS can scale.
    """
    exact = _decimal(text)
    if exact is None or (exact and exact.adjusted() > len(str(_LONG))):
        raise PatternOverflow("Overflow")
    if not exact:
        return 0
    if _places(exact) > MAX_PLACES:
        raise PatternValue("Only values upto 6 decimals are supported")
    if abs(int(exact * _MICRO)) > _LONG:
        raise PatternOverflow("Overflow")
    if not LOWEST <= exact <= HIGHEST:
        raise PatternValue("Value must be between -5.0E9 and 5.0E9, inclusive")
    return int(exact) if exact == exact.to_integral_value() else float(exact)


def number_in_event(value: int | float | Decimal) -> int | float | RawNumber:  # noqa: PYI041
    """A number of an event, made comparable: itself if it is within the limits, a RawNumber otherwise."""
    if isinstance(value, Decimal):
        return parse_float(str(value))
    if isinstance(value, int):
        return value if LOWEST <= value <= HIGHEST else RawNumber(value)
    if LOWEST <= value <= HIGHEST:
        scaled = round(value * _MICRO)
        if scaled / _MICRO == value:
            return value
        if abs(value) >= _EXACTLY_SCALED and _places(Decimal(repr(value))) <= MAX_PLACES:
            return value
    return RawNumber(float.__repr__(value))


def parse_float(text: str) -> int | float | RawNumber:
    """Read a JSON number with a fraction or exponent (the hook for ``json.loads``), keeping its text if need be."""
    try:
        return number_in_pattern(text)
    except (PatternValue, PatternOverflow):
        return RawNumber(text)


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what decimals can carry
        return None


def _places(exact: Decimal) -> int:
    """How many decimals are needed to write a number."""
    _, digits, exponent = exact.as_tuple()
    if not isinstance(exponent, int) or not any(digits):
        return 0
    return -exponent - _trailing_zeros(digits)


def _trailing_zeros(digits: tuple[int, ...]) -> int:
    count = 0
    for digit in reversed(digits):
        if digit:
            break
        count += 1
    return count
