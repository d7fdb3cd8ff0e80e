"""Calling a handler: with the number of the signal, or without arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from heliograph.exceptions import SignalTypeError


def adapt(func: Callable[..., Any]) -> Callable[[int], Any]:
    """Return a callable that takes the number. The signature of `func` is inspected only here.

    Raises:
        SignalTypeError: `func` is not callable, is a generator function, or takes other arguments.
    """
    if not callable(func):
        raise SignalTypeError(f"invalid signal handler: {func!r}. Pass a callable.", func)
    if is_generator_function(func):
        raise SignalTypeError(
            f"invalid signal handler: {describe(func)} is a generator function, and a call would run none of its code. "
            "Pass a function without `yield`.",
            func,
        )
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):  # some builtins have no signature
        return func
    if _accepts(signature, 1):
        return func
    if _accepts(signature, 0):
        return lambda _num: func()
    raise SignalTypeError(
        f"invalid signal handler: {describe(func)} takes {signature}. "
        "Pass a function that takes the number of the signal or nothing.",
        func,
    )


def is_generator_function(func: Callable[..., Any]) -> bool:
    """Return True if a call visibly returns a generator or an async generator."""
    return any(inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call) for call in _called(func))


def is_coroutine_function(func: Callable[..., Any]) -> bool:
    """Return True if a call visibly returns a coroutine: `async def`, or an object with `async def __call__`."""
    return any(inspect.iscoroutinefunction(call) for call in _called(func))


def _called(func: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """Return the function behind any `functools.partial`, and the `__call__` of its class."""
    while isinstance(func, functools.partial):
        func = func.func
    return func, type(func).__call__


def describe(func: Callable[..., Any]) -> str:
    """Return module and name of a function: `shop.tasks.refresh`."""
    name = getattr(func, "__qualname__", None)
    return f"{getattr(func, '__module__', '?')}.{name}" if name else repr(func)


def same_function(one: str, other: str) -> bool:
    """Return True if two descriptions may name one function: `tasks.refresh` and `shop.tasks.refresh`."""
    longer, shorter = sorted((one, other), key=len, reverse=True)
    return f".{longer}".endswith(f".{shorter}")


def _accepts(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[0] * count)
    except TypeError:
        return False
    return True
