"""Views of a running server, for people and programs that look at it.

The caller of a view pays for it: it reads the server's shared memory itself, and asks the master only for facts that
no other process knows. Nothing here can change a server.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from heliograph.insights.snapshot import ServerView, read_state
from heliograph.insights.stacks import ProcessStacks, read_stacks

if TYPE_CHECKING:
    from heliograph.insights.reader import ServerReader, read_server
    from heliograph.insights.store import StoreReader, read_store

__all__ = [
    "ProcessStacks",
    "ServerReader",
    "ServerView",
    "StoreReader",
    "read_server",
    "read_stacks",
    "read_state",
    "read_store",
]

_MODULES = {"ServerReader": "reader", "read_server": "reader", "StoreReader": "store", "read_store": "store"}


def __getattr__(name: str) -> Any:
    """Import the read model at its first use. It needs msgspec, and most commands do without."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
