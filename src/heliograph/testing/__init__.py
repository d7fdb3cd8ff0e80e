"""For tests of applications, and of engines."""

from heliograph.engines.clock import FakeClock
from heliograph.engines.inline import InlineEngine

__all__ = ["FakeClock", "InlineEngine"]
