"""Checks of functions that an application adds as hooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection

from heliograph._core.signals.handlers import describe, is_generator_function
from heliograph.exceptions import SignalTypeError, TargetError
from heliograph.models import Identity

OfProcess = Callable[[Identity], object]
"""Takes the process that runs it."""

ROLES = ("worker", "mule", "spooler")
"""The roles of processes that take signals and tasks."""


def of_process(func: Callable[..., object], what: str) -> OfProcess:
    """Return a function that takes the process. `func` takes it, or nothing.

    Raises:
        SignalTypeError: It takes something else, or cannot be a hook.
    """
    _check(func, what)
    if _takes(func, 0):
        return lambda _: func()
    if not _takes(func, 1):
        raise _wrong_parameters(func, what, "no parameters, or one: the process")
    return func


def check_of_failure(func: Callable[..., object]) -> None:
    """Check a hook for failures. Raises: SignalTypeError."""
    _check(func, "failure hook")
    if not _takes(func, 1):
        raise _wrong_parameters(func, "failure hook", "one parameter: the Failure")


def _check(func: Callable[..., object], what: str) -> None:
    """Check that a function can be a hook. Raises: SignalTypeError."""
    if not callable(func):
        raise SignalTypeError(f"invalid {what}: {func!r}. Pass a callable.", func)
    if is_generator_function(func):
        raise SignalTypeError(
            f"invalid {what}: {describe(func)} is a generator function, and a call would run none of its code. Pass a "
            "function without `yield`.",
            func,
        )


def _takes(func: Callable[..., object], count: int) -> bool:
    """Return True if a function can be called with so many arguments by position."""
    try:
        inspect.signature(func).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def _wrong_parameters(func: Callable[..., object], what: str, wanted: str) -> SignalTypeError:
    signature = inspect.signature(func)
    return SignalTypeError(f"invalid {what}: {describe(func)} takes {signature}. Pass a function with {wanted}.", func)


def checked_roles(roles: str | Collection[str]) -> frozenset[str]:
    """Return roles as a set. Raises: TargetError: there is no such role."""
    chosen = frozenset((roles,) if isinstance(roles, str) else roles)
    for role in chosen:
        if role not in ROLES:
            raise TargetError(str(role), "there is no such role of a process that takes signals", ROLES)
    return chosen
