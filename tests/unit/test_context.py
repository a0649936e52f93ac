"""The context object."""

# `expected == actual` is the order of the house.

from __future__ import annotations

import time
from typing import Any

import pytest

from lambdalite.runtime import context
from lambdalite.runtime.faults import Fault

META = {"id": "id-1", "deadline_ms": 1_000, "arn": "arn:aws:lambda:us-east-1:123456789012:function:f"}
CONFIG = {
    "name": "f",
    "version": "$LATEST",
    "memory": 256,
    "log_group": "/aws/lambda/f",
    "log_stream": "2026/11/02/[$LATEST]00",
}


def test_a_context_has_awss_attributes() -> None:
    """Every attribute that AWS documents, with AWS's types."""
    built = context.build({**META, "tenant": "blue"}, CONFIG)

    assert {
        "aws_request_id": "id-1",
        "function_name": "f",
        "function_version": "$LATEST",
        "invoked_function_arn": META["arn"],
        "memory_limit_in_mb": "256",
        "log_group_name": "/aws/lambda/f",
        "log_stream_name": "2026/11/02/[$LATEST]00",
        "client_context": None,
        "tenant_id": "blue",
    } == {name: value for name, value in vars(built).items() if not name.startswith("_") and name != "identity"}


def test_an_identity_is_always_there() -> None:
    """Without Amazon Cognito, the identity is an object whose fields are None."""
    identity = context.build(META, CONFIG).identity

    assert (None, None) == (identity.cognito_identity_id, identity.cognito_identity_pool_id)


def test_an_identity_has_what_the_caller_sent() -> None:
    """The two fields of a Cognito identity."""
    meta = {**META, "identity": {"cognitoIdentityId": "i", "cognitoIdentityPoolId": "p"}}

    assert "CognitoIdentity([cognito_identity_id=i,cognito_identity_pool_id=p])" == repr(
        context.build(meta, CONFIG).identity
    )


def test_a_client_context_is_an_object_of_three_parts() -> None:
    """The client is an object, custom and env stay dicts."""
    text = '{"client": {"app_title": "shop"}, "custom": {"a": 1}, "env": {"b": "2"}}'

    found: Any = context.build({**META, "client": text}, CONFIG).client_context

    assert ("shop", None, {"a": 1}, {"b": "2"}) == (
        found.client.app_title,
        found.client.installation_id,
        found.custom,
        found.env,
    )


def test_a_trace_context_is_taken_out_of_the_client_context() -> None:
    """w3c() tells the known string fields and nothing else."""
    text = '{"custom": {}, "w3c": {"traceparent": "00-1", "tracestate": 3, "other": "x"}}'

    built = context.build({**META, "client": text}, CONFIG)

    assert {"traceparent": "00-1"} == built.w3c()
    assert {} == context.build(META, CONFIG).w3c()


def test_a_client_context_that_is_not_json_is_awss_fault() -> None:
    """The runtime reports it before the handler runs."""
    with pytest.raises(Fault) as caught:
        context.build({**META, "client": "{"}, CONFIG)

    assert "Runtime.LambdaContextUnmarshalError" == caught.value.type
    assert caught.value.message.startswith("Unable to parse Client Context JSON: Expecting property name")


def test_a_client_context_that_is_no_object_is_a_fault_too() -> None:
    """JSON, but of the wrong kind: an AttributeError, as on AWS."""
    with pytest.raises(Fault) as caught:
        context.build({**META, "client": "5"}, CONFIG)

    assert ("AttributeError", "'int' object has no attribute 'get'") == (caught.value.type, caught.value.message)


@pytest.mark.parametrize(("now", "expected"), [(0.25, 750), (1.0, 0), (99.0, 0)])
def test_remaining_time_counts_down_to_zero(monkeypatch: Any, now: Any, expected: Any) -> None:
    """Whole milliseconds until the deadline, never negative."""
    monkeypatch.setattr(time, "time", lambda: now)

    assert expected == context.build(META, CONFIG).get_remaining_time_in_millis()


def test_log_ends_its_line(capsys: Any) -> None:
    """Every call is a log event of its own."""
    built = context.build(META, CONFIG)

    built.log("one")
    built.log("two\n")
    built.log(3)

    assert "one\ntwo\n3\n" == capsys.readouterr().out


def test_a_context_shows_itself_as_on_aws() -> None:
    """The repr, byte for byte."""
    text = '{"client": {"app_title": "shop"}, "custom": {"a": 1}}'

    assert (
        "LambdaContext([aws_request_id=id-1,log_group_name=/aws/lambda/f,log_stream_name=2026/11/02/[$LATEST]00,"
        "function_name=f,memory_limit_in_mb=256,function_version=$LATEST,"
        "invoked_function_arn=arn:aws:lambda:us-east-1:123456789012:function:f,"
        "client_context=ClientContext([custom={'a': 1},env=None,client=Client([installation_id=None,app_title=shop,"
        "app_version_name=None,app_version_code=None,app_package_name=None])]),"
        "identity=CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None]),tenant_id=None])"
    ) == repr(context.build({**META, "client": text}, CONFIG))
