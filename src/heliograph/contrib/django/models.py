"""A model without a table: it gives the pages in Django's admin a place, and permissions to view and change tasks."""

from __future__ import annotations

from typing import Any

from django.db import models


class _NoRows(models.Manager):
    """Finds nothing, so that commands such as `dumpdata` do not look for a table."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class Task(models.Model):
    """A task in the store. Its permissions are `heliograph.view_task` and `heliograph.change_task`."""

    id = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(max_length=250)

    objects = _NoRows()

    class Meta:
        managed = False
        app_label = "heliograph"
        base_manager_name = "objects"
        default_permissions = ("view", "change")
        verbose_name = "task"

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"
