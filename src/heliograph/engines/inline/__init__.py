"""All processes of a server in this process, with a fake clock: for tests and the shell."""

from heliograph.engines.inline.engine import DEFAULT_TOPOLOGY, InlineEngine
from heliograph.engines.inline.history import Handled, Sent

__all__ = ["DEFAULT_TOPOLOGY", "Handled", "InlineEngine", "Sent"]
