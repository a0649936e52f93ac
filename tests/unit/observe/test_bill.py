"""The bill, against AWS's own arithmetic."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lambdalite.errors import UsageError
from lambdalite.model.outcome import Failure
from lambdalite.observe import prices
from lambdalite.observe.bill import Bill
from lambdalite.observe.cost import Cost, cost, provisioned_cost
from lambdalite.observe.meter import Meter, Tariff, Usage
from lambdalite.observe.table import money

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.model.outcome import Outcome

    Make = Callable[..., Outcome]

GB_S = 1024 * 1000  # MB·ms
MIB = 1024 * 1024
ONE = Tariff("f", "x86_64", 512, 512, cpu_scaled=False)


def test_oracle() -> None:
    """128 MB for 100 ms on x86 cost 0.1 · 0.125 · 0.0000166667, and a request 0.0000002."""
    found = cost(1, 128 * 100)

    assert Decimal("0.1") * Decimal("0.125") * Decimal("0.0000166667") == found.compute
    assert Decimal("0.0000002") == found.requests
    assert Decimal("0.00000040833375") == found.total


@pytest.mark.parametrize(
    ("gb_seconds", "architecture", "expected"),
    [
        (6_000_000_000, "x86_64", "100000.2"),
        (15_000_000_000, "x86_64", "235000.2"),
        (16_000_000_000, "x86_64", "248333.6"),
        (7_500_000_000, "arm64", "100000.5"),
        (18_750_000_000, "arm64", "235001.625"),
        (19_750_000_000, "arm64", "245668.325"),
    ],
)
def test_volume_tiers(gb_seconds: int, architecture: str, expected: Any) -> None:
    """The first tier, both of the first, and all three."""
    assert Decimal(expected) == cost(0, gb_seconds * GB_S, architecture).compute


def test_tiers_continue_where_the_month_stands() -> None:
    """Two bills one after the other cost what one costs."""
    whole = cost(0, 16_000_000_000 * GB_S).compute
    first = cost(0, 5_000_000_000 * GB_S).compute
    second = cost(0, 11_000_000_000 * GB_S, used_before_mb_ms=5_000_000_000 * GB_S).compute

    assert whole == first + second


def test_tmp_beyond_512_costs() -> None:
    """1,536 MB of /tmp for 1,000 seconds are 1,000 GB-seconds beyond what is free."""
    assert Decimal("0.0000309") == cost(0, 0, ephemeral_mb_ms=1000 * GB_S).ephemeral


def test_provisioned_time_is_rounded_up_to_five_minutes() -> None:
    """One GB for one second is charged for 300; running has its own price."""
    found = provisioned_cost(1024, 1, 1.0, billed_ms=1000)

    assert Decimal("0.0000041667") * 300 == found.provisioned
    assert Decimal("0.0000097222") == found.compute
    assert found.provisioned == provisioned_cost(1024, 1, 300.0).provisioned
    assert found.provisioned * 2 == provisioned_cost(1024, 1, 300.5).provisioned


@pytest.mark.parametrize("call", [lambda: cost(1, 1, "riscv"), lambda: provisioned_cost(128, 1, 1, "riscv")])
def test_unknown_architecture_is_refused(call: Callable[[], object]) -> None:
    """There is no price for it."""
    with pytest.raises(UsageError) as caught:
        call()

    assert "no price for architecture 'riscv': use one of x86_64, arm64" == str(caught.value)


def test_negative_usage_is_refused() -> None:
    """Nobody earns money by running."""
    with pytest.raises(UsageError):
        cost(-1, 0)


def test_meter_counts_whole_numbers(make: Make, timed_out: Outcome) -> None:
    """Failures are billed, a timeout for its timeout; configurations are told apart; nothing is a float."""
    meter = Meter()
    for outcome in (make(), make(init_duration=0.1), timed_out, make(Failure.HANDLER), make(memory=1024)):
        meter.record(outcome)

    assert {
        Tariff("f", "x86_64", 128, 512, cpu_scaled=False): Usage(4, 13 + 113 + 3000 + 13, 45 * MIB - 100),
        Tariff("f", "x86_64", 1024, 512, cpu_scaled=False): Usage(1, 13, 45 * MIB - 100),
    } == meter.usage()


def test_a_million_invocations_do_not_drift(make: Make) -> None:
    """Whole numbers add up exactly: 300,000 times 100 ms of 128 MB."""
    meter = Meter()
    outcome = make(duration=0.1)
    for _ in range(1_000):
        meter._take(outcome.version, [outcome] * 300)

    assert Decimal("0.0625001250000") + Decimal("0.06") == meter.bill().total


def test_free_tier() -> None:
    """A million requests and 400,000 GB-seconds cost nothing; one more of each does."""
    seconds = 400_000 * GB_S // 512
    free = Bill({ONE: Usage(1_000_000, seconds, 0)})
    more = Bill({ONE: Usage(1_000_001, seconds + 2000, 0)})

    assert Decimal(0) == free.total_after_free_tier
    assert Decimal("0.0000168667") == more.total_after_free_tier
    assert free.total > 6


def test_free_tier_is_one_for_both_architectures() -> None:
    """What x86 leaves of the free tier, arm gets."""
    arm = ONE._replace(architecture="arm64")
    half = 200_000 * GB_S // 512
    bill = Bill({ONE: Usage(600_000, half, 0), arm: Usage(600_000, half * 2, 0)})

    assert Cost(Decimal("0.04"), Decimal("2.66668"), Decimal(0), Decimal(0)) == bill.cost(free_tier=True)


def test_tiers_count_functions_together() -> None:
    """Two functions in the first tier can be one account in the second."""
    usage = Usage(0, 5_000_000_000 * GB_S // 512, 0)
    bill = Bill({ONE: usage, ONE._replace(function="g"): usage})

    assert Decimal("160000.2") == bill.total
    assert bill.total < sum(line.cost.total for line in bill.lines)


def test_bill_prints_a_table() -> None:
    """One line for each function, and both totals."""
    bill = Bill({ONE: Usage(1000, 123_456, 0)})

    assert (
        "function             arch     MB  requests  billed ms    GB-s       USD\n"
        "-----------------------------------------------------------------------\n"
        "f                    x86_64  512     1,000    123,456  61.728  0.001229\n"
        "total                                                          0.001229\n"
        "after the free tier                                                0.00"
    ) == str(bill)
    assert "<Bill of 1 lines, 0.001229 USD>" == repr(bill)


def test_empty_bill() -> None:
    """Nothing costs nothing."""
    assert "Nothing ran, nothing is billed." == str(Bill({}))
    assert Decimal(0) == Bill({}).total


def test_bill_as_json() -> None:
    """Money is text, exact, and not in powers of ten."""
    found = json.loads(json.dumps(Bill({ONE: Usage(1, 1, 7)}).as_dict()))

    assert "0.00000020833335" == found["total"]
    assert {"requests": "0.0000002", "compute": "0.00000000833335", "ephemeral": "0", "provisioned": "0"} == found[
        "cost"
    ]
    assert ("f", 512, 7) == (
        found["lines"][0]["function"],
        found["lines"][0]["memory_mb"],
        found["lines"][0]["peak_bytes"],
    )


def test_what_if_at_full_speed() -> None:
    """With cpu off, durations stay: more memory only costs more."""
    found = Bill({ONE: Usage(0, 1000, 0)}).what_if([256, 512, 1024])

    assert [(256, 1000, 0.5), (512, 1000, 1.0), (1024, 1000, 2.0)] == [
        (each.memory_mb, each.billed_ms, each.ratio) for each in found.estimates
    ]
    assert str(found).endswith('cpu="off": durations assumed to stay as measured at full speed.')


def test_what_if_with_a_share() -> None:
    """With cpu enforced, durations scale with the share up to one vCPU, and no further."""
    found = Bill({ONE._replace(cpu_scaled=True): Usage(0, 1000, 0)}).what_if([256, 1024, 1769, 3538])

    assert [2000, 500, 290, 290] == [each.billed_ms for each in found.estimates]
    assert pytest.approx([1.0, 1.0, 1.0, 2.0], rel=0.01) == [each.ratio for each in found.estimates]


def test_what_if_warns_of_too_little_memory() -> None:
    """A size below the peak is marked."""
    found = Bill({ONE: Usage(1, 1, 300 * MIB)}).what_if([256, 300])

    assert [True, False] == [each.too_small for each in found.estimates]
    assert "too small: more memory was in use" in str(found)


@pytest.mark.parametrize("memory", [127, 10_241, 128.5])
def test_what_if_refuses_sizes_that_aws_has_not(memory: Any) -> None:
    """Only AWS's memory sizes can be asked for."""
    with pytest.raises(UsageError) as caught:
        Bill({}).what_if([memory])

    assert f"no such memory size: [{memory}]; use whole numbers from 128 to 10240 MB" == str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", "0.00"),
        ("1234.567", "1,234.57"),
        ("0.1", "0.10"),
        ("0.0123456", "0.01235"),
        ("0.00000020833", "0.0000002083"),
    ],
)
def test_money_is_readable(value: Any, expected: Any) -> None:
    """Cents for large sums, four digits for small ones."""
    assert expected == money(Decimal(value))


def test_every_price_is_on_the_page() -> None:
    """The reference names each price as the code has it."""
    page = (Path(__file__).parents[3] / "docs/reference/billing.md").read_text(encoding="utf-8")
    tiers = [price for each in prices.TIERS.values() for _, price in each]
    found = [prices.REQUEST, prices.EPHEMERAL, *tiers]
    found += [*prices.PROVISIONED.values(), *prices.PROVISIONED_DURATION.values()]

    assert [] == [price for price in found if f"${price:f}" not in page]
    assert f"{prices.FREE_REQUESTS:,} requests and {prices.FREE_GB_SECONDS:,} GB-seconds" in page
