"""What to do to get more enforced: one sentence for each row of the table that could be better."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambdalite.enforcement import Mechanism

__all__ = ["hint"]

_NAMESPACES = (
    "allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, or on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0), or run as root"
)

#: Not enforced, by limit.
_MISSING = {
    "/tmp": f"bounded with mount namespaces: {_NAMESPACES}",
    "filesystem": f"read-only with Landlock (Linux 5.13), or mount namespaces: {_NAMESPACES}",
    "network": 'closed with network=False, or isolation="strict"',
    "signals to the host": f"needs Landlock ABI 6 (Linux 6.12), or a PID namespace: {_NAMESPACES}",
    "privileges": "capabilities and system-call filters exist on Linux only",
}


def hint(one: Mechanism, tier: str, *, root: bool) -> str:
    """What would enforce this limit, or enforce it better; empty if there is nothing to do.

    Args:
        one: a row of the table.
        tier: the isolation tier that the table is about.
        root: whether the process runs as root.
    """
    if tier == "inline":
        return ""
    if one.limit == "memory" and "cgroup" not in one.how:
        return "exact, without sampling, where a cgroup can be had: run as root, or in a systemd unit with Delegate=yes"
    if one.enforced:
        return ""
    if one.limit == "processes":
        return _processes(root=root)
    return _MISSING.get(one.limit, "")


def _processes(*, root: bool) -> str:
    if root:
        return 'bounded for reuse=True or cpu="aws" where a cgroup can be had; for all when run as an ordinary user'
    return f"bounded with user namespaces: {_NAMESPACES.removesuffix(', or run as root')}"
