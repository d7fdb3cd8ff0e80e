"""Reports the state of the server to systemd, by the protocol of sd_notify(3).

Each message is one datagram to the socket that `NOTIFY_SOCKET` names. systemd does not answer. A message that cannot be
sent waits and is sent later, in order. Sending neither blocks nor raises.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Mapping

from heliograph._core.supervision.children import FORK_TIMEOUT, KILL_TIMEOUT
from heliograph._core.supervision.events import Event, ReloadRequested
from heliograph._core.supervision.loads import LOAD_TIMEOUT
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.loop import NEVER, Loop, Service
from heliograph.server.dispatcher import Dispatcher
from heliograph.server.processes.child_environment import NOTIFY_SOCKET, WATCHDOG_PID, WATCHDOG_USEC
from heliograph.server.processes.fork_servers import EXIT_TIMEOUT

_LOG = logging.getLogger("heliograph.master")

STATUS_DELAY = 1.0
"""Seconds until a change of the processes is reported, so that a process that is replaced at once is no news."""
RETRY_INTERVAL, MAX_RETRY_INTERVAL = 0.1, 10.0
"""Seconds until a message that could not be sent is sent again: the first interval, which doubles, and the longest."""
MAX_MESSAGES = 16
"""Messages that wait at most. The oldest is dropped, since the newest describes the server."""
MAX_STATUS = 400
"""Characters of the status. systemd takes datagrams of 4096 bytes, and a character has 4 bytes at most."""
_SECOND = 1_000_000


class Notifier(Service):
    """Tells systemd that the server is ready, reloads or stops, how it is, and that its loop runs."""

    def __init__(self, address: str, supervisor: Supervisor, watchdog_interval: float = NEVER) -> None:
        """`address` is a path, or a name in the abstract namespace after `@`. `watchdog_interval` is in seconds."""
        self._address = address
        self._supervisor = supervisor
        self._ready = self._stopping = False
        """True if the server has been ready, and if it stops."""
        self._awaited = 1
        """The generation whose load is not over yet: the first, or that of a reload. 0 if there is none."""
        self._status = ""
        self._status_at = NEVER
        self._messages: deque[str] = deque(maxlen=MAX_MESSAGES)
        self._failures = 0
        self._retry_at = NEVER
        self._watchdog_interval = watchdog_interval
        self._watchdog_at = NEVER if watchdog_interval == NEVER else -NEVER
        self._report()

    @property
    def deadline(self) -> float:
        return min(self._status_at, self._retry_at, self._watchdog_at)

    def tick(self, now: float) -> None:
        if self._watchdog_at <= now:
            self._watchdog_at = now + self._watchdog_interval
            if not self._messages:  # sent after them, it would be late
                self._messages.append("WATCHDOG=1")
        if self._status_at <= now:
            self._status_at = NEVER
            if describe(self._supervisor) != self._status:
                self._report()
        self._flush(now)

    def on_event(self, event: Event) -> None:
        """Report what has changed with an event of the supervisor."""
        supervisor = self._supervisor
        if self._stopping:
            return
        if supervisor.stopping:
            self._stopping = True
            self._report("STOPPING=1", _more_time(supervisor.graceful_timeout + KILL_TIMEOUT + EXIT_TIMEOUT))
        elif isinstance(event, ReloadRequested):
            self._on_reload()
        elif self._awaited and _is_over(supervisor, self._awaited):
            self._ready, self._awaited = True, 0
            self._report("READY=1")
        elif describe(supervisor) != self._status:
            self._status_at = min(self._status_at, time.monotonic() + STATUS_DELAY)

    def close(self) -> None:
        """Send the last messages, if that is possible now."""
        self._flush(time.monotonic())

    def _on_reload(self) -> None:
        """Report a reload, also during another one: systemd waits for one that began after its SIGHUP.

        If the server has not been ready yet, it is still starting for systemd.
        """
        self._awaited = self._supervisor.requested_generation
        if self._ready:
            limit = LOAD_TIMEOUT + FORK_TIMEOUT + self._supervisor.graceful_timeout + KILL_TIMEOUT
            began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            self._report("RELOADING=1", f"MONOTONIC_USEC={began}", _more_time(limit))

    def _report(self, *lines: str) -> None:
        self._status, self._status_at = describe(self._supervisor), NEVER
        self._messages.append("\n".join([*lines, f"STATUS={self._status}"]))
        self._flush(time.monotonic())

    def _flush(self, now: float) -> None:
        """Send the messages that wait."""
        self._retry_at = NEVER
        try:
            # A socket for each message: the master keeps no descriptor, and may be out of descriptors for a while.
            while self._messages:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                    sender.sendto(self._messages[0].encode(errors="replace"), _socket_address(self._address))
                self._messages.popleft()
        except OSError as error:
            if not self._failures:
                _LOG.warning("Cannot notify systemd, trying again (address %s): %s", self._address, error)
            self._retry_at = now + min(RETRY_INTERVAL * 2**self._failures, MAX_RETRY_INTERVAL)
            self._failures = min(self._failures + 1, MAX_MESSAGES)
        else:
            self._failures = 0


def open_notifier(loop: Loop, dispatcher: Dispatcher, environ: Mapping[str, str] = os.environ) -> None:
    """Notify systemd from now on, if it asks for that."""
    address = environ.get(NOTIFY_SOCKET, "")
    if address.startswith(("/", "@")):
        interval = watchdog_interval(environ)
        notifier = loop.open("notifications", lambda _: Notifier(address, dispatcher.supervisor, interval))
        dispatcher.observe(notifier.on_event)
    elif address:
        _LOG.warning("Cannot notify systemd: %s=%r is neither an absolute path nor @NAME", NOTIFY_SOCKET, address)


def watchdog_interval(environ: Mapping[str, str]) -> float:
    """Return the seconds between two messages to the watchdog of systemd. Infinite if it watches no or another process.

    It is half of the time that systemd gives, as sd_watchdog_enabled(3) recommends.
    """
    period, pid = environ.get(WATCHDOG_USEC, ""), environ.get(WATCHDOG_PID)
    if not period.isdecimal() or not int(period) or pid not in {None, str(os.getpid())}:
        return NEVER
    return int(period) / _SECOND / 2


def describe(supervisor: Supervisor) -> str:
    """Describe the server in one line: its processes, its generation, and what is wrong."""
    text = _describe(supervisor)
    return text if len(text) <= MAX_STATUS else f"{text[: MAX_STATUS - 3]}..."


def _describe(supervisor: Supervisor) -> str:
    pids, generation = supervisor.pids(), supervisor.generation
    if supervisor.stopping:
        failed = not generation and supervisor.failure
        return f"Cannot load the application: {_last_line(supervisor.failure)}" if failed else "Stopping"
    if not generation:
        return "Loading the application"
    expected = supervisor.expected_processes
    missing = [process.title for process in expected if process not in pids]
    text = f"{len(expected) - len(missing)} of {len(expected)} processes, generation {generation}"
    if missing:
        text += f", missing: {', '.join(missing)}"
    if supervisor.loading:
        return f"{text}, loading generation {supervisor.newest_generation}"
    if supervisor.failed_generation > generation:
        text += f". Generation {supervisor.failed_generation} was not loaded: {_last_line(supervisor.failure)}"
    return text


def _last_line(text: str) -> str:
    """Return the line of a traceback that names the exception."""
    return text.strip().rpartition("\n")[2]


def _is_over(supervisor: Supervisor, generation: int) -> bool:
    """Return True if the processes run the code of a generation, or it has failed to load."""
    complete = supervisor.generation >= generation and supervisor.reloaded
    return complete or supervisor.failed_generation >= generation > supervisor.generation


def _socket_address(address: str) -> str:
    return f"\0{address[1:]}" if address.startswith("@") else address


def _more_time(seconds: float) -> str:
    """Ask systemd for at least so much time: the server keeps a limit of its own."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * _SECOND)}"
