"""The state that the master gives to its processes."""

from __future__ import annotations

import os
from contextlib import ExitStack

from heliograph.ipc.inherited import InheritedState, ProcessSettings, queue_descriptors
from heliograph.ipc.stack_files import make_stack_file, stack_name
from heliograph.ipc.state_directory import MAX_BYTES_ENV, SYNC_ENV, TASKS_ENV, store_directory
from heliograph.models import Topology
from heliograph.server.server_queues import ServerQueues
from heliograph.settings.options import ServerSettings


def open_descriptors(stack: ExitStack, topology: Topology, reports: int) -> dict[str, int]:
    """Return the descriptors that all processes inherit besides memory and queues. `reports` is one of them."""
    return {"reports": reports, "alive": _open_alive_pipe(stack), **_open_stack_files(stack, topology)}


def _open_alive_pipe(stack: ExitStack) -> int:
    """Return the reading end of a pipe whose writing end only the master has. Its end means that the master exited."""
    read, write = os.pipe2(os.O_CLOEXEC)
    stack.callback(os.close, read)
    stack.callback(os.close, write)
    return read


def _open_stack_files(stack: ExitStack, topology: Topology) -> dict[str, int]:
    """Return a file for the stacks of each process that handles signals."""
    files: dict[str, int] = {}
    for process in topology.processes():
        files[stack_name(process)] = fd = make_stack_file()
        stack.callback(os.close, fd)
    return files


def inherited_state(settings: ServerSettings, server: ServerQueues, generation: int, **own: int) -> InheritedState:
    """Return what a fork server inherits (with descriptors of its own), or a process that joins."""
    shared = {"memory": server.memory.fd, **queue_descriptors(settings.topology, server.pipes)}
    process_settings = ProcessSettings(
        topology=settings.topology,
        app=str(settings.app),
        lazy=settings.lazy_apps,
        max_signals=settings.max_signals,
        max_rss=settings.max_rss,
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
