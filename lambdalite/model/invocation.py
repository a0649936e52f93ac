"""One request to run one version once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from typing import Protocol

    from lambdalite.model.function import Version
    from lambdalite.workers.waiting import Plan

    class Gateway(Protocol):
        """What answers a handler that asks its host for something."""

        def serve(
            self, invocation: Invocation, meta: dict[str, Any], payload: bytes
        ) -> Plan[tuple[dict[str, Any], bytes]]:
            """What to reply; never raises for what the handler asked."""
            ...


__all__ = ["Invocation"]


@attrs.define(eq=False)
class Invocation:
    """A request, ready to run: everything is checked and encoded by now.

    A plain `define` without validators: one is made for every call, and frozen instances cost three times as much.
    """

    #: The version that runs: resolved, immutable.
    version: Version
    #: The event as JSON bytes.
    payload: bytes
    #: The same id for every attempt of one event.
    request_id: str
    #: The ARN the caller used; ``context.invoked_function_arn``.
    arn: str
    #: Client context as JSON text, if the caller gave one.
    client_context: str | None = None
    #: Cognito identity: ``{"cognitoIdentityId": …, "cognitoIdentityPoolId": …}``.
    identity: dict[str, str] | None = None
    #: Tenant, for functions isolated per tenant.
    tenant_id: str | None = None
    #: X-Ray trace header, passed on to the handler.
    trace_id: str | None = None
    #: 1 for the first attempt.
    attempt: int = 1
    #: What the handler may ask for, through `lambdalite.current_app()`; None: nothing.
    gateway: Gateway | None = None
