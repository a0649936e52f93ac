"""What AWS charges, US dollars, us-east-1. Source of all: **D** AWS's price list (SEMANTICS 19)."""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST = Decimal("0.0000002")  # D: $0.20 per million

# D: (GB-seconds of one month up to here, or None for all that follow; price of a GB-second)
X86_TIERS = (
    (6_000_000_000, Decimal("0.0000166667")),
    (15_000_000_000, Decimal("0.000015")),
    (None, Decimal("0.0000133334")),
)
ARM_TIERS = (
    (7_500_000_000, Decimal("0.0000133334")),
    (18_750_000_000, Decimal("0.0000120001")),
    (None, Decimal("0.0000106667")),
)
TIERS: Mapping[str, tuple[tuple[int | None, Decimal], ...]] = MappingProxyType(
    {"x86_64": X86_TIERS, "arm64": ARM_TIERS}
)

EPHEMERAL_FREE_MB = 512  # D: /tmp up to here costs nothing
EPHEMERAL = Decimal("0.0000000309")  # D: per GB-second of /tmp beyond that

# D: provisioned concurrency, per GB-second: for being there, and for running (instead of the tiers above)
PROVISIONED: Mapping[str, Decimal] = MappingProxyType(
    {"x86_64": Decimal("0.0000041667"), "arm64": Decimal("0.0000033334")}
)
PROVISIONED_DURATION: Mapping[str, Decimal] = MappingProxyType(
    {"x86_64": Decimal("0.0000097222"), "arm64": Decimal("0.0000077778")}
)
PROVISIONED_STEP_SECONDS = 300  # D: its time is rounded up to five minutes

FREE_REQUESTS = 1_000_000  # D: a month, always
FREE_GB_SECONDS = 400_000  # D: a month, always; not for provisioned concurrency
