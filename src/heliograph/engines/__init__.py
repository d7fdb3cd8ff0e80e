"""Which engine this process runs on: chosen once, at first use. The one place that names them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from heliograph._core.layout import IncompatibleServer
from heliograph.exceptions import ConfigError
from heliograph.interfaces import Engine

_LOG = logging.getLogger("heliograph.local")

ENGINE_ENV = "HELIOGRAPH_ENGINE"
"""Environment variable that names the engine to use."""

MASTER_ENV = "HELIOGRAPH_MASTER"
"""Environment variable with the path of a master's control socket, for what its server's command starts."""

active: Engine | None = None
"""This process's engine, once it is chosen; None before."""

_choosing = threading.RLock()


def _reset_choice_lock() -> None:
    global _choosing
    _choosing = threading.RLock()  # a thread that the fork has left behind may have held the other one


os.register_at_fork(after_in_child=_reset_choice_lock)


def current() -> Engine:
    """This process's engine."""
    return active if active is not None else _choose_now()


def choose() -> Engine:
    """A new engine for this process.

    `HELIOGRAPH_ENGINE` if it is set; else uWSGI if the real `uwsgi` module is in this process; else local if a command
    that `heliograph run` started, started this process; else detached. The processes of a server of our own are given
    theirs.
    Raises `ConfigError` for a name that is no engine, or for one that cannot run here.
    """
    name = os.environ.get(ENGINE_ENV) or _detect()
    if name not in _ENGINES:
        raise ConfigError(f"{ENGINE_ENV}={name!r} is not an engine; use one of {', '.join(sorted(_ENGINES))}")
    return _ENGINES[name]()


@contextmanager
def using(engine: Engine) -> Generator[None]:
    """Let `engine` be this process's engine for a while."""
    global active
    before, active = active, engine
    try:
        yield
    finally:
        active = before


def _choose_now() -> Engine:
    global active
    with _choosing:  # else two threads that ask first would each have one of their own
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
        raise ConfigError(f"{ENGINE_ENV}=uwsgi, but this process is not a uWSGI server; start it with heliograph run")
    from heliograph.engines.uwsgi import UwsgiEngine  # noqa: PLC0415 - needs the real module

    return UwsgiEngine()


def _local() -> Engine:
    control = os.environ.get(MASTER_ENV)
    if not control:
        raise ConfigError(f"{ENGINE_ENV}=local, but no heliograph server started this process; use heliograph run")
    from heliograph.engines.local.web_worker import WebWorkerEngine  # noqa: PLC0415 - only a server's processes need it

    try:
        return WebWorkerEngine(Path(control))
    except IncompatibleServer as error:  # the requests of the web server must go on
        _LOG.error("Process %d gets no signals: %s", os.getpid(), error)
        return _detached(str(error))


def _inline() -> Engine:
    from heliograph.engines.inline import InlineEngine  # noqa: PLC0415 - only whoever asks pays

    return InlineEngine()


def _detached(reason: str = "") -> Engine:
    from heliograph.engines.detached import DetachedEngine  # noqa: PLC0415

    return DetachedEngine(reason) if reason else DetachedEngine()


_ENGINES: dict[str, Callable[[], Engine]] = {"uwsgi": _uwsgi, "inline": _inline, "local": _local, "detached": _detached}
