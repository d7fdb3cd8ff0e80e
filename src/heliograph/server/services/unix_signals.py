"""Unix signals of the master: SIGCHLD, and the requests to stop, to reload and to log the state."""

from __future__ import annotations

import selectors
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from heliograph.loop import NEVER, Selector, Service

_READ_BYTES = 4096


class UnixSignals(Service):
    """Receives Unix signals on a socket, so that they wake the loop and interrupt nothing."""

    def __init__(
        self,
        selector: Selector,
        handlers: Mapping[int, Callable[[float], None]],
        reap: Callable[[float], None],
        *,
        ends_process: bool = False,
    ) -> None:
        """Must be called in the main thread.

        Args:
            selector: Where the socket is registered.
            handlers: Number of a Unix signal -> function to call.
            reap: Called after every wake-up, also if a signal was dropped because the socket was full.
            ends_process: The process exits after `close`, which makes it ignore the signals of `handlers` instead of
                restoring what they did: one that comes late must not change the exit code.
        """
        self._handlers = handlers
        self._reap = reap
        self._reap_at = NEVER
        with ExitStack() as stack:
            self._socket, wakeup = (stack.enter_context(end) for end in socket.socketpair())
            for end in (self._socket, wakeup):
                end.setblocking(False)
            selector.register(self._socket, selectors.EVENT_READ, self._read)
            stack.callback(selector.unregister, self._socket)
            for signum in (signal.SIGCHLD, *handlers):
                before = signal.signal(signum, _do_nothing)
                ignore = ends_process and signum in handlers
                stack.callback(signal.signal, signum, signal.SIG_IGN if ignore else before)
            mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD, *handlers))  # a parent may block them
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, mask)
            stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False))
            self._stack = stack.pop_all()

    @property
    def deadline(self) -> float:
        return self._reap_at

    def tick(self, now: float) -> None:
        if self._reap_at <= now:
            self._reap_at = NEVER
            self._reap(now)

    def restart(self) -> None:
        """Look for children that exited when the error came up: SIGCHLD does not come again for them."""
        self._reap_at = -NEVER

    def close(self) -> None:
        """Restore the handlers that were set before, or ignore the signals if the process ends."""
        self._stack.close()

    def _read(self, now: float) -> None:
        for signum in set(self._socket.recv(_READ_BYTES)):
            if signum in self._handlers:
                self._handlers[signum](now)
        self._reap(now)


def _do_nothing(_signum: int, _frame: object) -> None:
    """Let the wake-up descriptor do the work."""
