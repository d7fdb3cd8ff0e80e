"""gevent: in a process whose threads it has replaced, signals are received and handled in a greenlet.

In a web worker that greenlet runs on the same hub as the greenlets of the requests. In a mule it is the main one. It
waits on the hub. Nothing here imports gevent in a process that does not use it.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from heliograph.engines.local.receiver import Receiver
from heliograph.engines.local.stacks import is_in, main_frames
from heliograph.engines.local.thread_receiver import ThreadReceiver

_LOG = logging.getLogger("heliograph.local")

_T = TypeVar("_T")
_READ = 1
"""The event of a watcher: its descriptor can be read."""
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
        _OWN.pool = _gevent("threadpool").ThreadPool(1)
    result: _T = _OWN.pool.apply(contextvars.copy_context().run, (function, *arguments))
    return result


def receiver_class(plain: type[Receiver]) -> type[Receiver]:
    """Return the class to use in this process instead of one that blocks the thread while it waits."""
    if not is_patched():
        return plain
    return GreenletReceiver if issubclass(plain, ThreadReceiver) else HubReceiver


class HubReceiver(Receiver):
    """Waits on the hub, and lets the other greenlets run after each handler."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._gevent = _gevent()
        self._hub = self._gevent.get_hub()
        self._readable = self._hub.loop.io(self._epoll.fileno(), _READ)
        self._poll = self._wait_on_hub

    def abandon(self) -> None:
        """Stop for good: the hub of a forked process has this greenlet too."""
        super().abandon()
        self._draining = True
        self._readable.stop()

    def _wait_on_hub(self, timeout: float) -> list[tuple[int, int]]:
        found = self._epoll.poll(0)
        if found or not timeout:
            return found
        with self._gevent.Timeout(timeout, False) if timeout > 0 else contextlib.nullcontext():
            self._hub.wait(self._readable)
        return self._epoll.poll(0)

    def _handle(self, offset: int) -> None:
        num = self._in_flight[offset + 1]
        try:
            super()._handle(offset)
        except (self._gevent.Timeout, self._gevent.GreenletExit):  # no `Exception`, but they must not end the process
            _LOG.exception("Handler of signal %d failed", num)
        self._gevent.sleep(0)


class GreenletReceiver(HubReceiver, ThreadReceiver):
    """Waits on the hub of a web worker."""


class _Greenlet:
    """A greenlet that begins when the current one waits."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._greenlet = _gevent().spawn(function)

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


def _gevent(module: str = "") -> Any:
    return importlib.import_module(f"gevent.{module}" if module else "gevent")
