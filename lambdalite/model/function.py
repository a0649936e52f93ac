"""What a function is: its configuration, checked once with AWS's words, and the version that runs."""

from __future__ import annotations

import inspect
import json
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from lambdalite import limits, names
from lambdalite.errors import InvalidParameterValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["ROLES", "FunctionConfig", "Version"]


def _frozen(given: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(given))


def _target(given: Any) -> Any:
    """A destination; a Function is kept as its ARN, so that what counts is what the function is when a record comes."""
    arn = getattr(given, "arn", None)
    return arn if isinstance(arn, str) and not hasattr(given, "deliver") else given


#: Options that name a destination, which are also the roles of what it is given.
ROLES = ("on_success", "on_failure", "dead_letter")
_TIERS = ("process", "strict", "inline")
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")  # B: ApplicationLogLevel


@attrs.frozen(kw_only=True)
class FunctionConfig:
    """A function's configuration. Make it with `configure`, which checks it; change it with `attrs.evolve`.

    Attributes:
        name: unqualified function name, up to 64 characters.
        memory: MiB, 128 to 10,240.
        timeout: seconds, 0.001 to 900.
        ephemeral_storage: size of ``/tmp``, MiB, 512 to 10,240.
        environment: the user's environment variables.
        reserved_concurrency: environments set aside for, and allowed to, this function; 0 stops it; None: no reservation.
        provisioned_concurrency: environments kept initialised.
        description: up to 256 characters.
        tags: up to 50.
        isolation: ``"process"``, ``"strict"`` or ``"inline"``.
        reuse: keep environments warm, as AWS may do; False gives every invocation a fresh one.
        init_timeout: seconds that the init phase may take.
        log_format: ``"Text"`` or ``"JSON"``.
        log_level: application log level in JSON format.
        cpu: ``"off"`` full speed, ``"aws"`` memory/1769 of a vCPU.
        architecture: ``"x86_64"`` or ``"arm64"``: only the bill differs.
        network: may the handler open network connections? None: yes in ``process``, no in ``strict``.
        writable: directories besides ``/tmp`` that the handler may write to.
        maximum_retry_attempts: how often a sent event is tried again after the function failed, 0 to 2.
        maximum_event_age: seconds that a sent event may wait and be tried, 60 to 21,600.
        on_success: destination of the records of sent events that were answered: a function, its name or ARN, an object
            with ``deliver(record)``, or a callable of one record.
        on_failure: the same for events that were not.
        dead_letter: where such events themselves go.
        recursive_loop: ``"Terminate"`` or ``"Allow"``: what happens to a chain of events that comes back sixteen times.
    """

    name: str
    memory: int = limits.MEMORY_MIB_DEFAULT
    timeout: float = limits.TIMEOUT_DEFAULT
    ephemeral_storage: int = limits.EPHEMERAL_STORAGE_MIB_DEFAULT
    environment: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)
    reserved_concurrency: int | None = None
    provisioned_concurrency: int = 0
    description: str = ""
    tags: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen)
    isolation: str = "process"
    reuse: bool = False
    init_timeout: float = limits.INIT_TIMEOUT_DEFAULT
    log_format: str = "Text"
    log_level: str = "INFO"
    cpu: str = "off"
    architecture: str = "x86_64"
    network: bool | None = None
    writable: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    maximum_retry_attempts: int = limits.RETRY_ATTEMPTS_DEFAULT
    maximum_event_age: int = limits.EVENT_AGE_DEFAULT
    on_success: Any = attrs.field(default=None, converter=_target)
    on_failure: Any = attrs.field(default=None, converter=_target)
    dead_letter: Any = attrs.field(default=None, converter=_target)
    recursive_loop: str = "Terminate"

    @property
    def memory_bytes(self) -> int:
        """The memory limit, bytes."""
        return self.memory * limits.MIB

    @property
    def tmp_bytes(self) -> int:
        """The bound of ``/tmp``, bytes."""
        return self.ephemeral_storage * limits.MIB

    @property
    def cpu_share(self) -> float:
        """VCPUs that AWS gives this much memory."""
        return self.memory / limits.MEMORY_PER_VCPU_MIB

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as plain values: the read-only views of its mappings cannot be."""
        values = {field.name: getattr(self, field.name) for field in attrs.fields(FunctionConfig)}
        plain = {"environment": dict(self.environment), "tags": dict(self.tags)}
        targets = {role: _spelled_target(values[role]) for role in ROLES}
        return _rebuild_config, ({**values, **plain, **targets},)


def _spelled_target(target: Any) -> str | None:
    """A destination for reading elsewhere: code does not travel."""
    return target if target is None or isinstance(target, str) else _spelled(target)


def _rebuild_config(values: dict[str, Any]) -> FunctionConfig:
    return FunctionConfig(**values)


def _key(version: Version) -> tuple[str, str, int]:
    return (version.config.name, version.number, version.revision)


@attrs.frozen(kw_only=True, eq=False)
class Version:
    """One immutable version of a function: ``$LATEST`` as it stood at one moment, or a published number.

    Attributes:
        config: the configuration.
        number: ``"$LATEST"`` or ``"1"``, ``"2"``, …
        arn: unqualified ARN of the function.
        handler: the user's callable as decorated, or a handler string.
        root: directory of a handler string, None for the import path.
        revision: changes with every update; environments of an older revision are not used again.
    """

    config: FunctionConfig
    arn: str
    handler: Callable[..., Any] | str
    number: str = names.LATEST
    root: str | None = None
    revision: int = 0
    #: What environments are kept under: equal keys run the same code with the same settings.
    key: tuple[str, str, int] = attrs.field(
        init=False,
        repr=False,
        default=attrs.Factory(_key, takes_self=True),
    )

    @property
    def name(self) -> str:
        """The function's name."""
        return self.config.name

    @property
    def region(self) -> str:
        """The region in its ARN."""
        return self.arn.split(":")[3]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it with the handler's name for the handler: outcomes travel between processes, code does not."""
        handler = self.handler if isinstance(self.handler, str) else _spelled(self.handler)
        return _rebuild_version, (self.config, self.arn, handler, self.number, self.root, self.revision)


def _spelled(handler: Callable[..., Any]) -> str:
    """A handler as a handler string would spell it, for reading."""
    named = handler if hasattr(handler, "__qualname__") else type(handler)
    module = getattr(named, "__module__", None)  # methods of built-in objects have none
    return f"{module}.{named.__qualname__}" if module else named.__qualname__


def _rebuild_version(
    config: FunctionConfig, arn: str, handler: str, number: str, root: str | None, revision: int
) -> Version:
    return Version(config=config, arn=arn, handler=handler, number=number, root=root, revision=revision)


def configure(options: Mapping[str, Any]) -> FunctionConfig:
    """Check options and make a configuration.

    Raises:
        InvalidParameterValue: with every fault in one message, in AWS's words where AWS has them.
    """
    known = {field.name for field in attrs.fields(FunctionConfig)}
    faults = [
        f"unknown option '{option}': use one of {', '.join(sorted(known))}" for option in options if option not in known
    ]
    wrong: set[str] = set()
    for option, value in options.items():
        if option in known:
            found = list(_CHECKS[option](option, value))
            faults += found
            wrong |= {option} if found else set()
    if faults:
        raise InvalidParameterValue(_summary(options.get("name"), faults))
    config = FunctionConfig(**options)
    if any(_names(getattr(config, role), config.name) for role in ROLES):
        raise InvalidParameterValue("You can't specify the function as a destination for itself.")  # S
    return config


def _names(target: Any, function: str) -> bool:
    """Is the target this function, by name or ARN?"""
    parts = names.split_function(target) if isinstance(target, str) else None
    return parts is not None and parts[0] == function


def _summary(name: Any, faults: list[str]) -> str:
    constraint = [fault for fault in faults if fault.startswith("Value ")]
    others = [fault for fault in faults if not fault.startswith("Value ")]
    parts = []
    if constraint:
        plural = "error" if len(constraint) == 1 else "errors"
        parts.append(f"{len(constraint)} validation {plural} detected: {'; '.join(constraint)}")
    return " · ".join(parts + others) if len(parts) + len(others) > 1 else (parts + others)[0]


def _constraint(value: Any, field: str, rule: str) -> str:
    """AWS's form of a refused value (SEMANTICS 8)."""
    return f"Value '{value}' at '{field}' failed to satisfy constraint: Member must {rule}"


def _camel(option: str) -> str:
    return _AWS_FIELDS.get(option, option)


_AWS_FIELDS = {
    "name": "functionName",
    "memory": "memorySize",
    "ephemeral_storage": "ephemeralStorage.size",
    "reserved_concurrency": "reservedConcurrentExecutions",
    "provisioned_concurrency": "provisionedConcurrentExecutions",
    "log_format": "loggingConfig.logFormat",
    "log_level": "loggingConfig.applicationLogLevel",
    "architecture": "architectures",
    "maximum_retry_attempts": "maximumRetryAttempts",
    "maximum_event_age": "maximumEventAgeInSeconds",
    "recursive_loop": "recursiveLoop",
}


def _whole(option: str, value: Any, low: int, high: int | None = None) -> Iterable[str]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield f"{option} must be a whole number, not {value!r} ({type(value).__name__})"
    elif value < low:
        yield _constraint(value, _camel(option), f"have value greater than or equal to {low}")
    elif high is not None and value > high:
        yield _constraint(value, _camel(option), f"have value less than or equal to {high}")


def _seconds(option: str, value: Any, low: float, high: float) -> Iterable[str]:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        yield f"{option} must be a number of seconds, not {value!r} ({type(value).__name__})"
    elif value < low:
        yield _constraint(value, _camel(option), f"have value greater than or equal to {low:g}")
    elif value > high:
        yield _constraint(value, _camel(option), f"have value less than or equal to {high:g}")


def _choice(option: str, value: Any, allowed: tuple[str, ...]) -> Iterable[str]:
    if value not in allowed:
        yield _constraint(value, _camel(option), f"satisfy enum value set: [{', '.join(allowed)}]")


def _name(option: str, value: Any) -> Iterable[str]:
    if not isinstance(value, str):
        yield f"{option} must be a string, not {value!r} ({type(value).__name__})"
        return
    if not value:
        yield _constraint(value, "functionName", "have length greater than or equal to 1")
    if len(value) > limits.NAME_LENGTH:
        yield _constraint(value, "functionName", f"have length less than or equal to {limits.NAME_LENGTH}")
    if value and not names.FUNCTION_NAME.fullmatch(value):
        yield _constraint(value, "functionName", "satisfy regular expression pattern: [a-zA-Z0-9-_]+")


def _description(option: str, value: Any) -> Iterable[str]:
    if not isinstance(value, str):
        yield f"{option} must be a string, not {value!r} ({type(value).__name__})"
    elif len(value) > limits.DESCRIPTION_LENGTH:
        yield _constraint(value, option, f"have length less than or equal to {limits.DESCRIPTION_LENGTH}")


def _flag(option: str, value: Any) -> Iterable[str]:
    if not isinstance(value, bool):
        yield f"{option} must be True or False, not {value!r} ({type(value).__name__})"


def _strings(option: str, value: Any) -> list[str]:
    """Faults of a str → str mapping; empty if it is one."""
    if not hasattr(value, "items"):
        return [f"{option} must be a mapping of strings to strings, not {value!r} ({type(value).__name__})"]
    return [
        f"{option}[{key!r}] must map a string to a string, not {type(item).__name__} {item!r}"
        for key, item in value.items()
        if not isinstance(key, str) or not isinstance(item, str)
    ]


def _environment(option: str, value: Any) -> Iterable[str]:
    faults = _strings(option, value)
    yield from faults
    if faults:
        return
    for key in value:
        if not names.VARIABLE_NAME.fullmatch(key):
            rule = f"satisfy regular expression pattern: {names.VARIABLE_NAME.pattern}"
            yield _constraint(key, "environment.variables", rule)
    reserved = sorted(set(value) & RESERVED_VARIABLES)
    if reserved:
        yield (
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    text = json.dumps(dict(value), separators=(",", ":"), ensure_ascii=False)
    if len(text.encode("utf-8", "surrogatepass")) > limits.ENVIRONMENT_BYTES:
        yield (
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {text}"
        )


def _tags(option: str, value: Any) -> Iterable[str]:
    faults = _strings(option, value)
    yield from faults
    if faults:
        return
    if len(value) > limits.TAGS:
        yield f"{option}: {len(value)} tags; a function carries at most {limits.TAGS}"
    for key, item in value.items():
        if not 1 <= len(key) <= limits.TAG_KEY_LENGTH or len(item) > limits.TAG_VALUE_LENGTH:
            yield f"{option}[{key!r}]: keys have 1-{limits.TAG_KEY_LENGTH} characters, values 0-{limits.TAG_VALUE_LENGTH}"


def _reserved(option: str, value: Any) -> Iterable[str]:
    if value is not None:
        yield from _whole(option, value, 0)


def _destination(option: str, value: Any) -> Iterable[str]:
    target = _target(value)
    if isinstance(target, str):
        yield from _addressed(target)
    elif target is not None:
        deliver = getattr(target, "deliver", target)
        if isinstance(target, type) or not callable(deliver):
            yield (
                f"{option} takes a function, its name or ARN, an object with deliver(record), or a callable of one "
                f"record, not {value!r}{' itself: make one of it' if isinstance(target, type) else ''}"
            )
        elif inspect.iscoroutinefunction(deliver):
            yield (
                f"{option}: {value!r} is asynchronous, and nobody would await it: give a plain callable, which is called "
                "in a thread of its own"
            )


def _addressed(target: str) -> Iterable[str]:
    """Faults of a name or ARN."""
    parts = target.split(":")
    if parts[0] == "arn" and len(parts) > _ARN_PARTS and parts[2] != "lambda":
        yield (
            f"The destination ARN {target} is invalid. There is no {parts[2]} here: give a function, an object with "
            "deliver(record), or a callable of one record"
        )
    elif names.split_function(target) is None:
        yield f"The destination ARN {target} is invalid."  # S


_ARN_PARTS = 5  # colons in an ARN: arn:partition:service:region:account:resource


def _paths(option: str, value: Any) -> Iterable[str]:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        yield f"{option} must be a list of directories, not {value!r}"
        return
    for path in value:
        if not isinstance(path, str) or not path.startswith("/"):
            yield f"{option}: {path!r} must be an absolute path (a string that begins with /)"


# S: SEMANTICS 10; AWS refuses these names.
RESERVED_VARIABLES = frozenset(
    [
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API",
        "LAMBDA_TASK_ROOT",
        "LAMBDA_RUNTIME_DIR",
        "AWS_LAMBDA_MAX_CONCURRENCY",
    ]
)

_CHECKS: dict[str, Callable[[str, Any], Iterable[str]]] = {
    "name": _name,
    "memory": lambda option, value: _whole(option, value, *limits.MEMORY_MIB),
    "timeout": lambda option, value: _seconds(option, value, *limits.TIMEOUT),
    "ephemeral_storage": lambda option, value: _whole(option, value, *limits.EPHEMERAL_STORAGE_MIB),
    "environment": _environment,
    "reserved_concurrency": _reserved,
    "provisioned_concurrency": lambda option, value: _whole(option, value, 0),
    "description": _description,
    "tags": _tags,
    "isolation": lambda option, value: _choice(option, value, _TIERS),
    "reuse": _flag,
    "init_timeout": lambda option, value: _seconds(option, value, *limits.INIT_TIMEOUT),
    "log_format": lambda option, value: _choice(option, value, ("JSON", "Text")),
    "log_level": lambda option, value: _choice(option, value, _LEVELS),
    "cpu": lambda option, value: _choice(option, value, ("aws", "off")),
    "architecture": lambda option, value: _choice(option, value, ("x86_64", "arm64")),
    "network": lambda option, value: () if value is None else _flag(option, value),
    "writable": _paths,
    "maximum_retry_attempts": lambda option, value: _whole(option, value, *limits.RETRY_ATTEMPTS),
    "maximum_event_age": lambda option, value: _whole(option, value, *limits.EVENT_AGE),
    "on_success": _destination,
    "on_failure": _destination,
    "dead_letter": _destination,
    "recursive_loop": lambda option, value: _choice(option, value, ("Terminate", "Allow")),
}
