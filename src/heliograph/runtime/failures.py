"""Failures of handlers and tasks, and the functions that are told of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliograph import engines, models
from heliograph._core.signals.handlers import describe
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.interfaces import HandlerInterrupted, Processes
from heliograph.runtime import async_handlers

if TYPE_CHECKING:
    from heliograph.tasks.context import TaskContext

_LOG = tolerant_logger("heliograph.hooks")


@dataclass(frozen=True, slots=True)
class Failure:
    """A handler or an attempt of a task that has failed. Either `signal` or `task` is set."""

    error: BaseException
    """The exception, with its traceback."""

    signal: models.SignalDescription | None = None
    """The signal whose handler failed: `.num`, `.target` and `.func`."""

    task: TaskContext | None = None
    """The attempt that failed: `.name`, `.id` and `.attempt`."""

    is_final: bool = True
    """False if the task has another attempt. Handlers have none."""

    @property
    def name(self) -> str:
        """Module and name of the handler (`shop.refresh_prices`), or the name of the task."""
        if self.task is not None:
            return self.task.name
        return describe(self.signal.func) if self.signal is not None else ""


FAILURE_HOOKS: list[Callable[[Failure], object]] = []
"""The functions that `on_failure` has decorated."""


def report(failure: Failure) -> None:
    """Call the hooks for failures. Log their exceptions."""
    for hook in FAILURE_HOOKS:
        try:
            async_handlers.finish(hook(failure), what="failure hook")
        except (Exception, SystemExit, HandlerInterrupted):  # noqa: BLE001 - the failure is logged and counted already
            server: Processes = engines.current()
            _LOG.exception("Failure hook %s failed in %s", describe(hook), server.identity)
