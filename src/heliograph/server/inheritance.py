"""The state that the master gives to its processes."""

from __future__ import annotations

import os
from contextlib import ExitStack

from heliograph.ipc.inherited import InheritedState, ProcessSettings, queue_descriptors
from heliograph.ipc.state_directory import MAX_BYTES_ENV, SYNC_ENV, TASKS_ENV, store_directory
from heliograph.server.server_queues import ServerQueues
from heliograph.settings.options import ServerSettings


def open_alive_pipe(stack: ExitStack) -> int:
    """Return the reading end of a pipe whose writing end only the master has. Its end means that the master exited."""
    read, write = os.pipe2(os.O_CLOEXEC)
    stack.callback(os.close, read)
    stack.callback(os.close, write)
    return read


def inherited_state(settings: ServerSettings, server: ServerQueues, generation: int, **own: int) -> InheritedState:
    """Return what a fork server inherits (with descriptors of its own), or a process that joins."""
    shared = {"memory": server.memory.fd, **queue_descriptors(settings.topology, server.pipes)}
    process_settings = ProcessSettings(
        topology=settings.topology,
        app=str(settings.app),
        lazy=settings.lazy_apps,
        max_signals=settings.max_signals,
        time_limit=settings.time_limit,
        graceful_timeout=settings.graceful_timeout,
        log_level=settings.log_level,
        log_config=str(settings.log_config or ""),
        tasks=str(store_directory(settings.name, settings.spooler)),
        task_sync=settings.task_sync,
        task_bytes=settings.task_bytes,
        checked_command=() if settings.no_web_check else settings.command,
    )
    return InheritedState(generation, os.getpid(), {**shared, **own}, process_settings)


def task_environment(settings: ServerSettings) -> dict[str, str]:
    """Return the variables by which programs of the web server find the tasks, also if they do not join."""
    return {
        TASKS_ENV: str(store_directory(settings.name, settings.spooler)),
        SYNC_ENV: settings.task_sync,
        MAX_BYTES_ENV: str(settings.task_bytes),
    }
