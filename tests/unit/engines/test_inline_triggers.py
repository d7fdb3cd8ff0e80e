"""Rows K1-K9 on the inline engine: what raises signals by itself, while a fake clock is told what time it is."""

import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.engines.inline import InlineEngine
from heliograph.runtime.monitoring import register_file_monitor
from heliograph.runtime.scheduling import (
    get_triggers,
    next_runs,
    register_cron,
    register_timer,
    register_timer_ms,
    register_timer_rb,
)
from heliograph.timing.clocks import FakeClock

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def clock(heliograph_engine: InlineEngine) -> FakeClock:
    assert isinstance(heliograph_engine.clock, FakeClock)
    return heliograph_engine.clock


class Runs:
    """A handler that notes when it ran, on both clocks, and who ran it."""

    def __init__(self, engine: InlineEngine):
        self.engine, self.monotonic, self.wall, self.who = engine, [], [], []

    def __call__(self):
        self.monotonic.append(self.engine.clock.monotonic())
        self.wall.append(self.engine.clock.time())
        self.who.append(str(self.engine.identity))

    def shown(self, zone):
        return [dt.datetime.fromtimestamp(at, zone).strftime("%d %H:%M") for at in self.wall]


@pytest.fixture
def runs(heliograph_engine: InlineEngine) -> Runs:
    return Runs(heliograph_engine)


def counts(engine: InlineEngine) -> tuple[int, int]:
    (entry,) = engine._schedule.entries()
    return entry.fired, entry.missed


def at(clock: FakeClock, year: int, *rest: int) -> None:
    """Set the clock to that time in Berlin."""
    clock.set(dt.datetime(year, *rest, tzinfo=BERLIN).timestamp())


@given(naps=st.lists(st.integers(0, 300).map(lambda n: n / 8), max_size=10), period=st.sampled_from([0.125, 1.0, 7.0]))
def test_a_timer_ticks_at_its_times_however_time_passes(naps, period):
    """K1: in one nap or many; each tick when it is due, not when somebody wakes up."""
    engine, ticks = InlineEngine(), []
    engine.register_signal(1, "mule1", lambda _num: ticks.append(engine.clock.monotonic()))
    from heliograph.models import Timer, Trigger

    engine.add_trigger(Trigger(1, Timer(period), "t"))
    for nap in naps:
        engine.clock.sleep(nap)
    assert ticks == [k * period for k in range(1, int(sum(naps) / period) + 1)]


def test_each_kind_of_timer(heliograph_engine: InlineEngine, clock: FakeClock):
    """K1-K3: for ever, so many times, in milliseconds; each where its target is."""
    endless, thrice, fast = (Runs(heliograph_engine) for _ in range(3))
    register_timer(2.5, target="workers")(endless)
    register_timer_rb(1, repeat=3, target="mule2")(thrice)
    register_timer_ms(250, target="spooler")(fast)
    clock.sleep(5)
    assert (endless.monotonic, endless.who) == ([2.5, 2.5, 5.0, 5.0], ["worker1", "worker2"] * 2)
    assert (thrice.monotonic, set(thrice.who)) == ([1.0, 2.0, 3.0], {"mule2"})
    assert (fast.monotonic, set(fast.who)) == ([k / 4 for k in range(1, 21)], {"spooler1"})


def test_a_handler_that_takes_its_time_shifts_nothing(clock: FakeClock, runs: Runs):
    """K1, K4: it sleeps through two ticks, which are one when it is back; then the grid goes on."""

    def slow() -> None:
        runs()
        if len(runs.monotonic) == 1:
            clock.sleep(2.5)

    register_timer(1)(slow)
    clock.sleep(6)
    assert runs.monotonic[0] == 1.0
    assert runs.monotonic[-2:] == [5.0, 6.0]
    assert len(runs.monotonic) == 5


def test_a_handler_may_declare_a_timer(clock: FakeClock, runs: Runs):
    """It starts then."""

    def declare() -> None:
        register_timer_rb(1, repeat=2)(runs)

    register_timer_rb(10, repeat=1)(declare)
    clock.sleep(20)
    assert runs.monotonic == [11.0, 12.0]


@pytest.mark.parametrize(("coalesce", "waiting"), [(True, 1), (False, 5)])
def test_ticks_coalesce_while_one_waits(
    heliograph_engine: InlineEngine, clock: FakeClock, runs: Runs, coalesce, waiting
):
    """K4: the others are missed, not fired; with coalesce=False each waits."""
    register_timer(1, target="mule1", coalesce=coalesce)(runs)
    with heliograph_engine.paused():
        clock.sleep(5)
        assert len(heliograph_engine.queued("mule1")) == waiting
    assert (len(runs.monotonic), counts(heliograph_engine)) == (waiting, (waiting, 5 - waiting))
    clock.sleep(1)
    assert counts(heliograph_engine) == (waiting + 1, 5 - waiting)


def test_a_clock_that_jumps_is_for_rules_only(clock: FakeClock, runs: Runs):
    """A timer counts what passes, whatever the wall clock says."""
    register_timer(10)(runs)
    for change in (-86_400, 86_400 * 365, -5):
        clock.set(clock.time() + change)
        clock.sleep(10)
    assert runs.monotonic == [10.0, 20.0, 30.0]


def test_a_rule_fires_once_a_minute_that_matches(clock: FakeClock, runs: Runs):
    """K5, K7: from ten to six, every other hour, at the full hour."""
    register_cron(hour="10-18/2", tz="UTC")(runs)
    clock.sleep(86_400)
    assert runs.shown(dt.UTC) == [f"01 {hour}:00" for hour in (10, 12, 14, 16, 18)]


def test_a_rule_whose_time_is_skipped(clock: FakeClock, runs: Runs):
    """K7: in the night in which 2:00 becomes 3:00 it runs right after the gap, once."""
    at(clock, 2026, 3, 28, 12, 0)
    register_cron("30 2 * * *", tz="Europe/Berlin")(runs)
    clock.sleep(3 * 86_400)
    assert runs.shown(BERLIN) == ["29 03:00", "30 02:30", "31 02:30"]


def test_a_rule_whose_time_is_repeated(clock: FakeClock, runs: Runs):
    """K7: in the night in which 3:00 becomes 2:00 it runs once, the first time."""
    at(clock, 2026, 10, 24, 12, 0)
    register_cron("30 2 * * *", tz="Europe/Berlin")(runs)
    clock.sleep(3 * 86_400)
    assert runs.shown(BERLIN) == ["25 02:30", "26 02:30", "27 02:30"]
    assert [dt.datetime.fromtimestamp(when, dt.UTC).hour for when in runs.wall] == [0, 1, 1]


def test_a_rule_of_every_hour_follows_the_time_that_passes(clock: FakeClock, runs: Runs):
    """K7: twenty-three times in the short day, twenty-five times in the long one."""
    seen = []
    for month, day in ((3, 29), (10, 25)):
        at(clock, 2026, month, day - 1, 23, 30)
        clock.sleep(0)
        register_cron(f"0 * {day} {month} *", tz="Europe/Berlin")(runs)
        before = len(runs.wall)
        clock.sleep(26 * 3600)
        seen.append(len(runs.wall) - before)
    assert seen == [23, 25]


def test_a_rule_in_two_zones(clock: FakeClock, heliograph_engine: InlineEngine):
    """Each by its own clock."""
    east, west = Runs(heliograph_engine), Runs(heliograph_engine)
    register_cron(hour=3, tz="Asia/Tokyo")(east)
    register_cron(hour=3, tz="America/New_York")(west)
    clock.sleep(86_400)
    assert east.shown(dt.UTC) == ["01 18:00"]
    assert west.shown(dt.UTC) == ["01 08:00"]


def test_without_a_zone_it_is_the_machines_own(clock: FakeClock, runs: Runs, monkeypatch):
    """As TZ has it."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    register_cron(hour=3)(runs)
    clock.sleep(86_400)
    assert runs.shown(dt.UTC) == ["01 18:00"]


def test_next_runs_come(clock: FakeClock, runs: Runs, monkeypatch):
    """What `next_runs` says is what happens; it reads the real clock, so that one is told the same time."""
    import time

    monkeypatch.setattr(time, "time", clock.time)
    register_timer(700)(runs)
    register_cron(minute=-10, tz="UTC")(runs)
    said = [run.when.timestamp() for run in next_runs(9)]
    clock.sleep(said[-1] - clock.time())
    assert runs.wall == pytest.approx(said)


@pytest.mark.parametrize(
    ("watched", "recursive", "told"),
    [
        ("site", False, {"site": 1, "site/conf": 1, "site/conf/a": 0, "site2": 0, "": 0}),
        ("site", True, {"site": 1, "site/conf": 1, "site/conf/a": 1, "site2": 0, "": 0}),
        ("site/conf/a", False, {"site": 0, "site/conf": 0, "site/conf/a": 1, "site/conf/ab": 0}),
    ],
)
def test_a_change_is_told(heliograph_engine: InlineEngine, runs: Runs, tmp_path: Path, watched, recursive, told):
    """K9: of the path, of what is in it, and with `recursive` of all that is below."""
    register_file_monitor(tmp_path / watched, recursive=recursive, missing_ok=True, target="mule1")(runs)
    seen = Counter()
    for path in told:
        before = len(runs.who)
        heliograph_engine.changed(str(tmp_path / path))
        seen[path] = len(runs.who) - before
    assert dict(seen) == told
    assert set(runs.who) == {"mule1"}
    assert counts(heliograph_engine) == (sum(told.values()), 0)


def test_changes_coalesce_and_are_counted(heliograph_engine: InlineEngine, runs: Runs, tmp_path: Path):
    """While one waits, another adds nothing; a removed monitor is told nothing."""
    from heliograph.runtime.scheduling import unregister_trigger

    register_file_monitor(tmp_path)(runs)
    with heliograph_engine.paused():
        for _ in range(3):
            heliograph_engine.changed(str(tmp_path / "file"))
    assert (len(runs.who), counts(heliograph_engine)) == (1, (1, 2))
    unregister_trigger(get_triggers()[0].name)
    heliograph_engine.changed(str(tmp_path))
    assert len(runs.who) == 1


def test_who_raises_it_is_the_master(heliograph_engine: InlineEngine, clock: FakeClock, runs: Runs):
    """Whoever let the time pass."""
    register_timer(1)(runs)
    with heliograph_engine.as_process("mule2"):
        clock.sleep(1)
    sent: Any = heliograph_engine.sent
    assert [str(each.by) for each in sent] == ["master"]
