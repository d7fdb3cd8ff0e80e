"""The schedule compared with plain lists of due times, on a simulated clock.

Compared times are multiples of 1/8 of a second. Their sums are exact, so the model need not consider rounding. Rounding
has its own tests.
"""

import heapq
import itertools
import math
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliograph._core.schedule import schedule as module
from heliograph._core.schedule.cron import cron_rule
from heliograph._core.schedule.schedule import (
    CLOCK_CHECK_INTERVAL,
    CLOCK_JUMP,
    MAX_CATCH_UP_RUNS,
    MAX_STALE_ITEMS,
    ClockReading,
    Schedule,
)
from heliograph.models import CronRule, FileMonitor, Timer, Trigger
from heliograph.timing.zones import next_fire

NEVER = math.inf
WALL = 1_767_225_600.0
"""2026-01-01 00:00 UTC."""
START = ClockReading(1000.0, WALL)
HOUR, DAY = 3600.0, 86_400.0
NAMES = ["a", "b", "c", "d"]

eighths = st.integers(1, 800).map(lambda n: n / 8)
graces = st.none() | st.integers(0, 800).map(lambda n: n / 8)


def every(seconds: int) -> CronRule:
    """A rule that fires whenever the wall clock is a multiple of so many seconds. It counts as one with fixed times."""
    return CronRule(str(seconds), "0", "*", "*", "*")


def fake_next(what: CronRule, after: float) -> float:
    step = int(what.minute)
    return (math.floor(after) // step + 1) * step


def new(random=lambda: 0.0, **facts) -> Schedule:
    return Schedule(fake_next, random, **facts)


def timer(name="a", period=1.0, repeat=0, **facts) -> Trigger:
    return Trigger(1, Timer(period, repeat), name, **facts)


def cron(name="a", step=60, **facts) -> Trigger:
    return Trigger(1, every(step), name, **facts)


def after(now: ClockReading, seconds: float) -> ClockReading:
    return ClockReading(now.monotonic + seconds, now.wall + seconds)


def fired(schedule: Schedule, now: ClockReading) -> dict[str, int]:
    """Return what fires now, each trigger once."""
    found = schedule.due(now)
    names = [firing.trigger.name for firing in found]
    assert len(names) == len(set(names))
    assert all(firing.times > 0 for firing in found)
    return {firing.trigger.name: firing.times for firing in found}


def counts(schedule: Schedule, name="a") -> tuple[int, int]:
    entry = schedule.entry(name)
    assert entry is not None
    return entry.fired, entry.missed


# comparison with a model


class Deadlines:
    """One trigger as a list of due times: a slow model of the schedule."""

    def __init__(self, trigger: Trigger, now: ClockReading):
        self.trigger, self.fired, self.missed = trigger, 0, 0
        self.start, self.number, self.left = now.monotonic, 1, getattr(trigger.spec, "repeat", 0) or NEVER
        self.next = NEVER
        self.plan(now.wall)

    @property
    def is_timer(self):
        return isinstance(self.trigger.spec, Timer)

    def plan(self, wall):
        if not self.is_timer:
            self.next = fake_next(self.trigger.spec, wall)
        elif self.left:
            self.next = self.start + self.number * self.trigger.spec.period
        else:
            self.next = NEVER

    def change(self, period, now):
        self.trigger = replace(self.trigger, spec=replace(self.trigger.spec, period=period))
        self.start, self.number = now.monotonic, 1
        self.plan(now.wall)

    def pop(self, now):
        """Return how often to fire for all due times that have passed."""
        time = now.monotonic if self.is_timer else now.wall
        passed = []
        while self.next <= time:
            passed.append(self.next)
            self.number += 1
            self.left -= 1
            self.plan(self.next)
        grace = self.trigger.misfire_grace
        in_time = [at for at in passed if grace is None or time - at <= grace]
        times = min(len(in_time), 1 if self.trigger.coalesce else MAX_CATCH_UP_RUNS)
        self.fired, self.missed = self.fired + times, self.missed + len(passed) - times
        if passed and not self.is_timer:
            self.plan(time)
        return times


class AgainstDeadlines(RuleBasedStateMachine):
    """Compares a schedule with its model under random operations."""

    def __init__(self):
        super().__init__()
        self.now, self.offset, self.corrected = START, None, False
        self.schedule = new()
        self.model: dict[str, Deadlines] = {}
        self.asked = False

    def trigger(self, data, name):
        what = data.draw(
            st.builds(Timer, eighths, st.sampled_from([0, 0, 1, 3])) | st.sampled_from([60, 600, 7]).map(every)
        )
        # If a rule is passed over more than a thousand times, the newest runs count, not the oldest.
        grace = data.draw(graces) if isinstance(what, Timer) else None
        return Trigger(data.draw(st.integers(0, 3)), what, name, 0.0, data.draw(st.booleans()), grace)

    def ask(self):
        offset = self.now.wall - self.now.monotonic
        if self.offset is not None and abs(offset - self.offset) > CLOCK_JUMP:
            for lines in self.model.values():
                if not lines.is_timer:
                    lines.plan(self.now.wall)
        if self.offset is not None or self.model:
            self.offset = offset
        wanted = {name: times for name, lines in self.model.items() if (times := lines.pop(self.now))}
        assert fired(self.schedule, self.now) == wanted
        self.asked = True

    def put(self, trigger):
        if self.offset is None:
            self.offset = self.now.wall - self.now.monotonic
        self.model[trigger.name] = Deadlines(trigger, self.now)

    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def add(self, data, name):
        trigger = self.trigger(data, name)
        self.schedule.add(trigger, self.now)
        self.put(trigger)
        self.ask()

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name):
        assert self.schedule.remove(name) is (self.model.pop(name, None) is not None)

    @rule(name=st.sampled_from(NAMES), period=eighths)
    def change(self, name, period):
        lines = self.model.get(name)
        timed = lines is not None and lines.is_timer
        assert self.schedule.change_period(name, period, self.now) is timed
        if timed:
            lines.change(period, self.now)

    @rule(data=st.data(), kept=st.sets(st.sampled_from(NAMES)), others=st.sets(st.sampled_from(NAMES)))
    def adopt(self, data, kept, others):
        """A reload: some triggers stay, with other signals. Some change, are new, or are removed."""
        stay = [replace(self.model[name].trigger, num=9) for name in sorted(kept) if name in self.model]
        come = [self.trigger(data, name) for name in sorted(others - kept)]
        before, self.model = self.model, {}
        for trigger in (*stay, *come):
            known = before.get(trigger.name)
            if known is not None and known.trigger.spec == trigger.spec:
                known.trigger = trigger
                self.model[trigger.name] = known
            else:
                self.put(trigger)
        self.schedule.replace_all([*stay, *come], self.now)
        self.ask()

    @rule(seconds=st.integers(0, 4000).map(lambda n: n / 8))
    def pass_time(self, seconds):
        self.now = after(self.now, seconds)
        self.asked = False

    @rule(seconds=st.integers(4000, 10_000))
    def fall_asleep(self, seconds):
        self.now = after(self.now, seconds)
        self.ask()

    @rule(seconds=st.integers(int(-CLOCK_JUMP), int(CLOCK_JUMP)) | st.sampled_from([-2 * DAY, 2 * DAY, 5 * HOUR]))
    def set_the_clock(self, seconds):
        self.now = ClockReading(self.now.monotonic, self.now.wall + seconds)
        self.asked = False

    @rule()
    def look(self):
        self.ask()

    @precondition(lambda self: self.asked)
    @invariant()
    def says_when_to_ask_again(self):
        """The wait ends at the next due time, or at the next check of the wall clock."""
        timers = [lines.next - self.now.monotonic for lines in self.model.values() if lines.is_timer]
        rules = [lines.next - self.now.wall for lines in self.model.values() if not lines.is_timer]
        first = min([NEVER, *timers, *rules])
        assert self.schedule.wait(self.now) == max(0.0, min(first, CLOCK_CHECK_INTERVAL if first < NEVER else NEVER))

    @invariant()
    def counts_every_run(self):
        """Each passed run was fired or missed, and no other trigger is there."""
        assert {e.trigger.name: (e.trigger, e.fired, e.missed) for e in self.schedule.entries()} == {
            name: (lines.trigger, lines.fired, lines.missed) for name, lines in self.model.items()
        }


AgainstDeadlines.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAgainstDeadlines = AgainstDeadlines.TestCase


# timers


@given(period=eighths, steps=st.lists(st.integers(0, 500), max_size=30))
def test_timer_keeps_its_fixed_rate(period, steps):
    """However late the host asks, the next run is due at start + k periods, and no run is lost."""
    schedule, now = new(clock_check_interval=NEVER), START
    schedule.add(timer(period=period), now)
    for step in steps:
        now = after(now, step / 8)
        schedule.due(now)
        passed = int(Fraction(now.monotonic - START.monotonic) / Fraction(period))
        assert sum(counts(schedule)) == passed
        assert now.monotonic + schedule.wait(now) == START.monotonic + (passed + 1) * period


@pytest.mark.parametrize("start", [0.0, 0.3, 12_345.678, 1e6 + 0.1, 2.0**31 + 0.7])
@pytest.mark.parametrize("period", [0.1, 0.3, 1 / 3, 0.007, 1e-6, 1.1])
def test_rounding_neither_skips_nor_repeats_a_run(start, period):
    """Asked exactly at the due time of a float, that run fires alone."""
    schedule = new()
    schedule.add(timer(period=period, coalesce=False), ClockReading(start, WALL))
    entry = schedule.entry("a")
    assert entry is not None
    for k in itertools.chain(range(1, 3000), range(10**6, 10**6 + 3000)):
        at = start + k * period
        if entry.tick < k:  # from 3,000 to a million in one step
            fired(schedule, ClockReading(start + (k - 1) * period, WALL))
            assert entry.tick == k
        assert fired(schedule, ClockReading(math.nextafter(at, 0), WALL)) == {}
        assert fired(schedule, ClockReading(at, WALL)) == {"a": 1}
        assert (entry.tick, entry.due) == (k + 1, start + (k + 1) * period)
    assert sum(counts(schedule)) == 10**6 + 2999


@given(
    start=st.floats(0, 1e7),
    period=st.floats(1e-6, 1e5),
    leaps=st.lists(st.floats(0, 1e5), min_size=1, max_size=5),
)
def test_next_run_after_a_leap_is_the_first_to_come(start, period, leaps):
    """Compared with the due times themselves, not with a rounded quotient."""
    schedule = new()
    schedule.add(timer(period=period), ClockReading(start, WALL))
    entry, at = schedule.entry("a"), start
    assert entry is not None
    for leap in leaps:
        at += leap
        fired(schedule, ClockReading(at, WALL))
        assert start + (entry.tick - 1) * period <= at < entry.due == start + entry.tick * period
        assert sum(counts(schedule)) == entry.tick - 1


@pytest.mark.parametrize("repeat", [1, 2, 7])
@pytest.mark.parametrize("coalesce", [True, False])
def test_timer_repeats_exactly(repeat, coalesce):
    """Also if the host asks for the last run too late."""
    schedule, now = new(), START
    schedule.add(timer(repeat=repeat, coalesce=coalesce), now)
    for _ in range(repeat - 1):
        now = after(now, 1.0)
        assert fired(schedule, now) == {"a": 1}
    now = after(now, 50.0)
    assert fired(schedule, now) == {"a": 1}
    assert fired(schedule, after(now, DAY)) == {}
    assert (schedule.wait(now), counts(schedule)) == (NEVER, (repeat, 0))


def test_repeat_that_was_missed_completely():
    """One run makes up for the rest, or all runs."""
    schedule = new()
    schedule.replace_all([timer("a", repeat=5), timer("b", repeat=5, coalesce=False)], START)
    assert fired(schedule, after(START, 100.0)) == {"a": 1, "b": 5}
    assert [counts(schedule, name) for name in "ab"] == [(1, 4), (5, 0)]
    assert schedule.wait(after(START, 100.0)) == NEVER


def test_missed_runs_are_caught_up():
    """By one run while the others count as missed, or with coalesce=False by up to a thousand."""
    schedule = new()
    schedule.replace_all([timer("a"), timer("b", coalesce=False), timer("c", 0.125, coalesce=False)], START)
    assert fired(schedule, after(START, 300.5)) == {"a": 1, "b": 300, "c": MAX_CATCH_UP_RUNS}
    assert [counts(schedule, name) for name in "abc"] == [
        (1, 299),
        (300, 0),
        (MAX_CATCH_UP_RUNS, 2404 - MAX_CATCH_UP_RUNS),
    ]


@pytest.mark.parametrize(
    ("grace", "late", "expected"),
    [(0.0, 0.0, 1), (0.0, 0.125, 0), (0.5, 0.5, 1), (0.5, 0.625, 0), (1.0, 3.0, 2), (1.5, 3.0, 2), (2.0, 3.0, 3)],
)
def test_run_later_than_misfire_grace_is_missed(grace, late, expected):
    """The limit is inclusive, and applies to each run."""
    schedule = new()
    schedule.add(timer(coalesce=False, misfire_grace=grace), START)
    assert sum(fired(schedule, after(START, 1.0 + late)).values()) == expected
    assert sum(counts(schedule)) == 1 + int(late)


def test_new_period_counts_from_now():
    """The planned run does not fire."""
    schedule, now = new(), after(START, 0.5)
    schedule.add(timer(period=10.0), START)
    assert schedule.change_period("a", 2.0, now)
    assert schedule.wait(now) == 2.0
    assert fired(schedule, after(START, 2.5)) == {"a": 1}
    assert fired(schedule, after(START, 4.0)) == {}
    assert not schedule.change_period("missing", 2.0, now)
    assert schedule.entries()[0].trigger == timer(period=2.0)


def test_new_period_keeps_the_number_of_runs():
    """A timer that repeats three times runs three times in all."""
    schedule, now = new(), after(START, 2.0)
    schedule.add(timer(repeat=3, coalesce=False), START)
    assert fired(schedule, now) == {"a": 2}
    schedule.change_period("a", 5.0, now)
    assert [when for when, _ in schedule.upcoming(9, now)] == [now.wall + 5.0]
    assert fired(schedule, after(now, 100.0)) == {"a": 1}
    schedule.change_period("a", 1.0, after(now, 100.0))
    assert fired(schedule, after(now, 200.0)) == {}
    assert counts(schedule) == (3, 0)


@given(chances=st.lists(st.floats(0, 1), min_size=1, max_size=20), jitter=st.integers(1, 8).map(lambda n: n / 8))
def test_jitter_delays_a_run_but_not_the_rate(chances, jitter):
    """By at most its value, and never to an earlier time."""
    given_chances = iter([*chances, 0.0])
    schedule, now = new(random=lambda: next(given_chances)), START
    schedule.add(timer(jitter=jitter, misfire_grace=0.0), START)
    for k, chance in enumerate(chances, 1):
        due = START.monotonic + k
        now = ClockReading(due + chance * jitter, WALL)
        assert due <= now.monotonic <= due + jitter
        assert fired(schedule, ClockReading(math.nextafter(now.monotonic, 0), WALL)) == {}
        if jitter < 1.0:
            assert fired(schedule, now) == {"a": 1}, "put off is not late"
            assert counts(schedule) == (k, 0)
        else:  # delayed until the next one is due, they coalesce
            fired(schedule, now)
            break


def test_jitter_of_a_rule_does_not_count_as_late():
    """A run delayed by half a minute is in time, and the next one is at its usual time."""
    schedule = new(clock_check_interval=NEVER, random=lambda: 0.5)
    schedule.add(cron(jitter=60.0, misfire_grace=1.0), START)
    assert fired(schedule, after(START, 89.0)) == {}
    assert fired(schedule, after(START, 90.0)) == {"a": 1}
    assert schedule.wait(after(START, 90.0)) == 60.0
    assert counts(schedule) == (1, 0)


# reload


def test_reload_continues_unchanged_triggers():
    """Its rate, its counts, and whether it has ended, even if the signal or other options have changed."""
    schedule, now = new(), after(START, 1.5)
    schedule.replace_all([timer("a"), timer("once", repeat=1), cron("r", 7)], START)
    fired(schedule, now)
    again = [replace(timer("a", jitter=0.0, misfire_grace=5.0), num=8), replace(timer("once", repeat=1), num=9)]
    schedule.replace_all([*again, cron("r", 7)], now)
    assert schedule.wait(now) == 0.5
    assert fired(schedule, after(START, 1.875)) == {}
    later = schedule.due(after(START, 2.0))
    assert [(firing.trigger.name, firing.trigger.num) for firing in later] == [("a", 8)]
    assert counts(schedule, "once") == (1, 0)


def test_reload_starts_new_and_stops_removed_triggers():
    """A changed period is a new trigger. A removed one never fires, in spite of stale items."""
    schedule, now = new(), after(START, 0.5)
    schedule.replace_all([timer("a"), timer("b"), cron("r")], START)
    schedule.replace_all([timer("a", 2.0), timer("c")], now)
    assert {entry.trigger.name for entry in schedule.entries()} == {"a", "c"}
    assert fired(schedule, after(START, 1.25)) == {}
    assert fired(schedule, after(now, 1.0)) == {"c": 1}
    assert fired(schedule, after(now, 2.0)) == {"a": 1, "c": 1}
    schedule.replace_all([], now)
    assert fired(schedule, after(now, DAY)) == {}
    assert schedule.wait(now) == NEVER


def test_removed_trigger_that_is_added_again_is_new():
    """The stale items of the old one do not fire."""
    schedule = new()
    schedule.add(timer(), START)
    assert schedule.remove("a")
    assert not schedule.remove("a")
    schedule.add(timer(), after(START, 0.5))
    assert fired(schedule, after(START, 1.0)) == {}
    assert fired(schedule, after(START, 1.5)) == {"a": 1}


def test_stale_items_are_bounded():
    """With a yearly timer whose period changes each second, and with new names at each reload."""
    schedule = new()
    for number in range(2000):
        schedule.replace_all([timer("a", 365 * DAY), cron(f"r{number}", 86_400)], after(START, number))
        schedule.change_period("a", 365 * DAY, after(START, number))
    for heap in (schedule._timers, schedule._rules):
        assert len(heap) <= 2 * 2 + MAX_STALE_ITEMS


# cron rules and the wall clock


def test_rule_fires_once_in_each_matching_minute():
    """It does not depend on how often the host asks."""
    schedule, seen = new(), Counter()
    schedule.add(cron(coalesce=False), START)
    for second in range(0, 3601, 7):
        seen.update(fired(schedule, after(START, second)))
    assert seen == {"a": 59}
    assert fired(schedule, after(START, 3600.0)) == {"a": 1}
    assert fired(schedule, after(START, 3659.9)) == {}


def test_clocks_are_checked_periodically():
    """While there are rules, since the clock may be set, and while there are timers, since the machine may sleep."""
    schedule = new(clock_check_interval=30.0)
    schedule.add(cron(step=7 * 86_400), START)
    assert schedule.wait(START) == 30.0
    schedule.remove("a")
    schedule.add(timer(period=HOUR), START)
    assert schedule.wait(START) == 30.0
    schedule.remove("a")
    assert schedule.wait(START) == NEVER


@pytest.mark.parametrize("hours", [-1, -2.5, -3])
def test_clock_set_back_repeats_no_run(hours):
    """Up to three hours: the rule does not fire until the clock is where it was."""
    schedule = new()
    schedule.add(cron(), START)
    assert fired(schedule, after(START, 60.0)) == {"a": 1}
    set_back = ClockReading(START.monotonic + 61, WALL + 61 + hours * HOUR)
    assert fired(schedule, set_back) == {}
    for minute in range(1, int(-hours * 60)):
        assert fired(schedule, after(set_back, 60.0 * minute)) == {}
    assert fired(schedule, after(set_back, -hours * HOUR + 60.0)) == {"a": 1}
    assert counts(schedule) == (2, 0)


def minutely(minute: str, hour: str) -> tuple[Schedule, Trigger]:
    schedule = Schedule(next_fire, lambda: 0.0)
    return schedule, Trigger(1, CronRule(minute, hour, "*", "*", "*", "UTC"), "a")


@pytest.mark.parametrize("fields", [("*", "*"), ("*/1", "0-23"), ("0-59", "*")])
def test_rule_that_follows_elapsed_time_goes_on_after_the_clock_was_set_back(fields):
    """It fires in each minute that passes, as in Debian's cron."""
    schedule, trigger = minutely(*fields)
    schedule.add(trigger, START)
    assert fired(schedule, after(START, 60.0)) == {"a": 1}
    set_back = ClockReading(START.monotonic + 61, WALL + 61 - HOUR)
    assert fired(schedule, set_back) == {}
    set_back = after(set_back, -1.0)
    for minute in range(1, 61):
        assert fired(schedule, after(set_back, 60.0 * minute)) == {"a": 1}


def test_small_correction_repeats_no_run():
    """A clock that is set back by some seconds shows a minute twice. The rule runs once."""
    schedule, trigger = minutely("*", "*")
    schedule.add(trigger, START)
    assert fired(schedule, after(START, 60.0)) == {"a": 1}
    set_back = ClockReading(START.monotonic + 61, WALL + 59)
    assert fired(schedule, set_back) == {}
    assert fired(schedule, after(set_back, 2.0)) == {}
    assert fired(schedule, after(set_back, 61.0)) == {"a": 1}


@pytest.mark.parametrize("hours", [-4, -48, 4, 48])
def test_corrected_clock_holds_immediately(hours):
    """More than three hours: the new time counts, and the time in between does not."""
    schedule = new()
    schedule.add(cron(), START)
    schedule.add(timer("t", 100.0), START)
    fired(schedule, after(START, 60.0))
    corrected = ClockReading(START.monotonic + 61, WALL + 61 + hours * HOUR)
    assert fired(schedule, corrected) == {}
    assert fired(schedule, after(corrected, 58.0)) == {"t": 1}
    assert fired(schedule, after(corrected, 59.0)) == {"a": 1}
    assert counts(schedule) == (2, 0)


@pytest.mark.parametrize("hours", [1, 2.5, 3])
def test_clock_set_forward_catches_up(hours):
    """Up to three hours: by one run, or by all."""
    schedule = new()
    schedule.replace_all([cron("a"), cron("b", coalesce=False)], START)
    fired(schedule, START)
    assert fired(schedule, ClockReading(START.monotonic, WALL + hours * HOUR)) == {"a": 1, "b": hours * 60}


def test_clock_set_before_the_first_check():
    """The schedule compares it with the time at which the rule was planned."""
    schedule = new()
    schedule.add(cron(), START)
    corrected = ClockReading(START.monotonic + 1, WALL - 2 * DAY)
    assert fired(schedule, corrected) == {}
    assert fired(schedule, after(corrected, 60.0)) == {"a": 1}


@pytest.mark.parametrize("coalesce", [True, False])
def test_newest_run_counts_after_a_long_suspend(coalesce):
    """Two thousand runs of a rule were missed, and the last few are still in time."""
    schedule = new(clock_check_interval=NEVER)
    schedule.add(cron(coalesce=coalesce, misfire_grace=90.0), START)
    fired(schedule, START)
    assert fired(schedule, after(START, 2000 * 60.0 + 30.0)) == {"a": 1 if coalesce else 2}
    assert schedule.wait(after(START, 2000 * 60.0 + 30.0)) == 30.0


def test_rule_that_never_fires_again_is_not_planned():
    """Its next time is infinite. It is not listed, and does not affect others."""
    last = WALL + 60.0
    schedule = Schedule(lambda _rule, after: last if after < last else NEVER, lambda: 0.0)
    schedule.add(cron(), START)
    assert [when for when, _ in schedule.upcoming(5, START)] == [last]
    assert fired(schedule, after(START, 60.0)) == {"a": 1}
    assert schedule.upcoming(5, after(START, 60.0)) == []
    assert schedule.wait(after(START, 60.0)) == NEVER


def test_real_rules_fire_on_time():
    """In the zone of the rule, across a clock change."""
    schedule = Schedule(next_fire, lambda: 0.0)
    night = ClockReading(0.0, 1_774_738_800.0)  # 2026-03-29 00:00 in Berlin; 2:00 becomes 3:00
    rules = {"skipped": "30 2 * * *", "hourly": "0 * * * *", "noon": "0 12 * * *"}
    schedule.replace_all([Trigger(1, cron_rule(text, tz="Europe/Berlin"), name) for name, text in rules.items()], night)
    seen = Counter()
    for minute in range(24 * 60):
        seen.update(fired(schedule, after(night, 60.0 * minute)))
    assert seen == {"skipped": 1, "hourly": 23, "noon": 1}


# to look at it


@given(
    timers=st.lists(st.tuples(eighths, st.sampled_from([0, 1, 2])), max_size=4),
    rules=st.lists(st.sampled_from([7, 60, 600]), max_size=3),
    late=st.integers(0, 800).map(lambda n: n / 8),
    most=st.integers(0, 30),
)
def test_upcoming_runs_match_the_actual_runs(timers, rules, late, most):
    """In the same order and at the same times."""
    schedule, now = new(clock_check_interval=NEVER), after(START, late)
    triggers = [timer(f"t{n}", period, repeat) for n, (period, repeat) in enumerate(timers)]
    triggers += [cron(f"r{n}", step) for n, step in enumerate(rules)]
    schedule.replace_all(triggers, START)
    fired(schedule, now)
    listed = schedule.upcoming(most, now)
    came: list[tuple[float, str]] = []
    while len(came) < most and (wait := schedule.wait(now)) < NEVER:
        now = after(now, wait)
        came += [(now.wall, name) for name in fired(schedule, now)]
    assert [when for when, _ in listed] == [when for when, _ in came[:most]]
    last = listed[-1][0] if listed else NEVER
    assert {(when, trigger.name) for when, trigger in listed if when < last} == {
        each for each in came if each[0] < last
    }


def test_upcoming_runs_cost_no_more_than_asked_for():
    """Five runs of 20,000 triggers need few steps for each, and next times for five. A negative number means none."""
    asked = []

    def noted(what: CronRule, after: float) -> float:
        asked.append(after)
        return fake_next(what, after)

    schedule = Schedule(noted, lambda: 0.0)
    schedule.replace_all([cron(f"r{number}", 60 + number) for number in range(20_000)], START)
    asked.clear()
    assert len(schedule.upcoming(5, START)) == 5
    assert len(asked) <= 5
    assert schedule.upcoming(-1, START) == schedule.upcoming(0, START) == []


def test_file_monitors_are_listed_and_have_no_times():
    """The schedule only keeps their counts."""
    schedule = new()
    schedule.add(Trigger(1, FileMonitor("/etc"), "m"), START)
    assert (schedule.wait(START), schedule.upcoming(5, START), fired(schedule, after(START, DAY))) == (NEVER, [], {})
    assert not schedule.change_period("m", 1.0, START)
    assert [entry.trigger.name for entry in schedule.entries()] == ["m"]


def test_skipped_run_counts_as_missed():
    """It then does not count as fired. For a removed trigger nothing happens."""
    schedule = new()
    schedule.add(timer(), START)
    fired(schedule, after(START, 1.0))
    schedule.count_missed("a")
    schedule.count_missed("missing")
    assert counts(schedule) == (0, 1)
    assert schedule.entry("missing") is None


# many


class Counting:
    """`heapq` that counts its calls."""

    def __init__(self):
        self.calls = Counter()

    def __getattr__(self, name):
        self.calls[name] += 1
        return getattr(heapq, name)


def test_an_idle_schedule_costs_the_same_with_ten_thousand_timers(monkeypatch):
    """If nothing is due, the schedule looks at the first item of each heap. If one timer is due, it moves that one."""
    schedule, counting = new(), Counting()
    schedule.replace_all([timer(f"t{number}", 100.0 + number) for number in range(10_000)], START)
    schedule.add(cron("r", 86_400), START)
    monkeypatch.setattr(module, "heapq", counting)

    class NoWalk(dict):
        def __iter__(self):
            raise AssertionError("the schedule looked at all triggers")

        items = values = keys = __iter__

    schedule._entries = NoWalk(schedule._entries)
    for second in range(99):
        assert fired(schedule, after(START, float(second))) == {}
        assert schedule.wait(after(START, float(second))) == min(CLOCK_CHECK_INTERVAL, 100.0 - second)
    assert not counting.calls
    assert fired(schedule, after(START, 100.0)) == {"t0": 1}
    assert sum(counting.calls.values()) == 2


def test_a_hundred_thousand_timers():
    """You can add them, they fire in order, and you can remove them."""
    schedule = new()
    numbers = list(range(100_000))
    random.Random(1).shuffle(numbers)
    schedule.replace_all([timer(f"t{number}", 1.0 + number / 1024) for number in numbers], START)
    order = [firing.trigger.name for firing in schedule.due(after(START, 1.5))]
    assert order == [f"t{number}" for number in range(513)]
    assert [trigger.name for _, trigger in schedule.upcoming(2, after(START, 1.5))] == ["t513", "t514"]
    schedule.replace_all([], START)
    assert schedule.wait(START) == NEVER
