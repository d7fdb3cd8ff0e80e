"""Questions of the page to the server: its state, for all who look, and the stack of one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from heliograph import insights
from heliograph.exceptions import UwsgiconfException
from heliograph.insights.model import ServerState
from heliograph.ipc.control_client import RequestFailed
from heliograph.web.task_lists import TaskListReader, TaskLists

_TIMEOUT = 5.0
"""Seconds that the server has for an answer."""
_STACK_TIMEOUT = 8.0
"""A process that does not answer costs 5 seconds."""
_STACK_AGE = 1.0
"""Seconds for which a stack is not read again, whoever asks."""
_MAX_STACKS = 256


class ServerReader:
    """Reads one server. Nothing is opened before the first use."""

    def __init__(self, control: Path) -> None:
        self._reader = insights.ServerReader(control, timeout=_TIMEOUT)
        self._tasks = TaskListReader()

    def state(self) -> ServerState:
        """Return the present state. Raises: UwsgiconfException: the server does not answer."""
        return self._reader.look()

    def task_lists(self, state: ServerState) -> TaskLists:
        """Return the tasks that the page shows one by one."""
        return self._tasks.read(state)

    def close(self) -> None:
        """Close the connection, the memory and the store."""
        self._reader.close()
        self._tasks.close()


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
