"""The call that stores new tasks, with the wrappers of tracing around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from heliograph._core.tasks.values import NewTask, Stored
from heliograph.tasks.hosting import store

Put = Callable[[Sequence[NewTask], int], Sequence[Stored]]
"""Stores new tasks, all or none. Takes the time in microseconds too."""

PUT_WRAPPERS: list[Callable[[Put], Put]] = []
"""Wrappers around each call that stores tasks, the first one innermost."""


def put(new: Sequence[NewTask], time: int) -> Sequence[Stored]:
    """Store new tasks. Raises: StoreError."""
    return _CALL[0](new, time)


def wrap_put(wrapper: Callable[[Put], Put]) -> None:
    """Call `wrapper(put)` from now on to store tasks."""
    PUT_WRAPPERS.append(wrapper)
    _CALL[0] = wrapper(_CALL[0])


def unwrap_put(wrapper: Callable[[Put], Put]) -> None:
    """Remove a wrapper."""
    if wrapper not in PUT_WRAPPERS:
        return
    PUT_WRAPPERS.remove(wrapper)
    _CALL[0] = _put
    for other in PUT_WRAPPERS:
        _CALL[0] = other(_CALL[0])


def _put(new: Sequence[NewTask], time: int) -> Sequence[Stored]:
    return store().enqueue(new, time)


_CALL: list[Put] = [_put]
