"""Django's system checks of the task backend. They open nothing, and make no directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured

from heliograph import engines
from heliograph.contrib.django.task_options import Settings
from heliograph.engines.detached import DetachedEngine
from heliograph.ipc.state_directory import find_store

_APP = "heliograph.contrib.django"


def check_backend(settings: Settings, queues: set[str]) -> Iterator[CheckMessage]:
    """Yield the faults of a backend in the settings, and of the directory of its store."""
    try:
        settings.check()
        yield from _check_queues(settings, queues)
    except ImproperlyConfigured as error:
        yield Error(str(error), id="heliograph.E001")
    if not apps.is_installed(_APP):
        yield Warning(
            f"{_APP!r} is not in INSTALLED_APPS, so a heliograph server does not import the tasks.py of your apps.",
            hint=f"Add {_APP!r} to INSTALLED_APPS.",
            id="heliograph.W001",
        )
    if isinstance(engines.current(), DetachedEngine):
        yield from _check_directory(find_store())


def check_server() -> Iterator[CheckMessage]:
    """Yield a warning if no server has used the directory of the tasks. For `manage.py check --deploy`."""
    if isinstance(engines.current(), DetachedEngine) and not (directory := find_store()).exists():
        yield Warning(
            f"No heliograph server has used the directory of the tasks: {directory}. Tasks wait there until one does.",
            hint="Start `manage.py heliograph run` here, or set HELIOGRAPH_NAME or HELIOGRAPH_SPOOLER as for it.",
            id="heliograph.W002",
        )


def _check_queues(settings: Settings, queues: set[str]) -> Iterator[CheckMessage]:
    for name in settings.queues():
        if queues and name not in queues:
            yield Error(
                f"TASKS[{settings.alias!r}]['OPTIONS']['queues'] has options for an unknown queue: {name!r}.",
                hint=f"Add {name!r} to QUEUES, or remove the options.",
                id="heliograph.E002",
            )


def _check_directory(directory: Path) -> Iterator[CheckMessage]:
    """Check that this process may write in the directory, or may make it."""
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        yield Error(
            f"The directory of the tasks cannot be written: {directory}.",
            hint=f"Give this user write access to {existing}, or set HELIOGRAPH_SPOOLER to another directory.",
            id="heliograph.E003",
        )
