"""A file in the store's directory with the functions that the processes of its server have, and their targets.

A shell reads it: without importing the application it knows which tasks wait for code that is not there, and the target
of a task by its name. It is only a note. Without it, or with an old one, no task is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.ipc.private_files import replace_private_file

_LOG = tolerant_logger("heliograph.tasks")

FUNCTIONS = "functions"


def write(directory: str, targets: Mapping[str, str]) -> None:
    """Replace the note if it says something else. A failure is logged."""
    if read(directory) == targets:
        return
    path = Path(directory, FUNCTIONS)
    try:
        replace_private_file(path, json.dumps(dict(targets)).encode())
    except OSError as error:
        _LOG.warning("Cannot note the functions of tasks in %s: %s", path, error.strerror)


def read(directory: str) -> Mapping[str, str] | None:
    """Return the functions with their targets. None: there is no note, or it cannot be read."""
    try:
        with open(os.path.join(directory, FUNCTIONS), encoding="utf-8") as file:
            found: dict[str, Any] = dict(json.load(file))
    except (OSError, TypeError, ValueError):
        return None
    return {name: str(target) for name, target in found.items()}
