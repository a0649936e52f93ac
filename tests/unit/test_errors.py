"""The tree of errors: AWS's codes on the classes, messages that explain, and all of it can be pickled."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from lambdalite import errors
from lambdalite.errors import FunctionError, LambdaliteError, SandboxUnavailable, ServiceError, TooManyRequests
from lambdalite.model.function import FunctionConfig, Version
from lambdalite.model.outcome import Failure, Outcome
from lambdalite.names import function_arn

CLASSES = [getattr(errors, name) for name in errors.__all__]
SERVICE = [one for one in CLASSES if issubclass(one, ServiceError) and one is not ServiceError]


def handler(event: Any, context: Any) -> None:
    """Any handler."""


@pytest.mark.parametrize("error", CLASSES)
def test_everything_is_one_tree(error: type[Exception]) -> None:
    """`except LambdaliteError` catches everything, and every class explains itself."""
    assert issubclass(error, LambdaliteError)
    assert (error.__doc__ or "").strip()


def test_tree_is_drawn_in_full() -> None:
    """The drawing in the module's docstring has every class."""
    assert [] == [name for name in errors.__all__ if name not in (errors.__doc__ or "")]


@pytest.mark.parametrize("error", SERVICE)
def test_code_is_on_the_class(error: type[ServiceError]) -> None:
    """AWS's code leads to the class, and its status is one of HTTP's errors."""
    assert error is ServiceError.by_code[error.code]
    assert 400 <= error.status < 600


@pytest.mark.parametrize("error", SERVICE)
def test_docstring_is_the_default_message(error: type[ServiceError]) -> None:
    """An error raised without words says what its class means."""
    made = error()

    assert (error.__doc__ or "").splitlines()[0] == str(made)
    assert str(made) == made.message


@pytest.mark.parametrize("error", [*SERVICE, errors.UsageError, errors.InternalError, LambdaliteError])
def test_plain_errors_are_picklable(error: type[Exception]) -> None:
    """An error goes through a pickle and comes out with its class and words."""
    back = pickle.loads(pickle.dumps(error("no room for f")))

    assert (error, "no room for f") == (type(back), str(back))


def test_throttle_keeps_its_facts() -> None:
    """A pickled or copied TooManyRequests has its reason and its delay, and says the reason once."""
    made = TooManyRequests(reason="ReservedFunctionConcurrentInvocationLimitExceeded", retry_after=2.0)
    for back in (pickle.loads(pickle.dumps(made)), copy.copy(made)):
        assert (made.reason, 2.0) == (back.reason, back.retry_after)
        assert "Rate Exceeded. (Reason: ReservedFunctionConcurrentInvocationLimitExceeded)" == str(back)


def test_sandbox_unavailable_keeps_what_is_missing() -> None:
    """It names what is missing and what to do, also after a pickle."""
    back = pickle.loads(pickle.dumps(SandboxUnavailable(("landlock", "user namespaces"))))

    assert ("landlock", "user namespaces") == back.missing
    assert "missing landlock, user namespaces. Use isolation='process'" in str(back)


def failed(failure: Failure) -> Outcome:
    """An outcome that failed in this way."""
    version = Version(config=FunctionConfig(name="f"), arn=function_arn("f"), handler=handler)
    document = b'{"errorMessage": "went wrong", "errorType": "ValueError", "stackTrace": []}'
    return Outcome(request_id="8d2", version=version, failure=failure, payload=document, started_at=0.0, duration=0.25)


@pytest.mark.parametrize("failure", list(Failure), ids=lambda failure: failure.name)
def test_function_errors_are_picklable(failure: Failure) -> None:
    """What a failed function raises carries its outcome through a pickle, and says the same afterwards."""
    error = failed(failure).error
    assert isinstance(error, FunctionError)
    back = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error), "went wrong") == (type(back), str(back), back.message)


def test_pickled_outcome_names_its_handler() -> None:
    """Code does not travel with an outcome, only its name: so lambdas and decorated handlers are no obstacle."""
    outcome = failed(Failure.TIMEOUT)
    back = pickle.loads(pickle.dumps(outcome))

    assert outcome.version.config == back.version.config
    assert f"{__name__}.handler" == back.version.handler
    assert outcome.log == back.log
