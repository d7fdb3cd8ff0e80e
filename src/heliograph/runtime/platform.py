"""Facts about the server that this process belongs to, and its post-fork hooks."""

from __future__ import annotations

import enum
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from heliograph import engines
from heliograph._core.signals.handlers import describe, is_generator_function
from heliograph.exceptions import SignalTypeError
from heliograph.interfaces import HandlerInterrupted, Processes
from heliograph.runtime import async_handlers

_LOG = logging.getLogger("heliograph.hooks")
_Hook = TypeVar("_Hook", bound=Callable[[], object])


class SpoolCode(enum.IntEnum):
    """The numbers that a function of the spooler returns to uWSGI."""

    OK = -2
    RETRY = -1
    IGNORE = 0


class _PostForkHooks:
    """Functions that run after each fork, in every worker, mule and spooler."""

    def add(self) -> Callable[[_Hook], _Hook]:
        """Decorator: run the function in every process of the server right after it is forked.

        Hooks run in the order in which they were added. An exception is logged and does not stop the other hooks. With
        `--lazy-apps` the application is loaded after the fork, so the function runs immediately.
        A hook may be `async def`. The next hook starts when it has finished.

        Raises:
            SignalTypeError: The function is a generator function.
        """

        def add_(func: _Hook) -> _Hook:
            if not callable(func):
                raise SignalTypeError(f"invalid post-fork hook: {func!r}. Pass a callable.", func)
            if is_generator_function(func):
                raise SignalTypeError(
                    f"invalid post-fork hook: {describe(func)} is a generator function, and a call would run none of "
                    "its code. Pass a function without `yield`.",
                    func,
                )
            _server().on_fork(lambda: _run(func))
            return func

        return add_


class _Platform:
    """The server of this process."""

    postfork_hooks = _PostForkHooks()

    SPOOL_OK = SpoolCode.OK
    """A function of `Spooler.task` returns it: the task has ended, as with `None`."""

    SPOOL_RETRY = SpoolCode.RETRY
    """A function of `Spooler.task` returns it: the task runs again after the period (`Spooler.set_period`)."""

    SPOOL_IGNORE = SpoolCode.IGNORE
    """A function of `Spooler.task` returns it: the task stays and runs again after the period, as on uWSGI."""

    @property
    def worker_id(self) -> int:
        """Number of the worker that this process is, 0 if it is not a worker."""
        process = _server().identity
        return process.number if process.role == "worker" else 0

    @property
    def workers_count(self) -> int:
        """Number of workers of the server, 0 without a server."""
        topology = _server().topology
        return topology.workers if topology else 0

    @property
    def mules_count(self) -> int:
        """Number of mules of the server, 0 without a server."""
        topology = _server().topology
        return topology.mules if topology else 0

    @property
    def workers_info(self) -> tuple[Mapping[str, Any], ...]:
        """A description of each worker, with at least `id` and `pid`."""
        return _server().workers()

    @property
    def master_pid(self) -> int:
        """Process id of the master, 0 without a master."""
        return _server().masterpid()

    @property
    def hostname(self) -> str:
        """Name of this machine."""
        return os.uname().nodename

    @property
    def config(self) -> Mapping[str, Any]:
        """Configuration of the server: option -> text, True, or a list of those."""
        return _server().opt()

    def get_version(self, *, as_tuple: bool = False) -> str | tuple[int | str, ...]:
        """Return the version of the server: `"2.0.30"`, or `(2, 0, 30)` with `as_tuple`."""
        version = _server().version()
        if not as_tuple:
            return version
        return tuple(int(part) if part.isdigit() else part for part in version.split("."))


def _server() -> Processes:
    return engines.current()


def _run(func: Callable[[], object]) -> None:
    try:
        result = func()
        if result is not None:
            async_handlers.finish(result, what="post-fork hook")
    except (Exception, HandlerInterrupted):  # noqa: BLE001 - one failing hook does not stop the others
        _LOG.exception("Post-fork hook %s failed in %s", describe(func), _server().identity)


uwsgi = _Platform()
"""The server of this process, whichever engine it has. uwsgiconf uses the same name."""
