"""All processes of a server in this process, with a fake clock: for tests and the shell."""

from heliograph.engines.inline.engine import InlineEngine
from heliograph.engines.inline.enqueued import Enqueued
from heliograph.engines.inline.history import Handled, Sent
from heliograph.engines.inline.processes import DEFAULT_TOPOLOGY

__all__ = ["DEFAULT_TOPOLOGY", "Enqueued", "Handled", "InlineEngine", "Sent"]
