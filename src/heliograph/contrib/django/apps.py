"""The app configuration: it imports the modules that register handlers."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks
from django.utils.module_loading import module_has_submodule

from heliograph.contrib.django.connections import manage_connections

MODULES = ("tasks", "signals")
"""Modules in which an app may register handlers. Importing a `signals.py` with Django signals is harmless."""


class HeliographConfig(AppConfig):
    """Imports the handlers of all installed apps in the same order, so that every process has the same numbers."""

    name = "heliograph.contrib.django"
    label = "heliograph"
    verbose_name = "heliograph"

    def ready(self) -> None:
        checks.register(_check_server, deploy=True)
        for app in apps.get_app_configs():
            for module in MODULES:
                # Not the task backend of this app: some versions of Django have no tasks.
                if app is not self and module_has_submodule(app.module, module):
                    import_module(f"{app.name}.{module}")


def _check_server(**_kwargs: Any) -> Iterable[Any]:
    try:
        from heliograph.contrib.django.task_checks import check_server  # noqa: PLC0415 - Django may have no tasks
        from heliograph.contrib.django.tasks import Backend  # noqa: PLC0415
    except ImportError:
        return ()
    from heliograph.contrib.django.task_api import task_backends  # noqa: PLC0415

    return check_server() if any(isinstance(backend, Backend) for backend in task_backends.all()) else ()


# Not in ready(): models are imported before, and may register handlers.
manage_connections()
