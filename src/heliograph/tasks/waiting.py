"""Waiting for the end of a task, and calls that must not block an event loop."""

from __future__ import annotations

import contextvars
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from heliograph import engines
from heliograph._core.tasks.values import TaskRow
from heliograph.exceptions import NotSupported
from heliograph.models import MAX_WAIT, MICROSECONDS
from heliograph.tasks.hosting import now, store
from heliograph.timing.clocks import FakeClock

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MIN_STEP, _MAX_STEP = 0.001, 86400.0
"""Seconds that pass at once on the fake clock while a task is due and does not run."""
_SLICE = 60.0
"""Seconds of one wait in a thread that may have been given up since."""


def wait_for_end(task_id: str, timeout: float | None, given_up: threading.Event | None = None) -> TaskRow | None:
    """Return a task when it has finished, or as it is after `timeout` seconds. None: there is no such task.

    On the fake clock of a test, let that time pass, or the time that the task takes.
    """
    clock = engines.current().clock
    if isinstance(clock, FakeClock):
        return _let_pass(clock, task_id, timeout)
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    longest = MAX_WAIT if given_up is None else _SLICE
    while True:
        row = store().when_finished(task_id, min(longest, max(0.0, deadline - time.monotonic())))
        if row is None or row.status.is_finished or time.monotonic() >= deadline:
            return row
        if given_up is not None and given_up.is_set():
            return row


def _let_pass(clock: FakeClock, task_id: str, timeout: float | None) -> TaskRow | None:
    deadline = math.inf if timeout is None else clock.time() + timeout
    step = _MIN_STEP
    while True:
        row = store().get(task_id)
        if row is None or row.status.is_finished or clock.time() >= deadline:
            return row
        due = store().next_times(now()).get(row.target, math.inf) / MICROSECONDS
        if deadline == math.inf and (due == math.inf or step > _MAX_STEP):
            raise NotSupported(f"would wait without end: nothing makes task {task_id} run. Pass a timeout.")
        # A task that is due and does not run is limited, or the store has failed. The time of that is not known here.
        step = _MIN_STEP if due > clock.time() else step * 2
        clock.sleep(min(deadline, max(due, clock.time() + step)) - clock.time())


async def in_pool(func: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call a function that is soon back in a thread of the event loop's pool.

    On the fake clock of a test, call it here: everything happens in one thread there.
    """
    if isinstance(engines.current().clock, FakeClock):
        return func(*args, **kwargs)
    import asyncio  # noqa: PLC0415 - an application without coroutines does not need it

    return await asyncio.to_thread(func, *args, **kwargs)


async def in_thread(func: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call a function in a thread of its own, which does not delay the end of the process.

    On the fake clock of a test, call it here: everything happens in one thread there.
    """
    call = partial(func, *args, **kwargs)
    if isinstance(engines.current().clock, FakeClock):
        return call()
    import asyncio  # noqa: PLC0415 - see above

    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def finish(result: _T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - the coroutine raises it
            failure = error
        try:
            loop.call_soon_threadsafe(finish, result, failure)
        except RuntimeError:
            return  # the loop has ended, so nobody waits any longer

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="heliograph-tasks", daemon=True).start()
    return await future
