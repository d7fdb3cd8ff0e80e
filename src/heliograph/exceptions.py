"""The tree of errors. Each also is the builtin that it means, and carries its facts as attributes.

    UwsgiconfException
    ├── SignalNumberError      ValueError      a number outside 0-255
    ├── SignalNameError        ValueError      a name that a signal cannot have
    ├── SignalTypeError        TypeError       a signal, target or handler of the wrong type
    ├── NoSignalAvailable                      all 256 numbers are taken
    ├── TargetError            ValueError      a target that does not exist on this server
    ├── RegistrationError      ValueError      this engine cannot register that here
    │   └── AlreadyRegistered                  ... because another function has the number
    ├── ScheduleError          ValueError      a period, cron field, zone or path that cannot be
    ├── SignalNotRegistered    ValueError      nothing handles that number
    ├── SignalQueueFull        TimeoutError    no room in time; the signal was not sent
    ├── WaitTimeout            TimeoutError    no signal in time
    ├── WaitFailed             SystemError     the wait itself broke
    ├── NotSupported           NotImplementedError   this engine cannot do that
    ├── NoEngine               RuntimeError    no server is running here
    ├── ServerNotReady         RuntimeError    the server is still loading the application
    ├── RemoteRejected         ValueError      the other server answered "no"
    ├── RemoteUnreachable      OSError         no connection, no answer, or not a uwsgi socket
    └── ConfigError            ValueError      a server cannot be started with these settings

After any of them the state is what it was before.
"""

from __future__ import annotations

from typing import Any


class UwsgiconfException(Exception):
    """Root of all errors that heliograph raises on purpose; the name is the one that uwsgiconf has."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross processes: rebuild them from what they hold, not by calling `__init__` again."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[UwsgiconfException], args: tuple[Any, ...], facts: dict[str, Any]) -> UwsgiconfException:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class SignalNumberError(UwsgiconfException, ValueError):
    """A signal number outside 0-255."""

    def __init__(self, num: int) -> None:
        super().__init__(f"signal number {num} is out of range: use 0 to 255, or Signal() to take a free one")
        self.num = num


class SignalNameError(UwsgiconfException, ValueError):
    """A name that a signal cannot have."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"signal name {name!r}: {reason}")
        self.name = name


class SignalTypeError(UwsgiconfException, TypeError):
    """A value of the wrong type where a signal number, a target or a handler is wanted.

    `value` is that value; in a pickle, what is not a plain one becomes its repr.
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
            "no signal number is free: all 256 are registered, claimed or named; "
            "let one Signal serve several purposes, or reuse the object instead of calling Signal() again"
        )


class TargetError(UwsgiconfException, ValueError):
    """A target that this server does not have; `available` lists those that it has."""

    def __init__(self, target: str, reason: str, available: tuple[str, ...] = ()) -> None:
        hint = f"; this server has: {', '.join(available)}" if available else ""
        super().__init__(f"target {target!r}: {reason}{hint}")
        self.target = target
        self.available = available


class RegistrationError(UwsgiconfException, ValueError):
    """The engine cannot honour a registration in this process."""

    def __init__(self, num: int, message: str) -> None:
        super().__init__(f"cannot register signal {num}: {message}")
        self.num = num


class AlreadyRegistered(RegistrationError):
    """Another function has the number, and the engine cannot replace it."""

    def __init__(self, num: int, message: str, *, old: str, new: str) -> None:
        super().__init__(num, message)
        self.old = old
        self.new = new


class ScheduleError(UwsgiconfException, ValueError):
    """A period, a cron field, a time zone or a path that cannot be; `value` is what was given."""

    def __init__(self, message: str, value: object) -> None:
        super().__init__(message)
        self.value = value


class SignalNotRegistered(UwsgiconfException, ValueError):
    """A signal was raised that no handler takes and nobody waits for; `app` is the application, where it is known."""

    def __init__(self, num: int, app: str = "") -> None:
        where = f"in {app}, and heliograph reload" if app else "where the application is loaded"
        super().__init__(f"signal {num} has no handler: register one with @Signal({num}).register_handler() {where}")
        self.num = num


class SignalQueueFull(UwsgiconfException, TimeoutError):
    """The receivers' queue had no room within `timeout` seconds; the signal was not sent."""

    def __init__(self, num: int, target: str, timeout: float, *, itself: bool = False) -> None:
        why = (
            "only this process reads that queue, so waiting would never end"
            if itself
            else f"still full after {timeout:g} s"
        )
        super().__init__(
            f"signal {num} was not sent: the queue of {target!r} is full and {why}; "
            "send less often, make the handler faster, or give it more processes"
        )
        self.num = num
        self.target = target
        self.timeout = timeout


class WaitTimeout(UwsgiconfException, TimeoutError):
    """No signal arrived within `timeout` seconds."""

    def __init__(self, num: int | None, timeout: float) -> None:
        what = "no signal" if num is None else f"signal {num} did not arrive"
        super().__init__(f"{what} within {timeout:g} s")
        self.num = num
        self.timeout = timeout


class WaitFailed(UwsgiconfException, SystemError):
    """Waiting for a signal broke."""


class NotSupported(UwsgiconfException, NotImplementedError):
    """This engine cannot do what was asked."""


class NoEngine(UwsgiconfException, RuntimeError):
    """This process runs under no server that delivers signals."""


class ServerNotReady(UwsgiconfException, RuntimeError):
    """The server is still loading the application; nothing is there yet to take a signal."""


class RemoteRejected(UwsgiconfException, ValueError):
    """The remote server answered that it did not take the signal."""

    def __init__(self, num: int, remote: str) -> None:
        super().__init__(
            f"{remote} rejected signal {num}: it has no handler there, its queue is full, or it may not be raised from "
            "outside; that server's log says which. register_handler(remote=True) or --allow-remote lets it in"
        )
        self.num = num
        self.remote = remote


class RemoteUnreachable(UwsgiconfException, OSError):
    """The remote server could not be reached, did not answer in time, or does not speak the uwsgi protocol."""

    def __init__(self, num: int, remote: str, reason: str) -> None:
        super().__init__(f"cannot deliver signal {num} to {remote}: {reason}")
        self.num = num
        self.remote = remote


class ConfigError(UwsgiconfException, ValueError):
    """A server cannot be started with these settings."""
