"""The store of tasks of this process, its clock, and the wake-ups of its engine."""

from __future__ import annotations

from heliograph import engines
from heliograph.interfaces import Clock
from heliograph.interfaces.store import TaskStore
from heliograph.ipc.store_directory import running_topology
from heliograph.models import MICROSECONDS, Topology


def store() -> TaskStore:
    """Return the store of the server that this process belongs to, or that it can reach.

    Raises:
        NoEngine: No server is known here.
        ServerNotReady: This process still loads the application for others.
        StoreError: The store cannot be opened.
    """
    return engines.current().task_store()


def now() -> int:
    """Return the time in microseconds since 1970, on the clock of the engine."""
    clock: Clock = engines.current().clock
    return int(clock.time() * MICROSECONDS)


def known_topology() -> Topology | None:
    """Return the processes of this server, else of the server that runs the tasks of this process now.

    None: none runs, or its processes are not known here.
    """
    own: Topology | None = engines.current().topology
    if own is not None:
        return own
    directory = store().directory
    return None if directory is None else running_topology(directory)


def wake(target: str, run_after: int = 0) -> None:
    """Let a process of the target look for tasks now, or when the clock reaches `run_after`."""
    engine = engines.current()
    if run_after:
        engine.wake_at(target, run_after / MICROSECONDS)
    else:
        engine.wake(target)
