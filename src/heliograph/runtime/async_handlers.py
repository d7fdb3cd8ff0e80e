"""The result of a handler's call: awaitables are run to their end, and generators are refused.

Awaitables run on the event loop of the web server, or on one of the receiving thread. Only the result of the call
matters: a decorated `async def`, an object with `async def __call__` and a lambda that returns a coroutine are alike.
"""

from __future__ import annotations

import contextvars
import inspect
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from heliograph import engines
from heliograph.exceptions import SignalTypeError
from heliograph.interfaces import HandlerInterrupted

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

_POLL = 0.5
"""Seconds between two checks that the event loop of a handler still runs."""
_LOOP_EXIT_TIMEOUT = 300.0
"""Seconds that a loop may take to end. asyncio waits as long for the threads of its executor."""

_INTERRUPTED, _CANCELLED = object(), object()
"""Results of a handler that was cancelled: because its loop ends, and for another reason."""


class _ThreadLoop:
    """The event loop of a thread. It is closed when the thread ends, if nothing has closed it before."""

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415 - asyncio would add a third to the time of `import heliograph`

        self._runner = asyncio.Runner()
        self.loop = self._runner.get_loop()
        self._pid = os.getpid()

    def close(self) -> None:
        """Cancel the tasks of the loop, and close it."""
        self._runner.close()

    def __del__(
        self, is_finalizing: Callable[[], bool] = sys.is_finalizing, getpid: Callable[[], int] = os.getpid
    ) -> None:
        # A child process would remove the descriptors from the epoll object that it shares with its parent.
        if not is_finalizing() and self._pid == getpid() and not self.loop.is_running():
            self.loop.close()


class _ThreadState(threading.local):
    own: _ThreadLoop | None = None
    """The loop of this thread. It is kept, so objects that handlers bind to the loop stay valid."""


THREAD = _ThreadState()

CURRENT_SIGNAL: ContextVar[int | None] = ContextVar("heliograph_handling", default=None)
"""The signal that a task on an event loop handles."""


def value_of(result: object, num: int | None = None) -> object:
    """Run what a call returned to its end, if it is an awaitable, and return the final value.

    Raises:
        HandlerInterrupted: The event loop of the web server ended first.
    """
    while inspect.isawaitable(result):
        result = _run(result, num)
    return result


def finish(result: object, num: int | None = None, *, what: str = "handler") -> None:
    """Run what a call returned to its end, if it is an awaitable. `num` is the signal that is handled.

    `what` says for an error what was called.

    Raises:
        SignalTypeError: The result is a generator, so none of its code has run.
        HandlerInterrupted: The event loop of the web server ended first.
    """
    result = value_of(result, num)
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        refuse_unfinished(result, what)


def refuse_unfinished(result: object, what: str) -> None:
    """Refuse an awaitable or a generator, which stands for code that has not run.

    Raises:
        SignalTypeError: It is one of these.
    """
    if not (inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result)):
        return
    if inspect.isgenerator(result) or inspect.iscoroutine(result):
        result.close()  # else Python warns that it was never awaited
    kind = type(result).__name__
    raise SignalTypeError(
        f"the {what} returned {kind}, so its code has not run: {result!r}. Return a plain value.", result
    )


def _run(awaitable: Awaitable[Any], num: int | None) -> object:
    """Run an awaitable to its end, and return its result."""
    if _in_running_loop():
        return _run_in_thread(awaitable, num)
    loop = engines.current().loop
    if loop is not None:
        return _run_on(loop, awaitable, num)
    from heliograph.engines.local import greenlets  # noqa: PLC0415 - only processes that receive need it

    if greenlets.in_greenlet():  # the requests share this thread, and asyncio and Django look for a loop in it
        return greenlets.call_in_thread(_run_alone, awaitable, num)
    return _run_alone(awaitable)


def _run_alone(awaitable: Awaitable[Any], num: int | None = None) -> object:
    """Run an awaitable to its end on a loop of the calling thread. Pass the signal if another thread handles it."""
    import asyncio  # noqa: PLC0415
    from concurrent.futures import CancelledError  # noqa: PLC0415

    if num is not None:
        CURRENT_SIGNAL.set(num)
    if THREAD.own is None:
        THREAD.own = _ThreadLoop()
    own = THREAD.own.loop
    try:
        # `Runner.run` would replace the handler of SIGINT, by which uWSGI stops its mules.
        return own.run_until_complete(own.create_task(_await(awaitable), context=contextvars.copy_context()))
    except asyncio.CancelledError as error:  # not an `Exception`, but it must not end the process
        raise CancelledError from error


def _in_running_loop() -> bool:
    """Return True if the calling thread runs an event loop, which the handler would stop while it is awaited."""
    import asyncio  # noqa: PLC0415 - asyncio would add a third to the time of `import heliograph`

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run_in_thread(awaitable: Awaitable[Any], num: int | None) -> object:
    """Run an awaitable on a loop in another thread, and wait: the loop of this thread is running already."""
    import asyncio  # noqa: PLC0415
    from concurrent.futures import CancelledError, Future  # noqa: PLC0415

    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(asyncio.run(_await(awaitable)))
        except asyncio.CancelledError:
            future.set_exception(CancelledError())
        except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
            future.set_exception(error)

    context = contextvars.copy_context()
    context.run(CURRENT_SIGNAL.set, num)
    thread = threading.Thread(target=context.run, args=(run,), name="heliograph-async", daemon=True)
    thread.start()
    thread.join()
    return future.result()


async def _await(awaitable: Awaitable[Any]) -> object:
    return await awaitable


def _run_on(loop: asyncio.AbstractEventLoop, awaitable: Awaitable[Any], num: int | None) -> object:
    """Run an awaitable on `loop`, and wait for it in this thread.

    Raises:
        HandlerInterrupted: The loop ended before the handler.
    """
    import asyncio  # noqa: PLC0415
    from concurrent.futures import CancelledError  # noqa: PLC0415

    if not loop.is_running():
        if inspect.iscoroutine(awaitable):
            awaitable.close()  # the successor of this process calls the handler again
        raise HandlerInterrupted
    future = asyncio.run_coroutine_threadsafe(_with_context(awaitable, num), loop)
    try:
        result = _result_of(future, loop)
    except CancelledError:
        time.sleep(_POLL)  # an ending loop cancels its tasks before it stops
        if loop.is_running():
            raise
        raise HandlerInterrupted from None
    if result is _CANCELLED:
        raise CancelledError
    if result is _INTERRUPTED:
        _await_end(loop)
        raise HandlerInterrupted
    return result


def _result_of(future: Future[object], loop: asyncio.AbstractEventLoop) -> object:
    """Wait for a task on `loop` as long as the loop runs. Raises: HandlerInterrupted: the loop has ended."""
    while True:
        try:
            return future.result(_POLL)
        except TimeoutError as error:
            # The handler raised it, or the wait did. In that case the handler may have finished since.
            if future.done():
                if not future.cancelled() and future.exception() is error:
                    raise
                continue
        if not loop.is_running():
            raise HandlerInterrupted


def _await_end(loop: asyncio.AbstractEventLoop) -> None:
    """Return when the loop has stopped. Until then it runs, but takes no new tasks."""
    until = time.monotonic() + _LOOP_EXIT_TIMEOUT
    while loop.is_running() and time.monotonic() < until:
        time.sleep(_POLL)


async def _with_context(awaitable: Awaitable[Any], num: int | None) -> object:
    """Set the current signal on the loop, and detect that the loop cancels all its tasks."""
    import asyncio  # noqa: PLC0415

    CURRENT_SIGNAL.set(num)
    try:
        return await awaitable
    except asyncio.CancelledError:
        # An ending loop cancels all tasks, then waits for them and for the threads of its executor.
        return _INTERRUPTED if all(task.cancelling() for task in asyncio.all_tasks()) else _CANCELLED
