"""The app configuration: it imports the modules that register handlers."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from heliograph.contrib.django.connections import with_fresh_connections
from heliograph.runtime.signals import wrap_handlers

MODULES = ("tasks", "signals")
"""Modules in which an app may register handlers. Importing a `signals.py` with Django signals is harmless."""


class HeliographConfig(AppConfig):
    """Imports the handlers of all installed apps in the same order, so that every process has the same numbers."""

    name = "heliograph.contrib.django"
    label = "heliograph"
    verbose_name = "heliograph"

    def ready(self) -> None:
        autodiscover_modules(*MODULES)


# Not in ready(): models are imported before, and may register handlers.
wrap_handlers(with_fresh_connections)
