"""Where `async def` handlers run: on the web server's event loop, or on one of the receiving thread's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from heliograph import engines
from heliograph.interfaces import HandlerInterrupted

if TYPE_CHECKING:
    import asyncio

Call = Callable[[int], Coroutine[Any, Any, object]]
"""An `async def` handler, adapted to take the number."""

_POLL = 0.5
"""Seconds between two looks whether the event loop of a handler still runs."""
_LOOP_EXIT_TIMEOUT = 300.0
"""Seconds that a loop may take to end; asyncio gives the threads of its executor so long."""

_INTERRUPTED = object()
"""What a handler comes to that the end of its loop has cancelled."""


class _Own(threading.local):
    runner: asyncio.Runner | None = None
    """This thread's; it stays, and so does what handlers bind to it."""


THREAD = _Own()

CURRENT_SIGNAL: ContextVar[int | None] = ContextVar("heliograph_handling", default=None)
"""The signal that a task on a web server's event loop handles."""


def as_sync(call: Call) -> Callable[[int], object]:
    """The handler as a plain one, which returns when it has come to its end."""

    def run(num: int) -> object:
        import asyncio  # noqa: PLC0415 - a third of the time that `import heliograph` would take
        from concurrent.futures import CancelledError  # noqa: PLC0415

        loop = engines.current().loop
        if loop is not None:
            return _run_on(loop, call, num)
        if THREAD.runner is None:
            THREAD.runner = asyncio.Runner()
        try:
            return THREAD.runner.run(call(num))
        except asyncio.CancelledError as error:  # no `Exception`, and no wish to end the process either
            raise CancelledError from error

    return run


def _run_on(loop: asyncio.AbstractEventLoop, call: Call, num: int) -> object:
    """Run it there, and wait for it here. Raises `Unfinished` if the loop ends before it does."""
    import asyncio  # noqa: PLC0415
    from concurrent.futures import CancelledError  # noqa: PLC0415

    if not loop.is_running():
        raise HandlerInterrupted
    future = asyncio.run_coroutine_threadsafe(_with_context(call, num), loop)
    while True:
        try:
            result = future.result(_POLL)
        except CancelledError:
            time.sleep(_POLL)  # a loop that comes to its end cancels first: then it was not the handler's own doing
            if loop.is_running():
                raise
        except TimeoutError:
            if future.done():
                raise  # it is the handler's own
        else:
            if result is not _INTERRUPTED:
                return result
            _await_end(loop)
            raise HandlerInterrupted
        if not loop.is_running():
            raise HandlerInterrupted


def _await_end(loop: asyncio.AbstractEventLoop) -> None:
    """Return when it runs no more: until then its process can run nothing on it, though it is running."""
    until = time.monotonic() + _LOOP_EXIT_TIMEOUT
    while loop.is_running() and time.monotonic() < until:
        time.sleep(_POLL)


async def _with_context(call: Call, num: int) -> object:
    """Let `get_last_received` know on the loop, too, and tell a handler's own cancellation from that of all tasks."""
    import asyncio  # noqa: PLC0415

    CURRENT_SIGNAL.set(num)
    try:
        return await call(num)
    except asyncio.CancelledError:
        # A loop that comes to its end cancels all tasks, then waits for them, and for the threads of its executor.
        if all(task.cancelling() for task in asyncio.all_tasks()):
            return _INTERRUPTED
        raise
