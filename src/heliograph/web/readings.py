"""Readings of the server's state: one for all who look, at most one a second, and none while nobody looks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from heliograph.exceptions import UwsgiconfException
from heliograph.insights.model import ServerState
from heliograph.web.task_lists import NO_TASKS, TaskLists

_LOG = logging.getLogger("heliograph.web")

INTERVAL = 1.0
"""Seconds between two readings."""


class Reader(Protocol):
    """Reads the state of one server. All calls come from one thread."""

    def state(self) -> ServerState:
        """Return the present state. Raises: UwsgiconfException, OSError: the server does not answer."""
        ...

    def task_lists(self, state: ServerState) -> TaskLists:
        """Return the tasks that the page shows one by one."""
        ...

    def refresh(self, state: ServerState) -> None:
        """Read facts that take long, for the next states. It is called after a reading was handed out."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """The answer to one look at the server."""

    at: float
    """Monotonic time."""
    state: ServerState | None
    """None: the server did not answer."""
    error: str = ""
    tasks: TaskLists = NO_TASKS
    seconds: float = 0.0
    """Time that it took."""


class Readings:
    """Reads in a thread of its own, and hands each reading to all who wait for it."""

    def __init__(self, reader: Reader, on_reading: Callable[[Reading], None] = lambda _: None) -> None:
        """`on_reading` is called with each new reading, in the event loop."""
        self._reader = reader
        self._on_reading = on_reading
        self._executor = ThreadPoolExecutor(1, "reader")
        self._lock = asyncio.Lock()
        self._last: Reading | None = None
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._logged = ""
        """The last error that was logged."""
        self.count = 0
        """Number of readings until now."""

    async def current(self) -> Reading:
        """Return a reading that is at most INTERVAL old."""
        async with self._lock:
            last = self._last
            if last is None or time.monotonic() - last.at >= INTERVAL * 0.95:
                last = await asyncio.get_running_loop().run_in_executor(self._executor, self._read)
                self._last = last
                self.count += 1
                self._on_reading(last)
                if last.state is not None:
                    self._executor.submit(self._reader.refresh, last.state)
            return last

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Read each INTERVAL until the end of the block."""
        self._watchers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._repeat())
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._stop()

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def next(self, seconds: float) -> bool:
        """Wait for the next reading of a watcher. Return False if none came in so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Close the reader, as soon as a reading that runs is done."""
        self._executor.submit(self._reader.close)
        self._executor.shutdown(wait=False)

    async def _repeat(self) -> None:
        while True:
            began = time.monotonic()
            try:
                await self.current()
            except Exception:  # noqa: BLE001 - the next reading may be another one
                _LOG.exception("Cannot draw the status page")
            waiting, self._changed = self._changed, asyncio.Event()
            waiting.set()
            await asyncio.sleep(max(INTERVAL - (time.monotonic() - began), INTERVAL / 10))

    def _read(self) -> Reading:
        began = time.monotonic()
        try:
            state = self._reader.state()
            tasks = self._reader.task_lists(state)
        except (UwsgiconfException, OSError) as error:
            return Reading(began, None, str(error) or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the page must show that it cannot show the server
            if repr(error) != self._logged:  # not each second
                self._logged = repr(error)
                _LOG.exception("Cannot read the state of the server")
            return Reading(began, None, f"Its state cannot be read: {error!r}. The log of the server has more.")
        return Reading(began, state, "", tasks, time.monotonic() - began)
