"""A server in the process of a test, with what the application registered when it was imported."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from heliograph import engines
from heliograph.engines.inline import DEFAULT_TOPOLOGY, InlineEngine
from heliograph.exceptions import TargetError
from heliograph.models import Topology
from heliograph.runtime import handlers
from heliograph.runtime.async_handlers import THREAD
from heliograph.runtime.failures import FAILURE_HOOKS
from heliograph.runtime.hooks import START_HOOKS, STOP_HOOKS, add_all_hooks
from heliograph.runtime.task_hosting import RUNNER, register_all_tasks
from heliograph.runtime.triggers import TRIGGERS, add_all_triggers
from heliograph.tasks.registry import TASKS


@contextmanager
def inline_engine(topology: Topology = DEFAULT_TOPOLOGY) -> Generator[InlineEngine, None, None]:
    """Use a new inline engine in this process until the block ends, for tests without pytest.

    The engine has the handlers, triggers and tasks that this process has registered. What the block registers is
    forgotten at its end.

        class TestShop(unittest.TestCase):
            def setUp(self):
                self.engine = self.enterContext(inline_engine())
    """
    engine = InlineEngine(topology)
    with _restored_registries(), _restored_tasks(), restored_hooks(), engines.using(engine):
        _register_application(engine)
        yield engine


@contextmanager
def _restored_registries() -> Generator[None, None, None]:
    """Restore the registrations of this process. The registries stay the same objects.

    `async def` handlers get an event loop that is closed afterwards.
    """
    registry, state = handlers.REGISTRY, handlers.STATE
    claimed = registry.claimed
    tables: list[dict[Any, Any]] = [
        registry.registered,
        registry.names,
        handlers.HANDLERS,
        handlers.PLAIN,
        handlers.OPTIONS,
    ]
    tables.append(TRIGGERS)
    copies = [dict(known) for known in tables]
    claims, thread = set(claimed), (state.waited, state.handling, THREAD.own)
    THREAD.own = None
    try:
        yield
    finally:
        for known, before in zip(tables, copies, strict=True):
            known.clear()
            known.update(before)
        handlers.apply_signal_wrappers()  # the block may have begun or ended tracing
        claimed.intersection_update(claims)
        claimed.update(claims)
        if THREAD.own is not None:  # pyright: ignore[reportUnnecessaryComparison] - a handler may have created it
            THREAD.own.close()
        state.waited, state.handling, THREAD.own = thread


@contextmanager
def _restored_tasks() -> Generator[None, None, None]:
    """Restore the tasks of this process."""
    before = dict(TASKS.definitions)
    try:
        yield
    finally:
        RUNNER.forget()
        TASKS.replace_all(before)


@contextmanager
def restored_hooks() -> Generator[None, None, None]:
    """Restore the hooks of this process."""
    before = list(START_HOOKS), list(STOP_HOOKS), list(FAILURE_HOOKS)
    try:
        yield
    finally:
        START_HOOKS[:], STOP_HOOKS[:], FAILURE_HOOKS[:] = before


def _register_application(engine: InlineEngine) -> None:
    try:
        add_all_hooks(engine)
        handlers.register_all(engine)
        add_all_triggers(engine)
        register_all_tasks(engine)
    except TargetError as error:
        error.add_note(
            "The application registered this target when it was imported. Give the test a topology that has it: "
            "@pytest.mark.heliograph(workers=..., mules=...) or a heliograph_topology fixture."
        )
        raise
