"""Guarantees K1-K12: timers, cron rules and file monitors."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule
from heliograph.runtime.scheduling import change_period, get_triggers, register_cron, unregister_trigger
from heliograph.testing.conformance.actions import FIRST, attempted, error_of
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import Harness, eventually
from heliograph.testing.harness.inline import InlineHarness
from heliograph.testing.harness.server import ServerHarness
from heliograph.testing.harness.signals import PERIOD, Triggered
from heliograph.timing.zones import next_fire


@guarantee("K1")
def test_k1_a_timer_fires_at_a_fixed_rate(harness: Harness) -> None:
    """It fires once for each period that has passed, and never early."""
    num = Triggered.EVERY_PERIOD
    since = len(harness.events(num))
    harness.advance_time(1.0)
    events = harness.expect(10, num, since=since)
    if isinstance(harness, InlineHarness):
        assert len(events) == 10
    # On a busy machine each handler may run late, also the first, but never early. The least late one shows the rate.
    start = min(event.time - number * PERIOD for number, event in enumerate(events[:5]))
    assert len(events) - 1 <= (events[-1].time - start) / PERIOD + 1


@guarantee("K1")
@pytest.mark.parametrize("period", ["0", "-1", "nan", "True", "'1'"])
def test_k1_an_invalid_period_is_an_error(harness: Harness, period: str) -> None:
    """The declaration raises a `ScheduleError`, which is a `ValueError`."""
    error = harness.call(FIRST, attempted, f"period {period}")
    assert isinstance(error, ScheduleError)
    assert isinstance(error, ValueError)


@guarantee("K2")
def test_k2_a_timer_with_three_repeats_fires_three_times(harness: Harness) -> None:
    """It does not fire again, although other timers do."""
    num, other = Triggered.THREE_TIMES, Triggered.EVERY_PERIOD
    harness.advance_time(0.5)
    harness.expect(3, num)
    since = len(harness.events(other))
    harness.advance_time(0.5)
    harness.expect(4, other, since=since)
    assert len(harness.events(num)) == 3


@guarantee("K11")
def test_k11_a_trigger_that_every_process_declares_exists_once(harness: Harness) -> None:
    """Also if each process loads the application itself."""
    harness.advance_time(0.5)
    harness.expect(3, Triggered.THREE_TIMES)
    assert len(harness.events(Triggered.THREE_TIMES)) == 3


@guarantee("K3")
def test_k3_a_period_may_be_given_in_milliseconds(harness: Harness) -> None:
    """`register_timer_ms` works on every engine."""
    since = len(harness.events(Triggered.EVERY_100_MS))
    harness.advance_time(0.5)
    harness.expect(3, Triggered.EVERY_100_MS, since=since)


@guarantee("K4", Capability.COALESCING, Capability.MULES, Capability.SERVER)
def test_k4_runs_coalesce_while_one_is_queued(harness: ServerHarness) -> None:
    """A process that was busy for ten periods gets one run. The other runs are counted as missed."""
    num, clock = Triggered.EVERY_PERIOD, Triggered.EVERY_100_MS
    others, missed = len(harness.events(clock)), missed_runs(harness, "every period")
    with harness.busy("spooler1"):
        since = len(harness.events(num))
        harness.expect(10, clock, since=others)
        assert len(harness.events(num)) == since
    eventually("missed runs", lambda: missed_runs(harness, "every period") > missed)
    harness.expect(1, num, since=since)


def missed_runs(harness: ServerHarness, name: str) -> int:
    """Return how many runs of a trigger the server has counted as missed."""
    rows: list[dict[str, Any]] = harness.state()["triggers"]
    return next(int(row["missed"]) for row in rows if row["name"] == name)


@guarantee("K4", Capability.COALESCING, Capability.FAKE_CLOCK)
def test_k4_runs_coalesce_on_a_fake_clock(harness: InlineHarness) -> None:
    """While one run is queued, the trigger skips the others."""
    num = Triggered.EVERY_PERIOD
    since = len(harness.events(num))
    with harness.engine.paused():
        harness.advance_time(1.0)
        assert harness.engine.queued("spooler").count(num) == 1
    assert len(harness.events(num)) == since + 1


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
        ({"expression": "@daily"}, ["02 00:00", "03 00:00", "04 00:00"]),
        ({"day": "LW"}, ["30 00:00", "27 00:00", "31 00:00"]),
        ({"weekday": "fri#2", "month": 1, "hour": 4}, ["09 04:00", "08 04:00", "14 04:00"]),
        ({"weekday": 0, "day": 2, "hour": 5}, ["02 05:00", "04 05:00", "11 05:00"]),
    ],
)
def test_k5_omitted_cron_fields_have_defaults(harness: Harness, fields: dict[str, Any], runs: list[str]) -> None:
    """The test checks the next three runs in UTC, from Thursday, 1 January 2026, 12:30."""
    assert harness.call(FIRST, next_runs, fields) == runs


def next_runs(fields: dict[str, Any]) -> list[str]:
    """Return day and time of the next three runs of a cron rule."""
    rule = register_cron(**fields, tz="UTC").spec
    assert isinstance(rule, CronRule)
    found: list[str] = []
    when = datetime(2026, 1, 1, 12, 30, tzinfo=UTC).timestamp()
    for _ in range(3):
        when = next_fire(rule, when)
        found.append(f"{datetime.fromtimestamp(when, UTC):%d %H:%M}")
    return found


@guarantee("K6")
@pytest.mark.parametrize("fields", ["minute=99", "hour=24", "day=32", "month=13", "weekday=8", "expression='* * *'"])
def test_k6_an_invalid_cron_field_is_an_error(harness: Harness, fields: str) -> None:
    """The declaration raises it. The message names the value."""
    error = harness.call(FIRST, attempted, f"cron {fields}")
    assert isinstance(error, ScheduleError)


@guarantee("K7", Capability.FAKE_CLOCK)
def test_k7_a_cron_rule_fires_once_in_each_matching_minute(harness: InlineHarness) -> None:
    """A rule for every minute follows elapsed time: it goes on if the clock is set back, as in Debian's cron."""
    num = Triggered.EVERY_MINUTE
    clock: Any = harness.engine.clock
    harness.advance_time(61 - clock.time() % 60)
    since = len(harness.events(num))
    harness.advance_time(1200)
    assert len(harness.events(num)) == since + 20
    clock.set(clock.time() - 600)
    harness.advance_time(590)
    assert len(harness.events(num)) == since + 29


@guarantee("K8")
def test_k8_the_number_of_triggers_is_not_limited(harness: Harness) -> None:
    """The application declares a hundred timers. uWSGI alone has 64 places."""
    assert harness.call(FIRST, attempted, "hundred timers") == 100


_SERIAL = itertools.count()


@guarantee("K9")
def test_k9_a_file_monitor_follows_the_path(harness: Harness) -> None:
    """It reports a file that is created, written, replaced, removed and created again."""
    path = Path(str(harness.call(FIRST, attempted, "watched")))
    spare = path.with_name("spare")
    for change in (_write, _write, _replace, _remove, _write):
        since = len(harness.events(Triggered.FILE_CHANGED))
        change(path, spare)
        harness.notify_file_change(path)
        harness.expect(1, Triggered.FILE_CHANGED, since=since)


def _write(path: Path, _spare: Path) -> None:
    path.write_text(f"{next(_SERIAL)}")


def _replace(path: Path, spare: Path) -> None:
    spare.write_text(f"{next(_SERIAL)}")
    os.replace(spare, path)  # noqa: PTH105 - editors replace files like this


def _remove(path: Path, _spare: Path) -> None:
    path.unlink()


@guarantee("K9")
def test_k9_a_missing_path_is_an_error_by_default(harness: Harness) -> None:
    """The declaration raises it. `missing_ok=True` allows a missing path."""
    assert isinstance(harness.call(FIRST, attempted, "monitor of a missing path"), ScheduleError)


def trigger_names() -> list[str]:
    """Return the names of the triggers that this process knows."""
    return [trigger.name for trigger in get_triggers()]


def error_of_change(name: str, period: float) -> Any:
    """Change the period of a timer. Return the exception that this raises, or None."""
    return error_of(change_period, name, period)


def error_of_removal(name: str) -> Any:
    """Remove a trigger. Return the exception that this raises, or None."""
    return error_of(unregister_trigger, name)


@guarantee("K12")
def test_k12_triggers_can_be_listed_changed_and_removed(harness: Harness) -> None:
    """`get_triggers()`, `change_period()` and `unregister_trigger()`."""
    num, name = Triggered.PERIOD_CHANGED, "changing"
    if name not in harness.call(FIRST, trigger_names):
        pytest.fail(f"The trigger is not listed: {name}")
    since = len(harness.events(num))
    assert harness.call(FIRST, error_of_change, name, PERIOD) is None
    harness.advance_time(0.5)
    harness.expect(3, num, since=since)
    assert harness.call(FIRST, error_of_removal, name) is None
    assert name not in harness.call(FIRST, trigger_names)
    assert isinstance(harness.call(FIRST, error_of_removal, name), ScheduleError)


# The last test of this module: a minute may have passed while the others ran.
@guarantee("K7", Capability.REAL_MINUTES)
def test_k7_a_cron_rule_fires_at_the_start_of_its_minute(harness: Harness) -> None:
    """It fires within the first seconds."""
    event = eventually("the next minute", lambda: harness.events(Triggered.EVERY_MINUTE), timeout=75)[0]
    assert event.wall % 60 < 30
