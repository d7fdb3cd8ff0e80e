"""How a handler is called: with the signal's number, or with nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from heliograph.exceptions import SignalTypeError


def adapt(func: Callable[..., Any]) -> Callable[[int], Any]:
    """A callable that takes the number, whatever `func` takes; the signature is looked at here, once.

    Raises `SignalTypeError` if `func` cannot be called, or needs more than the number.
    """
    if not callable(func):
        raise SignalTypeError(f"a signal handler must be callable, not {func!r}", func)
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):  # some builtins do not tell
        return func
    if _accepts(signature, 1):
        return func
    if _accepts(signature, 0):
        return lambda _num: func()
    raise SignalTypeError(
        f"a signal handler takes the number or nothing, which is all that a signal carries; {describe(func)} takes "
        f"{signature}",
        func,
    )


def describe(func: Callable[..., Any]) -> str:
    """Where a function is from, for people: `shop.tasks.refresh`."""
    name = getattr(func, "__qualname__", None)
    return f"{getattr(func, '__module__', '?')}.{name}" if name else repr(func)


def same_function(one: str, other: str) -> bool:
    """Whether two descriptions are of one function: `tasks.refresh` of a file is `shop.tasks.refresh` of a package."""
    longer, shorter = sorted((one, other), key=len, reverse=True)
    return f".{longer}".endswith(f".{shorter}")


def _accepts(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[0] * count)
    except TypeError:
        return False
    return True
