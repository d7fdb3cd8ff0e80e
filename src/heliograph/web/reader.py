"""Questions of the page to the server: its state, for all who look, and the stack of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from heliograph import insights
from heliograph.exceptions import UwsgiconfException
from heliograph.insights.model import ServerState
from heliograph.ipc.control_client import RequestFailed
from heliograph.ipc.proc import proportional_memory
from heliograph.web.task_lists import TaskListReader, TaskLists

_TIMEOUT = 5.0
"""Seconds that the server has for an answer."""
_STACK_TIMEOUT = 8.0
"""A process that does not answer costs 5 seconds."""
_STACK_AGE = 1.0
"""Seconds for which a stack is not read again, whoever asks."""
_MAX_STACKS = 256
_MEMORY_AGE = 10.0
"""Seconds after which the memory is read again, after a reading."""
_OLD_MEMORY = 60.0
"""Seconds after which it is read before a reading: nobody has looked for a while."""


class ServerReader:
    """Reads one server. Nothing is opened before the first use."""

    def __init__(self, control: Path) -> None:
        self._reader = insights.ServerReader(control, timeout=_TIMEOUT, memory=False)
        self._memory = MemoryReader()
        self._tasks = TaskListReader()

    def state(self) -> ServerState:
        """Return the present state. Raises: UwsgiconfException: the server does not answer."""
        return self._memory.complete(self._reader.look())

    def refresh(self, state: ServerState) -> None:
        """Read facts that take long, for the next states."""
        self._memory.refresh(state)

    def task_lists(self, state: ServerState) -> TaskLists:
        """Return the tasks that the page shows one by one."""
        return self._tasks.read(state)

    def close(self) -> None:
        """Close the connection, the memory and the store."""
        self._reader.close()
        self._tasks.close()


class MemoryReader:
    """Reads the memory (PSS) of processes, which takes up to a millisecond for each, outside of requests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._read_at = float("-inf")
        self._known: dict[int, int | None] = {}

    def complete(self, state: ServerState) -> ServerState:
        """Return the state with the memory that is known. One that is too old is read now."""
        if self._clock() - self._read_at > _OLD_MEMORY:
            self._read(state)
        processes = (replace(found, memory=self._known.get(found.pid or 0)) for found in state.processes)
        return replace(state, processes=tuple(processes))

    def refresh(self, state: ServerState) -> None:
        """Read the memory again, if it is not new."""
        if self._clock() - self._read_at >= _MEMORY_AGE or any(
            found.pid and found.pid not in self._known for found in state.processes
        ):
            self._read(state)

    def _read(self, state: ServerState) -> None:
        self._read_at = self._clock()
        self._known = {found.pid: proportional_memory(found.pid) for found in state.processes if found.pid}


class StackReader:
    """Asks for the stacks of processes: one at a time, and each at most once a second."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self._lock = asyncio.Lock()
        self._known: dict[str, tuple[float, str]] = {}

    async def read(self, process: str) -> str:
        """Return the stack of a process. Raises: LookupError: there is none, with the reason."""
        async with self._lock:
            at, text = self._known.get(process, (float("-inf"), ""))
            if time.monotonic() - at < _STACK_AGE:
                return text
            try:
                found = await asyncio.to_thread(insights.read_stacks, self._control, [process], _STACK_TIMEOUT)
            except RequestFailed as error:
                reason = "this server cannot show stacks" if error.code == "unknown_verb" else str(error)
                raise LookupError(f"Not available: {reason}.".replace("..", ".")) from None
            except (UwsgiconfException, OSError) as error:
                raise LookupError(f"Not available: {error}") from None
            if len(self._known) >= _MAX_STACKS:
                self._known.clear()
            text = "\n\n".join("\n".join(_lines(stacks)) for stacks in found)
            self._known[process] = time.monotonic(), text
            return text


def _lines(stacks: insights.ProcessStacks) -> Iterator[str]:
    """Return the text of a process, as `heliograph stack` prints it."""
    yield f"{stacks.process} (pid {stacks.pid})"
    if stacks.error is not None:
        yield f"  {stacks.error}"
    for thread in stacks.threads:
        yield f"  Thread {thread.name or thread.id} (most recent call last):"
        yield from (f"    {remark}" for remark in thread.remarks)
        for frame in thread.frames:
            yield f'    File "{frame.file or "?"}", line {frame.line or "?"}, in {frame.function}'
