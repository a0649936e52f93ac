"""The second argument of a handler (SEMANTICS 4): the same names, the same text as AWS's."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from lambdalite.runtime.faults import Fault, describe, from_exception

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Client", "ClientContext", "CognitoIdentity", "LambdaContext", "build"]

_W3C_FIELDS = ("traceparent", "tracestate", "baggage")  # R: what `w3c()` lets through, if it is a string
_SHOWN = (  # R: the order of the repr
    "aws_request_id",
    "log_group_name",
    "log_stream_name",
    "function_name",
    "memory_limit_in_mb",
    "function_version",
    "invoked_function_arn",
    "client_context",
    "identity",
    "tenant_id",
)


def _show(thing: object, names: tuple[str, ...]) -> str:
    fields = ",".join(f"{name}={getattr(thing, name)}" for name in names)
    return f"{type(thing).__name__}([{fields}])"


class _Record:
    """A fixed set of attributes, filled from a JSON object; what it lacks is None."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, fields: Mapping[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, fields.get(name))

    def __repr__(self) -> str:
        return _show(self, tuple(self.__slots__))


class CognitoIdentity(_Record):
    """Who calls, if Amazon Cognito knows."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self, identity: Mapping[str, Any] | None) -> None:
        # Written out, for this runs at every invocation.
        known = identity or {}
        self.cognito_identity_id = known.get("cognitoIdentityId")
        self.cognito_identity_pool_id = known.get("cognitoIdentityPoolId")


class Client(_Record):
    """The mobile application that calls."""

    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")

    app_package_name: str | None
    app_title: str | None
    app_version_code: str | None
    app_version_name: str | None
    installation_id: str | None

    def __repr__(self) -> str:
        return _show(self, ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"))


class ClientContext(_Record):
    """What the caller says about itself."""

    __slots__ = ("client", "custom", "env")

    client: Client | None
    custom: dict[str, Any] | None
    env: dict[str, Any] | None

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        if self.client is not None:
            self.client = Client(fields["client"])

    def __repr__(self) -> str:
        return _show(self, ("custom", "env", "client"))


class LambdaContext:
    """What an invocation knows about itself.

    Attributes:
        aws_request_id: the invocation's id, the same for all retries of an asynchronous one.
        function_name: unqualified.
        function_version: ``"$LATEST"`` or a number, as text.
        invoked_function_arn: as the caller named it.
        memory_limit_in_mb: MiB, as text.
        log_group_name, log_stream_name: where the log goes.
        identity: a `CognitoIdentity`, always.
        client_context: a `ClientContext`, or None.
        tenant_id: None unless the function isolates tenants.
    """

    def __init__(
        self,
        meta: Mapping[str, Any],
        config: Mapping[str, Any],
        client_context: dict[str, Any] | None,
        identity: Mapping[str, Any] | None,
    ) -> None:
        self.aws_request_id = meta["id"]
        self.log_group_name = config.get("log_group")
        self.log_stream_name = config.get("log_stream")
        self.function_name = config["name"]
        self.memory_limit_in_mb = str(config["memory"])
        self.function_version = config["version"]
        self.invoked_function_arn = meta["arn"]
        self.tenant_id = meta.get("tenant")
        self._w3c = None if client_context is None else _take_w3c(client_context)
        self.client_context = None if client_context is None else ClientContext(client_context)
        self.identity = CognitoIdentity(identity)
        self._epoch_deadline_time_in_ms = meta["deadline_ms"]

    def get_remaining_time_in_millis(self) -> int:
        """Whole milliseconds until the invocation is killed, never below 0."""
        return max(int(self._epoch_deadline_time_in_ms) - int(time.time() * 1000), 0)

    def w3c(self) -> dict[str, str]:
        """The W3C trace context that came with the client context."""
        return dict(self._w3c or {})

    def log(self, message: object) -> None:
        """Write to the log, without time or id. Every call is an event of its own, hence the line's end."""
        text = str(message)
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()

    def __repr__(self) -> str:
        return _show(self, _SHOWN)


def _take_w3c(client_context: dict[str, Any]) -> dict[str, str]:
    """Take the trace context out of the client context: it is told by `w3c` only."""
    found = client_context.pop("w3c", None) if isinstance(client_context, dict) else None
    if not isinstance(found, dict):
        return {}
    return {name: found[name] for name in _W3C_FIELDS if isinstance(found.get(name), str)}


def build(meta: Mapping[str, Any], config: Mapping[str, Any]) -> LambdaContext:
    """The context of one invocation.

    Args:
        meta: ``id``, ``deadline_ms`` (since the epoch), ``arn``; perhaps ``client`` (JSON), ``identity``, ``tenant``.
        config: ``name``, ``version``, ``memory`` (MiB), ``log_group``, ``log_stream``.

    Raises:
        Fault: ``Runtime.LambdaContextUnmarshalError``, the client context is not JSON; AttributeError, as on AWS, if it
            is JSON but no object.
    """
    client = meta.get("client")
    if not client:
        return LambdaContext(meta, config, None, meta.get("identity"))
    parsed = _parse(client, "Client Context")
    try:
        return LambdaContext(meta, config, parsed, meta.get("identity"))
    except AttributeError as error:
        raise from_exception(error) from error


def _parse(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"Unable to parse {name} JSON: {describe(error)}"
        raise Fault("Runtime.LambdaContextUnmarshalError", message) from None
