"""Everything lambdalite raises.

::

    LambdaliteError
    ├── ServiceError              the request was refused; .code and .status as AWS
    │   ├── ResourceNotFound · ResourceConflict · ResourceNotReady · PreconditionFailed
    │   ├── InvalidParameterValue · InvalidRequestContent · InvalidPattern
    │   ├── RequestTooLarge · CodeStorageExceeded · RecursiveInvocation
    │   ├── TooManyRequests       .reason (AWS's ThrottleReason) .retry_after
    │   └── ServiceException      this machine has no room (descriptors, memory, processes)
    ├── FunctionError             only ever raised by Outcome.value; carries .outcome
    │   ├── HandlerError          the handler raised; .type .message .stack
    │   ├── FunctionTimeout
    │   ├── OutOfMemory           .limit .peak .enforced_by
    │   ├── EnvironmentExited     .exit_code or .signal
    │   ├── InitError             import failed, handler not found, init too slow
    │   └── ResponseTooLarge · ResponseNotSerializable
    ├── EventDropped              a sent event ended without an answer: cancelled, too old, stopped; .condition
    ├── UsageError                misuse: closed App, handler that cannot travel, missing extra
    │   └── SandboxUnavailable    a tier asks for what this machine does not permit
    └── InternalError             an invariant broke: please report it

*The service refused* is an exception; *the function failed* is an Outcome until somebody asks for the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from lambdalite.model.outcome import Outcome
    from lambdalite.model.queued import QueuedEvent

__all__ = [
    "CodeStorageExceeded",
    "EnvironmentExited",
    "EventDropped",
    "FunctionError",
    "FunctionTimeout",
    "HandlerError",
    "InitError",
    "InternalError",
    "InvalidParameterValue",
    "InvalidPattern",
    "InvalidRequestContent",
    "LambdaliteError",
    "OutOfMemory",
    "PreconditionFailed",
    "RecursiveInvocation",
    "RequestTooLarge",
    "ResourceConflict",
    "ResourceNotFound",
    "ResourceNotReady",
    "ResponseNotSerializable",
    "ResponseTooLarge",
    "SandboxUnavailable",
    "ServiceError",
    "ServiceException",
    "TooManyRequests",
    "UsageError",
]


class LambdaliteError(Exception):
    """The root of the tree: catch this to catch everything that lambdalite raises on purpose."""


# --- the service refused ------------------------------------------------------------------------------------------


class ServiceError(LambdaliteError):
    """The request was refused, as AWS's control or data plane would have refused it."""

    code: ClassVar[str] = "ServiceException"
    status: ClassVar[int] = 500
    by_code: ClassVar[dict[str, type[ServiceError]]] = {}

    def __init_subclass__(cls, *, code: str, status: int, **kwargs: Any) -> None:
        """Register the class under AWS's name for it, so that code → class is a dict nobody keeps by hand."""
        super().__init_subclass__(**kwargs)
        cls.code, cls.status = code, status
        ServiceError.by_code[code] = cls

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])
        self.message = str(self)


class ResourceNotFound(ServiceError, code="ResourceNotFoundException", status=404):
    """The function, version or alias does not exist."""


class ResourceConflict(ServiceError, code="ResourceConflictException", status=409):
    """The resource already exists, or another operation is in progress."""


class ResourceNotReady(ServiceError, code="ResourceNotReadyException", status=502):
    """The function is inactive and its resources are no longer available."""


class PreconditionFailed(ServiceError, code="PreconditionFailedException", status=412):
    """The RevisionId provided does not match the latest RevisionId."""


class InvalidParameterValue(ServiceError, code="InvalidParameterValueException", status=400):
    """One of the parameters in the request is not valid."""


class InvalidRequestContent(ServiceError, code="InvalidRequestContentException", status=400):
    """The request body could not be parsed as JSON."""


class InvalidPattern(ServiceError, code="InvalidEventPatternException", status=400):
    """The event pattern is not valid."""


class RequestTooLarge(ServiceError, code="RequestTooLargeException", status=413):
    """The request payload exceeded the Invoke request body JSON input quota."""


class CodeStorageExceeded(ServiceError, code="CodeStorageExceededException", status=400):
    """Code storage limit exceeded."""


class RecursiveInvocation(ServiceError, code="RecursiveInvocationException", status=400):
    """Lambda has detected your function being invoked in a recursive loop with other resources and stopped it."""


class ServiceException(ServiceError, code="ServiceException", status=500):
    """The service encountered an internal error."""


class TooManyRequests(ServiceError, code="TooManyRequestsException", status=429):
    """Rate Exceeded."""

    def __init__(self, message: str = "Rate Exceeded.", *, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the facts."""
        return _rebuild_throttle, (str(self), self.reason, self.retry_after)

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text} (Reason: {self.reason})" if getattr(self, "reason", "") and self.reason not in text else text


def _rebuild_throttle(message: str, reason: str, retry_after: float | None) -> TooManyRequests:
    return TooManyRequests(message.removesuffix(f" (Reason: {reason})"), reason=reason, retry_after=retry_after)


# --- the function failed ------------------------------------------------------------------------------------------


class FunctionError(LambdaliteError):
    """The function failed. Raised only when the answer of a failed Outcome is asked for; `.outcome` has the rest."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome

    @property
    def type(self) -> str:
        """AWS's errorType: the exception's class name, Sandbox.Timedout, Runtime.ExitError and the like."""
        return self.outcome.error_type

    @property
    def message(self) -> str:
        """AWS's errorMessage."""
        return self.outcome.error_message

    @property
    def stack(self) -> tuple[str, ...]:
        """The handler's own frames, outermost first, each line as AWS prints it."""
        return self.outcome.stack_trace

    def __str__(self) -> str:
        return self.outcome.explain()


class HandlerError(FunctionError):
    """The handler raised."""


class FunctionTimeout(FunctionError):
    """The handler did not answer before its deadline; its environment was killed."""


class OutOfMemory(FunctionError):
    """The environment used more memory than configured and was killed."""

    @property
    def limit(self) -> int:
        """The configured memory, bytes."""
        return self.outcome.memory_limit

    @property
    def peak(self) -> int:
        """The most memory seen in use, bytes."""
        return self.outcome.max_memory_used

    @property
    def enforced_by(self) -> str:
        """What killed it: ``"sampling"`` or ``"cgroup"``."""
        return self.outcome.enforced_by


class EnvironmentExited(FunctionError):
    """The process under the environment ended: it exited, crashed, or was killed."""

    @property
    def exit_code(self) -> int | None:
        """The process's exit status, if it exited."""
        return self.outcome.exit_code

    @property
    def signal(self) -> int | None:
        """The signal that killed the process, if one did."""
        return self.outcome.signal


class InitError(FunctionError):
    """The function never became ready: its import failed, its handler is missing, or init took too long."""


class ResponseTooLarge(FunctionError):
    """The answer is larger than 6,291,556 bytes."""


class ResponseNotSerializable(FunctionError):
    """The answer cannot be written as JSON."""


class EventDropped(LambdaliteError):
    """A sent event ended without an answer; `condition` says why, `request_id` which."""

    def __init__(self, event: QueuedEvent) -> None:
        super().__init__(event)
        self.event = event

    @property
    def request_id(self) -> str:
        """Of the event."""
        return self.event.request_id

    @property
    def condition(self) -> str:
        """AWS's condition, such as EventAgeExceeded; empty if it was cancelled."""
        return self.event.condition

    def __str__(self) -> str:
        event = self.event
        if not event.condition:
            return f"event {event.request_id} of {event.function} was cancelled before it ran"
        last = f"; the last answer was {event.failure}" if event.failure else ""
        return f"event {event.request_id} of {event.function} ended without an answer: {event.condition}{last}"


# --- misuse -------------------------------------------------------------------------------------------------------


class UsageError(LambdaliteError):
    """lambdalite was used in a way that cannot work; the message says what to do instead."""


#: What whoever uses an App that is over is told.
CLOSED = "this App is closed: make a new one, or keep it open with `with app:` around its use"

_STRICT_HINT = "Use isolation='process', or run `lambdalite doctor` to see what this machine permits."


class SandboxUnavailable(UsageError):
    """The isolation tier asks for something that this machine does not permit."""

    def __init__(self, missing: tuple[str, ...], hint: str = "") -> None:
        super().__init__(missing, hint)
        self.missing = tuple(missing)
        self.hint = hint

    def __str__(self) -> str:
        text = f"isolation='strict' is not available here: missing {', '.join(self.missing)}."
        return f"{text} {self.hint or _STRICT_HINT}"


class InternalError(LambdaliteError):
    """An invariant of lambdalite broke. Please report this with the text of the error."""
