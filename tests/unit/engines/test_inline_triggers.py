"""Triggers on the inline engine, driven by a fake clock."""

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
    """A handler that records the time of each run on both clocks, and the process."""

    def __init__(self, engine: InlineEngine):
        self.engine, self.monotonic, self.wall, self.processes = engine, [], [], []

    def __call__(self):
        self.monotonic.append(self.engine.clock.monotonic())
        self.wall.append(self.engine.clock.time())
        self.processes.append(str(self.engine.identity))

    def shown(self, zone):
        return [dt.datetime.fromtimestamp(at, zone).strftime("%d %H:%M") for at in self.wall]


@pytest.fixture
def runs(heliograph_engine: InlineEngine) -> Runs:
    return Runs(heliograph_engine)


def counts(engine: InlineEngine) -> tuple[int, int]:
    (row,) = engine._scheduler.rows()
    return row["fired"], row["missed"]


def at(clock: FakeClock, year: int, *rest: int) -> None:
    """Set the clock to that time in Berlin."""
    clock.set(dt.datetime(year, *rest, tzinfo=BERLIN).timestamp())


@given(naps=st.lists(st.integers(0, 300).map(lambda n: n / 8), max_size=10), period=st.sampled_from([0.125, 1.0, 7.0]))
def test_timer_runs_on_time_however_time_passes(naps, period):
    """Time passes in one sleep or in many."""
    engine, ticks = InlineEngine(), []
    engine.register_signal(1, "mule1", lambda _num: ticks.append(engine.clock.monotonic()))
    from heliograph.models import Timer, Trigger

    engine.add_trigger(Trigger(1, Timer(period), "t"))
    for nap in naps:
        engine.clock.sleep(nap)
    assert ticks == [k * period for k in range(1, int(sum(naps) / period) + 1)]


def test_each_kind_of_timer(heliograph_engine: InlineEngine, clock: FakeClock):
    """Without end, a number of times, and in milliseconds, each in its target."""
    endless, thrice, fast = (Runs(heliograph_engine) for _ in range(3))
    register_timer(2.5, target="workers")(endless)
    register_timer_rb(1, repeat=3, target="mule2")(thrice)
    register_timer_ms(250, target="spooler")(fast)
    clock.sleep(5)
    assert (endless.monotonic, endless.processes) == ([2.5, 2.5, 5.0, 5.0], ["worker1", "worker2"] * 2)
    assert (thrice.monotonic, set(thrice.processes)) == ([1.0, 2.0, 3.0], {"mule2"})
    assert (fast.monotonic, set(fast.processes)) == ([k / 4 for k in range(1, 21)], {"spooler1"})


def test_slow_handler_does_not_shift_the_timer(clock: FakeClock, runs: Runs):
    """Two runs during the handler coalesce into one. Then the fixed rate continues."""

    def slow() -> None:
        runs()
        if len(runs.monotonic) == 1:
            clock.sleep(2.5)

    register_timer(1)(slow)
    clock.sleep(6)
    assert runs.monotonic[0] == 1.0
    assert runs.monotonic[-2:] == [5.0, 6.0]
    assert len(runs.monotonic) == 5


def test_handler_can_register_a_timer(clock: FakeClock, runs: Runs):
    """The timer starts at that time."""

    def declare() -> None:
        register_timer_rb(1, repeat=2)(runs)

    register_timer_rb(10, repeat=1)(declare)
    clock.sleep(20)
    assert runs.monotonic == [11.0, 12.0]


@pytest.mark.parametrize(("coalesce", "waiting"), [(True, 1), (False, 5)])
def test_runs_coalesce_while_one_is_queued(
    heliograph_engine: InlineEngine, clock: FakeClock, runs: Runs, coalesce, waiting
):
    """The others count as missed. With coalesce=False each is queued."""
    register_timer(1, target="mule1", coalesce=coalesce)(runs)
    with heliograph_engine.paused():
        clock.sleep(5)
        assert len(heliograph_engine.queued("mule1")) == waiting
    assert (len(runs.monotonic), counts(heliograph_engine)) == (waiting, (waiting, 5 - waiting))
    clock.sleep(1)
    assert counts(heliograph_engine) == (waiting + 1, 5 - waiting)


def test_clock_change_does_not_affect_timers(clock: FakeClock, runs: Runs):
    """A timer counts elapsed time."""
    register_timer(10)(runs)
    for change in (-86_400, 86_400 * 365, -5):
        clock.set(clock.time() + change)
        clock.sleep(10)
    assert runs.monotonic == [10.0, 20.0, 30.0]


def test_cron_rule_runs_once_in_a_matching_minute(clock: FakeClock, runs: Runs):
    """Every other hour from 10 to 18."""
    register_cron(hour="10-18/2", tz="UTC")(runs)
    clock.sleep(86_400)
    assert runs.shown(dt.UTC) == [f"01 {hour}:00" for hour in (10, 12, 14, 16, 18)]


def test_skipped_time_runs_after_the_gap(clock: FakeClock, runs: Runs):
    """When the clock changes from 2:00 to 3:00, the rule runs once at 3:00."""
    at(clock, 2026, 3, 28, 12, 0)
    register_cron("30 2 * * *", tz="Europe/Berlin")(runs)
    clock.sleep(3 * 86_400)
    assert runs.shown(BERLIN) == ["29 03:00", "30 02:30", "31 02:30"]


def test_repeated_time_runs_once(clock: FakeClock, runs: Runs):
    """When the clock changes from 3:00 to 2:00, the rule runs the first time only."""
    at(clock, 2026, 10, 24, 12, 0)
    register_cron("30 2 * * *", tz="Europe/Berlin")(runs)
    clock.sleep(3 * 86_400)
    assert runs.shown(BERLIN) == ["25 02:30", "26 02:30", "27 02:30"]
    assert [dt.datetime.fromtimestamp(when, dt.UTC).hour for when in runs.wall] == [0, 1, 1]


def test_hourly_rule_follows_elapsed_time(clock: FakeClock, runs: Runs):
    """23 runs on the short day, 25 on the long one."""
    seen = []
    for month, day in ((3, 29), (10, 25)):
        at(clock, 2026, month, day - 1, 23, 30)
        clock.sleep(0)
        register_cron(f"0 * {day} {month} *", tz="Europe/Berlin")(runs)
        before = len(runs.wall)
        clock.sleep(26 * 3600)
        seen.append(len(runs.wall) - before)
    assert seen == [23, 25]


def test_rules_in_two_zones(clock: FakeClock, heliograph_engine: InlineEngine):
    """Each rule follows the clock of its zone."""
    east, west = Runs(heliograph_engine), Runs(heliograph_engine)
    register_cron(hour=3, tz="Asia/Tokyo")(east)
    register_cron(hour=3, tz="America/New_York")(west)
    clock.sleep(86_400)
    assert east.shown(dt.UTC) == ["01 18:00"]
    assert west.shown(dt.UTC) == ["01 08:00"]


def test_default_zone_is_that_of_the_machine(clock: FakeClock, runs: Runs, monkeypatch):
    """The variable TZ sets it."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    register_cron(hour=3)(runs)
    clock.sleep(86_400)
    assert runs.shown(dt.UTC) == ["01 18:00"]


def test_next_runs_match_the_actual_runs(clock: FakeClock, runs: Runs, monkeypatch):
    """`next_runs` reads the real clock, so the test sets it to the same time."""
    import time

    monkeypatch.setattr(time, "time", clock.time)
    register_timer(700)(runs)
    register_cron(minute=-10, tz="UTC")(runs)
    upcoming = [run.when.timestamp() for run in next_runs(9)]
    clock.sleep(upcoming[-1] - clock.time())
    assert runs.wall == pytest.approx(upcoming)


@pytest.mark.parametrize(
    ("watched", "recursive", "expected"),
    [
        ("site", False, {"site": 1, "site/conf": 1, "site/conf/a": 0, "site2": 0, "": 0}),
        ("site", True, {"site": 1, "site/conf": 1, "site/conf/a": 1, "site2": 0, "": 0}),
        ("site/conf/a", False, {"site": 0, "site/conf": 0, "site/conf/a": 1, "site/conf/ab": 0}),
    ],
)
def test_file_change_runs_the_monitor(
    heliograph_engine: InlineEngine, runs: Runs, tmp_path: Path, watched, recursive, expected
):
    """A change of the path or of its entries, and with `recursive` of everything below."""
    register_file_monitor(tmp_path / watched, recursive=recursive, missing_ok=True, target="mule1")(runs)
    seen = Counter()
    for path in expected:
        before = len(runs.processes)
        heliograph_engine.changed(str(tmp_path / path))
        seen[path] = len(runs.processes) - before
    assert dict(seen) == expected
    assert set(runs.processes) == {"mule1"}
    assert counts(heliograph_engine) == (sum(expected.values()), 0)


@pytest.mark.parametrize("settle", [0, 0.05, 3600])
def test_a_reported_change_runs_at_once(
    heliograph_engine: InlineEngine, clock: FakeClock, runs: Runs, tmp_path: Path, settle
):
    """The report stands for a whole change. Time neither passes nor brings another run."""
    register_file_monitor(tmp_path, settle=settle)(runs)
    before = clock.monotonic()
    heliograph_engine.changed(str(tmp_path / "file"))
    assert (len(runs.processes), clock.monotonic()) == (1, before)
    clock.sleep(7200)
    assert (len(runs.processes), counts(heliograph_engine)) == (1, (1, 0))


def test_changes_coalesce_and_are_counted(heliograph_engine: InlineEngine, runs: Runs, tmp_path: Path):
    """While one run is queued, another counts as missed. A removed monitor does not run."""
    from heliograph.runtime.scheduling import unregister_trigger

    register_file_monitor(tmp_path)(runs)
    with heliograph_engine.paused():
        for _ in range(3):
            heliograph_engine.changed(str(tmp_path / "file"))
    assert (len(runs.processes), counts(heliograph_engine)) == (1, (1, 2))
    unregister_trigger(get_triggers()[0].name)
    heliograph_engine.changed(str(tmp_path))
    assert len(runs.processes) == 1


def test_sender_is_the_master(heliograph_engine: InlineEngine, clock: FakeClock, runs: Runs):
    """In whichever process the time passes."""
    register_timer(1)(runs)
    with heliograph_engine.as_process("mule2"):
        clock.sleep(1)
    sent: Any = heliograph_engine.sent
    assert [str(each.by) for each in sent] == ["master"]


def test_run_that_finds_a_full_queue_is_deferred():
    """As on a server, and nothing is raised out of `sleep`. It does not count as a rejected signal."""
    from heliograph.models import Timer, Trigger

    engine, ran = InlineEngine(capacity=2), []
    engine.register_signal(1, "mule1", lambda _num: ran.append(engine.clock.monotonic()))
    engine.register_signal(2, "mule1", lambda _num: None)
    engine.add_trigger(Trigger(1, Timer(1.0), "t"))
    with engine.paused():
        engine.signal(2, 0.0)
        engine.signal(2, 0.0)
        engine.clock.sleep(3.5)
        assert (counts(engine), engine.rejected, ran) == ((1, 2), 0, [])
    engine.clock.sleep(0.1)
    assert len(ran) == 1
    engine.clock.sleep(0.4)
    assert (len(ran), counts(engine)) == (2, (2, 2))


def test_run_without_a_handler_is_logged(caplog):
    """The trigger continues, and runs when a handler is registered."""
    from heliograph.models import Timer, Trigger

    engine, ran = InlineEngine(), []
    engine.add_trigger(Trigger(1, Timer(1.0), "t"))
    engine.clock.sleep(1)
    assert "Missed a run: signal 1 has no handler" in caplog.text
    engine.register_signal(1, "mule1", lambda _num: ran.append(1))
    engine.clock.sleep(1)
    assert ran == [1]
