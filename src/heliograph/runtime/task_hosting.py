"""The tasks of this process, and the engine that wakes it for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from heliograph import engines
from heliograph._core.tasks.values import Claim
from heliograph.exceptions import TargetError
from heliograph.interfaces import Engine
from heliograph.runtime import async_handlers, failures, instrumentation
from heliograph.runtime.handlers import wrapped_call
from heliograph.runtime.instrumentation import instrument_storing, wrapped_task
from heliograph.tasks import failing
from heliograph.tasks.context import TaskContext
from heliograph.tasks.registry import TASKS, TaskDefinition
from heliograph.tasks.runner import Runner

_CALLS: dict[TaskDefinition, Callable[..., Any]] = {}
"""The functions of tasks, with the wrappers of `wrap_handlers`."""


def _call(definition: TaskDefinition, context: TaskContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """Call the function of a task within its wrappers, and return its final value."""
    call = _CALLS.get(definition)
    if call is None:
        plain = wrapped_call(definition.call, is_async=definition.is_async)
        call = _CALLS[definition] = wrapped_task(plain, definition)
    result = call(context, args, kwargs)
    return result if result is None else async_handlers.value_of(result)


def forget_calls() -> None:
    """Wrap the functions of tasks again at their next attempt, since a wrapper was added."""
    _CALLS.clear()


def _report(claim: Claim, error: BaseException, is_final: bool) -> None:
    if failures.FAILURE_HOOKS:
        context = TaskContext(claim.name, claim.id, claim.attempt)
        failures.report(failures.Failure(error, task=context, is_final=is_final))


failing.LISTENERS.append(_report)
instrumentation.LISTENERS.append(forget_calls)
instrument_storing()

RUNNER = Runner(_call)
"""Runs the tasks of this process."""

_DRAINED: WeakSet[Engine] = WeakSet()
"""The engines that tell the runner when the process has to exit."""


def register(definition: TaskDefinition) -> None:
    """Add a task, and let the engine wake this process for its target.

    Raises:
        InvalidTask: Another function has the name.
        TargetError: The server does not have the target.
        RegistrationError: This process cannot register for the other processes.
        NoSignalAvailable: All 256 numbers are in use.
    """
    before = dict(TASKS.definitions)
    TASKS.add(definition)
    try:
        for target in definition.targets:
            _wake_for(engines.current(), target)
    except BaseException:
        TASKS.replace_all(before)
        raise


def register_all_tasks(engine: Engine) -> None:
    """Let a new engine wake this process for all its tasks."""
    for target in TASKS.targets:
        _wake_for(engine, target)


def check_woken(target: str) -> None:
    """Check that a server wakes processes for this target, since one of its tasks has it.

    Raises:
        TargetError: No task of the application has the target.
    """
    if engines.current().topology is not None and target not in TASKS.targets:
        reason = "no task of the application was declared with it, so no process looks for tasks with this target"
        raise TargetError(target, reason, TASKS.targets)


def _wake_for(engine: Engine, target: str) -> None:
    if engine not in _DRAINED:
        _DRAINED.add(engine)
        engine.on_drain(RUNNER.interrupt)
    engine.on_wake(target, lambda: RUNNER.turn(target))
