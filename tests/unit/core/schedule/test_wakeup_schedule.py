"""Wake-ups for tasks in a schedule: one time a target, by the wall clock."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.schedule.schedule import CLOCK_CHECK_INTERVAL, ClockReading, Schedule
from heliograph.models import At, Timer, Trigger

NEVER = math.inf
WALL = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""
START = ClockReading(1000.0, WALL)
HOUR, DAY = 3600.0, 86_400.0


def new(**facts) -> Schedule:
    return Schedule(lambda _rule, _after: NEVER, lambda: 0.0, **facts)


def timer(name: str, period: float) -> Trigger:
    return Trigger(1, Timer(period), name)


def at(reading, seconds, wall=None):
    """The time so many seconds later. `wall`: by how much the wall clock has moved."""
    return ClockReading(reading.monotonic + seconds, reading.wall + (seconds if wall is None else wall))


def fired(schedule, now):
    return [(firing.trigger.num, firing.times) for firing in schedule.due(now)]


@given(times=st.lists(st.integers(0, 50), min_size=1, max_size=8))
def test_the_earliest_wakeup_wins(times):
    """It is sent once, when the wall clock reaches it."""
    schedule = new()
    for number, time in enumerate(times):
        assert schedule.wake_at("tasks", 255, WALL + time, START) == WALL + min(times[: number + 1])
    assert schedule.next_wakeup == WALL + min(times)
    runs = [(second, fired(schedule, at(START, second))) for second in range(60)]
    assert [(second, found) for second, found in runs if found] == [(min(times), [(255, 1)])]
    assert schedule.wait(at(START, 60)) == NEVER


def test_a_wakeup_can_be_asked_for_again_once_it_was_sent():
    """Each one is a new one."""
    schedule = new()
    for second in (5, 10, 15):
        schedule.wake_at("tasks", 255, WALL + second, START)
        assert fired(schedule, at(START, second)) == [(255, 1)]


def test_a_wakeup_in_the_past_is_due_now():
    """A process asks the master for it when a queue is full."""
    schedule = new()
    schedule.wake_at("tasks", 255, 0.0, START)
    assert schedule.wait(START) == 0
    assert fired(schedule, START) == [(255, 1)]


@pytest.mark.parametrize(("moved", "due"), [(HOUR, True), (100.0, True), (99.0, False), (-DAY, False), (-60.0, False)])
def test_a_wakeup_follows_the_wall_clock(moved, due):
    """However it got there: a clock that was set ahead makes it due, one that was set back delays it."""
    schedule = new()
    schedule.wake_at("tasks", 255, WALL + 100, START)
    later = at(START, 1, moved)
    assert bool(fired(schedule, later)) is due
    if not due:
        assert fired(schedule, at(later, 100 - moved)) == [(255, 1)]


def test_wakeups_survive_a_reload():
    """They are not triggers of the application."""
    schedule = new()
    schedule.wake_at("tasks", 255, WALL + 5, START)
    schedule.replace_all([timer("a", 3600.0)], START)
    assert [entry.trigger.name for entry in schedule.entries()] == ["a"]
    assert {trigger.name for _, trigger in schedule.upcoming(5, START)} == {"a"}
    assert fired(schedule, at(START, 5)) == [(255, 1)]


def test_a_schedule_with_wakeups_only_need_not_look_at_the_clock():
    """If the host has an alarm for it. With a timer it looks as before."""
    schedule = new(wakeup_check_interval=NEVER)
    schedule.wake_at("tasks", 255, WALL + DAY, START)
    assert schedule.wait(START) == DAY
    schedule.add(timer("a", HOUR), START)
    assert schedule.wait(START) == CLOCK_CHECK_INTERVAL
    assert new().wait(START) == NEVER
    without = new()
    without.wake_at("tasks", 255, WALL + DAY, START)
    assert without.wait(START) == CLOCK_CHECK_INTERVAL


def test_two_targets_have_times_of_their_own():
    """By name."""
    schedule = new()
    schedule.wake_at("spooler", 255, WALL + 2, START)
    schedule.wake_at("mule", 254, WALL + 1, START)
    assert [fired(schedule, at(START, second)) for second in (1, 2)] == [[(254, 1)], [(255, 1)]]
    assert isinstance(schedule.entry("mule").trigger.spec, At)
