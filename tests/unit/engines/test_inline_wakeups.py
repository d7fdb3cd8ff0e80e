"""Wake-ups on the inline engine: hidden signals, and times on the fake clock."""

import pytest

from heliograph.engines.inline import InlineEngine
from heliograph.exceptions import AlreadyRegistered, TargetError, WaitTimeout
from heliograph.models import HandlerOptions, Topology
from heliograph.timing.clocks import FakeClock

SERVER = Topology(workers=1, mules=2, spoolers=1)


@pytest.fixture
def engine():
    return InlineEngine(SERVER)


def listen(engine, target):
    """Return the list of the processes that were woken for the target."""
    woken = []
    engine.on_wake(target, lambda: woken.append(str(engine.identity)))
    return woken


@pytest.mark.parametrize(
    ("target", "by"), [("default", "spooler1"), ("mule", "mule1"), ("mule2", "mule2"), ("worker", "worker1")]
)
def test_a_process_of_the_target_is_woken(engine, target, by):
    """At once, as a handler would run."""
    woken = listen(engine, target)
    engine.wake(target)
    assert woken == [by]


def test_one_wakeup_is_queued(engine):
    """However often it is asked for."""
    woken = listen(engine, "mule")
    with engine.paused():
        for _ in range(5):
            engine.wake("mule")
        assert woken == []
    assert woken == ["mule1"]


def test_a_turn_may_wake_itself(engine):
    """The next turn begins after it, not within it."""
    depth, turns = [0], []

    def turn():
        turns.append(depth[0])
        depth[0] += 1
        if len(turns) < 3:
            engine.wake("mule")
        depth[0] -= 1

    engine.on_wake("mule", turn)
    engine.wake("mule")
    assert turns == [0, 0, 0]


def test_the_last_function_counts(engine):
    """A module that is imported again registers again."""
    first, second = listen(engine, "mule"), listen(engine, "mule")
    engine.wake("mule")
    assert (first, second) == ([], ["mule1"])


def test_wakeups_are_hidden(engine):
    """Tests of applications look at their own signals."""
    listen(engine, "mule")
    engine.wake("mule")
    assert (engine.sent, engine.handled, engine.take_failures()) == ([], [], ())
    with engine.as_process("mule1"), engine.paused():
        engine.wake("mule")
        with pytest.raises(WaitTimeout):
            engine.signal_wait(None, 1.0)


def test_signals_get_other_numbers(engine):
    """A number that wakes a target is taken, and one that is taken wakes nobody."""
    engine.register_signal(255, "worker", lambda _num: None)
    listen(engine, "mule")
    assert engine.signal_registered(254)
    with pytest.raises(AlreadyRegistered, match="signal 254: the server wakes 'mule' for tasks"):
        engine.register_signal(254, "worker", lambda _num: None, HandlerOptions("shop.refresh"))


def test_a_name_keeps_its_number(engine):
    """Also one that has no handler."""
    name = next(name for name in map(str, range(100_000)) if engine.allocate_name(name, lambda _num: True) == 255)
    assert engine.has_name(255), name
    listen(engine, "mule")
    assert not engine.signal_registered(255)


def test_an_exception_of_a_turn_is_logged(engine, caplog):
    """The next wake-up works."""
    engine.on_wake("mule", lambda: 1 / 0)
    engine.wake("mule")
    assert "Cannot run tasks for mule" in caplog.text
    woken = listen(engine, "mule")
    engine.wake("mule")
    assert woken == ["mule1"]


def test_unknown_targets(engine):
    """To wake nobody is no error. To listen for a target that the server does not have is one."""
    engine.wake("mule")
    engine.wake_at("mule", 1.0)
    with pytest.raises(TargetError):
        engine.on_wake("mule7", lambda: None)


def test_a_time_on_the_fake_clock(engine):
    """The earliest one wins."""
    assert isinstance(engine.clock, FakeClock)
    woken, now = listen(engine, "mule"), engine.clock.time()
    for seconds in (30, 10, 20):
        engine.wake_at("mule", now + seconds)
    engine.clock.sleep(9)
    assert woken == []
    engine.clock.sleep(1)
    assert woken == ["mule1"]
    engine.clock.sleep(60)
    assert woken == ["mule1"]
    engine.wake_at("mule", engine.clock.time() + 5)
    engine.clock.sleep(5)
    assert woken == ["mule1"] * 2


def test_the_wall_clock_decides(engine):
    """A clock that is set ahead makes it due, one that is set back delays it."""
    woken, now = listen(engine, "mule"), engine.clock.time()
    engine.wake_at("mule", now + 3600)
    engine.clock.set(now - 600)
    engine.clock.sleep(3600)
    assert woken == []
    engine.clock.set(now + 3601)
    engine.clock.sleep(1)
    assert woken == ["mule1"]
