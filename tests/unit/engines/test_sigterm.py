"""SIGTERM in a process whose handlers block or replace it."""

import os
import signal

import pytest

from heliograph.engines.local.sigterm import LOOK_AFTER, LOOK_EVERY, SigtermPoll, catch_sigterm


def on_sigterm(_signum, _frame):
    """Do nothing."""


class Poll:
    """Finds what it is told, and notes how long it was to wait."""

    def __init__(self):
        self.found, self.waits = [], []

    def __call__(self, timeout):
        self.waits.append(timeout)
        return self.found


@pytest.fixture
def poll():
    before, mask = signal.getsignal(signal.SIGTERM), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    read, write = os.pipe2(os.O_NONBLOCK)
    inner = Poll()
    try:
        catch_sigterm(on_sigterm, write)
        inner.outer = SigtermPoll(inner, on_sigterm, write)
        yield inner
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(read)
        os.close(write)


def break_sigterm():
    """Do what a handler of the application may do."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def is_kept():
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return signal.getsignal(signal.SIGTERM) is on_sigterm and signal.SIGTERM not in blocked


def test_it_is_caught_again_when_nothing_has_arrived_for_a_moment(poll):
    """Then the process waits without a limit."""
    break_sigterm()
    assert poll.outer(-1) == []
    assert is_kept()
    poll.outer(-1)
    poll.outer(30)
    assert poll.waits == [LOOK_AFTER, -1, 30]


def test_it_is_caught_again_in_a_process_that_is_never_idle(poll):
    """After so many polls."""
    poll.outer(-1)
    poll.found = [(3, 1)]
    break_sigterm()
    for _ in range(LOOK_EVERY + 1):
        assert poll.outer(-1) == poll.found
    assert is_kept()


def test_a_shorter_wait_stays_as_it_is(poll):
    """A handler that waits has a timeout."""
    poll.found = [(3, 1)]
    poll.outer(0.01)
    poll.outer(0)
    assert poll.waits == [0.01, 0]
