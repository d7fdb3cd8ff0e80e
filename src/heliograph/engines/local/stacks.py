"""The frames of this process: what its threads run, and what the tasks of its event loops wait in."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


def main_frames() -> Iterator[FrameType]:
    """Yield the frames of the main thread, innermost first."""
    yield from _stack(threading.main_thread().ident)


def all_frames() -> Iterator[FrameType]:
    """Yield the frames of all threads, the main thread first, and of the coroutines that wait on their loops."""
    yield from _waiting_greenlet_frames()
    main = threading.main_thread().ident
    for thread in (main, *(ident for ident in sys._current_frames() if ident != main)):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        for frame in _stack(thread):
            yield frame
            if is_in(frame, "asyncio.base_events", "run_forever"):
                yield from _task_frames(frame.f_locals.get("self"))
            elif is_in(frame, "asyncio.runners", "run"):  # a loop in C, such as uvloop's, has no frame of its own
                yield from _task_frames(getattr(frame.f_locals.get("self"), "_loop", None))


def _waiting_greenlet_frames() -> Iterator[FrameType]:
    """Yield the frames of the hub and of the main greenlet, if a greenlet runs this code. They are on no stack."""
    greenlet: Any = sys.modules.get("greenlet")
    parent = greenlet.getcurrent().parent if greenlet is not None else None
    while parent is not None:
        yield from _outer_frames(parent.gr_frame)
        parent = parent.parent


def is_in(frame: FrameType, module: str, function: str) -> bool:
    """Return True if this frame runs that function."""
    return frame.f_code.co_name == function and frame.f_globals.get("__name__") == module


def place(frame: FrameType) -> tuple[str, str]:
    """Return module and function of a frame."""
    return str(frame.f_globals.get("__name__", "")), frame.f_code.co_name


def _stack(thread: int | None) -> Iterator[FrameType]:
    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    yield from _outer_frames(frames.get(thread) if thread is not None else None)


def _outer_frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _task_frames(loop: asyncio.AbstractEventLoop | None) -> Iterator[FrameType]:
    if loop is None:
        return
    from asyncio import all_tasks  # noqa: PLC0415 - loaded already, or there is no loop

    try:
        tasks = list(all_tasks(loop))
    except RuntimeError:  # the loop changed the set too often in the meantime
        return
    for task in tasks:
        awaited: Any = task.get_coro()
        while (frame := getattr(awaited, "cr_frame", None)) is not None:
            yield frame
            awaited = awaited.cr_await
