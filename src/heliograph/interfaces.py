"""The port: what an engine and a clock promise. Method names are those of uWSGI's own `uwsgi` module.

The functions that the `uwsgi` module gives an application are the port; the real module is one implementation,
ours are the others. Numbers (0-255) and names arrive checked, targets parsed and, where the topology is known, checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from heliograph.models import HandlerOptions, Identity, Topology, Trigger

if TYPE_CHECKING:
    import asyncio

Handler = Callable[[int], Exception | None]
"""Runs what is registered for a number. Answers what that raised, already logged; None if it went well."""


class HandlerInterrupted(BaseException):
    """A handler was interrupted since its process is ending; the signal is to be given out again."""


class Clock(Protocol):
    """Time, so that tests can hold it in their hands."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""
        ...


class Engine(Protocol):
    """What delivers signals between the processes of one server. After any error nothing has changed."""

    name: str
    """`uwsgi`, `inline`, `detached` ..."""

    clock: Clock

    can_change_target: bool
    """Whether a registered number may be registered again with another target."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the web server whose process this is, for `async def` handlers; None without one."""
        ...

    def join(self, loop: asyncio.AbstractEventLoop | None = None) -> bool:
        """Be a worker from now on, if this process was started by a server's command; whether it is or will be.

        `loop` is where `async def` handlers shall run.
        """
        ...

    def leave(self) -> None:
        """Take no more signals in a process that joined, for good; return when the handler that runs has ended.

        What waits for this process waits for its successor. Elsewhere nothing happens.
        """
        ...

    @property
    def identity(self) -> Identity:
        """Who this process is, now: it changes with a fork."""
        ...

    @property
    def topology(self) -> Topology | None:
        """The processes of the server; None where that is not known in this process."""
        ...

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = ...) -> None:
        """Route `num` to `target`; the processes that get it call `handler(num)`.

        Raises `RegistrationError` where this process cannot register for all others, `AlreadyRegistered` where
        `num` was registered by other means, `NotSupported` for a target that this mode of the server ignores.
        """
        ...

    def signal_registered(self, num: int) -> bool:
        """Whether the server has a handler for `num`, however it was registered."""
        ...

    def allocate_name(self, name: str, free: Callable[[int], bool]) -> int:
        """The number that has this name on the server; a new name gets its first candidate that nothing has.

        `free(num)` says whether nothing that this process knows of has a number. Raises `NoSignalAvailable`.
        """
        ...

    def has_name(self, num: int) -> bool:
        """Whether `num` has a name on the server, whichever of its processes gave it."""
        ...

    def signal(self, num: int, timeout: float) -> None:
        """Hand one signal to the receivers' queue, waiting at most `timeout` seconds for room.

        What one process sends to one receiver arrives in order. Raises `SignalQueueFull`, `SignalNotRegistered`,
        `NoEngine` or `ServerNotReady`; the signal was then not sent.
        """
        ...

    def signal_wait(self, num: int | None, timeout: float | None) -> int:
        """Block until `num` (or any signal, if None) arrives here and return its number.

        Handlers of what arrives meanwhile run, that of `num` before the return. `timeout` in seconds, None for
        ever. Raises `WaitTimeout`, `WaitFailed`, or `NotSupported` where `num` can never arrive or the wait
        cannot be limited.
        """
        ...

    def add_trigger(self, trigger: Trigger) -> None:
        """Raise the source's signal by itself from now on; once per server, however many processes add it.

        Raises `RegistrationError` where this process cannot add one for the server, `NotSupported` where no process
        could raise it.
        """
        ...

    def number_of_trigger(self, trigger: str) -> int | None:
        """The signal that a source of that name raises already, where another process has chosen its number."""
        ...

    def remove_trigger(self, name: str) -> None:
        """Raise that source's signal no more."""
        ...

    def change_period(self, name: str, period: float) -> None:
        """Give that timer another period, in seconds, from now on."""
        ...

    def on_fork(self, hook: Callable[[], None]) -> None:
        """Call `hook()` in every process of the server right after it was forked.

        Where this process is such a fork already, and so too late for that, it is called now.
        """
        ...

    def in_farm(self, name: str) -> bool:
        """Whether this process is a mule of that farm."""
        ...

    def masterpid(self) -> int:
        """Process id of the master; 0 without one."""
        ...

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        """What the server knows of each worker: at least `id` and `pid`."""
        ...

    def opt(self) -> Mapping[str, Any]:
        """The server's configuration: option -> text, True, or a list of those."""
        ...

    def version(self) -> str:
        """The server's own version."""
        ...
