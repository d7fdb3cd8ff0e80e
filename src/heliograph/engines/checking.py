"""The engine of a child process that imports an application to check it.

It acts as the master of a server, with its topology: it registers the application's signals and sends none.
"""

from __future__ import annotations

from typing import NoReturn

from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import ServerNotReady
from heliograph.models import Identity, Topology

_NOT_YET = "the server is still loading the application. Send from a request, a handler or a post-fork hook"


class CheckingEngine(DetachedEngine):
    """It has the topology of the server, and cannot send."""

    name = "preflight"
    can_change_target = False

    def __init__(self, topology: Topology) -> None:
        super().__init__()
        self._topology = topology

    @property
    def identity(self) -> Identity:
        return Identity("master")

    @property
    def topology(self) -> Topology:
        return self._topology

    def signal(self, num: int, timeout: float) -> NoReturn:  # noqa: ARG002 - the interface has it
        raise ServerNotReady(f"signal {num} was not sent: {_NOT_YET}")

    def signal_wait(self, num: int | None, timeout: float | None) -> NoReturn:  # noqa: ARG002
        raise ServerNotReady(f"no signal can arrive: {_NOT_YET}")
