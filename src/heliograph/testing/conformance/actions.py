"""Functions that the tests call in the processes of a server. An agent imports them by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph import Signal, UwsgiconfException, get_last_received

FIRST = "worker1"
"""The process that most tests use. Every server has it."""


def attempted(name: str) -> Any:
    """Return the result of an attempt that the application made while it was loaded."""
    from heliograph.testing.harness import app

    return app.ATTEMPTS.results[name]


def send(num: int, timeout: float = 5.0) -> None:
    """Send a signal once."""
    Signal(num).send(timeout=timeout)


def send_each(nums: list[int]) -> None:
    """Send these signals in this order."""
    for num in nums:
        send(num)


def send_many(num: int, count: int, timeout: float = 30.0) -> None:
    """Send a signal `count` times as fast as possible."""
    signal = Signal(num)
    for _ in range(count):
        signal.send(timeout=timeout)


def error_of(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the heliograph exception that a call raises, or None."""
    try:
        func(*args, **kwargs)
    except UwsgiconfException as error:
        return error
    return None


def error_of_send(num: int, **kwargs: Any) -> Any:
    """Return the exception that `send()` raises, or None."""
    return error_of(Signal(num).send, **kwargs)


def number_of(name: str) -> int:
    """Return the number of a named signal."""
    return int(Signal(name=name))


def last_received() -> int:
    """Return `get_last_received()` as a number."""
    return int(get_last_received())


def touch(path: str) -> None:
    """Create a file, so that the test knows that a handler runs."""
    Path(path).touch()
