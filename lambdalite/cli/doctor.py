"""``lambdalite doctor``: what is enforced on this machine, how, and what is not."""

from __future__ import annotations

import json
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from lambdalite.app import App
from lambdalite.cli.paint import Paint
from lambdalite.errors import LambdaliteError, SandboxUnavailable

if TYPE_CHECKING:
    import argparse

    from lambdalite.enforcement import Enforcement

__all__ = ["run"]

_HINTS = {
    "processes": "a pids cgroup bounds processes: run as root, or under systemd with Delegate=yes",
    "/tmp": "a bounded /tmp needs mount namespaces: allow unprivileged user namespaces, or run as root",
    "filesystem": "a read-only file system needs mount namespaces or Landlock (Linux 5.13 and newer)",
    "signals to the host": "needs a PID namespace, or Landlock ABI 6 (Linux 6.12)",
}


def run(options: argparse.Namespace) -> int:
    """Print a table for each tier; 1 if the tier that was asked for is not available."""
    tiers = [options.isolation] if options.isolation else ["process", "strict", "inline"]
    found: dict[str, Any] = {tier: survey(tier) for tier in tiers}
    failed = any(isinstance(item, LambdaliteError) for item in found.values())
    if options.json:
        print(json.dumps({"machine": machine(), "tiers": {tier: _as_json(item) for tier, item in found.items()}}, indent=2))
    else:
        _print(found)
    return 1 if failed and options.isolation else 0


def survey(tier: str) -> Enforcement | LambdaliteError:
    """What the tier enforces here, or why it is not available."""
    try:
        with App(isolation=tier) as app:
            return app.enforcement()
    except LambdaliteError as error:
        return error


def machine() -> dict[str, str]:
    """Where we are."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processors": str(os.cpu_count()),
        "user": "root" if hasattr(os, "getuid") and os.getuid() == 0 else "ordinary user",
    }


def _as_json(item: Enforcement | LambdaliteError) -> dict[str, Any]:
    if isinstance(item, SandboxUnavailable):
        return {"available": False, "missing": list(item.missing), "hint": item.hint}
    if isinstance(item, LambdaliteError):
        return {"available": False, "reason": str(item)}
    return {"available": True, "limits": item.as_dict()}


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
    """One line a limit, and a hint for each that is not enforced."""
    width = max(len(one.limit) for one in item)
    for one in item:
        mark = paint.green("enforced    ") if one.enforced else paint.yellow("NOT ENFORCED")
        print(f"  {mark}  {one.limit:<{width}}  {one.how}")
        if not one.enforced and item.tier != "inline" and one.limit in _HINTS:
            print(f"  {'':12}  {'':<{width}}  {paint.dim(_HINTS[one.limit])}")
