"""The five views: their rows, columns and details."""

from typing import Any

from heliograph.top.views.problems import PROBLEMS
from heliograph.top.views.processes import PROCESSES
from heliograph.top.views.row import Row, View
from heliograph.top.views.signals import SIGNALS
from heliograph.top.views.tasks import TASKS
from heliograph.top.views.triggers import TRIGGERS

VIEWS: tuple[View[Any], ...] = (PROCESSES, SIGNALS, TASKS, TRIGGERS, PROBLEMS)

__all__ = ["PROBLEMS", "PROCESSES", "SIGNALS", "TASKS", "TRIGGERS", "VIEWS", "Row", "View"]
