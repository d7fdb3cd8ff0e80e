"""Views of a running server, for people and programs that look at it.

The caller of a view pays for it: it reads the server's shared memory itself, and asks the master only for facts that
no other process knows. Nothing here can change a server.
"""

from heliograph.insights.snapshot import ServerView, read_state
from heliograph.insights.stacks import ProcessStacks, read_stacks

__all__ = ["ProcessStacks", "ServerView", "read_stacks", "read_state"]
