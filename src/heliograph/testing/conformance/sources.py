"""Rows K1-K12: timers, cron rules, file changes."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from heliograph import UwsgiconfException
from heliograph.engines.rules import next_fire
from heliograph.exceptions import ScheduleError
from heliograph.runtime.scheduling import change_period, get_sources, register_cron, unregister
from heliograph.testing.conformance.promises import promise
from heliograph.testing.conformance.signals import FIRST, loaded
from heliograph.testing.stage.plays import InlineStage, ServerStage, Stage, eventually
from heliograph.values import CronRule

PERIOD = 0.1
"""Seconds; of the timers on stage."""


@promise("K1")
def test_k1_a_timer_ticks_on_its_grid(stage: Stage) -> None:
    """Tick after tick, as many as the time that passes has room for; none too many."""
    since = len(stage.events(70))
    stage.let_pass(1.0)
    events = stage.expect(10, 70, since=since)
    if isinstance(stage, InlineStage):
        assert len(events) == 10
    # A handler runs late on a busy machine, the first one too, but never early: the least late one tells the grid.
    start = min(event.time - number * PERIOD for number, event in enumerate(events[:5]))
    assert len(events) - 1 <= (events[-1].time - start) / PERIOD + 1


@promise("K1")
@pytest.mark.parametrize("period", ["0", "-1", "nan", "True", "'1'"])
def test_k1_what_is_no_period_is_refused(stage: Stage, period: str) -> None:
    """At the declaration; nothing is declared."""
    error = stage.call(FIRST, loaded, f"period {period}")
    assert isinstance(error, ScheduleError)
    assert isinstance(error, ValueError)


@promise("K2")
def test_k2_a_timer_that_repeats_three_times_does_so(stage: Stage) -> None:
    """And no more."""
    stage.let_pass(0.5)
    stage.expect(3, 71)
    since = len(stage.events(70))
    stage.let_pass(0.5)
    stage.expect(4, 70, since=since)
    assert len(stage.events(71)) == 3


@promise("K11")
def test_k11_a_source_that_every_process_declares_exists_once(stage: Stage) -> None:
    """Also where each process loads the application for itself: three ticks, not three a process."""
    stage.let_pass(0.5)
    stage.expect(3, 71)
    assert len(stage.events(71)) == 3


@promise("K3")
def test_k3_milliseconds(stage: Stage) -> None:
    """`register_timer_ms` works on every engine."""
    since = len(stage.events(72))
    stage.let_pass(0.5)
    stage.expect(3, 72, since=since)


@promise("K4", "coalesces", "mules", "server")
def test_k4_ticks_coalesce_while_one_waits(stage: ServerStage) -> None:
    """A handler that is away for ten periods finds one tick, not ten."""
    from heliograph.testing.conformance.sending import busy

    gate = str(stage.directory / f"gate-{len(stage.events())}")
    others, missed = len(stage.events(72)), _missed(stage, "tick")
    with busy(stage, "spooler1", gate):
        since = len(stage.events(70))
        stage.expect(10, 72, since=others)
        assert len(stage.events(70)) == since
    eventually("runs that were missed", lambda: _missed(stage, "tick") > missed)
    stage.expect(1, 70, since=since)


def _missed(stage: ServerStage, name: str) -> int:
    rows: list[dict[str, Any]] = stage.state()["sources"]
    return next(int(row["missed"]) for row in rows if row["name"] == name)


@promise("K4", "coalesces", "fake clock")
def test_k4_ticks_coalesce_on_a_fake_clock(stage: InlineStage) -> None:
    """While one waits, the others are left out and counted."""
    since = len(stage.events(70))
    with stage.engine.hold():
        stage.let_pass(1.0)
        assert stage.engine.waiting("spooler").count(70) == 1
    assert len(stage.events(70)) == since + 1


@promise("K5")
@pytest.mark.parametrize(
    ("fields", "runs"),
    [
        ({"hour": 3}, ["02 03:00", "03 03:00", "04 03:00"]),
        ({"hour": -3}, ["01 15:00", "01 18:00", "01 21:00"]),
        ({"minute": 0}, ["01 13:00", "01 14:00", "01 15:00"]),
        ({}, ["01 12:31", "01 12:32", "01 12:33"]),
        ({"hour": 12, "minute": -1}, ["01 12:31", "01 12:32", "01 12:33"]),
        ({"hour": "10-18/2"}, ["01 14:00", "01 16:00", "01 18:00"]),
        ({"expression": "0 3 * * 7"}, ["04 03:00", "11 03:00", "18 03:00"]),
        ({"weekday": 0, "day": 2, "hour": 5}, ["02 05:00", "04 05:00", "11 05:00"]),
    ],
)
def test_k5_what_is_omitted_and_what_numbers_mean(stage: Stage, fields: dict[str, Any], runs: list[str]) -> None:
    """After noon of the first of January 2026, a Thursday: the next three runs, in UTC."""
    assert stage.call(FIRST, runs_of, fields) == runs


def runs_of(fields: dict[str, Any]) -> list[str]:
    """Day and time of the next three runs of a rule."""
    rule = register_cron(**fields, tz="UTC").what
    assert isinstance(rule, CronRule)
    found: list[str] = []
    when = datetime(2026, 1, 1, 12, 30, tzinfo=UTC).timestamp()
    for _ in range(3):
        when = next_fire(rule, when)
        found.append(f"{datetime.fromtimestamp(when, UTC):%d %H:%M}")
    return found


@promise("K6")
@pytest.mark.parametrize("fields", ["minute=99", "hour=24", "day=32", "month=13", "weekday=8", "expression='* * *'"])
def test_k6_impossible_fields_are_refused(stage: Stage, fields: str) -> None:
    """At the declaration, naming the value."""
    error = stage.call(FIRST, loaded, f"cron {fields}")
    assert isinstance(error, ScheduleError)


@promise("K7", "fake clock")
def test_k7_once_per_matching_minute(stage: InlineStage) -> None:
    """The rule of every minute, through an hour; and not again when the clock is set back by one."""
    since = len(stage.events(73))
    stage.let_pass(3600)
    assert len(stage.events(73)) == since + 60
    clock: Any = stage.engine.clock
    clock.set(clock.time() - 600)
    stage.let_pass(590)
    assert len(stage.events(73)) == since + 60


@promise("K7", "real minutes")
def test_k7_a_rule_fires_at_its_minute(stage: Stage) -> None:
    """The rule of every minute, in the first seconds of one."""
    event = eventually("a minute", lambda: stage.events(73), patience=75)[0]
    assert event.wall % 60 < 30


@promise("K8")
def test_k8_more_sources_than_uwsgi_has_places_for(stage: Stage) -> None:
    """A hundred timers for one signal, where uWSGI has 64 places in all."""
    assert stage.call(FIRST, loaded, "a hundred timers") == 100


_SERIAL = itertools.count()


@promise("K9")
def test_k9_a_path_is_watched_not_an_inode(stage: Stage) -> None:
    """Made, written, replaced, removed, made again: each is a change."""
    path = Path(str(stage.call(FIRST, loaded, "watched")))
    spare = path.with_name("spare")
    for change in (_write, _write, _replace, _remove, _write):
        since = len(stage.events(74))
        change(path, spare)
        stage.notice(path)
        stage.expect(1, 74, since=since)


def _write(path: Path, _spare: Path) -> None:
    path.write_text(f"{next(_SERIAL)}")


def _replace(path: Path, spare: Path) -> None:
    spare.write_text(f"{next(_SERIAL)}")
    os.replace(spare, path)  # noqa: PTH105 - what an editor does


def _remove(path: Path, _spare: Path) -> None:
    path.unlink()


@promise("K9")
def test_k9_a_missing_path_is_refused_unless_that_is_allowed(stage: Stage) -> None:
    """At the declaration."""
    assert isinstance(stage.call(FIRST, loaded, "monitor of nothing"), ScheduleError)


def listed() -> list[str]:
    """Names of the sources that this process knows."""
    return [source.name for source in get_sources()]


def error_of(func: Any, *args: Any) -> Any:
    """What a call raises; None if nothing."""
    try:
        func(*args)
    except UwsgiconfException as error:
        return error
    return None


def change_it(name: str, period: float) -> Any:
    """`change_period`, and what it raises."""
    return error_of(change_period, name, period)


def remove_it(name: str) -> Any:
    """`unregister`, and what it raises."""
    return error_of(unregister, name)


@promise("K12")
def test_k12_sources_can_be_listed_changed_and_removed(stage: Stage) -> None:
    """A timer of an hour is given a tenth of a second, then taken away."""
    if "changing" not in stage.call(FIRST, listed):
        pytest.fail("the source is not listed")
    since = len(stage.events(75))
    assert stage.call(FIRST, change_it, "changing", PERIOD) is None
    stage.let_pass(0.5)
    stage.expect(3, 75, since=since)
    assert stage.call(FIRST, remove_it, "changing") is None
    assert "changing" not in stage.call(FIRST, listed)
    assert isinstance(stage.call(FIRST, remove_it, "changing"), ScheduleError)
