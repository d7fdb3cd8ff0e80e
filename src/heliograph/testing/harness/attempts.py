"""Registrations that the application tries while it is loaded.

Registration is only possible while the application is loaded, so the application itself tries every registration that
must fail. It keeps the results for the tests to check.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from heliograph import REGISTERED_SIGNALS, Signal, SignalDescription, engines, get_available_num
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.scheduling import register_cron, register_timer
from heliograph.testing.harness.agent import record_event
from heliograph.testing.harness.signals import Handler, To

BAD_TARGETS = ("bogus", "workerx", "worker-1", "worker01", "mule9", "worker9", "farm9", "farm_none", "x" * 64)
BAD_TARGET_TYPES = (Signal(1), True, 1.5, b"worker")
BAD_HANDLERS = (None, 5, "text")
BAD_PERIODS = (0, -1, float("nan"), True, "1")
BAD_CRON_FIELDS = {"minute": 99, "hour": 24, "day": 32, "month": 13, "weekday": 8}


class Attempts:
    """The results of all attempts: name -> value or exception."""

    def __init__(self, *, lazy: bool) -> None:
        self.results: dict[str, Any] = {}
        self._lazy = lazy

    def make(self, name: str, attempt: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call a function and keep what it returns or raises."""
        try:
            self.results[name] = attempt(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the test checks it
            self.results[name] = error

    def make_registrations(self) -> None:
        """Try registrations of signals that must fail, and check that none leaves a trace."""
        for target in BAD_TARGETS:
            self.make(f"target {target}", _register_invalid, target)
        for thing in BAD_TARGET_TYPES:
            self.make(f"target {thing!r}", _register_invalid, thing)
        for func in BAD_HANDLERS:
            self.make(f"handler {func!r}", _register_invalid, None, func)
        self.make("handler with two parameters", _register_invalid, None, _two_parameters)
        self.make("claimed numbers", _claim_numbers)
        if self._lazy:
            self.make("lazy mule", _register_invalid, "mule1")
        else:
            self.make("send", Signal(To.DEFAULT).send)
        self.results["invalid is registered"] = _is_invalid_registered()
        moved_to = "worker1" if self._lazy else "worker2"
        self.make("move", lambda: Signal(Handler.REPLACED).register_handler(moved_to)(record_event))

    def make_triggers(self) -> None:
        """Try triggers that must fail."""
        for period in BAD_PERIODS:
            self.make(f"period {period!r}", register_timer, period)
        for field, value in BAD_CRON_FIELDS.items():
            self.make(f"cron {field}={value}", register_cron, **{field: value})
        self.make("cron expression='* * *'", register_cron, "* * *")
        self.make("monitor of a missing path", register_file_monitor, "/nowhere/at/all")


def _register_invalid(target: Any, func: Any = record_event) -> Any:
    return Signal(Handler.INVALID).register_handler(target)(func)


def _two_parameters(_one: int, _two: int) -> None: ...


def _claim_numbers() -> tuple[int, int, int, int]:
    return get_available_num(), int(Signal()), int(Signal()), get_available_num()


def _is_invalid_registered() -> tuple[bool, bool]:
    num = Handler.INVALID
    return num in REGISTERED_SIGNALS, engines.current().signal_registered(num)


def register_in_all_forms() -> list[Any]:
    """Register one number with every form of the decorator and return what the test compares."""
    num = Handler.DECORATED
    calls: list[Any] = []

    def func() -> None: ...

    def callback(signal: Signal) -> None:
        calls.append((int(signal), signal.num in REGISTERED_SIGNALS))

    target = REGISTERED_SIGNALS[To.DEFAULT].target
    forms: list[Any] = [
        Signal(num).register_handler(),
        Signal(num),
        Signal(num).register_handler(target),
        Signal(num).register_handler(target, callback),
        Signal(num).register_handler(target=target, callback=callback),
        Signal(num).register_handler,
    ]
    unchanged = [form(func) is func for form in forms]
    description = REGISTERED_SIGNALS[num]
    return [
        all(unchanged),
        calls,
        type(description) is SignalDescription,
        description[:2],
        description.func is func,
    ]


def register_with_failing_callback() -> tuple[str, bool]:
    """Return the exception that the caller gets from a failing callback, and True if the signal is registered."""
    num = Handler.CALLBACK
    with contextlib.suppress(LookupError):
        Signal(num).register_handler(callback=_failing_callback)(lambda: None)
        return "nothing", False
    return "LookupError", num in REGISTERED_SIGNALS


def _failing_callback(signal: Signal) -> None:
    raise LookupError(signal)
