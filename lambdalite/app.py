"""The composition root: one registry, one capacity, one observatory, one clock; the thing that you close.

Thread-safe throughout. An App costs nothing until something is invoked: processes start on first need.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, TypeVar, overload

import attrs

from lambdalite import arguments, limits, names
from lambdalite.clock import SystemClock
from lambdalite.engine.capacity import Capacity, Statistics
from lambdalite.engine.registry import Registry
from lambdalite.engine.walk import walk
from lambdalite.errors import CLOSED, InvalidParameterValue, RequestTooLarge, UsageError
from lambdalite.functions import Function
from lambdalite.model.function import Version, configure
from lambdalite.model.invocation import Invocation
from lambdalite.observe import Observatory, Tail
from lambdalite.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from lambdalite.clock import Clock
    from lambdalite.enforcement import Enforcement
    from lambdalite.gateway import Gateway
    from lambdalite.model.outcome import Outcome
    from lambdalite.model.queued import QueuedEvent
    from lambdalite.observe import Bill, LogStore, Metrics
    from lambdalite.store.interface import Store
    from lambdalite.workers.launch import Supervisor
    from lambdalite.workers.waiting import Plan

__all__ = ["App"]

E = TypeVar("E")
A = TypeVar("A")


class App(Serving):
    """A set of functions, the environments they run in, and their limits.

    Args:
        concurrency: account limit: environments in use at once, all functions together.
        isolation: tier of functions that do not name one: ``"process"``, ``"strict"``, ``"inline"``.
        cpu: CPU of functions that do not say: ``"off"`` for full speed, ``"aws"`` for memory/1769 of a vCPU.
        reuse: whether functions that do not say keep environments warm.
        spares: environments to start ahead for each function that does not reuse them.
        idle_seconds: how long an idle environment is kept, by the App's clock.
        clock: what tells the time for things that wait their turn; handlers always run on real time.
        tail: print what handlers print, as it comes, to standard error.
        region: in ARNs and ``AWS_REGION``.
        account: twelve digits, in ARNs.
        store: where sent events and schedules are kept: a path of a SQLite file, which may be shared by several
            processes; None: in memory, until the App is closed.
        durability: what an accepted event survives: ``"power-loss"``, or ``"process-crash"``, which is quicker.
        async_concurrency: how many sent events run at once, all functions together.
        dispatch: False: send events and watch them, but leave running them to other processes on the same store.

    Use it as a context manager, or call `close`; forgetting it is a ResourceWarning.
    """

    def __init__(
        self,
        *,
        concurrency: int = limits.ACCOUNT_CONCURRENCY,
        isolation: str = "process",
        cpu: str = "off",
        reuse: bool = False,
        spares: int = limits.SPARES,
        idle_seconds: float = limits.IDLE_SECONDS,
        clock: Clock | None = None,
        tail: bool = False,
        region: str = names.REGION,
        account: str = names.ACCOUNT,
        store: str | os.PathLike[str] | Store | None = None,
        durability: str = "power-loss",
        async_concurrency: int = limits.ASYNC_CONCURRENCY,
        dispatch: bool = True,
    ) -> None:
        from lambdalite.background import Background  # with the first App: importing it is a third of all we import
        from lambdalite.gateway import Gateway

        arguments.check_counts(concurrency=concurrency, spares=spares, async_concurrency=async_concurrency)
        arguments.check_durability(durability)
        self.defaults = {"isolation": isolation, "cpu": cpu, "reuse": reuse}
        configure({"name": "app", **self.defaults})  # the same checks, at the same time as for functions
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.region, self.account = region, account
        self._settings: dict[str, Any] = {"account_limit": concurrency, "idle_seconds": idle_seconds, "spares": spares}
        self._registry, self._observatory = Registry(), Observatory(now=self.clock.now)
        self._capacity, self._gateway = self._new_capacity(), Gateway(self)
        if tail:
            self._observatory.logs.follow(Tail(sys.stderr))
        self._background = Background(
            store=store, durability=durability, dispatch=dispatch, parallel=min(async_concurrency, concurrency),
            functions=lambda: self._registry.functions, plan=self._plan_queued, clock=self.clock,
            observatory=self._observatory, names=(region, account),
        )  # fmt: skip
        self._functions: dict[str, Function[Any, Any]] = {}
        self._lock = threading.Lock()  # guards _supervisor, _closed, _revision
        self._supervisor: Supervisor | None = None
        self._closing = self._closed = False
        self._leave: Callable[[], None] | None = None
        self._revision, self._kept = 0, False
        self._keeper: threading.Thread | None = None
        _apps.add(self)

    def _new_capacity(self) -> Capacity:
        return Capacity(**self._settings, clock=self.clock, observers=self._observatory.observers)

    # --- functions ------------------------------------------------------------------------------------------------

    @overload
    def function(self, handler: Callable[[E, Any], A], **options: Any) -> Function[E, A]: ...

    @overload
    def function(self, handler: None = None, **options: Any) -> Callable[[Callable[[E, Any], A]], Function[E, A]]: ...

    def function(self, handler: Any = None, **options: Any) -> Any:
        """Make a handler a function: as ``@app.function``, ``@app.function(memory=512, …)`` or ``app.function(handler, …)``.

        Args:
            handler: any callable of (event, context); ``async def`` runs to completion.
            options: see `lambdalite.model.function.FunctionConfig`; ``name`` defaults to the handler's own.

        Raises:
            InvalidParameterValue: options that AWS or lambdalite refuses, all faults in one message.
            ResourceConflict: the name is taken.
            UsageError: not a callable, or the App is closed.
        """
        if handler is None:
            return lambda given: self._add(given, None, options)
        return self._add(handler, None, options)

    def load(self, handler: str, *, root: str | os.PathLike[str] | None = None, **options: Any) -> Function[Any, Any]:
        """A function from a handler string, as AWS's ``Handler`` setting: ``module.function`` or ``path/module.function``.

        Nothing is imported here: a mistake in it shows when it is invoked, in AWS's words.

        Args:
            handler: the handler string, up to 128 characters.
            root: directory of the code (AWS's ``/var/task``); the import path if left out.
            options: as for `function`; ``name`` defaults to the string's last part.
        """
        if not isinstance(handler, str):
            raise UsageError(
                f"load() takes a handler string such as 'module.function', not {handler!r}: use function() for it"
            )
        folder = None if root is None else os.path.abspath(os.fspath(root))
        return self._add(handler, folder, options)

    def _add(self, handler: Any, root: str | None, options: dict[str, Any]) -> Function[Any, Any]:
        self._open()
        handler = _plain(handler)
        config = configure({"name": arguments.default_name(handler), **self.defaults, **options})
        version = Version(config=config, arn=self._arn(config.name), handler=handler, root=root, revision=self._next())
        known = self._functions.get(config.name)
        if known is not None and arguments.is_redefinition(known.version.handler, handler):
            return self._swap(known, version)
        self._registry.add(version)
        try:
            self._capacity.register(config)
        except InvalidParameterValue:
            self._registry.remove(config.name)
            raise
        made: Function[Any, Any] = Function(self, version)
        self._functions[config.name] = made
        self._background.wake()  # its events may be waiting in the store
        return made

    def _next(self) -> int:
        with self._lock:
            self._revision += 1
            return self._revision

    def _arn(self, name: str) -> str:
        return names.function_arn(name, region=self.region, account=self.account)

    def update(self, function: Function[E, A] | str, handler: Any = None, **options: Any) -> Function[E, A]:
        """Change a function's configuration or code. Environments of the old revision finish what they run, and end.

        Raises:
            InvalidParameterValue: as `function`; nothing has changed.
            ResourceNotFound: there is no such function.
            UsageError: neither a function nor a name, or not a handler.
        """
        made = function if isinstance(function, Function) else self[function]
        before = made.version
        if "name" in options and options["name"] != before.name:
            raise InvalidParameterValue(
                f"a function's name cannot change: {before.name!r} was asked to become {options['name']!r}"
            )
        settings = {field.name: getattr(before.config, field.name) for field in attrs.fields(type(before.config))}
        config = configure({**settings, **options})
        code = before.handler if handler is None else _plain(handler)
        version = attrs.evolve(before, config=config, handler=code, revision=self._next())
        return self._swap(made, version)

    def _swap(self, made: Function[E, A], version: Version) -> Function[E, A]:
        before = made.version
        self._capacity.register(version.config)
        self._registry.replace(version)
        made.rebind(version)
        self._capacity.retire(before)
        self._background.wake()  # there may be room for more of its events
        return made

    def remove(self, function: Function[Any, Any] | str) -> None:
        """Delete a function; its environments end.

        Raises:
            ResourceNotFound: there is no such function.
        """
        made = function if isinstance(function, Function) else self[function]
        self._registry.remove(made.name)
        self._functions.pop(made.name, None)
        self._background.timetable.remove(made.name)
        self._capacity.retire(made.version)
        self._capacity.forget(made.name)

    def __getitem__(self, name: str) -> Function[Any, Any]:
        """The function that a name, partial ARN or ARN means.

        Raises:
            ResourceNotFound: there is none.
            UsageError: not a name at all.
        """
        arguments.check_name(name)
        return self._functions[self._registry.resolve(name).name]

    def __iter__(self) -> Iterator[Function[Any, Any]]:
        return iter(list(self._functions.values()))

    def __len__(self) -> int:
        return len(self._functions)

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    # --- invoke ---------------------------------------------------------------------------------------------------

    def invoke(
        self, name: str, event: Any = arguments.NO_EVENT, *, qualifier: str | None = None, **options: Any
    ) -> Any:
        """`Function.invoke` by name, partial ARN or ARN.

        Raises:
            ResourceNotFound: no such function or qualifier.
        """
        return self._named(name, qualifier).invoke(event, **options)

    def run(
        self, name: str, event: Any = arguments.NO_EVENT, *, qualifier: str | None = None, **options: Any
    ) -> Outcome:
        """`Function.run` by name, partial ARN or ARN.

        Raises:
            ResourceNotFound: no such function or qualifier.
        """
        return self._named(name, qualifier).run(event, **options)

    def _named(self, name: str, qualifier: str | None) -> Function[Any, Any]:
        arguments.check_name(name)
        return self._functions[self._registry.resolve(name, qualifier).name]

    def plan(
        self,
        version: Version,
        event: Any,
        wait: float | bool | None,
        client_context: Mapping[str, Any] | str | None,
        identity: Mapping[str, str] | None,
        tenant_id: str | None,
        trace_id: str | None,
        gateway: Gateway | None = None,
    ) -> Plan[Outcome]:
        """Steps 0-2 of the walk, then the walk itself, for one of the two drivers to run."""
        payload = arguments.encode(event)  # 0
        if len(payload) > limits.REQUEST_BYTES:
            raise RequestTooLarge(
                f"Request must be smaller than {limits.REQUEST_BYTES} bytes for the InvokeFunction operation"
            )
        if self._closed:
            self._open()
        capacity = self._capacity
        fleet = capacity.fleet(version, self.supervisor)
        invocation = Invocation(version, payload, names.request_id(), version.arn)  # 2
        invocation.gateway = gateway or self._gateway
        if client_context is not None or identity is not None or tenant_id is not None or trace_id is not None:
            arguments.add_extras(invocation, client_context, identity, tenant_id, trace_id)
        patience = None if wait is None else arguments.patience(wait)
        return walk(capacity, fleet, self._observatory, invocation, patience)

    def _plan_queued(self, version: Version, event: QueuedEvent) -> Plan[Outcome]:
        """The walk of one attempt of an event from the queue."""
        if self._closed:
            self._open()
        capacity = self._capacity
        invocation = Invocation(version, event.payload, event.request_id, event.arn or version.arn)
        invocation.client_context, invocation.trace_id = event.client_context, event.trace_id
        invocation.attempt, invocation.gateway = event.attempts + 1, self._gateway
        return walk(capacity, capacity.fleet(version, self.supervisor), self._observatory, invocation, None)

    def check(self, version: Version, event: Any) -> None:
        """All that `plan` may refuse, without running anything."""
        plan = self.plan(version, event, None, None, None, None, None)
        plan.close()

    def supervisor(self) -> Supervisor:
        """Guardian and zygote, started on first need.

        Raises:
            UsageError: this platform cannot isolate processes.
        """
        from lambdalite.workers import launch

        with self._lock:
            held = self._supervisor
            if held is None or not held.alive:
                if held is not None:
                    launch.release(held)
                self._supervisor = held = launch.acquire()
                self._keep()
            return held

    def _keep(self) -> None:
        """See to it that idle environments are ended, by a thread or by a clock driven by hand; once."""
        if self._kept:
            return
        self._kept = True
        if isinstance(self.clock, SystemClock):
            from lambdalite.engine.keeper import Keeper

            keeper = Keeper(weakref.ref(self._capacity), self._capacity.idle_seconds)
            try:
                keeper.start()
            except RuntimeError:  # no more threads here: idle environments are then ended when the App is closed
                self._kept = False
                return
            self._keeper = keeper
        else:
            self.clock.subscribe(self._reap)

    def _reap(self) -> None:
        self._capacity.reap()

    # --- what is going on -----------------------------------------------------------------------------------------

    def statistics(self) -> Statistics:
        """Environments in use and idle, callers waiting, the limit."""
        return self._capacity.statistics()

    @property
    def logs(self) -> LogStore:
        """The log store: ``app.logs(fn)`` is a function's whole log; also by group, stream, time and text, and live."""
        return self._observatory.logs

    @property
    def metrics(self) -> Metrics:
        """Counters and distributions under CloudWatch's names."""
        return self._observatory.metrics

    def bill(self) -> Bill:
        """What AWS would have charged so far."""
        return self._observatory.bill()

    def observe(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call ``callback`` with every event of `lambdalite.observe.events`; gives back a function that ends it."""
        arguments.check_callback(callback)
        return self._observatory.observers.add(callback)

    def enforcement(self, function: Function[Any, Any] | None = None) -> Enforcement:
        """What is enforced on this machine, how, and what is not, for a function or for the App's own settings.

        Raises:
            SandboxUnavailable: the tier is ``strict`` and something that it needs is missing.
        """
        from lambdalite.enforcement import survey

        self._open()
        return survey(self, None if function is None else function.config)

    # --- end ------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._closed:
            raise UsageError(CLOSED)

    @property
    def closed(self) -> bool:
        """Is it over?"""
        return self._closed

    def close(self, *, grace: float = 0.0) -> None:
        """End every environment and wait until they are gone. Callers still inside see theirs die. Safe to call twice.

        Args:
            grace: seconds for sent events that are under way to finish. Those that do not go back to the store, without
                counting an attempt.

        Raises:
            UsageError: ``grace`` is no seconds; nothing is closed.
        """
        grace = arguments.seconds("grace", grace) or 0.0
        with self._lock:
            if self._closing:
                return
            self._closing = True
        if self._leave is not None:
            self._leave()
        try:
            self._background.close(grace)
        finally:  # also when Ctrl-C has ended that
            self._end()

    def _end(self) -> None:
        from lambdalite.workers import launch

        with self._lock:
            self._closed = True
            supervisor, self._supervisor = self._supervisor, None
        _apps.discard(self)
        if self._keeper is not None:
            self._keeper.stop()  # type: ignore[attr-defined]
        self._capacity.close()
        if supervisor is not None:
            launch.release(supervisor)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self.statistics().in_use} in use"
        return f"<App {len(self._functions)} functions, {state}>"

    def __del__(self) -> None:
        if not getattr(self, "_closed", True) and self._supervisor is not None:
            import warnings

            warnings.warn(f"{self!r} was never closed: use `with app:` or app.close()", ResourceWarning, stacklevel=2)
            self.close()

    def _after_fork(self) -> None:
        """In a forked child of the host: everything with a process behind it starts anew."""
        self._lock = threading.Lock()
        self._supervisor = None
        self._kept, self._keeper = False, None
        old = self._capacity
        self._observatory.after_fork()
        self._background.after_fork()
        self._capacity = self._new_capacity()
        for made in self._functions.values():
            self._capacity.register(made.config)
        old.abandon()


def _plain(handler: Any) -> Any:
    """A handler as it was given to us, without the Function around it."""
    handler = handler.version.handler if isinstance(handler, Function) else handler
    arguments.check_handler(handler)
    return handler


_apps: weakref.WeakSet[App] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """At exit nothing of ours is left behind, and nobody is warned: exiting is a way of closing."""
    for app in list(_apps):
        app.close()


def _after_fork_in_child() -> None:
    for app in list(_apps):
        app._after_fork()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
