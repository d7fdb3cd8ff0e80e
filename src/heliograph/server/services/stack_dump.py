"""One process that is asked for the stacks of its threads.

Rules
    The Unix signal is sent only to a process that has a handler for it, and whose descriptor of the file is still that
    file. Otherwise the signal would end the process, or the stacks would go into a file of the application.
    A process that still owes the answer to an earlier request gets no second signal: that answer is used. So a file
    never holds two answers.
    The answer is complete when the handler has returned: until then the kernel lets its thread block the signal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from heliograph.ipc.proc_signals import (
    SignalState,
    blocking_threads,
    has_descriptor,
    is_blocked_everywhere,
    signal_state,
)
from heliograph.ipc.stack_files import STACK_SIGNAL, clear, read_header, read_stacks, size_of_stacks

MAX_BYTES = 256 << 10
TIMEOUT = 5.0
"""Seconds in which a process must answer."""
_SETTLED = 0.2
"""Seconds without a new line after which an answer is complete, where the kernel does not show the handler."""
_LOST = 1.0
"""Seconds without an answer, since the signal arrived, after which it is clear that another handler took it."""

_EXITED = "{} exited before it answered."
_CLOSED = (
    "{} cannot answer: it has closed a descriptor of heliograph, as os.closerange() does. Close only what your code "
    "has opened."
)
_TAKEN = "{} cannot answer: the application handles Unix signal {} itself. Use another number there."
_NO_HANDLER = "{} cannot answer: the application has removed the handler of Unix signal {}. Leave that signal alone."
_FORBIDDEN = "{} cannot be asked: {}. It runs as another user."
_LATE = "{} did not answer within {:g} s: {}."
_STATES = {
    "T": "it is stopped (state T). To continue it: kill -CONT {}",
    "t": "a debugger has stopped it (state t)",
    "D": "it waits in the kernel, which nothing can interrupt (state D), for example for a disk",
}
_STARTING = "it is still starting"
_BLOCKED = "all its threads block Unix signal {}"


@dataclass(slots=True)
class StackDump:
    """The request to one process. `poll` carries it on until `outcome` is set."""

    name: str
    pid: int
    fd: int
    """The master's descriptor of the file."""
    asked_at: float
    outcome: Literal["answered", "failed"] | None = None
    text: str = ""
    """The stacks, at most `MAX_BYTES` of them."""
    error: str = ""
    _sent: bool = False
    _blocked_before: frozenset[int] = frozenset()
    """Threads that blocked the signal before it was sent."""
    _size: int = 0
    _changed_at: float = 0.0

    def poll(self, now: float) -> None:
        """Send the signal as soon as that is possible, and look whether the answer is complete."""
        state = signal_state(self.pid, STACK_SIGNAL)
        if self._has_exited(state):
            self._fail(_EXITED.format(self.name))
            return
        if not self._sent:
            self._send(state, now)
        elif self._is_complete(state, now):
            self.outcome, self.text = "answered", read_stacks(self.fd, MAX_BYTES)
            clear(self.fd)
        if self.outcome is None and now >= self.asked_at + TIMEOUT:
            self._fail(_LATE.format(self.name, TIMEOUT, self._reason(state)))

    def resume(self, now: float) -> bool:
        """Wait for an answer that came too late. Return False if it is there by now, and thus old."""
        state = signal_state(self.pid, STACK_SIGNAL)
        if not self._sent or state is None or self._has_exited(state) or not self._is_awaited(state):
            return False
        self.asked_at, self.outcome, self.error = now, None, ""
        return True

    def _has_exited(self, state: SignalState | None) -> bool:
        if state is not None:
            return state.state in "ZX"
        try:
            os.kill(self.pid, 0)  # the kernel may hide the processes of other users
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def _send(self, state: SignalState | None, now: float) -> None:
        header = read_header(self.fd)
        if header.pid != self.pid:
            return  # its predecessor has written that: it has not come so far yet
        if header.is_taken:
            self._fail(_TAKEN.format(self.name, STACK_SIGNAL))
        elif state is not None and not state.is_caught:
            self._fail(_NO_HANDLER.format(self.name, STACK_SIGNAL))
        elif state is None or not state.is_pending:  # else somebody else has sent it
            self._send_checked(header.fd, now)

    def _send_checked(self, its_fd: int, now: float) -> None:
        try:
            with _pidfd(self.pid) as pidfd:
                if has_descriptor(self.pid, its_fd, self.fd) is False:
                    self._fail(_CLOSED.format(self.name))
                    return
                self._blocked_before = blocking_threads(self.pid, STACK_SIGNAL)
                clear(self.fd)
                self._sent, self._changed_at = True, now
                if pidfd is None:
                    os.kill(self.pid, STACK_SIGNAL)
                else:
                    signal.pidfd_send_signal(pidfd, STACK_SIGNAL)
        except ProcessLookupError:
            self._fail(_EXITED.format(self.name))
        except PermissionError as error:
            self._fail(_FORBIDDEN.format(self.name, error.strerror))

    def _is_complete(self, state: SignalState | None, now: float) -> bool:
        size = size_of_stacks(self.fd)
        if size != self._size:
            self._size, self._changed_at = size, now
        if state is None:
            return bool(size) and now >= self._changed_at + _SETTLED
        if self._is_awaited(state):
            self._changed_at = now
            return False
        if not size and now >= self._changed_at + _LOST:
            self._fail(_TAKEN.format(self.name, STACK_SIGNAL))
        return bool(size)

    def _is_awaited(self, state: SignalState) -> bool:
        """Return True if the signal waits for a thread of the process, or its handler runs."""
        return state.is_pending or bool(blocking_threads(self.pid, STACK_SIGNAL) - self._blocked_before)

    def _reason(self, state: SignalState | None) -> str:
        letter = state.state if state else "?"
        if letter in _STATES:
            return _STATES[letter].format(self.pid)
        if not self._sent:
            return _STARTING
        if is_blocked_everywhere(self.pid, STACK_SIGNAL):
            return _BLOCKED.format(STACK_SIGNAL)
        return f"it is in state {letter}"

    def _fail(self, error: str) -> None:
        self.outcome, self.error = "failed", error


@contextmanager
def _pidfd(pid: int) -> Generator[int | None]:
    """Refer to a process by a descriptor, which never means a later one with the same id. None: the kernel refuses."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        yield None
        return
    try:
        yield pidfd
    finally:
        os.close(pidfd)
