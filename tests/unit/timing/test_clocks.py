"""Clocks: the machine's, and one that a test holds in its hands."""

import time

from heliograph.timing.clocks import FakeClock, SystemClock, clock_reading


def test_a_fake_clock_moves_only_when_told() -> None:
    """By `sleep`, which returns at once; both readings move together."""
    clock = FakeClock()
    started = clock.time()
    assert (clock.monotonic(), clock.monotonic()) == (0, 0)
    clock.sleep(3600)
    clock.sleep(0.5)
    assert (clock.monotonic(), clock.time() - started) == (3600.5, 3600.5)


def test_a_fake_clock_does_not_go_back() -> None:
    """A negative sleep is none."""
    clock = FakeClock()
    clock.sleep(-5)
    assert clock.monotonic() == 0


def test_a_fake_clock_begins_with_2026() -> None:
    """2026-01-01 00:00 UTC, unless told otherwise."""
    assert time.gmtime(FakeClock().time())[:6] == (2026, 1, 1, 0, 0, 0)
    assert FakeClock(17.0).time() == 17.0


def test_the_system_clock_is_the_machine_s() -> None:
    """Between two readings of the machine's own lies its."""
    clock = SystemClock()
    clock.sleep(0)
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()
    assert time.time() <= clock.time() <= time.time()


def test_sleep_is_no_change_of_the_clock(monkeypatch) -> None:
    """A schedule's clock counts the time that a machine sleeps, so that a night's rule is made up for."""
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 17.0}.__getitem__)
    before, now, after = time.time(), clock_reading(), time.time()
    assert now.monotonic == 17.0
    assert before <= now.wall <= after
