"""The clock of the machine, and the fake clock."""

import time

from heliograph.timing.clocks import FakeClock, SystemClock, clock_reading


def test_fake_clock_advances_only_in_sleep() -> None:
    """`sleep` returns immediately, and both readings advance."""
    clock = FakeClock()
    started = clock.time()
    assert (clock.monotonic(), clock.monotonic()) == (0, 0)
    clock.sleep(3600)
    clock.sleep(0.5)
    assert (clock.monotonic(), clock.time() - started) == (3600.5, 3600.5)


def test_fake_clock_never_goes_back() -> None:
    """A negative sleep counts as 0."""
    clock = FakeClock()
    clock.sleep(-5)
    assert clock.monotonic() == 0


def test_fake_clock_starts_in_2026() -> None:
    """At 2026-01-01 00:00 UTC by default."""
    assert time.gmtime(FakeClock().time())[:6] == (2026, 1, 1, 0, 0, 0)
    assert FakeClock(17.0).time() == 17.0


def test_system_clock_is_the_clock_of_the_machine() -> None:
    """Its reading is between two readings of the machine."""
    clock = SystemClock()
    clock.sleep(0)
    assert time.monotonic() <= clock.monotonic() <= time.monotonic()
    assert time.time() <= clock.time() <= time.time()


def test_suspend_is_not_a_clock_change(monkeypatch) -> None:
    """The monotonic part of a reading counts the time of a suspend."""
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 17.0}.__getitem__)
    before, now, after = time.time(), clock_reading(), time.time()
    assert now.monotonic == 17.0
    assert before <= now.wall <= after
