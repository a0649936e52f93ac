"""What is enforced on this machine, how, and what is not: found out by starting an environment and asking it.

Nothing here is read from flags or guessed from versions: guardian, zygote and environment report what they really applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from lambdalite import names
from lambdalite.errors import InternalError
from lambdalite.model.function import Version, configure
from lambdalite.runtime import inert
from lambdalite.workers.waiting import block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambdalite.app import App
    from lambdalite.model.function import FunctionConfig

__all__ = ["Enforcement", "Mechanism", "kernel", "survey"]


@attrs.frozen
class Mechanism:
    """One limit and what stands behind it.

    Attributes:
        limit: what is limited.
        enforced: True, or False if nothing stands behind it here.
        how: the mechanism, or why there is none.
    """

    limit: str
    enforced: bool
    how: str


@attrs.frozen
class Enforcement:
    """The table of mechanisms for one tier; print it, iterate it, or ask for one by name."""

    tier: str
    mechanisms: tuple[Mechanism, ...]

    def __iter__(self) -> Iterator[Mechanism]:
        return iter(self.mechanisms)

    def __getitem__(self, limit: str) -> Mechanism:
        for one in self.mechanisms:
            if one.limit == limit:
                return one
        raise KeyError(f"no limit is called {limit!r}: there are {', '.join(one.limit for one in self.mechanisms)}")

    @property
    def missing(self) -> tuple[str, ...]:
        """The limits that are not enforced."""
        return tuple(one.limit for one in self.mechanisms if not one.enforced)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Limit → ``{"enforced", "how"}``."""
        return {one.limit: {"enforced": one.enforced, "how": one.how} for one in self.mechanisms}

    def __str__(self) -> str:
        width = max(len(one.limit) for one in self.mechanisms)
        lines = [f"isolation tier: {self.tier}"]
        lines += [f"  {'yes' if one.enforced else 'NO '} {one.limit:<{width}}  {one.how}" for one in self.mechanisms]
        return "\n".join(lines)


def survey(app: App, config: FunctionConfig | None = None) -> Enforcement:
    """Start an environment of the App's (or a function's) tier, and report what it got.

    Raises:
        SandboxUnavailable: the tier is ``strict`` and something it needs is missing.
    """
    options = config if config is not None else configure({"name": "enforcement", **app.defaults})
    if options.isolation == "inline":
        return _inline(options)
    applied = _applied(app, options)
    return Enforcement(options.isolation, tuple(_rows(options, app.supervisor().report(), applied)))


def _applied(app: App, config: FunctionConfig) -> dict[str, Any]:
    from lambdalite.workers.template import Template

    options = attrs.evolve(config, name="enforcement")
    version = Version(config=options, arn=names.function_arn("enforcement"), handler=inert.nothing)
    template = Template(version, app.supervisor)
    environment = template.environment()
    try:
        verdict = block(environment.start())
        if verdict is not None:
            raise InternalError(f"an empty function could not start on this machine: {verdict.payload.decode()}")
        return dict(template.applied or {})
    finally:
        environment.close()
        template.close()


_ORDER = ("filesystem", "tmp", "network", "signals", "files", "processes", "privileges")
_TITLES = {"tmp": "/tmp", "files": "open files", "signals": "signals to the host"}


def _rows(config: FunctionConfig, report: dict[str, Any], applied: dict[str, Any]) -> Iterator[Mechanism]:
    yield Mechanism(
        "timeout", enforced=True, how="deadline kept by the caller; SIGKILL of the process tree by the guardian"
    )
    memory = str(report.get("memory", "sampling"))
    enforced = not memory.startswith("not enforced")
    gap = (
        "; what lies in pipes, in sockets, and in memory files that nobody has open is not counted" if enforced else ""
    )
    yield Mechanism("memory", enforced=enforced, how=memory + gap)
    if config.cpu == "aws":
        yield Mechanism("cpu share", enforced=True, how=str(report.get("cpu", "SIGSTOP and SIGCONT")))
    else:
        yield Mechanism("cpu share", enforced=False, how='full speed; ask for AWS\'s share with cpu="aws"')
    yield Mechanism("concurrency", enforced=True, how="counted and placed under one lock")
    for key in [*_ORDER, *(key for key in applied if key not in _ORDER)]:
        if key in applied:
            yield _row(_TITLES.get(key, key), applied[key])
    yield _orphans(report.get("report", {}))


def _row(title: str, found: dict[str, Any]) -> Mechanism:
    detail = found.get("detail") or found.get("reason") or ""
    how = str(found.get("how", ""))
    return Mechanism(
        title, enforced=bool(found.get("enforced")), how=f"{how}: {detail}" if how and detail else how or str(detail)
    )


def _orphans(report: dict[str, Any]) -> Mechanism:
    space = report.get("pid_namespace", {})
    if space.get("enforced"):
        return Mechanism(
            "nothing outlives the host", enforced=True, how="PID namespace, and the guardian watches the host"
        )
    return Mechanism(
        "nothing outlives the host",
        enforced=True,
        how="guardian and zygote watch each other; killed in the same instant, daemons of handlers may survive "
        f"({space.get('reason', 'no PID namespace')})",
    )


def _inline(config: FunctionConfig) -> Enforcement:
    why = "inline runs in the caller's thread"
    limits = ("timeout", "memory", "cpu share", "filesystem", "/tmp", "network", "signals to the host")
    rows = tuple(Mechanism(limit, enforced=False, how=why) for limit in limits)
    counted = Mechanism("concurrency", enforced=True, how="counted and placed under one lock")
    return Enforcement(config.isolation, (*rows, counted))


def kernel() -> dict[str, dict[str, Any]]:
    """What this machine offers, each primitive tried; a single entry, ``probe``, if trying failed."""
    import subprocess

    from lambdalite.runtime import probe

    try:
        return probe.capabilities()
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return {"probe": {"available": False, "how": "", "reason": str(error)}}
