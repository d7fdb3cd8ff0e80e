"""The alarm of the kernel at a time of the wall clock. Only CI sets the clock of the machine."""

import errno
import math
import os
import select
import time

import pytest

from heliograph.timing import clock_watch as module
from heliograph.timing.clock_watch import ClockWatch

DAY = 86_400.0


@pytest.fixture
def watch():
    watch = ClockWatch()
    yield watch
    watch.close()


def readable(watch, seconds=0.0):
    return bool(select.select([watch.fileno()], [], [], seconds)[0])


def stays_quiet(watch, when, seconds):
    """Return True if `watch`, set to `when`, does not go off. The clock of the machine may be set meanwhile."""
    watch.set(when)
    while readable(watch, seconds):
        if not watch.read():
            return False
        watch.set(when)
    return True


def test_it_goes_off_at_the_time(watch):
    """Not before, and once. The process does nothing meanwhile."""
    when = time.time() + 0.05
    watch.set(when)
    assert not readable(watch)
    assert readable(watch, 10)
    assert time.time() >= when
    assert not watch.read()
    assert not readable(watch)


@pytest.mark.parametrize("when", [1.0, 0.0, -5.0])
def test_a_time_in_the_past_goes_off_at_once(watch, when):
    """Also times that the kernel would take for none."""
    watch.set(when)
    assert readable(watch, 10)


@pytest.mark.parametrize("when", [math.inf, 1e300])
def test_never_and_very_far_times(watch, when):
    """They replace an earlier time."""
    watch.set(time.time() + 0.02)
    assert stays_quiet(watch, when, 0.05)


def test_an_earlier_time_replaces_a_later_one(watch):
    """And the other way round."""
    watch.set(time.time() + DAY)
    watch.set(time.time() + 0.01)
    assert readable(watch, 10)
    watch.read()
    assert stays_quiet(watch, time.time() + DAY, 0.03)


def test_the_same_time_is_set_once(watch, monkeypatch):
    """The loop of the master asks in every round."""
    when = time.time() + DAY
    watch.set(when)
    monkeypatch.setattr(watch, "_libc", None)
    watch.set(when)
    monkeypatch.undo()
    watch.read()
    watch.set(when)
    assert not readable(watch)


def test_a_clock_that_was_set_is_reported(watch, monkeypatch):
    """The kernel says so by an error."""

    def cancelled(_fd, _count):
        raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))

    watch.set(time.time() + DAY)
    monkeypatch.setattr(module.os, "read", cancelled)
    assert watch.read()


def test_the_kernel_cancels_when_the_clock_is_set(watch):
    """In CI, where a test may set it: to the time that it is."""
    if not os.environ.get("CI"):
        pytest.skip("only CI sets the clock of the machine")
    watch.set(time.time() + DAY)
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.time())
    except PermissionError:
        pytest.skip("this process must not set the clock")
    assert readable(watch, 10)
    assert watch.read()


def test_a_program_does_not_inherit_it(watch):
    """As all descriptors of the master."""
    assert not os.get_inheritable(watch.fileno())
