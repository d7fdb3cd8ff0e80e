"""Hooks of the application's life: the start and the end of its processes, and failures of handlers and tasks.

>>> @on_start
... def connect() -> None:
...     ...
>>> @on_stop
... async def disconnect() -> None:
...     ...
>>> @on_failure
... def report(failure: Failure) -> None:
...     print(failure.name, failure.error, failure.is_final)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any, TypeVar, overload

from heliograph import engines
from heliograph._core.signals.handlers import describe
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.interfaces import Processes
from heliograph.models import Identity
from heliograph.runtime import async_handlers
from heliograph.runtime.failures import FAILURE_HOOKS, Failure
from heliograph.runtime.hook_checks import ROLES, OfProcess, check_of_failure, checked_roles, of_process

__all__ = ["Failure", "on_failure", "on_start", "on_stop"]

_LOG = tolerant_logger("heliograph.hooks")

_Hook = TypeVar("_Hook", bound=Callable[[], object] | Callable[[Identity], object])
_FailureHook = TypeVar("_FailureHook", bound=Callable[[Failure], object])

START_HOOKS: list[Callable[[], None]] = []
STOP_HOOKS: list[Callable[[], None]] = []
"""The hooks of this process, for an engine that is made later."""


@overload
def on_start(func: _Hook, /) -> _Hook: ...
@overload
def on_start(*, roles: str | Collection[str] = ROLES) -> Callable[[_Hook], _Hook]: ...
def on_start(func: Callable[..., object] | None = None, /, *, roles: str | Collection[str] = ROLES) -> Any:
    """Decorator: run the function in each worker, mule and spooler before it takes its first signal or task.

    It runs after the post-fork hooks. It may be `async def`, and then runs where an `async def` handler runs. If it
    raises an exception, the process does not start: a handler would find what it needs missing. The server logs the
    exception, and tries again with a growing delay. Exception: a process of a web server goes on with its requests, and
    takes no signals. On uWSGI with `--lazy-apps` the function runs at once, while the application is loaded.

    Args:
        func: A function without parameters, or with one: the process, as an `Identity` (`.role`, `.number`).
        roles: The roles of the processes that run it: `"worker"`, `"mule"`, `"spooler"`, or several. Default: all.

    Raises:
        SignalTypeError: The function is none, has other parameters or is a generator function.
        TargetError: There is no such role.
    """
    chosen = checked_roles(roles)

    def decorate(func: _Hook) -> _Hook:
        call = functools.partial(_run_if, chosen, of_process(func, "start hook"))
        START_HOOKS.append(call)
        _server().on_start(call)
        return func

    return decorate if func is None else decorate(func)


@overload
def on_stop(func: _Hook, /) -> _Hook: ...
@overload
def on_stop(*, roles: str | Collection[str] = ROLES) -> Callable[[_Hook], _Hook]: ...
def on_stop(func: Callable[..., object] | None = None, /, *, roles: str | Collection[str] = ROLES) -> Any:
    """Decorator: run the function in each worker, mule and spooler before it exits, after its last handler.

    It runs at a stop, at a reload, and when the process is replaced (`--max-signals`), the function that was added last
    first. A process that is killed does not run it. It has what is left of the graceful timeout. An exception is
    logged and does not stop the other functions. uWSGI kills its spoolers, so they do not run it.

    Args:
        func: A function without parameters, or with one: the process, as an `Identity`. It may be `async def`.
        roles: As for `on_start`.

    Raises:
        SignalTypeError: The function is none, has other parameters or is a generator function.
        TargetError: There is no such role.
    """
    chosen = checked_roles(roles)

    def decorate(func: _Hook) -> _Hook:
        call = functools.partial(_stop_if, chosen, of_process(func, "stop hook"), describe(func))
        STOP_HOOKS.append(call)
        _server().on_stop(call)
        return func

    return decorate if func is None else decorate(func)


def on_failure(func: _FailureHook, /) -> _FailureHook:
    """Decorator: call the function with a `Failure` when a handler or an attempt of a task has failed.

    It runs in the process and thread of the handler, after the failure was logged. An exception in it is logged and
    changes nothing. A handler or task whose process is killed does not call it. Exception: a task that exceeds its time
    limit calls it in another thread, for a second at most, before the process is killed.

    Args:
        func: A function with one parameter. It may be `async def`.

    Raises:
        SignalTypeError: The function is none, has other parameters or is a generator function.
    """
    check_of_failure(func)
    FAILURE_HOOKS.append(func)
    return func


def add_all_hooks(engine: Processes) -> None:
    """Add the hooks of this process to a new engine."""
    for hook in START_HOOKS:
        engine.on_start(hook)
    for hook in STOP_HOOKS:
        engine.on_stop(hook)


def _run_if(roles: frozenset[str], func: OfProcess) -> None:
    process = _identity()
    if process.role in roles:
        async_handlers.finish(func(process), what="start hook")


def _stop_if(roles: frozenset[str], func: OfProcess, name: str) -> None:
    process = _identity()
    if process.role not in roles:
        return
    try:
        async_handlers.finish(func(process), what="stop hook")
    except BaseException:  # noqa: BLE001 - the process exits anyway, after the others
        _LOG.exception("Stop hook %s failed in %s", name, process)


def _server() -> Processes:
    return engines.current()


def _identity() -> Identity:
    return _server().identity
