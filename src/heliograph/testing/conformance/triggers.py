"""Rows K1-K12: timers, cron rules, file changes."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from heliograph import UwsgiconfException
from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule
from heliograph.runtime.scheduling import change_period, get_triggers, register_cron, unregister_trigger
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.conformance.signals import FIRST, loaded
from heliograph.testing.harness.harness import Harness, InlineHarness, ServerHarness, eventually
from heliograph.timing.rules import next_fire

PERIOD = 0.1
"""Seconds; of the timers on stage."""


@guarantee("K1")
def test_k1_a_timer_ticks_on_its_grid(harness: Harness) -> None:
    """Tick after tick, as many as the time that passes has room for; none too many."""
    since = len(harness.events(70))
    harness.advance_time(1.0)
    events = harness.expect(10, 70, since=since)
    if isinstance(harness, InlineHarness):
        assert len(events) == 10
    # A handler runs late on a busy machine, the first one too, but never early: the least late one tells the grid.
    start = min(event.time - number * PERIOD for number, event in enumerate(events[:5]))
    assert len(events) - 1 <= (events[-1].time - start) / PERIOD + 1


@guarantee("K1")
@pytest.mark.parametrize("period", ["0", "-1", "nan", "True", "'1'"])
def test_k1_what_is_no_period_is_refused(harness: Harness, period: str) -> None:
    """At the declaration; nothing is declared."""
    error = harness.call(FIRST, loaded, f"period {period}")
    assert isinstance(error, ScheduleError)
    assert isinstance(error, ValueError)


@guarantee("K2")
def test_k2_a_timer_that_repeats_three_times_does_so(harness: Harness) -> None:
    """And no more."""
    harness.advance_time(0.5)
    harness.expect(3, 71)
    since = len(harness.events(70))
    harness.advance_time(0.5)
    harness.expect(4, 70, since=since)
    assert len(harness.events(71)) == 3


@guarantee("K11")
def test_k11_a_source_that_every_process_declares_exists_once(harness: Harness) -> None:
    """Also where each process loads the application for itself: three ticks, not three a process."""
    harness.advance_time(0.5)
    harness.expect(3, 71)
    assert len(harness.events(71)) == 3


@guarantee("K3")
def test_k3_milliseconds(harness: Harness) -> None:
    """`register_timer_ms` works on every engine."""
    since = len(harness.events(72))
    harness.advance_time(0.5)
    harness.expect(3, 72, since=since)


@guarantee("K4", "coalesces", "mules", "server")
def test_k4_ticks_coalesce_while_one_waits(harness: ServerHarness) -> None:
    """A handler that is away for ten periods finds one tick, not ten."""
    from heliograph.testing.conformance.sending import busy

    target_credit = str(harness.directory / f"gate-{len(harness.events())}")
    others, missed = len(harness.events(72)), _missed(harness, "tick")
    with busy(harness, "spooler1", target_credit):
        since = len(harness.events(70))
        harness.expect(10, 72, since=others)
        assert len(harness.events(70)) == since
    eventually("runs that were missed", lambda: _missed(harness, "tick") > missed)
    harness.expect(1, 70, since=since)


def _missed(harness: ServerHarness, name: str) -> int:
    rows: list[dict[str, Any]] = harness.state()["triggers"]
    return next(int(row["missed"]) for row in rows if row["name"] == name)


@guarantee("K4", "coalesces", "fake clock")
def test_k4_ticks_coalesce_on_a_fake_clock(harness: InlineHarness) -> None:
    """While one waits, the others are left out and counted."""
    since = len(harness.events(70))
    with harness.engine.hold():
        harness.advance_time(1.0)
        assert harness.engine.waiting("spooler").count(70) == 1
    assert len(harness.events(70)) == since + 1


@guarantee("K5")
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
def test_k5_what_is_omitted_and_what_numbers_mean(harness: Harness, fields: dict[str, Any], runs: list[str]) -> None:
    """After noon of the first of January 2026, a Thursday: the next three runs, in UTC."""
    assert harness.call(FIRST, runs_of, fields) == runs


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


@guarantee("K6")
@pytest.mark.parametrize("fields", ["minute=99", "hour=24", "day=32", "month=13", "weekday=8", "expression='* * *'"])
def test_k6_impossible_fields_are_refused(harness: Harness, fields: str) -> None:
    """At the declaration, naming the value."""
    error = harness.call(FIRST, loaded, f"cron {fields}")
    assert isinstance(error, ScheduleError)


@guarantee("K7", "fake clock")
def test_k7_once_per_matching_minute(harness: InlineHarness) -> None:
    """The rule of every minute, through an hour; and not again when the clock is set back by one."""
    since = len(harness.events(73))
    harness.advance_time(3600)
    assert len(harness.events(73)) == since + 60
    clock: Any = harness.engine.clock
    clock.set(clock.time() - 600)
    harness.advance_time(590)
    assert len(harness.events(73)) == since + 60


@guarantee("K7", "real minutes")
def test_k7_a_rule_fires_at_its_minute(harness: Harness) -> None:
    """The rule of every minute, in the first seconds of one."""
    event = eventually("a minute", lambda: harness.events(73), patience=75)[0]
    assert event.wall % 60 < 30


@guarantee("K8")
def test_k8_more_sources_than_uwsgi_has_places_for(harness: Harness) -> None:
    """A hundred timers for one signal, where uWSGI has 64 places in all."""
    assert harness.call(FIRST, loaded, "a hundred timers") == 100


_SERIAL = itertools.count()


@guarantee("K9")
def test_k9_a_path_is_watched_not_an_inode(harness: Harness) -> None:
    """Made, written, replaced, removed, made again: each is a change."""
    path = Path(str(harness.call(FIRST, loaded, "watched")))
    spare = path.with_name("spare")
    for change in (_write, _write, _replace, _remove, _write):
        since = len(harness.events(74))
        change(path, spare)
        harness.notify_file_change(path)
        harness.expect(1, 74, since=since)


def _write(path: Path, _spare: Path) -> None:
    path.write_text(f"{next(_SERIAL)}")


def _replace(path: Path, spare: Path) -> None:
    spare.write_text(f"{next(_SERIAL)}")
    os.replace(spare, path)  # noqa: PTH105 - what an editor does


def _remove(path: Path, _spare: Path) -> None:
    path.unlink()


@guarantee("K9")
def test_k9_a_missing_path_is_refused_unless_that_is_allowed(harness: Harness) -> None:
    """At the declaration."""
    assert isinstance(harness.call(FIRST, loaded, "monitor of nothing"), ScheduleError)


def listed() -> list[str]:
    """Names of the sources that this process knows."""
    return [trigger.name for trigger in get_triggers()]


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
    return error_of(unregister_trigger, name)


@guarantee("K12")
def test_k12_sources_can_be_listed_changed_and_removed(harness: Harness) -> None:
    """A timer of an hour is given a tenth of a second, then taken away."""
    if "changing" not in harness.call(FIRST, listed):
        pytest.fail("the source is not listed")
    since = len(harness.events(75))
    assert harness.call(FIRST, change_it, "changing", PERIOD) is None
    harness.advance_time(0.5)
    harness.expect(3, 75, since=since)
    assert harness.call(FIRST, remove_it, "changing") is None
    assert "changing" not in harness.call(FIRST, listed)
    assert isinstance(harness.call(FIRST, remove_it, "changing"), ScheduleError)
