"""Functions whose calls become tasks: the decorators of `heliograph.runtime.spooler` and `.mules`.

A call of the decorated function stores a task. Its arguments are JSON, by the annotations of the function. With
`allow_pickle=True` they are pickled.
"""

from __future__ import annotations

import functools
import inspect
import pickle
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from heliograph._core.signals.handlers import is_coroutine_function
from heliograph._core.tasks.options import TaskOptions
from heliograph.exceptions import TaskArgumentError
from heliograph.runtime.task_hosting import register
from heliograph.runtime.task_options import checked_options
from heliograph.runtime.task_type import Task
from heliograph.tasks.codec import ArgumentCodec
from heliograph.tasks.registry import TaskDefinition, define

Conclude = Callable[[object], object]
"""Turns what a function has returned into the value of the task, or raises `Retry`."""


def task_of_calls(
    func: Callable[..., Any], *, allow_pickle: bool, conclude: Conclude, **options: Any
) -> Task[..., Any]:
    """Register a task that runs calls of the function.

    Raises:
        InvalidTask: The function cannot be a task.
        TargetError: The server does not have the target.
        RegistrationError: This process cannot register for the other processes.
    """
    qualname = getattr(func, "__qualname__", "")
    # Also nested functions are tasks here: each process defines them when it loads the application.
    name = f"{func.__module__}:{qualname}" if "<" in qualname else None
    definition = define(func, name, checked_options(TaskOptions(), options))
    runner = _concluding(func, conclude)
    if allow_pickle:
        runner = _unpickling(runner)
    codec = ArgumentCodec(runner, definition.name, takes_context=False)
    definition = replace(definition, func=runner, takes_context=False, codec=codec)
    register(definition)
    return Task(definition)


def enqueue_call(task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, allow_pickle: bool) -> str:
    """Store a task for a call, and return its id.

    Raises:
        TaskArgumentError: The function does not take the arguments, or one of them cannot be kept.
        NoEngine, ServerNotReady, StoreError: See `Task.enqueue`.
    """
    if allow_pickle:
        return task.enqueue(pickled(task.definition, (args, kwargs))).id
    try:
        return task.enqueue(*args, **kwargs).id
    except TaskArgumentError as error:
        text = f"{error} With allow_pickle=True the arguments may have other types."
        raise TaskArgumentError(text, error.argument) from None


def pickled(definition: TaskDefinition, value: object) -> str:
    """Return a pickle as text. Raises: TaskArgumentError: it cannot be pickled."""
    try:
        return b64encode(pickle.dumps(value)).decode()
    except Exception as error:
        raise TaskArgumentError(f"cannot pickle the arguments of {definition.name}: {error}. Pass others.") from error


def unpickled(data: str) -> Any:
    """Return the value of a pickle that `pickled` has made."""
    return pickle.loads(b64decode(data))  # noqa: S301 - the sender has said allow_pickle=True


def _concluding(func: Callable[..., Any], conclude: Conclude) -> Callable[..., Any]:
    """Return the function with its result concluded. It has the same signature."""
    if is_coroutine_function(func):

        @functools.wraps(func)
        async def call_async(*args: Any, **kwargs: Any) -> object:
            return conclude(await func(*args, **kwargs))

        return call_async

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> object:
        return conclude(func(*args, **kwargs))

    return call


def _unpickling(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes a pickle of the arguments."""

    def call(data: str) -> Any:
        args, kwargs = unpickled(data)
        return func(*args, **kwargs)

    async def call_async(data: str) -> Any:
        return await call(data)

    found: Any = call_async if is_coroutine_function(func) else call
    signature = inspect.Signature([inspect.Parameter("data", inspect.Parameter.POSITIONAL_ONLY, annotation=str)])
    functools.update_wrapper(found, func)
    found.__signature__ = signature
    return found  # type: ignore[no-any-return]
