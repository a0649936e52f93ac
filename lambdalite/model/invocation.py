"""One request to run one version once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from lambdalite.model.function import Version

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
