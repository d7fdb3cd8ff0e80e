"""What Django does with heliograph when it is set up."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from heliograph.contrib.django.connections import with_fresh_connections
from heliograph.runtime.signals import wrap_handlers

MODULES = ("tasks", "signals")
"""Where an app may register handlers. Many apps have a `signals.py` for Django's own: to import that does no harm."""


class HeliographConfig(AppConfig):
    """Every process has the handlers of all installed apps, in the same order, and so under the same numbers."""

    name = "heliograph.contrib.django"
    label = "heliograph"
    verbose_name = "heliograph"

    def ready(self) -> None:
        autodiscover_modules(*MODULES)


# Not in ready(): by then models are imported, and may have registered handlers.
wrap_handlers(with_fresh_connections)
