"""Calling a handler: with the number of the signal, or without arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from heliograph.exceptions import SignalTypeError


def adapt(func: Callable[..., Any]) -> Callable[[int], Any]:
    """Return a callable that takes the number. The signature of `func` is inspected only here.

    Raises:
        SignalTypeError: `func` is not callable, or takes other arguments.
    """
    if not callable(func):
        raise SignalTypeError(f"invalid signal handler: {func!r}. Pass a callable.", func)
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
