"""The handlers of this process: registration, wrappers, and the function that the engine calls for each signal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from heliograph import engines
from heliograph._core.signals.handlers import adapt, describe
from heliograph._core.signals.registry import SignalRegistry
from heliograph._core.signals.targets import parse
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.exceptions import AlreadyRegistered
from heliograph.interfaces import Processes, SignalRouting
from heliograph.models import HandlerOptions, Identity, SignalDescription
from heliograph.runtime import async_handlers, failures, instrumentation
from heliograph.runtime.instrumentation import wrapped_signal

_LOG = tolerant_logger("heliograph.signals")

REGISTRY = SignalRegistry()
"""The numbers that this process has claimed, named and registered."""

HANDLERS: dict[int, Callable[[int], Any]] = {}
"""The registered handlers, adapted to take the number."""

PLAIN: dict[int, Callable[[int], Any]] = {}
"""The same handlers without the wrappers of tracing."""

OPTIONS: dict[int, HandlerOptions] = {}
"""The options of the registered handlers."""

_WRAPPERS: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = []
"""Wrappers around each handler, the first one innermost."""


class _ThreadState(threading.local):
    handling: int | None = None
    waited: int = 0


STATE = _ThreadState()


def dispatch(num: int) -> Exception | None:
    """Run the handler of `num`. Log and return its exception, so that the process continues."""
    state = STATE.__dict__  # one attribute of a `threading.local` costs as much as the rest of this function
    outer, state["handling"] = state.get("handling"), num
    try:
        result = HANDLERS[num](num)
        if result is not None:
            async_handlers.finish(result, num)
    except Exception as failure:  # noqa: BLE001 - a failing handler must not end its process
        _LOG.exception("Handler of signal %d failed in %s: %s", num, _identity(), _name(num))
        if failures.FAILURE_HOOKS:
            failures.report(failures.Failure(failure, signal=REGISTRY.registered.get(num)))
        return failure
    else:
        return None
    finally:
        state["handling"] = outer


def wrap_handlers(wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Wrap every handler that is registered from now on: `wrapper(handler)` runs in its place.

    Frameworks use this for work before and after each handler.

    Args:
        wrapper: Returns a function that takes the arguments of the handler (use `functools.wraps`). If the handler
            returns an awaitable, as an `async def` does, it must return that or its own.
    """
    _WRAPPERS.append(wrapper)


def wrap_registered_handlers(wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Wrap every handler that is registered from now on, and those that are registered already."""
    wrap_handlers(wrapper)
    for num, call in PLAIN.items():
        PLAIN[num] = wrapper(call)
    apply_signal_wrappers()


def apply_signal_wrappers() -> None:
    """Wrap all registered handlers anew with the wrappers of tracing."""
    for num, known in REGISTRY.registered.items():
        if num in PLAIN:
            HANDLERS[num] = wrapped_signal(PLAIN[num], known)


instrumentation.LISTENERS.append(apply_signal_wrappers)


def wrapped_call(func: Callable[..., Any], *, is_async: bool) -> Callable[..., Any]:
    """Return a function that runs within all wrappers of handlers. `is_async`: the function returns an awaitable."""

    async def call_async(*args: Any) -> Any:
        return await func(*args)

    call: Callable[..., Any] = call_async if is_async and _WRAPPERS else func
    for wrapper in _WRAPPERS:
        call = wrapper(call)
    return call


def register_all(engine: SignalRouting) -> None:
    """Register all handlers of this process with a new engine."""
    for known in REGISTRY.registered.values():
        engine.register_signal(known.num, known.target, dispatch, OPTIONS[known.num])


def register(num: int, target: str, func: Callable[..., Any], options: HandlerOptions) -> None:
    """Register a handler with the engine and in this process. See `Signal.register_handler` for the exceptions."""
    engine = engines.current()
    text = parse(target, engine.topology).text
    call = adapt(_wrapped(func))
    old = REGISTRY.registered.get(num)
    if old is not None and old.target != text and not engine.can_change_target:
        raise AlreadyRegistered(
            num,
            f"{describe(old.func)} has it with the target {old.target!r}, and the engine {engine.name} cannot change "
            f"that to {text!r} for {describe(func)}. Use another number.",
            old=describe(old.func),
            new=describe(func),
        )
    if old is None or old.target != text or engine.can_change_target:
        engine.register_signal(num, text, dispatch, options)
    known = SignalDescription(num, text, func)
    PLAIN[num], HANDLERS[num] = call, wrapped_signal(call, known)
    OPTIONS[num] = options
    REGISTRY.registered[num] = known


def _wrapped(func: Callable[..., Any]) -> Callable[..., Any]:
    adapt(func)  # it raises SignalTypeError before a wrapper gets an invalid handler
    for wrapper in _WRAPPERS:
        func = wrapper(func)
    return func


def _identity() -> Identity:
    server: Processes = engines.current()
    return server.identity


def _name(num: int) -> str:
    found = REGISTRY.registered.get(num)
    return describe(found.func) if found else "not registered"
