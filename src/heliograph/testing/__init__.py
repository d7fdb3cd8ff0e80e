"""Tools for tests of applications and engines.

The names are imported on first use, because pytest loads this package for its plugin before coverage starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.engines.inline import InlineEngine
    from heliograph.testing.inline import inline_engine
    from heliograph.timing.clocks import FakeClock

__all__ = ["FakeClock", "InlineEngine", "inline_engine"]


def __getattr__(name: str) -> Any:
    if name == "FakeClock":
        from heliograph.timing.clocks import FakeClock

        return FakeClock
    if name == "InlineEngine":
        from heliograph.engines.inline import InlineEngine

        return InlineEngine
    if name == "inline_engine":
        from heliograph.testing.inline import inline_engine

        return inline_engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
