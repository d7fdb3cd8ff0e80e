"""`async def` handlers. They run on the event loop of the web server, or on one of the receiving thread."""

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
"""An `async def` handler that takes the number of the signal."""

_POLL = 0.5
"""Seconds between two checks that the event loop of a handler still runs."""
_LOOP_EXIT_TIMEOUT = 300.0
"""Seconds that a loop may take to end. asyncio waits as long for the threads of its executor."""

_INTERRUPTED = object()
"""Result of a handler that was cancelled because its loop ends."""


class _ThreadState(threading.local):
    runner: asyncio.Runner | None = None
    """The loop of this thread. It is kept, so objects that handlers bind to the loop stay valid."""


THREAD = _ThreadState()

CURRENT_SIGNAL: ContextVar[int | None] = ContextVar("heliograph_handling", default=None)
"""The signal that a task on the event loop of a web server handles."""


def as_sync(call: Call) -> Callable[[int], object]:
    """Return a plain handler that runs `call` and returns when it has finished."""

    def run(num: int) -> object:
        import asyncio  # noqa: PLC0415 - asyncio would add a third to the time of `import heliograph`
        from concurrent.futures import CancelledError  # noqa: PLC0415

        loop = engines.current().loop
        if loop is not None:
            return _run_on(loop, call, num)
        if THREAD.runner is None:
            THREAD.runner = asyncio.Runner()
        try:
            return THREAD.runner.run(call(num))
        except asyncio.CancelledError as error:  # not an `Exception`, but it must not end the process
            raise CancelledError from error

    return run


def _run_on(loop: asyncio.AbstractEventLoop, call: Call, num: int) -> object:
    """Run the handler on `loop`, and wait for it in this thread.

    Raises:
        HandlerInterrupted: The loop ended before the handler.
    """
    import asyncio  # noqa: PLC0415
    from concurrent.futures import CancelledError  # noqa: PLC0415

    if not loop.is_running():
        raise HandlerInterrupted
    future = asyncio.run_coroutine_threadsafe(_with_context(call, num), loop)
    while True:
        try:
            result = future.result(_POLL)
        except CancelledError:
            time.sleep(_POLL)  # an ending loop cancels its tasks before it stops
            if loop.is_running():
                raise
        except TimeoutError:
            if future.done():
                raise  # the handler raised it
        else:
            if result is not _INTERRUPTED:
                return result
            _await_end(loop)
            raise HandlerInterrupted
        if not loop.is_running():
            raise HandlerInterrupted


def _await_end(loop: asyncio.AbstractEventLoop) -> None:
    """Return when the loop has stopped. Until then it runs, but takes no new tasks."""
    until = time.monotonic() + _LOOP_EXIT_TIMEOUT
    while loop.is_running() and time.monotonic() < until:
        time.sleep(_POLL)


async def _with_context(call: Call, num: int) -> object:
    """Set the current signal on the loop, and detect that the loop cancels all its tasks."""
    import asyncio  # noqa: PLC0415

    CURRENT_SIGNAL.set(num)
    try:
        return await call(num)
    except asyncio.CancelledError:
        # An ending loop cancels all tasks, then waits for them and for the threads of its executor.
        if all(task.cancelling() for task in asyncio.all_tasks()):
            return _INTERRUPTED
        raise
