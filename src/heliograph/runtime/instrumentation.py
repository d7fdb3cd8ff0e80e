"""Wrappers for tracing: around each call of a handler, each attempt of a task, and each call that stores tasks.

`wrap_handlers` is for frameworks: it prepares what handlers and tasks need. These wrappers know what runs, and are
around those. Without them nothing is called in addition. None of these functions selects an engine.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from heliograph.models import SignalDescription

if TYPE_CHECKING:
    from heliograph.tasks.registry import TaskDefinition
    from heliograph.tasks.storing import Put

Call = Callable[..., Any]
"""A handler, which takes the number, or a task, which takes context, args and kwargs. It may return an awaitable."""

SignalWrapper = Callable[[Call, SignalDescription], Call]
TaskWrapper = Callable[[Call, "TaskDefinition"], Call]
PutWrapper = Callable[["Put"], "Put"]

SIGNAL_WRAPPERS: list[SignalWrapper] = []
TASK_WRAPPERS: list[TaskWrapper] = []

LISTENERS: list[Callable[[], None]] = []
"""Functions to call when the wrappers have changed: of the modules that keep wrapped handlers and tasks."""

_PUT_WRAPPERS: list[PutWrapper] = []
"""Wrappers that wait for the first task of this process."""


def instrument_calls(signals: SignalWrapper, tasks: TaskWrapper, put: PutWrapper) -> None:
    """Wrap all handlers, tasks and calls that store tasks, those that exist already, too."""
    SIGNAL_WRAPPERS.append(signals)
    TASK_WRAPPERS.append(tasks)
    _PUT_WRAPPERS.append(put)
    _apply()
    if (storing := sys.modules.get("heliograph.tasks.storing")) is not None:
        storing.wrap_put(put)


def restore_calls(signals: SignalWrapper, tasks: TaskWrapper, put: PutWrapper) -> None:
    """Remove these wrappers."""
    SIGNAL_WRAPPERS.remove(signals)
    TASK_WRAPPERS.remove(tasks)
    _PUT_WRAPPERS.remove(put)
    _apply()
    if (storing := sys.modules.get("heliograph.tasks.storing")) is not None:
        storing.unwrap_put(put)


def instrument_storing() -> None:
    """Wrap the calls that store tasks. Called when this process imports its first task."""
    storing = importlib.import_module("heliograph.tasks.storing")
    for wrapper in _PUT_WRAPPERS:
        if wrapper not in storing.PUT_WRAPPERS:
            storing.wrap_put(wrapper)


def wrapped_signal(call: Call, known: SignalDescription) -> Call:
    """Return a handler within all wrappers."""
    for wrapper in SIGNAL_WRAPPERS:
        call = wrapper(call, known)
    return call


def wrapped_task(call: Call, definition: TaskDefinition) -> Call:
    """Return a task within all wrappers."""
    for wrapper in TASK_WRAPPERS:
        call = wrapper(call, definition)
    return call


def _apply() -> None:
    for listener in LISTENERS:
        listener()
