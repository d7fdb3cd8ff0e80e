"""Signals: send a number from 0 to 255 from any process, and a handler runs in the processes of its target.

>>> refresh = Signal()
>>> @refresh.register_handler(target="workers")
... def refresh_prices():
...     ...
>>> refresh.send()                                                     # doctest: +SKIP
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload

from heliograph import engines
from heliograph._core.durations import check_seconds
from heliograph._core.signals.handlers import describe
from heliograph._core.signals.names import check_name
from heliograph._core.signals.registry import check_num
from heliograph.exceptions import SignalNameError, SignalTypeError
from heliograph.interfaces import SignalRouting, SignalWaiting
from heliograph.models import HandlerOptions, SignalDescription
from heliograph.runtime import async_handlers
from heliograph.runtime.handlers import REGISTRY, STATE, register, wrap_handlers
from heliograph.runtime.mules import Farm, Mule

__all__ = [
    "REGISTERED_SIGNALS",
    "Signal",
    "SignalDescription",
    "TypeTarget",
    "get_available_num",
    "get_last_received",
    "wrap_handlers",
]

_F = TypeVar("_F", bound=Callable[..., Any])

REGISTERED_SIGNALS: dict[int, SignalDescription] = REGISTRY.registered
"""Registered signals of this process: number -> description."""

DEFAULT_TIMEOUT = 5.0
"""Seconds that `send()` waits for space in a full queue, or for a remote server."""

_naming = threading.RLock()
"""Held while a name gets its number. Any thread may create named signals, and so may a Unix signal handler."""


def _reset_name_lock() -> None:
    global _naming
    _naming = threading.RLock()  # the old lock may be held by a thread that does not exist after the fork


os.register_at_fork(after_in_child=_reset_name_lock)


def get_available_num() -> int:
    """Return the first free signal number, which `Signal()` would take.

    Raises:
        NoSignalAvailable: All 256 numbers are registered, claimed or named.
    """
    return REGISTRY.first_free(_taken_elsewhere)


def get_last_received() -> Signal:
    """Return the signal that is being handled.

    Outside of handlers, return the last signal that this thread has waited for, else `Signal(0)`.
    """
    handling = async_handlers.CURRENT_SIGNAL.get() if STATE.handling is None else STATE.handling
    return Signal(STATE.waited if handling is None else handling)


class Signal:
    """A signal. Two objects with the same number are the same signal.

    >>> Signal(17) == Signal(17), int(Signal(17))
    (True, 17)
    >>> Signal(name="refresh-prices") == Signal(name="refresh-prices")
    True
    """

    __slots__ = ("num",)

    def __init__(self, num: int | None = None, *, name: str | None = None) -> None:
        """Create a signal.

        Args:
            num: Number, 0-255. Default: the first free number, which is then claimed.
            name: Name in place of a number: 1 to 63 bytes of printable UTF-8. A name has the same number in every
                process, in whatever order modules are imported. See docs/explanation/how-it-works.md.

        Raises:
            SignalNumberError: The number is outside 0-255.
            SignalNameError: The name is invalid, its number is in use, or you passed a number as well.
            SignalTypeError: The number is not an int, or the name is not a str.
            NoSignalAvailable: No number is free.
        """
        if name is not None:
            self.num: int = _number_of(check_name(name), num)
        else:
            self.num = REGISTRY.claim(_taken_elsewhere) if num is None else check_num(num)

    def __int__(self) -> int:
        return self.num

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Signal) and other.num == self.num

    def __hash__(self) -> int:
        return hash((Signal, self.num))

    def __repr__(self) -> str:
        found = REGISTRY.registered.get(self.num)
        facts = f"target={found.target!r}, handler={describe(found.func)}" if found else "not registered"
        return f"Signal({self.num}, name={self.name!r}, {facts})" if self.name else f"Signal({self.num}, {facts})"

    def __call__(self, func: _F) -> _F:
        """Decorator: same as `register_handler()`."""
        return self.register_handler()(func)

    @property
    def name(self) -> str:
        """Name of this number in this process, "" without one."""
        return REGISTRY.names.get(self.num, "")

    @property
    def registered(self) -> bool:
        """True if a handler is registered for this number."""
        routing: SignalRouting = engines.current()
        return self.num in REGISTRY.registered or routing.signal_registered(self.num)

    @overload
    def register_handler(
        self,
        target: TypeTarget = None,
        callback: Callable[[Signal], object] | None = None,
        *,
        redeliver: bool = True,
        time_limit: float | None = None,
        remote: bool = False,
        coalesce: bool = False,
    ) -> Callable[[_F], _F]: ...
    @overload
    def register_handler(self, target: _F) -> _F: ...
    def register_handler(
        self,
        target: TypeTarget | Callable[..., Any] = None,
        callback: Callable[[Signal], object] | None = None,
        *,
        redeliver: bool = True,
        time_limit: float | None = None,
        remote: bool = False,
        coalesce: bool = False,
    ) -> Any:
        """Decorator: run the function in the processes of `target` whenever this signal is sent.

        The function takes the number of the signal or nothing. The decorator returns it unchanged.

        Args:
            target: The processes that run the function. One of

                * `None`, `"worker"`, `"worker0"`: the first available worker. `"workerN"`: worker N. `"workers"`:
                  each worker. `"active-workers"`: each worker that runs and is not cheaped.
                * `"mule"`, `"mule0"`, `"muleN"`, `"mules"`, `Mule(N)` or the number N: the same for mules.
                * `"farmN"`, `"farm_NAME"`, `Farm("NAME")`: one mule of the farm.
                * `"spooler"`: the first available spooler.
            callback: Called with this signal after the registration. The caller gets its exceptions.
            redeliver: The heliograph server redelivers a signal whose process was killed. False: the function never
                runs twice for one signal.
            time_limit: Seconds after which the server kills the process if the function has not returned. The signal
                then counts as failed. 0: no limit. None: the default of the server.
            remote: The signal may be sent from outside, through the socket on which the server listens.
            coalesce: The function runs once for all signals of this number that are queued in a process when it
                starts, and the server counts the others as coalesced. Use it for signals that only say that something
                has changed. If they arrive all the time, each process runs the function 20 times a second at most.

        Raises:
            TargetError: The server does not have this target.
            SignalTypeError: The function is not callable, or takes other arguments.
            RegistrationError: This process cannot register for the other processes.
            AlreadyRegistered: Another function has the number, and the engine cannot replace it.

        >>> @Signal(3).register_handler("mule1")
        ... def crunch(num: int) -> None: ...
        >>> Signal(3)
        Signal(3, target='mule1', handler=heliograph.runtime.signals.crunch)
        """
        if callable(target) and not isinstance(target, Signal):
            return self(target)
        text = target_text(target)
        limit = None if time_limit is None else check_seconds("time_limit", time_limit, sys.float_info.max)

        def decorate(func: _F) -> _F:
            options = HandlerOptions(describe(func), redeliver, remote, limit, coalesce=coalesce)
            register(self.num, text, func, options)
            if callback is not None:
                callback(self)
            return func

        return decorate

    def send(self, remote: str | None = None, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Send this signal, on this server or on another one.

        Args:
            remote: Address of another server: `"host:port"` or the path of a unix socket. Any server that uses the
                uwsgi protocol will do.
            timeout: Seconds to wait while the receivers' queue is full, or for the answer of the remote server.

        Raises:
            SignalQueueFull: The queue had no space in time. If the target has several processes, some of them may have
                got the signal.
            SignalNotRegistered: The signal has no handler.
            NoEngine: No server is running in this process.
            ServerNotReady: The server is still loading the application.
            RemoteRejected: The remote server rejected the signal.
            RemoteUnreachable: The remote server is unreachable or did not answer. It may have taken the signal.
            ValueError: The timeout is negative.
        """
        if timeout is not DEFAULT_TIMEOUT:
            timeout = check_seconds("timeout", timeout)
        if remote is None:
            (engines.active or engines.current()).signal(self.num, timeout)
        else:
            from heliograph.remote import send_signal  # noqa: PLC0415 - most applications send no remote signals

            send_signal(self.num, remote, timeout)

    def wait(self, timeout: float | None = None) -> None:
        """Block until this signal arrives in this process and its handler has run.

        Handlers of other signals run in the meantime.

        Args:
            timeout: Seconds to wait. None: no limit.

        Raises:
            WaitTimeout: The signal did not arrive in time.
            WaitFailed: The server failed to wait.
            NotSupported: The signal can never arrive in this process, or the engine cannot limit a wait (uWSGI).
            ValueError: The timeout is negative.
        """
        if timeout is not None:
            timeout = check_seconds("timeout", timeout)
        STATE.waited = _wait(self.num, timeout)

    @staticmethod
    def wait_any(timeout: float | None = None) -> Signal:
        """Block until any signal arrives in this process, and return it. See `wait` for arguments and exceptions."""
        if timeout is not None:
            timeout = check_seconds("timeout", timeout)
        STATE.waited = _wait(None, timeout)
        return Signal(STATE.waited)


TypeTarget = str | int | Mule | Farm | Signal | None
"""The targets of a signal. The target of a trigger may also be a `Signal`, which the trigger then sends."""


def _taken_elsewhere(num: int) -> bool:
    routing: SignalRouting = engines.current()
    return routing.signal_registered(num) or routing.has_name(num)


def _number_of(name: str, given: int | None) -> int:
    """Return the number of a name, and add it to the registry."""
    if given is not None:
        raise SignalNameError(
            name, f"it came together with the number {given!r}. Pass one of them, since a name has its own number."
        )
    routing: SignalRouting = engines.current()
    with _naming:
        num = REGISTRY.number_of(name)
        if num is None:
            num = routing.allocate_name(name, lambda num: REGISTRY.is_free(num) and not routing.signal_registered(num))
            REGISTRY.name(num, name)
    return num


def _wait(num: int | None, timeout: float | None) -> int:
    engine: SignalWaiting = engines.current()
    return engine.signal_wait(num, None if timeout == math.inf else timeout)


def target_text(target: object) -> str:
    """Return a target as text. Raises: SignalTypeError: it is none."""
    if target is None:
        return "worker"
    if isinstance(target, str):
        return target
    if isinstance(target, Mule):
        return f"mule{target.id}"
    if isinstance(target, Farm):
        return f"farm_{target.name}"
    if isinstance(target, int) and not isinstance(target, bool):
        return f"mule{Mule(target).id}"
    if isinstance(target, Signal):
        raise SignalTypeError(
            f"invalid target of a handler: {target!r}. Pass the processes that run the handler, since only a trigger "
            "can have a Signal as target.",
            target,
        )
    raise SignalTypeError(
        f"invalid target: {target!r} ({type(target).__name__}). Pass a string, a Mule, a Farm, the number of a mule, "
        "or None.",
        target,
    )
