"""A function's configuration: defaults, AWS's words for what it refuses, all faults in one error."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest

from lambdalite.errors import InvalidParameterValue
from lambdalite.model.function import FunctionConfig, configure

ONE = "1 validation error detected: "
RESERVED = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided "
    "contains reserved keys that are currently not supported for modification. Reserved keys used in this request: "
)


def value(given: object, field: str, rule: str) -> str:
    """AWS's form of one refused value."""
    return f"Value '{given}' at '{field}' failed to satisfy constraint: Member must {rule}"


def refusal(**options: Any) -> str:
    """What the refusal of these options says."""
    with pytest.raises(InvalidParameterValue) as caught:
        configure({"name": "f", **options})
    return str(caught.value)


class Box:
    """A destination that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def deliver(self, record: Any) -> None:
        """Keep it."""
        self.records.append(record)


class FakeFunction:
    """What a destination that is a Function has: an ARN; and it can be called."""

    arn = "arn:aws:lambda:us-east-1:123456789012:function:other"

    def __call__(self, event: Any, context: Any) -> None:
        """Run the handler right here, which no destination may."""
        raise AssertionError


async def asynchronous(record: Any) -> None:
    """A destination that somebody would have to await."""


TAKES = "takes a function, its name or ARN, an object with deliver(record), or a callable of one record, not "
GIVE = "give a function, an object with deliver(record), or a callable of one record"
PLAIN = "give a plain callable, which is called in a thread of its own"
ITSELF = "You can't specify the function as a destination for itself."
ARN = "arn:aws:lambda:us-east-1:123456789012:function:"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:queue"

# option, refused value, message
REFUSED = [
    ("name", "", ONE + value("", "functionName", "have length greater than or equal to 1")),
    ("name", "a" * 65, ONE + value("a" * 65, "functionName", "have length less than or equal to 64")),
    ("name", "a b", ONE + value("a b", "functionName", "satisfy regular expression pattern: [a-zA-Z0-9-_]+")),
    ("name", 7, "name must be a string, not 7 (int)"),
    ("memory", 127, ONE + value(127, "memorySize", "have value greater than or equal to 128")),
    ("memory", 10_241, ONE + value(10_241, "memorySize", "have value less than or equal to 10240")),
    ("memory", 512.0, "memory must be a whole number, not 512.0 (float)"),
    ("memory", True, "memory must be a whole number, not True (bool)"),
    ("memory", "512", "memory must be a whole number, not '512' (str)"),
    ("timeout", 0, ONE + value(0, "timeout", "have value greater than or equal to 0.001")),
    ("timeout", 900.5, ONE + value(900.5, "timeout", "have value less than or equal to 900")),
    ("timeout", float("nan"), "timeout must be a number of seconds, not nan (float)"),
    ("timeout", float("inf"), "timeout must be a number of seconds, not inf (float)"),
    ("timeout", None, "timeout must be a number of seconds, not None (NoneType)"),
    ("init_timeout", -1, ONE + value(-1, "init_timeout", "have value greater than or equal to 0.001")),
    ("ephemeral_storage", 511, ONE + value(511, "ephemeralStorage.size", "have value greater than or equal to 512")),
    (
        "ephemeral_storage",
        10_241,
        ONE + value(10_241, "ephemeralStorage.size", "have value less than or equal to 10240"),
    ),
    (
        "reserved_concurrency",
        -1,
        ONE + value(-1, "reservedConcurrentExecutions", "have value greater than or equal to 0"),
    ),
    (
        "provisioned_concurrency",
        -1,
        ONE + value(-1, "provisionedConcurrentExecutions", "have value greater than or equal to 0"),
    ),
    ("description", "d" * 257, ONE + value("d" * 257, "description", "have length less than or equal to 256")),
    ("description", 7, "description must be a string, not 7 (int)"),
    ("isolation", "vm", ONE + value("vm", "isolation", "satisfy enum value set: [process, strict, inline]")),
    ("log_format", "XML", ONE + value("XML", "loggingConfig.logFormat", "satisfy enum value set: [JSON, Text]")),
    (
        "log_level",
        "LOUD",
        ONE
        + value(
            "LOUD",
            "loggingConfig.applicationLogLevel",
            "satisfy enum value set: [TRACE, DEBUG, INFO, WARN, ERROR, FATAL]",
        ),
    ),
    ("cpu", "half", ONE + value("half", "cpu", "satisfy enum value set: [aws, off]")),
    ("architecture", "mips", ONE + value("mips", "architectures", "satisfy enum value set: [x86_64, arm64]")),
    ("reuse", 1, "reuse must be True or False, not 1 (int)"),
    ("network", "yes", "network must be True or False, not 'yes' (str)"),
    ("writable", "/srv", "writable must be a list of directories, not '/srv'"),
    ("writable", ["srv"], "writable: 'srv' must be an absolute path (a string that begins with /)"),
    ("environment", "A=1", "environment must be a mapping of strings to strings, not 'A=1' (str)"),
    ("environment", {"A1": 1}, "environment['A1'] must map a string to a string, not int 1"),
    (
        "environment",
        {"1A": "x"},
        ONE + value("1A", "environment.variables", "satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+"),
    ),
    ("environment", {"AWS_REGION": "x", "AWS_ACCESS_KEY": "y"}, RESERVED + "AWS_ACCESS_KEY, AWS_REGION"),
    ("tags", {f"k{n}": "" for n in range(51)}, "tags: 51 tags; a function carries at most 50"),
    ("tags", {"": "v"}, "tags['']: keys have 1-128 characters, values 0-256"),
    ("tags", {"k": 1}, "tags['k'] must map a string to a string, not int 1"),
    ("maximum_retry_attempts", 3, ONE + value(3, "maximumRetryAttempts", "have value less than or equal to 2")),
    ("maximum_retry_attempts", -1, ONE + value(-1, "maximumRetryAttempts", "have value greater than or equal to 0")),
    ("maximum_retry_attempts", None, "maximum_retry_attempts must be a whole number, not None (NoneType)"),
    ("maximum_event_age", 59, ONE + value(59, "maximumEventAgeInSeconds", "have value greater than or equal to 60")),
    (
        "maximum_event_age",
        21_601,
        ONE + value(21_601, "maximumEventAgeInSeconds", "have value less than or equal to 21600"),
    ),
    ("maximum_event_age", 60.5, "maximum_event_age must be a whole number, not 60.5 (float)"),
    ("recursive_loop", "Stop", ONE + value("Stop", "recursiveLoop", "satisfy enum value set: [Terminate, Allow]")),
    ("on_success", "f", ITSELF),
    ("on_failure", f"{ARN}f", ITSELF),
    ("on_failure", f"{ARN}f:1", ITSELF),
    ("dead_letter", "function:f", ITSELF),
    ("on_success", "", "The destination ARN  is invalid."),
    ("on_success", "no name", "The destination ARN no name is invalid."),
    (
        "on_success",
        "arn:aws:lambda:us-east-1:1:function:g",
        "The destination ARN arn:aws:lambda:us-east-1:1:function:g is invalid.",
    ),
    (
        "on_failure",
        QUEUE,
        f"The destination ARN {QUEUE} is invalid. There is no sqs here: {GIVE}",
    ),
    ("on_failure", 7, f"on_failure {TAKES}7"),
    ("dead_letter", Box, f"dead_letter {TAKES}{Box!r} itself: make one of it"),
    (
        "dead_letter",
        asynchronous,
        f"dead_letter: {asynchronous!r} is asynchronous, and nobody would await it: {PLAIN}",
    ),
]


@pytest.mark.parametrize(("option", "given", "message"), REFUSED)
def test_refused_value_is_refused_in_these_words(option: str, given: Any, message: str) -> None:
    """Each check has its message: AWS's where AWS has one, else one that says what to give."""
    assert message == refusal(**{option: given})


def test_every_option_has_a_refusal() -> None:
    """The table above has a row for each option: none goes unchecked."""
    assert {field.name for field in attrs.fields(FunctionConfig)} == {option for option, _, _ in REFUSED}


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("name", "a"),
        ("name", "A-z_0" * 12 + "1234"),
        ("memory", 128),
        ("memory", 10_240),
        ("timeout", 0.001),
        ("timeout", 900),
        ("init_timeout", 900),
        ("ephemeral_storage", 512),
        ("ephemeral_storage", 10_240),
        ("reserved_concurrency", 0),
        ("reserved_concurrency", None),
        ("provisioned_concurrency", 0),
        ("description", "d" * 256),
        ("network", None),
        ("network", True),
        ("tags", {"k" * 128: "v" * 256}),
        ("environment", {"AB": ""}),
        ("maximum_retry_attempts", 0),
        ("maximum_event_age", 60),
        ("maximum_event_age", 21_600),
        ("recursive_loop", "Allow"),
        ("on_success", None),
        ("on_success", "other"),
        ("on_failure", f"{ARN}other:1"),
        ("on_failure", print),
        ("dead_letter", Box().deliver),
        ("dead_letter", Box()),
    ],
)
def test_edge_is_taken(option: str, given: Any) -> None:
    """The first and the last permitted value of a range are permitted."""
    assert given == getattr(configure({"name": "f", option: given}), option)


def test_all_faults_come_in_one_error() -> None:
    """Whoever made three mistakes learns of all three at once, as AWS counts them, ours behind."""
    message = refusal(memory=1, timeout=901, reuse="no", colour="red")

    assert message.startswith("2 validation errors detected: Value '1' at 'memorySize'")
    assert "; Value '901' at 'timeout' failed" in message
    assert " · unknown option 'colour': use one of architecture, cpu, dead_letter, description, " in message
    assert " · reuse must be True or False, not 'no' (str)" in message


def test_variables_up_to_4096_bytes() -> None:
    """The variables' JSON may have 4,096 bytes, counted in UTF-8, and not one more."""
    edge = {"AB": "é" * 2043 + "x"}  # {"AB":"…"} has 9 characters around the value's 4,087 bytes

    assert edge == configure({"name": "f", "environment": edge}).environment
    assert "exceeded the 4KB limit. String measured: {" in refusal(environment={"AB": edge["AB"] + "x"})


def test_configuration_does_not_follow_its_source() -> None:
    """Mappings are copied when the function is declared, and what is kept cannot be changed."""
    given = {"STAGE": "test"}
    config = configure({"name": "f", "environment": given})
    given["STAGE"] = "other"

    assert {"STAGE": "test"} == config.environment
    with pytest.raises(TypeError):
        config.environment["STAGE"] = "other"  # type: ignore[index]


def test_units_inside_are_bytes_and_shares() -> None:
    """MiB outside, bytes inside; 1,769 MiB are one vCPU."""
    config = configure({"name": "f", "memory": 1769})

    assert (1769 * 1024 * 1024, 512 * 1024 * 1024, 1.0) == (config.memory_bytes, config.tmp_bytes, config.cpu_share)


def test_function_as_a_destination_is_kept_as_its_arn() -> None:
    """A Function is one that can be called, and is not: its name counts, whatever it is when the record comes."""
    assert FakeFunction.arn == configure({"name": "f", "on_failure": FakeFunction()}).on_failure


def test_function_is_refused_as_a_destination_for_itself() -> None:
    """Given as a Function too."""
    with pytest.raises(InvalidParameterValue, match="as a destination for itself"):
        configure({"name": "other", "on_failure": FakeFunction()})


def test_configuration_is_pickled_with_names_for_its_destinations() -> None:
    """Outcomes travel between processes; the destinations' code does not."""
    config = configure({"name": "f", "on_success": "g", "on_failure": Box(), "dead_letter": Box().records.append})
    copy = pickle.loads(pickle.dumps(config))

    assert ("g", f"{__name__}.Box", "list.append") == (copy.on_success, copy.on_failure, copy.dead_letter)
