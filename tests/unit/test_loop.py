"""The master's loop: descriptors, deadlines, and services that fail. The clock is a number, no test waits."""

import errno
import os
import selectors
import time
from types import SimpleNamespace

import pytest

from heliograph import loop as module
from heliograph.loop import INITIAL_PAUSE, MAX_PAUSE, NEVER, PAUSE_RESET_AFTER, Loop, Service


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()

    def sleep(seconds):
        clock.now += seconds

    monkeypatch.setattr(module.time, "sleep", sleep)
    return clock


@pytest.fixture
def loop(clock):
    with Loop(clock) as loop:
        yield loop


class Pipe(Service):
    """A service that reads a pipe. It fails while `failing` is True."""

    def __init__(self, selector):
        self.selector = selector
        self.read, self.write = os.pipe()
        os.set_blocking(self.read, False)
        selector.register(self.read, selectors.EVENT_READ, self.on_readable)
        self.found, self.ticks, self.at = [], [], NEVER
        self.failing = self.closed = False
        self.restarts = 0
        self.restart_error = None

    @property
    def deadline(self):
        return self.at

    def on_readable(self, now):
        self.fail_if_requested()
        self.found.append((os.read(self.read, 100), now))

    def tick(self, now):
        self.fail_if_requested()
        self.ticks.append(now)
        self.at = NEVER

    def fail_if_requested(self):
        if self.failing:
            raise ValueError("on purpose")

    def restart(self):
        self.restarts += 1
        if self.restart_error is not None:
            raise self.restart_error

    def close(self):
        self.closed = True
        self.selector.unregister(self.read)
        os.close(self.read)
        os.close(self.write)


class Due(Service):
    """A service that is always due, so that the loop does not wait."""

    deadline = 0.0


@pytest.fixture
def due(loop):
    """Keep the loop from waiting."""
    return loop.open("due", lambda _: Due())


def test_a_descriptor_that_is_ready(loop, clock):
    """Its callback gets the time of the loop's clock."""
    pipe = loop.open("pipe", Pipe)
    os.write(pipe.write, b"x")
    loop.run_once()
    assert pipe.found == [(b"x", 100.0)]
    assert pipe.ticks == []


def test_a_deadline(loop, clock):
    """The loop waits for the earliest one, and ticks the services that are due and no others."""
    first, second = loop.open("first", Pipe), loop.open("second", Pipe)
    first.at, second.at = 100.0005, 107.0
    loop.run_once()
    assert first.ticks == [pytest.approx(100.0005)]
    assert second.ticks == []
    clock.now = 107.5
    loop.run_once()
    assert second.ticks == [107.5]
    assert len(first.ticks) == 1


def test_a_deadline_that_is_relative_to_the_time_of_the_question(clock):
    """It is always a little later than the time at which the loop compares it, and must pass nevertheless."""

    class Relative(Service):
        ticks = 0

        @property
        def deadline(self):
            clock.now += 0.0001
            return clock.now

        def tick(self, _now):
            self.ticks += 1

    with Loop(clock) as loop:
        relative = loop.open("relative", lambda _: Relative())
        for _ in range(3):
            loop.run_once()
        assert relative.ticks == 3


def test_the_loop_waits_until_the_deadline():
    """On a real clock, to the fraction of a millisecond: not shorter."""
    with Loop() as loop:
        pipe = loop.open("pipe", Pipe)
        pipe.at = until = time.monotonic() + 0.0213
        while not pipe.ticks:
            loop.run_once()
        assert until <= pipe.ticks[0] < until + 5


def test_run_returns_the_code_of_stop(loop, due):
    """After the round in which it was stopped."""
    pipe = loop.open("pipe", Pipe)
    pipe.at = 0.0
    loop.stop(7)
    assert loop.run() == 7
    assert pipe.ticks == []


def test_services_are_closed_in_reverse(clock):
    """A later one may use an earlier one. That one of them cannot be closed does not keep the others open."""
    order = []

    class Closing(Service):
        def __init__(self, name):
            self.name = name

        def close(self):
            order.append(self.name)
            if self.name == 2:
                raise OSError("on purpose")

    with Loop(clock) as loop:
        for name in (1, 2, 3):
            loop.open(str(name), lambda _, name=name: Closing(name))
    assert order == [3, 2, 1]


def test_a_service_that_cannot_be_opened_leaves_nothing(loop, clock, due):
    """Neither on the loop nor in the selector. The error goes to the caller."""
    read, write = os.pipe()

    def fail(selector):
        selector.register(read, selectors.EVENT_READ, lambda _now: pytest.fail("it is not open"))
        raise OSError("address in use")

    with pytest.raises(OSError, match="address in use"):
        loop.open("broken", fail)
    os.write(write, b"x")
    loop.run_once()
    os.close(read)
    os.close(write)


def test_an_error_of_a_service_does_not_stop_the_others(loop, clock, due, caplog):
    """It is logged with its traceback, the service is left out for a while, and then restarted."""
    broken, sound = loop.open("broken", Pipe), loop.open("sound", Pipe)
    broken.failing = True
    for pipe in (broken, sound):
        os.write(pipe.write, b"x")
    loop.run_once()
    assert sound.found == [(b"x", 100.0)]
    assert "Service 'broken' failed, restarting it in 0.1 s" in caplog.text
    assert "ValueError: on purpose" in caplog.text
    loop.run_once()
    assert len(caplog.records) == 1, "it is left out"
    broken.failing = False
    clock.now += INITIAL_PAUSE
    loop.run_once()
    loop.run_once()
    assert broken.restarts == 1
    assert broken.found == [(b"x", clock.now)], "nothing that arrived in the meantime is lost"


def test_an_error_of_a_tick_or_a_deadline(loop, clock, due, caplog):
    """They are treated alike."""
    ticking, asking = loop.open("ticking", Pipe), loop.open("asking", Pipe)
    ticking.failing, ticking.at = True, 100.0
    asking.__class__ = type("Asking", (Pipe,), {"deadline": property(lambda _: 1 / 0)})
    loop.run_once()
    assert "Service 'ticking' failed" in caplog.text
    assert "Service 'asking' failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_pauses_double_and_are_forgotten(loop, clock, due, caplog):
    """A service that keeps failing does not keep the loop busy. One that works for a minute begins anew."""
    pipe = loop.open("pipe", Pipe)
    pipe.failing, pipe.at = True, 0.0
    for number in range(12):
        loop.run_once()
        pause = min(INITIAL_PAUSE * 2**number, MAX_PAUSE)
        assert caplog.messages[-1] == f"Service 'pipe' failed, restarting it in {pause:g} s"
        assert len(caplog.messages) == number + 1
        clock.now += pause
        loop.run_once()
        assert pipe.restarts == number + 1
    clock.now += PAUSE_RESET_AFTER
    loop.run_once()
    assert caplog.messages[-1].endswith("in 0.1 s")


def test_a_service_that_cannot_be_restarted_is_closed(loop, clock, due, caplog):
    """The loop goes on without it, and closes it only once."""
    pipe = loop.open("pipe", Pipe)
    pipe.failing, pipe.restart_error = True, OSError("cannot restart, on purpose")
    os.write(pipe.write, b"x")
    loop.run_once()
    clock.now += INITIAL_PAUSE
    loop.run_once()
    assert "Cannot restart service 'pipe', continuing without it" in caplog.text
    assert pipe.closed
    count = len(caplog.records)
    clock.now += 100
    loop.run_once()
    loop.close()
    assert len(caplog.records) == count


def test_a_restart_is_tried_again_while_memory_or_descriptors_lack(loop, clock, due, caplog):
    """The service goes on when there are some again. Until then it is left out, with growing pauses."""
    pipe = loop.open("pipe", Pipe)
    pipe.failing = True
    os.write(pipe.write, b"x")
    loop.run_once()
    pipe.restart_error = OSError(errno.EMFILE, "Too many open files")
    clock.now += INITIAL_PAUSE
    loop.run_once()
    assert caplog.messages[-1] == f"Service 'pipe' failed, restarting it in {2 * INITIAL_PAUSE:g} s"
    loop.run_once()
    assert pipe.restarts == 1
    pipe.failing, pipe.restart_error = False, None
    clock.now += 2 * INITIAL_PAUSE
    loop.run_once()
    loop.run_once()
    assert not pipe.closed
    assert pipe.found == [(b"x", clock.now)]


def test_a_service_waits_for_all_of_its_descriptors_or_for_none(loop, clock, due, monkeypatch):
    """The kernel has no memory for the second one. Both are registered at the next attempt."""
    pipe = loop.open("pipe", Pipe)
    more = Pipe(pipe.selector)
    pipe.failing, pipe.at = True, 0.0
    loop.run_once()
    real = loop._selector
    refused = []

    def register(fd, *rest):
        if fd == more.read and not refused:
            refused.append(fd)
            raise OSError(errno.ENOSPC, "No space left on device")
        return real.register(fd, *rest)

    monkeypatch.setattr(pipe.selector, "selector", SimpleNamespace(register=register, unregister=real.unregister))
    pipe.failing, pipe.at = False, NEVER
    clock.now += INITIAL_PAUSE
    loop.run_once()
    assert refused == [more.read]
    assert not real.get_map().keys() & {pipe.read, more.read}
    clock.now += 2 * INITIAL_PAUSE
    loop.run_once()
    assert real.get_map().keys() >= {pipe.read, more.read}
    more.close()


def test_a_service_whose_descriptors_cannot_be_registered_again(loop, clock, due, caplog):
    """It had closed one before it failed. The loop continues without it."""
    broken, sound = loop.open("broken", Pipe), loop.open("sound", Pipe)
    broken.failing = True
    os.write(broken.write, b"x")
    loop.run_once()
    os.close(broken.read)
    clock.now += INITIAL_PAUSE
    loop.run_once()
    assert "Cannot restart service 'broken', continuing without it" in caplog.text
    os.write(sound.write, b"x")
    loop.run_once()
    assert sound.found == [(b"x", clock.now)]


def test_a_service_that_is_left_out_may_register_descriptors(loop, clock, due):
    """Another service calls it. The loop waits for these descriptors when it is restarted."""
    pipe = loop.open("pipe", Pipe)
    pipe.failing, pipe.at = True, 0.0
    loop.run_once()
    read, write = os.pipe()
    found = []
    pipe.selector.register(read, selectors.EVENT_READ, lambda _now: found.append(os.read(read, 10)))
    pipe.selector.modify(pipe.read, selectors.EVENT_READ, pipe.on_readable)
    os.write(write, b"x")
    loop.run_once()
    assert found == []
    pipe.failing = False
    clock.now += INITIAL_PAUSE
    loop.run_once()
    loop.run_once()
    assert found == [b"x"]
    pipe.selector.unregister(read)
    os.close(read)
    os.close(write)


def test_a_callback_that_was_removed_in_the_same_round_is_not_called(loop, clock, due):
    """Two descriptors are ready, and whichever comes first removes the other."""
    pipes = [loop.open("first", Pipe), loop.open("second", Pipe)]
    called = []

    def remove_other(number):
        called.append(number)
        other = pipes[1 - number]
        other.selector.unregister(other.read)

    for number, pipe in enumerate(pipes):
        pipe.selector.modify(pipe.read, selectors.EVENT_READ, lambda _now, number=number: remove_other(number))
        os.write(pipe.write, b"x")
    loop.run_once()
    assert len(called) == 1
    removed = pipes[1 - called[0]]
    removed.selector.register(removed.read, selectors.EVENT_READ, removed.on_readable)


@pytest.mark.parametrize("days", [25, 30, 1e6])
def test_deadline_can_be_further_than_what_the_kernel_takes(days):
    """The wait is cut. The kernel takes at most 2^31 milliseconds."""
    wait = module._timeout(100.0 + days * 86400, 100.0)
    assert 0 < wait * 1000 < 2**31
