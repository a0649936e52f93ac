"""Why did it end? From what was seen to what AWS would say; no process involved."""

from __future__ import annotations

import json
import signal

import pytest

from lambdalite import Failure
from lambdalite.model.function import configure
from lambdalite.workers.diagnose import Death, exited, init_timed_out, protocol_broken, timed_out


@pytest.mark.parametrize(
    ("status", "reason", "code", "number"),
    [
        (0, "Runtime exited without providing a reason", 0, None),
        (3 << 8, "Runtime exited with error: exit status 3", 3, None),
        (int(signal.SIGKILL), "Runtime exited with error: signal: killed", None, 9),
        (int(signal.SIGSEGV), "Runtime exited with error: signal: segmentation fault", None, 11),
        (int(signal.SIGSEGV) | 128, "Runtime exited with error: signal: segmentation fault", None, 11),
        (40, "Runtime exited with error: signal: signal 40", None, 40),
        (None, "Runtime exited without providing a reason", None, None),
    ],
)
def test_exit_is_worded_as_aws_words_it(status: int | None, reason: str, code: int | None, number: int | None) -> None:
    """Exit status, signal, core dump, real-time signal, or nobody knows."""
    verdict = exited(Death(status), "id")

    assert (Failure.EXITED, code, number) == (verdict.failure, verdict.exit_code, verdict.signal)
    expected = {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: id Error: {reason}"}
    assert expected == json.loads(verdict.payload)


def test_memory_counts_more_than_the_signal() -> None:
    """What the guardian killed for memory is OutOfMemory, with who enforced it, in init too."""
    for init in (False, True):
        verdict = exited(Death(9, out_of_memory=True, enforcer="cgroup"), "id", init=init)

        assert (Failure.OUT_OF_MEMORY, "cgroup") == (verdict.failure, verdict.enforced_by)
        assert json.loads(verdict.payload)["errorMessage"].endswith("signal: killed")


def test_death_in_init_is_an_init_failure() -> None:
    """The same words, another failure."""
    assert Failure.INIT is exited(Death(1 << 8), "", init=True).failure


def test_timeouts_have_two_decimals_and_aws_s_keys() -> None:
    """S: errorType first, compact; seconds with two decimals."""
    config = configure({"name": "f", "timeout": 1.5, "init_timeout": 0.25})

    told = timed_out(config, "id").payload

    assert (
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: id Error: Task timed out after 1.50 seconds"}'
        == told
    )
    assert b"after 0.25 seconds" in init_timed_out(config, "").payload
    assert Failure.INIT is init_timed_out(config, "").failure


def test_broken_protocol_is_an_exit() -> None:
    """A hijacked channel says nothing that is worth repeating."""
    assert Failure.EXITED is protocol_broken("id").failure
