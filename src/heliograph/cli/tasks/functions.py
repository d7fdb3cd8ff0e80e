"""The function that `heliograph enqueue` means: imported if that is possible, else by its name."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliograph.application import current_directory
from heliograph.cli.errors import CommandError
from heliograph.cli.tasks.unknown_functions import find_object, not_a_task, unknown

if TYPE_CHECKING:
    from heliograph.tasks.registry import TaskDefinition


@dataclass(frozen=True, slots=True)
class Function:
    """The function of a task."""

    name: str
    definition: TaskDefinition | None = None
    """None: it was not imported."""

    note: str = ""
    """The reason why it was not imported, for people."""


def find_function(name: str, known: Mapping[str, str] | None) -> Function:
    """Import a function by its name, `module:function`.

    `known` are the functions of the server, None if it has never run.

    Raises:
        CommandError: The function does not exist, and the server does not have it either.
    """
    from heliograph.tasks.registry import TASKS  # noqa: PLC0415 - it needs msgspec

    module, colon, path = name.partition(":")
    reason = _import(module) if colon else "its name has no module: write module:function"
    definition = TASKS.definitions.get(name) or (_attribute(module, path) if colon and not reason else None)
    if definition is not None:
        return Function(definition.name, definition)
    if known is not None and name in known:
        return Function(name, None, reason or f"{module} has no such task")
    if colon and not reason and (other := not_a_task(module, path)):
        raise CommandError(f"no such task: {name}. {other}")
    raise CommandError(unknown(name, reason, [*(known or ()), *TASKS.definitions]))


def _import(module: str) -> str:
    """Import a module. Return the reason if that fails. What it prints goes to standard error."""
    directory = str(current_directory())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
        return f"cannot import {module}: {type(error).__name__}: {error}"
    return ""


def _attribute(module: str, path: str) -> TaskDefinition | None:
    """Return the task with this name in a module, which may have another name in the registry."""
    from heliograph.runtime.task_type import Task  # noqa: PLC0415 - it needs msgspec

    found = find_object(module, path)
    return found.definition if isinstance(found, Task) else None
