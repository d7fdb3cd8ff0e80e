"""The engine of this process, selected once at first use. This is the only module that names all engines."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from heliograph.exceptions import ConfigError
from heliograph.interfaces import Engine
from heliograph.settings.logs import protect_loggers

_LOG = logging.getLogger("heliograph.local")
protect_loggers()

ENGINE_ENV = "HELIOGRAPH_ENGINE"
"""Environment variable that names the engine to use."""

MASTER_ENV = "HELIOGRAPH_MASTER"
"""Environment variable with the path of a master's control socket, set for the web server that it starts."""

active: Engine | None = None
"""The engine of this process. None before its first use."""

_choosing = threading.RLock()


def _reset_choice_lock() -> None:
    global _choosing
    _choosing = threading.RLock()  # the old lock may be held by a thread that does not exist after the fork


os.register_at_fork(after_in_child=_reset_choice_lock)


def current() -> Engine:
    """Return the engine of this process, and select it at first use.

    Raises:
        ConfigError: See `choose`.
    """
    return active if active is not None else _choose_now()


def choose() -> Engine:
    """Create an engine for this process.

    The variable `HELIOGRAPH_ENGINE` names it. Without the variable it is `uwsgi` if this is a process of uWSGI, `local`
    if it belongs to a web server that `heliograph run` started, else `detached`. Processes that the heliograph server
    forks get their engine from the server.

    Raises:
        ConfigError: The variable names an unknown engine, or one that cannot run in this process.
    """
    name = os.environ.get(ENGINE_ENV) or _detect()
    if name not in _ENGINES:
        raise ConfigError(f"unknown engine: {ENGINE_ENV}={name!r}. Use one of {', '.join(sorted(_ENGINES))}.")
    return _ENGINES[name]()


@contextmanager
def using(engine: Engine) -> Generator[None]:
    """Use `engine` as the engine of this process until the block ends."""
    global active
    before, active = active, engine
    try:
        yield
    finally:
        active = before


def keep(engine: Engine) -> None:
    """Use `engine` as the engine of this process until its end, in the exit functions of the application too."""
    global active
    active = engine


def _choose_now() -> Engine:
    global active
    with _choosing:  # otherwise two threads could create one engine each
        if active is None:
            active = choose()
        return active


def _detect() -> str:
    if _inside_uwsgi():
        return "uwsgi"
    return "local" if os.environ.get(MASTER_ENV) else "detached"


def _inside_uwsgi() -> bool:
    return hasattr(sys.modules.get("uwsgi"), "masterpid")


def _uwsgi() -> Engine:
    if not _inside_uwsgi():
        raise ConfigError(
            f"cannot use engine: {ENGINE_ENV}=uwsgi. Start the process with `heliograph run APP --engine uwsgi`."
        )
    from heliograph.engines.uwsgi import UwsgiEngine  # noqa: PLC0415 - it needs the real module

    return UwsgiEngine()


def _local() -> Engine:
    control = os.environ.get(MASTER_ENV)
    if not control:
        raise ConfigError(
            f"cannot use engine: {ENGINE_ENV}=local. Start the process with `heliograph run APP -- COMMAND`."
        )
    from heliograph.engines.attaching import AttachingEngine  # noqa: PLC0415 - only processes of web servers need it
    from heliograph.engines.local.web_worker import WebWorkerEngine  # noqa: PLC0415
    from heliograph.ipc.control_client import ServerNotRunning  # noqa: PLC0415

    try:
        engine = WebWorkerEngine(Path(control))
    except ServerNotRunning as error:  # the web application must be imported and serve
        return AttachingEngine(Path(control), _adopt, error)
    except ConfigError as error:
        _LOG.error("Process %d gets no signals: %s", os.getpid(), error)
        return _detached(str(error))
    engine.begin()
    return engine


def _adopt(engine: Engine) -> None:
    global active
    with _choosing:
        active = engine


def _inline() -> Engine:
    from heliograph.engines.inline import InlineEngine  # noqa: PLC0415 - only tests need it

    return InlineEngine()


def _detached(reason: str = "") -> Engine:
    from heliograph.engines.detached import DetachedEngine  # noqa: PLC0415

    return DetachedEngine(reason, selected=True) if reason else DetachedEngine(selected=True)


_ENGINES: dict[str, Callable[[], Engine]] = {"uwsgi": _uwsgi, "inline": _inline, "local": _local, "detached": _detached}
