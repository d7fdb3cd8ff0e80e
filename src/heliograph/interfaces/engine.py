"""The interface of an engine, in roles, and the interface of a clock.

The methods have the names of the functions of uWSGI's `uwsgi` module where it has such a function. Callers check
numbers (0-255) and names, and parse targets. Ask for the smallest role that a function needs.

    SignalRouting         registers handlers, and assigns numbers to names
    SignalSending         sends signals
    SignalWaiting         waits for signals
    TriggerHosting        runs timers, cron rules and file monitors
    Wakeups               wakes processes for their tasks
    TaskStorage           opens the store of tasks
    Processes             describes this process and its server
    WebServerMembership   makes a process of a web server a worker
    Engine                all of them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from heliograph.models import HandlerOptions, Identity, Topology, Trigger

if TYPE_CHECKING:
    import asyncio

    from heliograph.interfaces.store import TaskStore

Handler = Callable[[int], Exception | None]
"""Runs the handler of a number. It returns the exception of the handler, already logged, or None."""


class HandlerInterrupted(BaseException):
    """A handler was interrupted because its process exits. The signal is redelivered."""


class Clock(Protocol):
    """Time, so that tests can replace it."""

    def monotonic(self) -> float:
        """Return the seconds since a fixed moment. The value never decreases."""
        ...

    def time(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return when `seconds` have passed on this clock."""
        ...


class SignalRouting(Protocol):
    """Knows which numbers have handlers, where they run, and which numbers have names."""

    name: str
    """Name of the engine: `uwsgi`, `local`, `inline` or `detached`."""

    can_change_target: bool
    """A registered number may be registered again with another target."""

    def register_signal(self, num: int, target: str, handler: Handler, options: HandlerOptions = ...) -> None:
        """Route `num` to `target`. The processes that receive it call `handler(num)`.

        Raises:
            RegistrationError: This process cannot register for all other processes.
            AlreadyRegistered: `num` was registered by other means.
            NotSupported: The server ignores this target, or an option, in its current mode.
        """
        ...

    def signal_registered(self, num: int) -> bool:
        """Return True if the server has a handler for `num`, however it was registered."""
        ...

    def allocate_name(self, name: str, free: Callable[[int], bool]) -> int:
        """Return the number that has this name on the server.

        A new name gets its first candidate that is free. `free(num)` returns True if this process does not use `num`.

        Raises:
            NoSignalAvailable: No number is free.
        """
        ...

    def has_name(self, num: int) -> bool:
        """Return True if any process of the server has given `num` a name."""
        ...

    def number_of_trigger(self, trigger: str) -> int | None:
        """Return the signal that the trigger of this name sends, if another process has already chosen it."""
        ...


class SignalSending(Protocol):
    """Sends signals."""

    def signal(self, num: int, timeout: float) -> None:
        """Put one signal into the queues of its receivers. Wait at most `timeout` seconds for space.

        Signals from one process to one receiver arrive in order.

        Raises:
            SignalQueueFull: A queue had no space. Other receivers of a broadcast may have got the signal.
            SignalNotRegistered: The signal has no handler, and no process waits for it.
            NoEngine: No server is running in this process.
            ServerNotReady: The server is still loading the application.
        """
        ...


class SignalWaiting(Protocol):
    """Waits for signals."""

    def signal_wait(self, num: int | None, timeout: float | None) -> int:
        """Block until `num` (or any signal, if None) arrives in this process, and return its number.

        Handlers of other signals run in the meantime. The handler of `num` runs before this method returns. `timeout`
        is in seconds, None means no limit.

        Raises:
            WaitTimeout: The signal did not arrive in time.
            WaitFailed: The server failed to wait.
            NotSupported: `num` can never arrive in this process, or the engine cannot limit a wait.
        """
        ...


class TriggerHosting(Protocol):
    """Sends the signals of triggers."""

    def add_trigger(self, trigger: Trigger) -> None:
        """Send the signal of this trigger from now on, once per server, even if several processes add it.

        Raises:
            RegistrationError: This process cannot add a trigger for the server.
            NotSupported: The server has no process that could send the signal.
        """
        ...

    def remove_trigger(self, name: str) -> None:
        """Stop sending the signal of this trigger."""
        ...

    def change_period(self, name: str, period: float) -> None:
        """Give a timer another period, in seconds, from now on."""
        ...


class Wakeups(Protocol):
    """Wakes processes for their tasks, by hidden signals. The engine knows nothing else of tasks.

    A target is the resolved text of a signal's target (`spooler`, `mule2`, `farm_NAME`, `worker`), or `default`: the
    spooler, else a mule, else a worker.
    """

    def on_wake(self, target: str, run: Callable[[], object]) -> None:
        """Call `run()` in a process of `target` for each wake-up, and once after the start of each such process.

        A later call for the same target replaces `run`.

        Raises:
            TargetError: The server does not have this target, or it means several processes at once.
            RegistrationError: This process cannot register for all other processes.
            NoSignalAvailable: No signal number is free.
        """
        ...

    def wake(self, target: str) -> None:
        """Let a process of `target` look for tasks soon. Call it after the task is stored.

        While a wake-up is queued, this does nothing. It does not wait for space in a queue, and raises nothing if
        nobody is there: each process looks for tasks when it starts.
        """
        ...

    def wake_at(self, target: str, when: float) -> None:
        """Wake `target` when the wall clock reaches `when`, in seconds since 1970.

        A target has one such time, the earliest that was asked for and has not come yet.
        """
        ...


class TaskStorage(Protocol):
    """Opens the store of tasks."""

    def task_store(self) -> TaskStore:
        """Return the store of the server's tasks, opened in this process at the first call.

        Raises:
            StoreError: The store cannot be opened.
            ServerNotReady: The server is still loading the application, in the process that forks all others.
        """
        ...


class Processes(Protocol):
    """Describes this process and its server."""

    @property
    def identity(self) -> Identity:
        """Role and number of this process. It changes with a fork."""
        ...

    @property
    def topology(self) -> Topology | None:
        """The processes of the server. None if this process does not know them."""
        ...

    def in_farm(self, name: str) -> bool:
        """Return True if this process is a mule of that farm."""
        ...

    def masterpid(self) -> int:
        """Return the process id of the master, 0 without a master."""
        ...

    def workers(self) -> tuple[Mapping[str, Any], ...]:
        """Return a description of each worker, with at least `id` and `pid`."""
        ...

    def spooler_pids(self) -> tuple[int, ...]:
        """Return the process ids of the spoolers that run."""
        ...

    def opt(self) -> Mapping[str, Any]:
        """Return the configuration of the server: option -> text, True, or a list of those."""
        ...

    def version(self) -> str:
        """Return the version of the server."""
        ...

    def on_fork(self, hook: Callable[[], None]) -> None:
        """Call `hook()` in every process of the server right after it is forked.

        In a process that is already forked, call it now.
        """
        ...

    def on_start(self, hook: Callable[[], None]) -> None:
        """Call `hook()` in each process of the server, after the hooks of `on_fork`, before it takes a signal or task.

        An exception means that the process cannot start. In a process that has started, call it now.
        """
        ...

    def on_stop(self, hook: Callable[[], None]) -> None:
        """Call `hook()` in each process that has started, when it takes no more signals and tasks and will exit."""
        ...

    def on_drain(self, hook: Callable[[], None]) -> None:
        """Call `hook()` in this process when it is to exit after the running handler, if the server tells it so.

        It runs in a handler of a Unix signal or in another thread, while the handler of the signal goes on.
        """
        ...


class WebServerMembership(Protocol):
    """Makes a process of a web server a worker of the heliograph server."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of the web server of this process, for `async def` handlers. None without one."""
        ...

    def join(self, loop: asyncio.AbstractEventLoop | None = None, *, at_request: bool = False) -> bool:
        """Make this process a worker, if a heliograph server started it. `async def` handlers run on `loop`.

        `at_request` says that the process joins because of its first request, so that a reload does not wait for it.
        Return True if the process is a worker, or will be one.
        """
        ...

    def leave(self) -> None:
        """Stop taking signals in this process, and return when the running handler has finished.

        Queued signals wait for the next worker of the same number. In other processes this does nothing.
        """
        ...


class Engine(
    SignalRouting,
    SignalSending,
    SignalWaiting,
    TriggerHosting,
    Wakeups,
    TaskStorage,
    Processes,
    WebServerMembership,
    Protocol,
):
    """Delivers signals between the processes of one server."""

    clock: Clock
