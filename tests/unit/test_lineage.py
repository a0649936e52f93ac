"""Recursion detection: what a trace header says of a chain of events, and what it says one pass later."""

from __future__ import annotations

import pytest

from lambdalite.engine.lineage import extend, passes

ARN = "arn:aws:lambda:us-east-1:123456789012:function:one"
OTHER = "arn:aws:lambda:us-east-1:123456789012:function:two"
ROOT = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0"


def passed(times: int, *arns: str, trace_id: str | None = None) -> str | None:
    """The header after so many rounds through the functions."""
    for arn in arns * times:
        trace_id = extend(trace_id, arn)
    return trace_id


def test_chain_counts_its_passes_through_each_function() -> None:
    """Each has its own count; a function that was never passed has none."""
    trace_id = passed(3, ARN, OTHER, ARN)

    assert [6, 3, 0] == [passes(trace_id, arn) for arn in (ARN, OTHER, "another")]


def test_header_is_written_as_aws_writes_it() -> None:
    """The other parts stay in their order; the lineage comes last: version, hash and count."""
    first = extend(ROOT, ARN)
    *others, last = first.split(";")
    digest, _, count = last.removeprefix("Lineage=1:").partition(":")

    assert (ROOT, "1", 8) == (";".join(others), count, len(digest))
    assert [f"{digest}:2"] == extend(first, ARN).partition("Lineage=1:")[2].split("|")


@pytest.mark.parametrize(
    "trace_id",
    [
        None, "", ";", ";;;", "nonsense", "Lineage", "Lineage=", "Lineage=1", "Lineage=1:", "Lineage=1:|", "Lineage=1:a",
        "Lineage=1:a:", "Lineage=1:a:-1", "Lineage=1:a:x", "Lineage=1:a:²", "Lineage=1:a:999999999999",
        "Lineage=2:a:1", "Lineage=x:y:z|",
    ],
)  # fmt: skip
def test_malformed_header_counts_as_nothing(trace_id: str | None) -> None:
    """A chain begins there; nobody's header makes it fail."""
    assert 0 == passes(trace_id, ARN)
    assert 1 == passes(extend(trace_id, ARN), ARN)


def test_other_parts_of_a_malformed_header_are_kept() -> None:
    """They are the user's."""
    assert extend("what ever;Root=;x", ARN).startswith("what ever;Root=;x;Lineage=1:")


def test_only_one_lineage_is_left() -> None:
    """The first one counts, and the rest are dropped with it."""
    trace_id = extend(f"{passed(2, ARN)};{passed(9, ARN)}", ARN)

    assert (1, 3) == (trace_id.count("Lineage="), passes(trace_id, ARN))


def test_header_stays_small_however_long_the_chain() -> None:
    """Functions that were not passed for longest are forgotten; a loop is not, whatever else lies beside it."""
    trace_id = None
    for number in range(500):
        trace_id = extend(extend(trace_id, f"function {number}"), ARN)

    assert trace_id is not None
    assert len(trace_id) < 4096
    assert (500, 0, 1) == (passes(trace_id, ARN), passes(trace_id, "function 0"), passes(trace_id, "function 499"))


def test_loop_through_many_functions_is_counted() -> None:
    """A hundred of them, one after the other, round and round."""
    arns = tuple(f"function {number}" for number in range(100))

    assert 16 == passes(passed(16, *arns), "function 0")
