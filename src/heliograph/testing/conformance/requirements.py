"""Which promise a test proves, and what a stage needs for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from heliograph.testing.harness.harness import Harness

_F = TypeVar("_F", bound=Callable[..., object])

__all__ = ["skip_unsupported"]


def guarantee(row: str, *needs: str) -> Callable[[_F], _F]:
    """Mark a test as proof of a row; it needs a stage with these features."""

    def mark(test: _F) -> _F:
        test.__dict__.update(row=row, needs=needs)
        return test

    return mark


@pytest.fixture(autouse=True)
def skip_unsupported(request: pytest.FixtureRequest, harness: Harness) -> None:
    missing = set(getattr(request.function, "needs", ())) - harness.features
    if missing:
        pytest.skip(f"{harness.name} does not promise {request.function.row}: no {', '.join(sorted(missing))}")
