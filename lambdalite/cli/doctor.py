"""``lambdalite doctor``: what is enforced on this machine, how, and what is not."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from lambdalite import __version__
from lambdalite.app import App
from lambdalite.cli.hints import hint
from lambdalite.cli.paint import Paint
from lambdalite.errors import LambdaliteError, SandboxUnavailable

if TYPE_CHECKING:
    import argparse

    from lambdalite.enforcement import Enforcement

__all__ = ["print_table", "run"]


def run(options: argparse.Namespace) -> int:
    """Print a table for each tier; 1 if the one tier that was asked for is not available."""
    tiers = [options.isolation] if options.isolation else ["process", "strict", "inline"]
    found: dict[str, Any] = {tier: survey(tier) for tier in tiers}
    if options.json:
        print(
            json.dumps(
                {"machine": machine(), "tiers": {tier: _as_json(item) for tier, item in found.items()}}, indent=2
            )
        )
    else:
        _print(found)
    failed = any(isinstance(item, LambdaliteError) for item in found.values())
    return 1 if failed and options.isolation else 0


def survey(tier: str) -> Enforcement | LambdaliteError:
    """What the tier enforces here, or why it is not available."""
    try:
        with App(isolation=tier) as app:
            return app.enforcement()
    except LambdaliteError as error:
        return error


def machine() -> dict[str, str]:
    """Where we are: what a report of a fault should name."""
    return {
        "lambdalite": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processors": str(os.cpu_count()),
        "user": "root" if _is_root() else "ordinary user",
    }


def _is_root() -> bool:
    return hasattr(os, "getuid") and os.getuid() == 0


def _as_json(item: Enforcement | LambdaliteError) -> dict[str, Any]:
    if isinstance(item, SandboxUnavailable):
        return {"available": False, "missing": list(item.missing), "hint": item.hint}
    if isinstance(item, LambdaliteError):
        return {"available": False, "reason": str(item)}
    limits = item.as_dict()
    for one in item:
        limits[one.limit]["hint"] = hint(one, item.tier, root=_is_root())
    return {"available": True, "limits": limits}


def _print(found: dict[str, Enforcement | LambdaliteError]) -> None:
    paint = Paint(sys.stdout)
    print(" · ".join(f"{key} {value}" for key, value in machine().items()))
    for tier, item in found.items():
        print(f"\n{paint.bold(tier)}")
        if isinstance(item, LambdaliteError):
            print(f"  {paint.red('not available')}: {item}")
        else:
            print_table(item, paint)


def print_table(item: Enforcement, paint: Paint) -> None:
    """One line a limit, and below it what to do to get more, where there is something."""
    width = max(len(one.limit) for one in item)
    for one in item:
        mark = paint.green("enforced    ") if one.enforced else paint.yellow("NOT ENFORCED")
        print(f"  {mark}  {one.limit:<{width}}  {one.how}")
        more = hint(one, item.tier, root=_is_root())
        if more:
            print(f"  {'':12}  {'':<{width}}  {paint.dim(more)}")
