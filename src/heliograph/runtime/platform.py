"""The server that this process belongs to."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from heliograph import engines
from heliograph._core.signals.handlers import describe

_LOG = logging.getLogger("heliograph.hooks")
_Hook = TypeVar("_Hook", bound=Callable[[], object])


class _PostForkHooks:
    """Functions to run after each fork, in every worker, mule and spooler."""

    def add(self) -> Callable[[_Hook], _Hook]:
        """Decorator: run the function in every process of the server right after it was forked.

        Hooks run in the order in which they were added; one that raises is logged and does not stop the others.
        Where the application is loaded after the fork (`--lazy-apps`), the function runs at once.
        """

        def add_(func: _Hook) -> _Hook:
            engines.current().on_fork(lambda: _run(func))
            return func

        return add_


class _Platform:
    """The running server, as this process sees it."""

    postfork_hooks = _PostForkHooks()

    @property
    def worker_id(self) -> int:
        """Number of the worker that this process is; 0 if it is none (a mule, say)."""
        process = engines.current().identity
        return process.number if process.role == "worker" else 0

    @property
    def workers_count(self) -> int:
        """How many workers the server has; 0 where there is no server."""
        topology = engines.current().topology
        return topology.workers if topology else 0

    @property
    def mules_count(self) -> int:
        """How many mules the server has; 0 where there is no server."""
        topology = engines.current().topology
        return topology.mules if topology else 0

    @property
    def workers_info(self) -> tuple[Mapping[str, Any], ...]:
        """What the server knows of each worker: at least `id` and `pid`."""
        return engines.current().workers()

    @property
    def master_pid(self) -> int:
        """Process id of the master; 0 without one."""
        return engines.current().masterpid()

    @property
    def hostname(self) -> str:
        """This machine's name."""
        return socket.gethostname()

    @property
    def config(self) -> Mapping[str, Any]:
        """The server's configuration: option -> text, True, or a list of those."""
        return engines.current().opt()

    def get_version(self, *, as_tuple: bool = False) -> str | tuple[int | str, ...]:
        """The server's version: `"2.0.30"`, or `(2, 0, 30)`."""
        version = engines.current().version()
        if not as_tuple:
            return version
        return tuple(int(part) if part.isdigit() else part for part in version.split("."))


def _run(func: Callable[[], object]) -> None:
    try:
        func()
    except Exception:  # noqa: BLE001 - one that raises does not stop the others
        _LOG.exception("post-fork hook %s failed in %s", describe(func), engines.current().identity)


uwsgi = _Platform()
"""The running server, whichever it is; the name is the one that uwsgiconf has."""
