"""Which code does a name mean?"""

from __future__ import annotations

import pytest

from lambdalite.engine.registry import Registry
from lambdalite.errors import InvalidParameterValue, ResourceConflict, ResourceNotFound
from lambdalite.model.function import Version, configure
from lambdalite.names import function_arn


def version(name: str = "orders", revision: int = 0) -> Version:
    """A version of a function that nobody runs."""
    return Version(config=configure({"name": name}), arn=function_arn(name), handler="m.f", revision=revision)


@pytest.fixture
def registry() -> Registry:
    """A registry that knows ``orders``."""
    made = Registry()
    made.add(version())
    return made


@pytest.mark.parametrize("name", ["orders", "orders:$LATEST", "function:orders", function_arn("orders")])
def test_every_spelling_means_the_same(registry: Registry, name: str) -> None:
    """Name, partial ARN and ARN lead to the same version."""
    assert registry.functions["orders"] is registry.resolve(name)


def test_snapshot_never_changes_under_its_reader(registry: Registry) -> None:
    """What was read before a change is what it was."""
    before = registry.functions
    registry.replace(version(revision=1))
    registry.add(version("other"))
    registry.remove("other")

    assert (["orders"], 0, 1) == (list(before), before["orders"].revision, registry.resolve("orders").revision)


def test_taken_name_is_a_conflict(registry: Registry) -> None:
    """A second function of the same name is refused."""
    with pytest.raises(ResourceConflict, match="Function already exist: orders"):
        registry.add(version())


def test_unknown_name_suggests_a_near_one(registry: Registry) -> None:
    """A name with a typing error is answered with the one that was meant."""
    with pytest.raises(ResourceNotFound, match="did you mean 'orders'"):
        registry.resolve("order")


def test_qualifiers_must_agree(registry: Registry) -> None:
    """Two different qualifiers are refused, and one that does not exist is not found."""
    with pytest.raises(InvalidParameterValue, match="does not match the specified qualifier"):
        registry.resolve("orders:1", "2")
    with pytest.raises(ResourceNotFound, match=r"only \$LATEST exists"):
        registry.resolve("orders", "1")


def test_what_is_no_name_is_invalid(registry: Registry) -> None:
    """A text that cannot be a function name is refused in AWS's words."""
    with pytest.raises(InvalidParameterValue, match="at 'functionName' failed to satisfy constraint"):
        registry.resolve("no such/name")
