"""A decorated handler: still the plain callable, and the handle for running it in an environment."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from lambdalite.arguments import NO_EVENT
from lambdalite.errors import UsageError
from lambdalite.workers.waiting import block, obey

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lambdalite.app import App
    from lambdalite.model.function import FunctionConfig, Version
    from lambdalite.model.outcome import Outcome
    from lambdalite.sent import SentEvent

__all__ = ["Function"]

E = TypeVar("E")
A = TypeVar("A")


class Function(Generic[E, A]):
    """A function of an App. Made by `App.function` and `App.load`; call it, and the plain handler runs right here.

    Everything else runs it in an environment, where its limits hold:

    - `invoke` gives the answer or raises; `run` gives the Outcome and never raises for the handler's faults;
    - `ainvoke` and `arun` are the same for asyncio and trio; cancel them and the environment is gone;
    - `map` runs many.

    All of them take ``wait``: seconds to wait for room when every permitted environment is in use (True: as long as it
    takes). Without it, a call that finds no room is refused at once with `TooManyRequests`, as on AWS.
    """

    def __init__(self, app: App, version: Version) -> None:
        self._app = app
        self.rebind(version)

    def rebind(self, version: Version) -> None:
        """Stand for another version from now on (`App.update` does this)."""
        self._version = version
        handler = version.handler
        if not isinstance(handler, str):
            functools.update_wrapper(cast("Callable[..., Any]", self), handler, updated=())
            self.__lambdalite_handler__ = handler

    # --- what it is -----------------------------------------------------------------------------------------------

    @property
    def app(self) -> App:
        """The App it belongs to."""
        return self._app

    @property
    def config(self) -> FunctionConfig:
        """Its configuration, as it is now."""
        return self._version.config

    @property
    def name(self) -> str:
        """Its name."""
        return self._version.config.name

    @property
    def arn(self) -> str:
        """Its unqualified ARN."""
        return self._version.arn

    @property
    def version(self) -> Version:
        """The version that runs now."""
        return self._version

    def __call__(self, *args: Any, **kwargs: Any) -> A:
        """Call the plain handler in this process: no limits, no environment, no JSON.

        Raises:
            UsageError: the function was loaded from a handler string, so there is no callable here.
        """
        handler = self._version.handler
        if isinstance(handler, str):
            raise UsageError(
                f"{self.name} was loaded from '{handler}' and has no callable here: use {self.name}.invoke(event)"
            )
        return cast("A", handler(*args, **kwargs))

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Decorated inside a class: on an instance it is the plain bound method."""
        handler = self._version.handler
        if instance is None or isinstance(handler, str):
            return self
        return types.MethodType(handler, instance)

    def __repr__(self) -> str:
        config = self._version.config
        reuse = ", reuse" if config.reuse else ""
        return f"<Function {config.name} {config.memory} MiB, {config.timeout:g} s, {config.isolation}{reuse}>"

    # --- run it ---------------------------------------------------------------------------------------------------

    def run(
        self,
        event: E = NO_EVENT,
        *,
        wait: float | bool | None = None,
        client_context: Mapping[str, Any] | str | None = None,
        identity: Mapping[str, str] | None = None,
        tenant_id: str | None = None,
        trace_id: str | None = None,
    ) -> Outcome:
        """Run it once and say what came of it.

        Args:
            event: anything JSON can say, or JSON bytes, taken as they are; ``{}`` if left out, as on AWS.
            wait: seconds to wait for room; None or False: not at all; True: as long as it takes.
            client_context: for ``context.client_context``: a mapping, or JSON text up to 3,583 bytes in base64.
            identity: for ``context.identity``: ``cognitoIdentityId`` and ``cognitoIdentityPoolId``.
            tenant_id: for ``context.tenant_id``, 1 to 256 characters.
            trace_id: X-Ray trace header, in ``_X_AMZN_TRACE_ID``.

        Raises:
            ServiceError: the request was refused: too large, not JSON, throttled, no room on this machine.
            UsageError: the App is closed, or the handler cannot travel to another process.
        """
        plan = self._app.plan(self._version, event, wait, client_context, identity, tenant_id, trace_id)
        return block(plan)

    def invoke(
        self,
        event: E = NO_EVENT,
        *,
        wait: float | bool | None = None,
        client_context: Mapping[str, Any] | str | None = None,
        identity: Mapping[str, str] | None = None,
        tenant_id: str | None = None,
        trace_id: str | None = None,
    ) -> A:
        """Run it once and give its answer. Arguments as `run`.

        Raises:
            FunctionError: the function failed; the subclass says how, ``.outcome`` has the rest.
            ServiceError: the request was refused.
            UsageError: the App is closed, or the handler cannot travel to another process.
        """
        plan = self._app.plan(self._version, event, wait, client_context, identity, tenant_id, trace_id)
        return cast("A", block(plan).value)

    async def arun(
        self,
        event: E = NO_EVENT,
        *,
        wait: float | bool | None = None,
        client_context: Mapping[str, Any] | str | None = None,
        identity: Mapping[str, str] | None = None,
        tenant_id: str | None = None,
        trace_id: str | None = None,
    ) -> Outcome:
        """`run` for asyncio and trio. Cancelling it ends its environment, and nothing else."""
        return await obey(self._app.plan(self._version, event, wait, client_context, identity, tenant_id, trace_id))

    async def ainvoke(
        self,
        event: E = NO_EVENT,
        *,
        wait: float | bool | None = None,
        client_context: Mapping[str, Any] | str | None = None,
        identity: Mapping[str, str] | None = None,
        tenant_id: str | None = None,
        trace_id: str | None = None,
    ) -> A:
        """`invoke` for asyncio and trio. Cancelling it ends its environment, and nothing else."""
        plan = self._app.plan(self._version, event, wait, client_context, identity, tenant_id, trace_id)
        return cast("A", (await obey(plan)).value)

    # --- send it an event -----------------------------------------------------------------------------------------

    def send(
        self,
        event: E = NO_EVENT,
        *,
        delay: float = 0.0,
        at: float | dt.datetime | None = None,
        priority: int = 0,
        group: str | None = None,
        request_id: str | None = None,
        maximum_retry_attempts: int | None = None,
        maximum_event_age: float | None = None,
        client_context: Mapping[str, Any] | str | None = None,
        trace_id: str | None = None,
    ) -> SentEvent[A]:
        """Invoke it asynchronously (AWS's ``InvocationType=Event``): when this returns, the event is safe in the queue.

        It runs as soon as there is room, is retried if it fails, and its outcome goes to the function's destinations.

        Args:
            event: as for `run`, up to 1 MiB.
            delay: seconds before it may run (an extension), or
            at: the moment from which it may: a datetime with a time zone, or seconds since the epoch.
            priority: higher goes first among those that are due (an extension).
            group: events with the same key never run at the same time (an extension).
            request_id: of your own, 1 to 128 characters: sending a known one again changes nothing and gives the handle
                on the first (an extension).
            maximum_retry_attempts: for this event, 0 to 2; None: as the function says.
            maximum_event_age: for this event, seconds, 60 to 21,600; None: as the function says.
            client_context: as for `run`.
            trace_id: as for `run`.

        Raises:
            ServiceError: the request was refused: too large, not JSON, an id that another function's event has, or the
                store cannot take it.
            UsageError: the App is closed.
        """
        from lambdalite import sent

        payload = sent.encode_checked(event)
        extras = sent.extras(client_context, trace_id, request_id, maximum_retry_attempts, maximum_event_age)
        sent.check_order(delay=delay, at=at, priority=priority, group=group)
        queue, when = self._app.queue, sent.moment(at)
        found = queue.accept(self._version, payload, delay=delay, at=when, priority=priority, group=group, **extras)
        return sent.SentEvent(self, found, queue)

    async def asend(self, event: E = NO_EVENT, **options: Any) -> SentEvent[A]:
        """`send` for asyncio and trio: the loop goes on while the disk is written."""
        import anyio.to_thread

        return await anyio.to_thread.run_sync(functools.partial(self.send, event, **options))

    def dry_run(self, event: E = NO_EVENT) -> None:
        """Check everything that can be refused, and run nothing (AWS's ``InvocationType=DryRun``, status 204).

        Raises:
            ServiceError: as `run` would, except for concurrency.
            UsageError: as `run` would.
        """
        self._app.check(self._version, event)

    def map(
        self, events: Iterable[E], *, concurrency: int | None = None, progress: bool = False, outcomes: bool = False
    ) -> Iterator[A]:
        """Run it once for each event; answers come in the order of the events, as they are ready.

        At most ``concurrency`` are in flight, and as many answers wait to be taken, so ``events`` may be endless.

        Args:
            events: the events.
            concurrency: how many at once; by default two for each processor, or the reserved concurrency if lower.
            progress: draw a progress bar on standard error.
            outcomes: give Outcomes instead of answers, and do not raise for a function's failure.

        Raises:
            FunctionError: while iterating, when the turn of a failed one comes; those in flight are finished first.
        """
        from lambdalite.mapping import run_many

        return cast(
            "Iterator[A]", run_many(self, events, concurrency=concurrency, progress=progress, outcomes=outcomes)
        )
