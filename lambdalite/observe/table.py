"""Text tables for people."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["money", "table"]


def money(value: Decimal) -> str:
    """US dollars: two decimals from ten cents on, below that four significant digits."""
    if value == 0:
        return "0.00"
    if value >= Decimal("0.1"):
        return f"{value:,.2f}"
    return f"{value:.{3 - value.adjusted()}f}"


def table(rows: Sequence[tuple[str, ...]], left: int) -> str:
    """Rows, the first of them the head, with a rule under it.

    Numbers stand to the right; the first `left` columns, and those whose head is empty, to the left.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    to_left = [column < left or not name for column, name in enumerate(rows[0])]
    head, *body = [_line(row, widths, to_left) for row in rows]
    return "\n".join([head, "-" * max(map(len, [head, *body])), *body])


def _line(row: tuple[str, ...], widths: list[int], to_left: list[bool]) -> str:
    cells = zip(row, widths, to_left, strict=True)
    return "  ".join(cell.ljust(width) if left else cell.rjust(width) for cell, width, left in cells).rstrip()
