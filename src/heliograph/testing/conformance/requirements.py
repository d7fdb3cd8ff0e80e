"""The guarantee that a test proves, and the capabilities that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import Harness

_F = TypeVar("_F", bound=Callable[..., object])

__all__ = ["skip_unsupported"]

LETTERS = {
    "S": "signals and handlers",
    "T": "targets",
    "D": "delivery",
    "K": "schedules",
    "J": "tasks",
    "L": "life of processes",
}
"""The subject of each letter in the id of a guarantee."""


def guarantee(number: str, *needs: Capability, reduced_without: Iterable[Capability] = ()) -> Callable[[_F], _F]:
    """Mark a test as a proof of a guarantee.

    Args:
        number: Id of the guarantee, for example `T5`.
        needs: Capabilities without which the test is skipped.
        reduced_without: Capabilities without which the test checks less.
    """

    def mark(test: _F) -> _F:
        test.__dict__.update(guarantee_id=number, needs=frozenset(needs), reduced_without=frozenset(reduced_without))
        return test

    return mark


@pytest.fixture(autouse=True)
def skip_unsupported(request: pytest.FixtureRequest, harness: Harness) -> None:
    """Skip a test that needs a capability that the harness lacks."""
    missing = getattr(request.function, "needs", frozenset[Capability]()) - harness.capabilities
    if missing:
        names = ", ".join(sorted(capability.name for capability in missing))
        pytest.skip(f"{harness.name} does not support {request.function.guarantee_id}: no {names}")
