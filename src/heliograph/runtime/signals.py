"""Signals: a number from 0 to 255, raised anywhere in an application, runs a function where it was registered to.

>>> refresh = Signal()
>>> @refresh.register_handler(target="workers")
... def refresh_prices():
...     ...
>>> refresh.send()                                                     # doctest: +SKIP
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar, overload

from heliograph import engines
from heliograph._core.signals.handlers import adapt, describe
from heliograph._core.signals.names import check_name
from heliograph._core.signals.registry import SignalRegistry, check_num
from heliograph._core.signals.targets import parse
from heliograph.exceptions import AlreadyRegistered, SignalNameError, SignalTypeError
from heliograph.interfaces import Engine
from heliograph.models import HandlerOptions, SignalDescription
from heliograph.runtime import async_handlers
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

_LOG = logging.getLogger("heliograph.signals")
_F = TypeVar("_F", bound=Callable[..., Any])

DEFAULT_TIMEOUT = 5.0
"""Seconds that `send()` waits for room in a full queue, or for a remote server."""

REGISTRY = SignalRegistry()
"""What this process has claimed, named and registered."""

REGISTERED_SIGNALS: dict[int, SignalDescription] = REGISTRY.registered
"""Registered signals of this process: number -> description."""

_HANDLERS: dict[int, Callable[[int], Any]] = {}
"""The registered functions, adapted to take the number."""

_OPTIONS: dict[int, HandlerOptions] = {}
"""What was promised of them."""

_WRAPPERS: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = []
"""What is put around each function, the first innermost."""


class _ThreadState(threading.local):
    handling: int | None = None
    waited: int = 0


_STATE = _ThreadState()

_naming = threading.RLock()
"""Names are also asked for while the application runs: by any thread of it, and by what interrupts one."""


def _reset_name_lock() -> None:
    global _naming
    _naming = threading.RLock()  # a thread that the fork has left behind may have held the other one


os.register_at_fork(after_in_child=_reset_name_lock)


def get_available_num() -> int:
    """The first free signal number: the one that `Signal()` would take.

    Raises `NoSignalAvailable` (a `UwsgiconfException`) if all 256 are registered, claimed or named.
    """
    return REGISTRY.first_free(_taken_elsewhere)


def get_last_received() -> Signal:
    """The signal being handled, within a handler; else the last one waited for in this thread, `Signal(0)` if none."""
    handling = async_handlers.CURRENT_SIGNAL.get() if _STATE.handling is None else _STATE.handling
    return Signal(_STATE.waited if handling is None else handling)


class Signal:
    """A signal number, and all that can be done with it. Two objects of one number are the same signal.

    >>> Signal(17) == Signal(17), int(Signal(17))
    (True, 17)
    >>> Signal(name="refresh-prices") == Signal(name="refresh-prices")
    True
    """

    __slots__ = ("num",)

    def __init__(self, num: int | None = None, *, name: str | None = None) -> None:
        """`num` is 0-255; without it the first free number is taken, for good.

        With a `name` instead (1 to 63 bytes of UTF-8, printable) it is the number of that name, the same in whatever
        order modules are imported. A new name gets a number that nothing else has; see `docs/how-it-works.md`.

        Raises `SignalNumberError`, `SignalNameError`, `SignalTypeError` or `NoSignalAvailable`.
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
        """Decorator: the same as `register_handler()`."""
        return self.register_handler()(func)

    @property
    def name(self) -> str:
        """The name that this number has in this process, empty if none."""
        return REGISTRY.names.get(self.num, "")

    @property
    def registered(self) -> bool:
        """Whether a handler is registered for this number."""
        return self.num in REGISTRY.registered or engines.current().signal_registered(self.num)

    @overload
    def register_handler(
        self,
        target: TypeTarget = None,
        callback: Callable[[Signal], object] | None = None,
        *,
        redeliver: bool = True,
        time_limit: float | None = None,
        remote: bool = False,
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
    ) -> Any:
        """Decorator: run the function where `target` says whenever this signal is raised.

        `target` is one of

        * `None`, `"worker"`, `"worker0"`: the first available worker; `"workerN"`: worker N;
          `"workers"`: each worker once; `"active-workers"`: each that runs and is not cheaped
        * `"mule"`, `"mule0"`, `"muleN"`, `"mules"`, `Mule(N)` or the number N: the same for mules
        * `"farmN"`, `"farm_NAME"`, `Farm("NAME")`: one mule of the farm
        * `"spooler"`: the first available spooler

        The function may take the signal's number or nothing, and comes back unchanged. `callback(signal)` is called
        after the registration; what it raises goes to the caller.

        On heliograph's own server, a signal whose process was killed while it had it in hand is given out again;
        `redeliver=False` says that the function must not run twice. `time_limit` are the seconds after which the
        process is ended if the function has not come back (0: never; None: what the server was started with); the
        signal then counts as failed. `remote` lets it be raised from outside, where the server listens.

        Raises `TargetError` for a target that this server does not have, `SignalTypeError` for what cannot be
        called, `RegistrationError` where this process cannot register for the others, and `AlreadyRegistered` where
        another function has the number and the engine cannot replace it. Nothing has changed then.

        >>> @Signal(3).register_handler("mule1")
        ... def crunch(num: int) -> None: ...
        >>> Signal(3)
        Signal(3, target='mule1', handler=heliograph.runtime.signals.crunch)
        """
        if callable(target) and not isinstance(target, Signal):
            return self(target)
        text = _target_text(target)
        if time_limit is not None and not 0 <= time_limit < float("inf"):
            raise ValueError(f"time_limit is in seconds, 0 or more, not {time_limit!r}")

        def register(func: _F) -> _F:
            _register(self.num, text, func, HandlerOptions(describe(func), redeliver, remote, time_limit))
            if callback is not None:
                callback(self)
            return func

        return register

    def send(self, remote: str | None = None, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Raise this signal: here, or on another server.

        Waits at most `timeout` seconds while the receivers' queue is full, or for the remote server's answer.
        `remote` is `"host:port"` or the path of a unix socket; any server that speaks the uwsgi protocol will do.

        Raises `SignalQueueFull`, `SignalNotRegistered`, `NoEngine` or `ServerNotReady`; with `remote`,
        `RemoteRejected` (a `ValueError`) and `RemoteUnreachable` (an `OSError`). The signal was not sent then.
        """
        if timeout is not DEFAULT_TIMEOUT:
            _check_timeout(timeout)
        if remote is None:
            (engines.active or engines.current()).signal(self.num, timeout)
        else:
            from heliograph.remote import send_signal  # noqa: PLC0415 - only who talks to others pays for sockets

            send_signal(self.num, remote, timeout)

    def wait(self, timeout: float | None = None) -> None:
        """Block until this signal arrives in this process; handlers of others run meanwhile, its own runs first.

        `timeout` in seconds, None for ever. Raises `WaitTimeout`, `WaitFailed` (a `SystemError`), or `NotSupported`
        where the signal can never arrive here, or the engine cannot limit a wait (uWSGI).
        """
        if timeout is not None:
            _check_timeout(timeout)
        _STATE.waited = engines.current().signal_wait(self.num, timeout)

    @staticmethod
    def wait_any(timeout: float | None = None) -> Signal:
        """Block until any signal arrives in this process, and return it. See `wait`."""
        if timeout is not None:
            _check_timeout(timeout)
        _STATE.waited = engines.current().signal_wait(None, timeout)
        return Signal(_STATE.waited)


TypeTarget = str | int | Mule | Farm | Signal | None
"""What a signal can be sent to. A `Signal` stands for itself where a source (a timer, say) raises it."""


def dispatch(num: int) -> Exception | None:
    """Run what is registered for `num`. A failure is logged and answered, so that the process goes on."""
    state = _STATE.__dict__  # each attribute of a thread's own costs as much as the rest of this function
    outer, state["handling"] = state.get("handling"), num
    try:
        _HANDLERS[num](num)
    except Exception as failure:  # noqa: BLE001 - S8: whatever a handler raises, the process goes on
        _LOG.exception("handler of signal %d failed in %s: %s", num, engines.current().identity, _name(num))
        return failure
    else:
        return None
    finally:
        state["handling"] = outer


def wrap_handlers(wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put something around every handler that is registered from now on: `wrapper(handler)` runs in its place.

    For what a framework does around a piece of work. It takes what the handler takes (`functools.wraps`), and is
    `async def` if the handler is.
    """
    _WRAPPERS.append(wrapper)


def register_all(engine: Engine) -> None:
    """Register all that this process knows with an engine that does not know it yet."""
    for known in REGISTRY.registered.values():
        engine.register_signal(known.num, known.target, dispatch, _OPTIONS[known.num])


def _taken_elsewhere(num: int) -> bool:
    engine = engines.current()
    return engine.signal_registered(num) or engine.has_name(num)


def _number_of(name: str, given: int | None) -> int:
    """The number of a name, which this process knows from now on."""
    if given is not None:
        raise SignalNameError(name, f"give it or the number {given!r}, not both: a name finds its number itself")
    engine = engines.current()
    with _naming:
        num = REGISTRY.number_of(name)
        if num is None:
            num = engine.allocate_name(name, lambda num: REGISTRY.is_free(num) and not engine.signal_registered(num))
            REGISTRY.name(num, name)
    return num


def _check_timeout(timeout: float) -> None:
    if not timeout >= 0:
        raise ValueError(f"timeout is in seconds, 0 or more, not {timeout!r}")


def _register(num: int, target: str, func: Callable[..., Any], options: HandlerOptions) -> None:
    engine = engines.current()
    text = parse(target, engine.topology).text
    call = adapt(_wrapped(func))
    old = REGISTRY.registered.get(num)
    if old is not None and old.target != text and not engine.can_change_target:
        raise AlreadyRegistered(
            num,
            f"{describe(old.func)} has it with target {old.target!r}, and {engine.name} cannot move a registered "
            f"signal to {text!r} for {describe(func)}; use another number",
            old=describe(old.func),
            new=describe(func),
        )
    if old is None or old.target != text or engine.can_change_target:
        engine.register_signal(num, text, dispatch, options)
    _HANDLERS[num] = async_handlers.as_sync(call) if inspect.iscoroutinefunction(func) else call
    _OPTIONS[num] = options
    REGISTRY.registered[num] = SignalDescription(num, text, func)


def _wrapped(func: Callable[..., Any]) -> Callable[..., Any]:
    adapt(func)  # refuses what cannot be a handler before anybody else meets it
    for wrapper in _WRAPPERS:
        func = wrapper(func)
    return func


def _target_text(target: object) -> str:
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
            f"{target!r} cannot be the target of a handler: a handler runs in a process; a Signal is the target "
            "of a source, such as a timer, that raises it",
            target,
        )
    raise SignalTypeError(
        f"a target is a string, a Mule, a Farm, a mule's number or None, not {target!r} ({type(target).__name__})",
        target,
    )


def _name(num: int) -> str:
    found = REGISTRY.registered.get(num)
    return describe(found.func) if found else "nothing is registered"
