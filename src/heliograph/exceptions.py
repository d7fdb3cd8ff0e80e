"""The tree of exceptions. Each also derives from the builtin of the same meaning, and has its facts as attributes.

    UwsgiconfException
    ├── SignalNumberError      ValueError      a number outside 0-255
    ├── SignalNameError        ValueError      an invalid or conflicting signal name
    ├── SignalTypeError        TypeError       a signal, target or handler of the wrong type
    ├── NoSignalAvailable                      all 256 numbers are in use
    ├── TargetError            ValueError      a target that this server does not have
    ├── RegistrationError      ValueError      this process or engine cannot register that
    │   └── AlreadyRegistered                  ... because another function has the number
    ├── ScheduleError          ValueError      an invalid period, cron field, time zone or path
    ├── SignalNotRegistered    ValueError      the number has no handler
    ├── SignalQueueFull        TimeoutError    no space in the queue in time
    ├── WaitTimeout            TimeoutError    no signal in time
    ├── WaitFailed             SystemError     the server failed to wait
    ├── NotSupported           NotImplementedError   the engine cannot do that
    ├── NoEngine               RuntimeError    no server is running here
    ├── ServerNotReady         RuntimeError    the server is still loading the application
    ├── ServerBusy             TimeoutError    the master does not take a request in time
    ├── RemoteRejected         ValueError      the remote server rejected the signal
    ├── RemoteUnreachable      OSError         no connection, no answer, or not a uwsgi socket
    ├── StoreError             OSError         the store of tasks cannot be read or written
    ├── InvalidTask            ValueError      a function or an option that a task cannot have
    ├── TaskArgumentError      TypeError       an argument that a task cannot have
    ├── TaskNotFound           LookupError     no task has this id
    ├── TaskNotFinished        TimeoutError    a task has not finished in time
    ├── ProcessEnded           RuntimeError    in the errors of a task: its process ended
    ├── TimeLimitExceeded      TimeoutError    in the errors of a task: an attempt took too long
    ├── TaskCancelled          RuntimeError    in the errors of a task of Django: it was cancelled
    ├── TaskExpired            TimeoutError    in the errors of a task of Django: it began too late
    └── ConfigError            ValueError      invalid settings of a server

An exception leaves the state as it was. There are three cases that differ:

* `SignalQueueFull` from a signal to several receivers: those in `delivered` have got the signal.
* `RemoteUnreachable` after the request was sent: the remote server may have taken the signal.
* An exception of the `callback` of `register_handler`: the handler stays registered.
"""

from __future__ import annotations

from typing import Any


class UwsgiconfException(Exception):
    """Base class of all exceptions that heliograph raises on purpose. uwsgiconf uses the same name."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild the exception from its attributes, since `__init__` takes other arguments than `args`."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[UwsgiconfException], args: tuple[Any, ...], facts: dict[str, Any]) -> UwsgiconfException:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class HeliographWarning(UserWarning):
    """The application does something that it hardly wants, such as storing the tasks of its tests in a real server."""


class SignalNumberError(UwsgiconfException, ValueError):
    """A signal number outside 0-255."""

    def __init__(self, num: int) -> None:
        super().__init__(f"signal number out of range: {num}. Use 0 to 255, or Signal() to take a free number.")
        self.num = num


class SignalNameError(UwsgiconfException, ValueError):
    """A signal name that is invalid, or that another signal uses."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot use signal name {name!r}: {reason}")
        self.name = name


class SignalTypeError(UwsgiconfException, TypeError):
    """A value of the wrong type in place of a signal number, a target or a handler.

    `value` is that value. In a pickle it is replaced by its repr, unless it is a str, bytes, int, float or None.
    """

    def __init__(self, message: str, value: object) -> None:
        super().__init__(message)
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (kind, args, facts) = super().__reduce__()
        plain = self.value is None or isinstance(self.value, (str, bytes, int, float))
        return rebuild, (kind, args, {**facts, "value": self.value if plain else repr(self.value)})


class NoSignalAvailable(UwsgiconfException):
    """All 256 numbers are registered, claimed or named."""

    def __init__(self) -> None:
        super().__init__(
            "no signal number is free: all 256 are registered, claimed or named. "
            "Reuse a Signal object instead of calling Signal() again."
        )


class TargetError(UwsgiconfException, ValueError):
    """A target that this server does not have. `available` lists the targets that it has."""

    def __init__(self, target: str, reason: str, available: tuple[str, ...] = ()) -> None:
        hint = f" Use one of: {', '.join(available)}." if available else ""
        super().__init__(f"invalid target {target!r}: {reason}.{hint}")
        self.target = target
        self.available = available


class RegistrationError(UwsgiconfException, ValueError):
    """The engine cannot make this registration in this process."""

    def __init__(self, num: int, message: str) -> None:
        super().__init__(f"cannot register signal {num}: {message}")
        self.num = num


class AlreadyRegistered(RegistrationError):
    """Another function has the number, and the engine cannot replace it.

    `old` and `new` are the names of the functions.
    """

    def __init__(self, num: int, message: str, *, old: str, new: str) -> None:
        super().__init__(num, message)
        self.old = old
        self.new = new


class ScheduleError(UwsgiconfException, ValueError):
    """An invalid period, cron field, time zone, path or trigger name. `value` is the invalid value."""

    def __init__(self, message: str, value: object) -> None:
        super().__init__(message)
        self.value = value


class SignalNotRegistered(UwsgiconfException, ValueError):
    """A signal was sent that has no handler, and that no process waits for.

    `app` is the application, if the server knows it.
    """

    def __init__(self, num: int, app: str = "") -> None:
        where = f"in {app}, then run heliograph reload" if app else "in a module that the application imports"
        super().__init__(f"signal {num} has no handler. Register one with @Signal({num}).register_handler() {where}.")
        self.num = num


class SignalQueueFull(UwsgiconfException, TimeoutError):
    """The queue of the receivers had no space within `timeout` seconds.

    A signal to one queue was not sent. Of a signal to several queues, some receivers may have got their copy, if other
    processes filled the remaining queues at that moment: `delivered` and `missing` name the receivers then.
    """

    def __init__(
        self,
        num: int,
        target: str,
        timeout: float,
        *,
        self_deadlock: bool = False,
        delivered: tuple[str, ...] = (),
        missing: tuple[str, ...] = (),
    ) -> None:
        why = ", and only this process could empty it" if self_deadlock else f" after {timeout:g} s"
        what, where = f"signal {num} was not sent", f"the queue of {target!r}"
        if delivered:
            what += f" to {', '.join(missing)}, but to {', '.join(delivered)}"
            where = f"the queue of {missing[0]}"
        super().__init__(
            f"{what}: {where} is full{why}. "
            "Send less often, make the handler faster, or start more processes for this target."
        )
        self.delivered = delivered
        self.missing = missing
        self.num = num
        self.target = target
        self.timeout = timeout


class WaitTimeout(UwsgiconfException, TimeoutError):
    """No signal arrived within `timeout` seconds."""

    def __init__(self, num: int | None, timeout: float) -> None:
        what = "no signal arrived" if num is None else f"signal {num} did not arrive"
        super().__init__(f"{what} within {timeout:g} s. Pass a longer timeout, or check that it is sent.")
        self.num = num
        self.timeout = timeout


class WaitFailed(UwsgiconfException, SystemError):
    """The server failed to wait for a signal."""


class NotSupported(UwsgiconfException, NotImplementedError):
    """The engine cannot do what the caller asks for."""


class NoEngine(UwsgiconfException, RuntimeError):
    """No server that delivers signals is running in this process."""


class ServerNotReady(UwsgiconfException, RuntimeError):
    """The server is still loading the application, so no process can take a signal yet."""


class ServerBusy(UwsgiconfException, TimeoutError):
    """The master did not take a request in time. Nothing has changed."""


class RemoteRejected(UwsgiconfException, ValueError):
    """The remote server answered that it rejected the signal."""

    def __init__(self, num: int, remote: str) -> None:
        super().__init__(
            f"{remote} rejected signal {num}: it has no handler, a full queue, does not accept external signals, or "
            "is still loading. Check the log of that server, and accept the signal with register_handler(remote=True) "
            "or --allow-remote."
        )
        self.num = num
        self.remote = remote


class RemoteUnreachable(UwsgiconfException, OSError):
    """The remote server is unreachable, did not answer in time, or does not use the uwsgi protocol.

    If the connection was open, the server may have taken the signal.
    """

    def __init__(self, num: int, remote: str, reason: str) -> None:
        super().__init__(f"cannot deliver signal {num} to {remote}: {reason}")
        self.num = num
        self.remote = remote


class ConfigError(UwsgiconfException, ValueError):
    """The settings of a server are invalid."""


class StoreError(UwsgiconfException, OSError):
    """The store of tasks cannot be read or written: the disk is full, or its files are damaged, removed or replaced.

    `path` is the directory of the store.
    """

    is_damaged = False
    """The files were damaged, removed or replaced, so that a further attempt is of no use."""

    def __init__(self, message: str, path: str) -> None:
        super().__init__(message)
        self.path = path


class InvalidTask(UwsgiconfException, ValueError):
    """A function that cannot be a task, or an invalid option of a task. `argument` is the name of the option."""

    def __init__(self, message: str, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument


class TaskArgumentError(UwsgiconfException, TypeError):
    """An argument that the function does not take, or that cannot be kept. `argument` is its name, if it is one."""

    def __init__(self, message: str, argument: str = "") -> None:
        super().__init__(message)
        self.argument = argument


class TaskNotFound(UwsgiconfException, LookupError):
    """No task has this id. It was never enqueued on this server, or was removed since its end (`result_ttl`)."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"no task has the id {task_id!r}. Check the id, the server's directory, and whether result_ttl has passed."
        )
        self.task_id = task_id


class TaskNotFinished(UwsgiconfException, TimeoutError):
    """A task has not finished within `timeout` seconds. It goes on waiting or running."""

    def __init__(self, task_id: str, timeout: float) -> None:
        super().__init__(f"task {task_id} has not finished within {timeout:g} s. Wait longer, or look at its status.")
        self.task_id = task_id
        self.timeout = timeout


class ProcessEnded(UwsgiconfException, RuntimeError):
    """The process that ran a task ended. It is not raised: the errors of a task name it."""


class TimeLimitExceeded(UwsgiconfException, TimeoutError):
    """An attempt of a task took longer than its `time_limit`. It is not raised: the errors of a task name it."""


class TaskCancelled(UwsgiconfException, RuntimeError):
    """A task was cancelled before it began. It is not raised: the errors of Django's tasks name it."""


class TaskExpired(UwsgiconfException, TimeoutError):
    """The time in which a task had to begin had passed. It is not raised: the errors of Django's tasks name it."""
