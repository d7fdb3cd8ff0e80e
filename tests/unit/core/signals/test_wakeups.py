"""Wake-ups: the words that processes share, the numbers, and the targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.wakeups import (
    WAKEUP_BYTES,
    WakeupWords,
    begun_turns,
    highest_free,
    wakeup_options,
    wakeup_target,
)
from heliograph.exceptions import NoSignalAvailable, TargetError
from heliograph.models import SIGNALS, FarmSpec, Queue, Topology

SERVER = Topology(workers=2, mules=2, farms=(FarmSpec("crunchers", (1, 2)),), spoolers=1)


def words():
    return WakeupWords(memoryview(bytearray(WAKEUP_BYTES)))


@given(num=st.integers(0, SIGNALS - 1), value=st.integers(0, 2**64 - 1))
def test_each_number_has_words_of_its_own(num, value):
    """Nothing else changes with them, and `closed` is not one of them."""
    found = words()
    found.rung[num] = value
    assert [n for n in range(SIGNALS) if found.rung[n]] == ([num] if value else [])
    found.deadlines[num] = value
    assert [n for n in range(SIGNALS) if found.deadlines[n]] == ([num] if value else [])
    assert found.rung[num] == value
    assert not found.closed


def test_two_processes_see_the_same_words():
    """Both map the same memory."""
    memory = memoryview(bytearray(WAKEUP_BYTES))
    one, other = WakeupWords(memory), WakeupWords(memory)
    one.rung[255] = 7
    one.close_if(stopping=False)
    assert (other.rung[255], other.closed) == (7, False)
    one.close_if(stopping=True)
    assert other.closed
    other.forget()
    assert (one.rung[255], one.closed) == (0, True)


def test_begun_turns_are_those_of_all_processes():
    """Of one number."""
    counters = [memoryview(bytearray(8 * SIGNALS)).cast("Q") for _ in range(3)]
    for number, counter in enumerate(counters):
        counter[255], counter[254] = number + 1, 100
    assert begun_turns(counters, 255) == 6
    assert begun_turns((), 255) == 0


@given(taken=st.sets(st.integers(0, SIGNALS - 1)))
def test_the_highest_free_number(taken):
    """Applications count from below."""
    free = set(range(SIGNALS)) - taken
    if free:
        assert highest_free(lambda num: num not in taken) == max(free)


def test_no_free_number():
    """256 numbers are enough for most."""
    with pytest.raises(NoSignalAvailable):
        highest_free(lambda _num: False)


@pytest.mark.parametrize(
    ("text", "topology", "expected"),
    [
        ("spooler", SERVER, Queue("spooler", 0)),
        ("mule", SERVER, Queue("mule", 0)),
        ("mule2", SERVER, Queue("mule", 2)),
        ("farm_crunchers", SERVER, Queue("farm", 1)),
        ("worker", SERVER, Queue("worker", 0)),
        ("worker1", SERVER, Queue("worker", 1)),
        ("default", SERVER, Queue("spooler", 0)),
        ("default", Topology(workers=1, mules=1), Queue("mule", 0)),
        ("default", Topology(workers=1), Queue("worker", 0)),
    ],
)
def test_the_queue_of_a_target(text, topology, expected):
    """One queue, so that a wake-up is one record."""
    assert wakeup_target(text, topology)[1] == expected


@pytest.mark.parametrize("text", ["workers", "mules", "active-workers"])
def test_several_processes_are_no_target_of_tasks(text):
    """The error says which target to use."""
    with pytest.raises(TargetError, match=r"a task runs in one process\. Use '(worker|mule)'"):
        wakeup_target(text, SERVER)


def test_a_target_that_the_server_does_not_have():
    """As for signals."""
    with pytest.raises(TargetError, match="no spoolers"):
        wakeup_target("spooler", Topology(workers=1))


def test_the_handler_has_no_limits():
    """Each task has its own."""
    options = wakeup_options("mule")
    assert (options.name, options.time_limit, options.wakeup) == ("tasks for mule", 0, True)
