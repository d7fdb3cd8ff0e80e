"""One process that is asked for the stacks of its threads, one thread after the other.

Rules
    The Unix signal is sent only to a process that has a handler for it, and whose descriptor of the file is still that
    file. Otherwise the signal would end the process, or the stack would go into a file of the application.
    The next thread is asked when the handler of the one before has returned, so the file holds one stack at a time. The
    kernel shows that: the signal is pending first, and then the thread blocks it until the handler returns.
    A thread that still owes its answer to an earlier request gets no second signal: that answer is used.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from heliograph.ipc.proc_signals import SignalState, has_descriptor, signal_state, threads_of
from heliograph.ipc.stack_files import STACK_SIGNAL, clear, read_header, read_stack, size_of_stack
from heliograph.ipc.thread_kill import kill_thread

TIMEOUT = 5.0
"""Seconds in which a process must answer."""
MAX_BYTES = 256 << 10
MAX_THREADS = 200
_SETTLED = 0.2
"""Seconds without a new line after which an answer is complete, where the kernel does not show the handler."""
_LOST, _MAIN_LOST = 0.05, 1.0
"""Seconds without an answer after which it is clear that a thread, or the main thread, writes none."""

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
_BLOCKED = "its main thread blocks Unix signal {}"


@dataclass(slots=True)
class StackDump:
    """The request to one process. `poll` carries it on until `outcome` is set."""

    name: str
    pid: int
    fd: int
    """The master's descriptor of the file."""
    asked_at: float
    outcome: Literal["answered", "failed"] | None = None
    threads: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """The answers: id, name and text of each thread that runs Python code, the main thread first."""
    error: str = ""
    _left: deque[int] | None = None
    """The threads to ask. None: none could be asked so far."""
    _thread: int = 0
    """The thread that has been asked. 0: none."""
    _sent_at: float = 0.0
    _closed_at: float = float("inf")
    """Time at which the process was seen without its descriptor of the file."""
    _size: int = 0
    _postponed: set[int] = field(default_factory=set[int])
    """Threads that are asked last, since they did not look as if they would answer."""

    def poll(self, now: float) -> None:
        """Ask the threads that can be asked now."""
        state = signal_state(self.pid, STACK_SIGNAL)
        if self._has_exited(state):
            self._fail(_EXITED.format(self.name))
            return
        if self._left is None:
            self._begin(state)
        while self.outcome is None and self._left is not None and not self._awaits_answer(state, now):
            if not self._ask_next(self._left, state, now):
                break
        if self.outcome is None and now >= self.asked_at + TIMEOUT:
            self._fail(_LATE.format(self.name, TIMEOUT, self._reason()))

    def resume(self, now: float) -> bool:
        """Ask again while a thread owes an answer that came too late. Return False if none does."""
        state = signal_state(self.pid, STACK_SIGNAL, self._thread) if self._thread else None
        if state is None or not (state.is_pending or state.is_blocked):
            return False
        self._left = deque(thread for thread in threads_of(self.pid) if thread != self._thread)
        self.asked_at, self.outcome, self.error = now, None, ""
        self.threads.clear()
        self._postponed.clear()
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

    def _begin(self, state: SignalState | None) -> None:
        header = read_header(self.fd)
        if header.pid != self.pid:
            return  # its predecessor has written that: it has not come so far yet
        if header.is_taken:
            self._fail(_TAKEN.format(self.name, STACK_SIGNAL))
        elif state is not None and not state.is_caught:
            self._fail(_NO_HANDLER.format(self.name, STACK_SIGNAL))
        else:
            self._left = deque(threads_of(self.pid)[:MAX_THREADS])

    def _ask_next(self, left: deque[int], process: SignalState | None, now: float) -> bool:
        """Ask the next thread. Return False if none can be asked now."""
        if self.outcome is not None:
            return False  # the thread before has not answered
        if not left or sum(len(thread["text"]) for thread in self.threads) >= MAX_BYTES:
            self._finish()
            return False
        thread = left.popleft()
        state = signal_state(self.pid, STACK_SIGNAL, thread)
        if state is not None and state.state == "D" and thread not in self._postponed:
            self._postponed.add(thread)
            left.append(thread)
        elif process is None or (state is not None and not state.is_blocked):
            return self._send(thread, left, now)
        elif state is not None and thread == self.pid:  # it starts a program, perhaps
            left.append(thread)
            return len(left) > 1
        # Else the thread has ended, or it is one of a library in C, which lets others take all Unix signals.
        return True

    def _send(self, thread: int, left: deque[int], now: float) -> bool:
        """Send the signal. Return False if that has to wait: a process that exits closes its descriptors first."""
        if has_descriptor(self.pid, read_header(self.fd).fd, self.fd) is False:
            self._closed_at = min(self._closed_at, now)
            left.appendleft(thread)
            if now >= self._closed_at + _MAIN_LOST:
                self._fail(_CLOSED.format(self.name))
            return False
        clear(self.fd)
        try:
            kill_thread(self.pid, thread, STACK_SIGNAL)
        except ProcessLookupError:
            return True
        except OSError as error:
            self._fail(_FORBIDDEN.format(self.name, error.strerror))
        self._thread, self._sent_at, self._size = thread, now, 0
        return True

    def _awaits_answer(self, process: SignalState | None, now: float) -> bool:
        """Return False if no thread has to answer now. Keep the answer of one that has."""
        if not self._thread:
            return False
        size = size_of_stack(self.fd)  # before the state: a handler that has begun to write shows there until it ends
        state = signal_state(self.pid, STACK_SIGNAL, self._thread)
        if process is None:
            if size != self._size:
                self._size, self._sent_at = size, now
            if now < self._sent_at + _SETTLED:
                return True
        elif state is not None and (state.is_pending or state.is_blocked or (not size and self._may_begin(state, now))):
            return True
        self._keep_answer(process, state)
        return False

    def _may_begin(self, state: SignalState, now: float) -> bool:
        """Return True if a thread that has written nothing may have got the signal, and not have begun its handler."""
        if self._thread == self.pid:  # it runs Python code, or the process exits
            return now < self._sent_at + _MAIN_LOST
        return state.state == "R" and now < self._sent_at + _LOST

    def _keep_answer(self, process: SignalState | None, state: SignalState | None) -> None:
        thread, self._thread = self._thread, 0
        text = read_stack(self.fd, MAX_BYTES)
        clear(self.fd)
        is_main = thread == self.pid
        if text:
            own = state.name if state is not None and process is not None and state.name != process.name else ""
            self.threads.append({"id": str(thread), "name": "main" if is_main else own, "text": text})
        elif is_main and state is None and process is not None:
            self._fail(_EXITED.format(self.name))
        elif is_main:
            self._fail(_TAKEN.format(self.name, STACK_SIGNAL))

    def _finish(self) -> None:
        self.threads.sort(key=lambda thread: (thread["name"] != "main", int(thread["id"])))
        self.outcome = "answered"

    def _reason(self) -> str:
        if self._left is None:
            return _STARTING
        state = signal_state(self.pid, STACK_SIGNAL, self._thread or None)
        letter = state.state if state else "?"
        if letter in _STATES:
            return _STATES[letter].format(self.pid)
        if state is not None and state.is_blocked and not state.is_pending:
            return _BLOCKED.format(STACK_SIGNAL)
        return f"it is in state {letter}"

    def _fail(self, error: str) -> None:
        self.outcome, self.error = "failed", error
