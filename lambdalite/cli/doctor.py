"""``lambdalite doctor``: what is enforced on this machine, how, and what is not."""

from __future__ import annotations

import json
import os
import platform
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from lambdalite import __version__
from lambdalite.app import App
from lambdalite.cli.hints import hint
from lambdalite.cli.paint import Paint
from lambdalite.enforcement import kernel
from lambdalite.errors import LambdaliteError, SandboxUnavailable

if TYPE_CHECKING:
    import argparse

    from lambdalite.enforcement import Enforcement

__all__ = ["print_table", "run"]


def run(options: argparse.Namespace) -> int:
    """Print a table for each tier; 1 if the one tier that was asked for is not available."""
    tiers = [options.isolation] if options.isolation else ["process", "strict", "inline"]
    found: dict[str, Any] = {tier: survey(tier) for tier in tiers}
    offered = kernel()
    if options.json:
        tiers_ = {tier: _as_json(item) for tier, item in found.items()}
        print(json.dumps({"machine": machine(), "tiers": tiers_, "kernel": offered}, indent=2))
    else:
        _print(found)
        print_kernel(offered, Paint(sys.stdout))
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


def print_kernel(offered: dict[str, dict[str, Any]], paint: Paint) -> None:
    """What was found in a paragraph; a line for each primitive that was not, with what the system said."""
    there = [_in_words(name, str(one["how"])) for name, one in offered.items() if one["available"]]
    print(f"\n{paint.bold('this machine offers')}")
    print(
        textwrap.fill(
            " · ".join(there) or "nothing of what was tried", 110, initial_indent="  ", subsequent_indent="  "
        )
    )
    for name, one in offered.items():
        if not one["available"]:
            print(f"  {paint.yellow('not')} {name.replace('_', ' ')}: {one['reason']}")


def _in_words(name: str, how: str) -> str:
    """The version, where there are several; else the name says it."""
    if name == "landlock" or name.startswith("cgroup"):
        return f"{name.replace('_', ' ')} ({how.split(',', maxsplit=1)[0]})"
    return name.replace("_", " ")
