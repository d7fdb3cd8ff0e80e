"""The harness for the inline engine: one process and a fake clock."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from heliograph import engines
from heliograph.engines.inline import InlineEngine
from heliograph.runtime.handlers import REGISTRY
from heliograph.runtime.triggers import TRIGGERS
from heliograph.tasks.registry import TASKS
from heliograph.testing.harness.agent import LOG, Job, outcome_of
from heliograph.testing.harness.capabilities import HARNESSES
from heliograph.testing.harness.harness import Harness, result_of
from heliograph.testing.harness.signals import JOB_SIGNALS
from heliograph.testing.inline import restored_hooks

_APP = "heliograph.testing.harness.app"
_MODULES = (_APP, "heliograph.testing.harness.tasks", "heliograph.testing.harness.calls")


class InlineHarness(Harness):
    """All processes of the server in the test's own process."""

    def __init__(self, engine: Any, app: ModuleType, directory: Path) -> None:
        super().__init__("inline", HARNESSES["inline"], directory)
        self.engine = engine
        self._app = app

    def run(self, process: str, job: Job) -> Any:
        with self.engine.as_process(process):
            in_handler = job[0]
            return result_of(
                self._app.AGENT.run_in_handler(job, JOB_SIGNALS[process]) if in_handler else outcome_of(job)
            )

    def advance_time(self, seconds: float) -> None:
        self.engine.clock.sleep(seconds)

    def end_process(self, process: str) -> None:
        self.engine.stop_processes(process)
        self.engine.start_processes(process)

    def notify_file_change(self, path: Path) -> None:
        self.engine.changed(str(path))


@contextmanager
def inline_harness(directory: Path) -> Generator[InlineHarness]:
    """Load the application with a new inline engine. Restore the registrations of this process afterwards."""
    engine = InlineEngine()
    os.environ[LOG] = str(directory / "handled")
    _forget_application()
    try:
        with _empty_registries(), restored_hooks(), engines.using(engine):
            from heliograph.testing.harness import app

            engine.start_processes()
            yield InlineHarness(engine, app, directory)
    finally:
        del os.environ[LOG]
        _forget_application()


def _forget_application() -> None:
    for module in _MODULES:
        sys.modules.pop(module, None)


@contextmanager
def _empty_registries() -> Generator[None]:
    before = dict(REGISTRY.registered), set(REGISTRY.claimed), dict(REGISTRY.names), dict(TRIGGERS)
    tasks = dict(TASKS.definitions)
    TASKS.replace_all({})
    REGISTRY.clear()
    TRIGGERS.clear()
    try:
        yield
    finally:
        REGISTRY.clear()
        REGISTRY.registered.update(before[0])
        REGISTRY.claimed.update(before[1])
        REGISTRY.names.update(before[2])
        TRIGGERS.clear()
        TRIGGERS.update(before[3])
        TASKS.replace_all(tasks)
