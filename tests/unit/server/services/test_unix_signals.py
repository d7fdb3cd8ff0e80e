"""Unix signals wake the loop, and the handlers from before are restored."""

import os
import signal

import pytest

from heliograph.loop import NEVER
from heliograph.server.services.unix_signals import UnixSignals


@pytest.fixture
def calls():
    return []


@pytest.fixture
def signals(loop, calls):
    handlers = {
        number: lambda now, number=number: calls.append((number, now)) for number in (signal.SIGUSR1, signal.SIGHUP)
    }
    service = UnixSignals(loop.selector, handlers, lambda now: calls.append(("reap", now)))
    loop.listeners.append(service)
    return service


def test_a_signal_calls_its_handler_and_then_reap(loop, signals, calls):
    """Several of the same kind at once are one."""
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run_ready(signals)
    assert calls == [(signal.SIGUSR1, loop.now), ("reap", loop.now)]


def test_sigchld_reaps(loop, signals, calls):
    """It has no other handler."""
    os.kill(os.getpid(), signal.SIGCHLD)
    loop.run_ready(signals)
    assert calls == [("reap", loop.now)]


def test_a_restart_reaps(loop, signals, calls):
    """SIGCHLD does not come again for children that exited while an error was handled."""
    assert signals.deadline == NEVER
    signals.restart()
    assert signals.deadline < 0
    signals.tick(5.0)
    assert calls == [("reap", 5.0)]
    assert signals.deadline == NEVER


def test_close_restores_what_was_before(loop):
    """Handlers and wake-up descriptor."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    wakeup = signal.set_wakeup_fd(-1)
    service = UnixSignals(loop.selector, {signal.SIGUSR1: lambda _now: None}, lambda _now: None)
    assert signal.getsignal(signal.SIGUSR1) is not signal.SIG_IGN
    service.close()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    assert signal.set_wakeup_fd(wakeup) == -1
    signal.signal(signal.SIGUSR1, before)


def test_close_ignores_what_comes_late_if_the_process_ends(loop):
    """SIGTERM between the end of the server and that of its process must not change the exit code."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGUSR1, signal.SIGCHLD)}
    try:
        handlers = {signal.SIGUSR1: lambda _now: None}
        UnixSignals(loop.selector, handlers, lambda _now: None, ends_process=True).close()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
