"""gevent: greenlets in the place of threads, in a process whose threads it has replaced.

Nothing here imports gevent in a process that does not use it.
"""

from __future__ import annotations

import contextvars
import importlib
import select
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from heliograph.engines.local.stacks import is_in, main_frames

_T = TypeVar("_T")
_WORKER_MODULE = "gunicorn.workers.ggevent"
"""Module of gunicorn's gevent workers. They replace threads after the arbiter has forked them."""


class Background(Protocol):
    """A thread, or a greenlet that takes the place of one."""

    def is_alive(self) -> bool:
        """Return True until its function has returned."""
        ...


def is_patched() -> bool:
    """Return True if gevent has replaced the threads of this process."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def in_greenlet() -> bool:
    """Return True if a greenlet of gevent runs this code, not the main one and not a thread."""
    gevent: Any = sys.modules.get("gevent")
    return gevent is not None and isinstance(gevent.getcurrent(), gevent.Greenlet)


def start(function: Callable[[], object], name: str) -> Background:
    """Run a function in a thread, or in a greenlet if gevent has replaced threads or is about to."""
    if is_patched() or _is_forked_for_gevent():
        return _Greenlet(function)
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


def call_in_thread(function: Callable[..., _T], *arguments: object) -> _T:
    """Call a function in a thread of the kernel, always the same one, and let other greenlets run meanwhile.

    An event loop needs that: asyncio and Django ask which loop runs in this thread, and all greenlets share one thread.
    """
    if _OWN.pool is None:
        _OWN.pool = gevent_module("threadpool").ThreadPool(1)
    result: _T = _OWN.pool.apply(contextvars.copy_context().run, (function, *arguments))
    return result


def make_epoll() -> select.epoll:
    """Make an epoll object. gevent removes the class from the module `select`."""
    monkey: Any = sys.modules.get("gevent.monkey")
    make = getattr(select, "epoll", None) or monkey.get_original("select", "epoll")
    epoll: select.epoll = make()
    return epoll


class _Greenlet:
    """A greenlet that begins when the current one waits."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._greenlet = gevent_module().spawn(function)

    def is_alive(self) -> bool:
        return not self._greenlet.dead


class _Own:
    """The thread of this process for event loops."""

    pool: Any = None


_OWN = _Own()


def _is_forked_for_gevent() -> bool:
    """Return True in a process that gunicorn has just forked for a gevent worker."""
    forking = (frame for frame in main_frames() if is_in(frame, "gunicorn.arbiter", "spawn_worker"))
    workers: list[type] = [type(frame.f_locals.get("worker")) for frame in forking]
    return any(base.__module__ == _WORKER_MODULE for worker in workers for base in worker.__mro__)


def gevent_module(module: str = "") -> Any:
    """Return the package gevent, or a module of it."""
    return importlib.import_module(f"gevent.{module}" if module else "gevent")
