"""A Unix signal for a single thread."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from heliograph.ipc import thread_kill
from heliograph.ipc.proc_signals import signal_state, threads_of
from heliograph.ipc.thread_kill import kill_thread


@pytest.fixture(params=["the function", "the system call"])
def libc(request, monkeypatch):
    """A C library with the function, and an older one without it."""
    if request.param == "the system call":
        monkeypatch.setattr(thread_kill, "_LIBC", SimpleNamespace(syscall=thread_kill._LIBC.syscall))


@pytest.fixture
def blocking():
    """The id of a thread that blocks SIGUSR1, so that the signal stays pending there."""
    started, done, ids = threading.Event(), threading.Event(), []

    def run():
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        ids.append(threading.get_native_id())
        started.set()
        done.wait(20)
        signal.sigtimedwait([signal.SIGUSR1], 0)

    thread = threading.Thread(target=run)
    thread.start()
    started.wait(20)
    yield ids[0]
    done.set()
    thread.join()


def test_only_that_thread_gets_the_signal(libc, blocking):
    """It is pending there, and not in the process."""
    pid = os.getpid()
    assert {pid, blocking} <= set(threads_of(pid))
    assert threads_of(pid)[0] == pid
    before = signal_state(pid, signal.SIGUSR1, blocking)
    assert (before.is_pending, before.is_blocked) == (False, True)
    kill_thread(pid, blocking, signal.SIGUSR1)
    assert signal_state(pid, signal.SIGUSR1, blocking).is_pending
    assert not signal_state(pid, signal.SIGUSR1).is_pending


def test_a_thread_that_does_not_exist(libc):
    """Also one of another process."""
    for thread in (os.getppid(), 2**22 + 1):
        with pytest.raises(ProcessLookupError):
            kill_thread(os.getpid(), thread, 0)
        assert signal_state(os.getpid(), 1, thread) is None
    assert threads_of(2**22 + 1) == [2**22 + 1]


def test_a_machine_that_is_not_known(monkeypatch):
    """Without the function, the kernel refuses the call."""
    monkeypatch.setattr(thread_kill, "_LIBC", SimpleNamespace(syscall=thread_kill._LIBC.syscall))
    monkeypatch.setattr("platform.machine", lambda: "abacus")
    with pytest.raises(OSError, match="not implemented"):
        kill_thread(os.getpid(), threading.get_native_id(), 0)
