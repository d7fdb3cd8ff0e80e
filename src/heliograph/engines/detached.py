"""No engine: registering is remembered, sending raises and says how to get one. Never a silent stub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from heliograph.engines.local_names import ProcessLocalNames
from heliograph.engines.no_web_server import NoWebServer
from heliograph.exceptions import NoEngine
from heliograph.interfaces import Clock, Handler
from heliograph.models import NO_OPTIONS, HandlerOptions, Identity, Topology, Trigger
from heliograph.timing.clocks import SystemClock

_WAY_OUT = (
    "this process runs under no server that delivers signals. Start the application with `heliograph run APP`, a web "
    "server with `heliograph run APP -- gunicorn ...`, or run it under uWSGI; in a test use the `heliograph_engine` "
    "fixture, in a shell set HELIOGRAPH_ENGINE=inline; to reach a server that runs use send(remote=ADDRESS), where it "
    "listens at ADDRESS (--socket) and the signal may be raised from outside (register_handler(remote=True))"
)


class DetachedEngine(ProcessLocalNames, NoWebServer):
    """What a process has that was not started by a server."""

    name = "detached"
    can_change_target = True

    def __init__(self, reason: str = _WAY_OUT) -> None:
        """`reason` says why there is no server, and what to do."""
        self._reason = reason
        self.clock: Clock = SystemClock()

    @property
    def identity(self) -> Identity:
        return Identity("external")

    @property
    def topology(self) -> Topology | None:
        return None

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = NO_OPTIONS) -> None:
        """Nothing to tell to anybody: the table of this process remembers."""

    def signal_registered(self, num: int) -> bool:  # noqa: ARG002 - the port's shape
        return False

    def signal(self, num: int, timeout: float) -> NoReturn:  # noqa: ARG002
        raise NoEngine(f"signal {num} was not sent: {self._reason}")

    def signal_wait(self, num: int | None, timeout: float | None) -> NoReturn:  # noqa: ARG002
        raise NoEngine(f"no signal can arrive: {self._reason}")

    def add_trigger(self, trigger: Trigger) -> None:
        """Nothing raises it here; this process remembers."""

    def remove_trigger(self, name: str) -> None:
        """Nothing raises it here."""

    def change_period(self, name: str, period: float) -> None:
        """Nothing raises it here; this process remembers."""

    def on_fork(self, hook: Callable[[], None]) -> None:
        """Nobody forks this process."""

    def in_farm(self, name: str) -> bool:  # noqa: ARG002
        return False

    def masterpid(self) -> int:
        return 0

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        return ()

    def opt(self) -> Mapping[str, Any]:
        return {}

    def version(self) -> str:
        return ""
