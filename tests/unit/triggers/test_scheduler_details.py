"""The triggers of a scheduler with the times of their runs, as the read model shows them."""

import pytest

from heliograph._core.schedule.schedule import ClockReading
from heliograph.models import CronRule, FileMonitor, Timer, Trigger
from heliograph.triggers.scheduler import WATCH_RETRY_INTERVAL

from .test_scheduler import WALL, Server, monitor, timer

DAILY = CronRule("0", "3", "*", "*", "*", "UTC")
AT_THREE = WALL + 3 * 3600  # WALL is midnight in UTC


@pytest.fixture
def server():
    server = Server()
    yield server
    server.scheduler.close()


def rule(name="nightly", **facts):
    return Trigger(2, DAILY, name, **facts)


def details(server, name):
    """The facts of a trigger."""
    return next(row for row in server.scheduler.details() if row["name"] == name)


def times(server, name):
    """Its last run, last missed run, and lateness."""
    found = details(server, name)
    return found["last"], found["last_missed"], found["late"]


def test_a_trigger_is_described(server, tmp_path):
    server.scheduler.replace_all([timer(period=5.0), rule(), monitor(tmp_path)])
    assert details(server, "a") == {
        "name": "a",
        "kind": "timer",
        "schedule": "every 5 s",
        "num": 1,
        "fired": 0,
        "missed": 0,
        "last": None,
        "next": WALL + 5,
        "last_missed": None,
        "late": None,
        "fault": None,
    }
    found = details(server, "nightly")
    assert (found["kind"], found["schedule"], found["next"]) == ("cron", "0 3 * * * UTC", AT_THREE)
    found = details(server, "m")
    assert (found["kind"], found["schedule"], found["next"]) == ("file", str(tmp_path), None)


def test_jitter_belongs_to_the_next_run():
    server = Server(random=lambda: 0.5)
    server.scheduler.add(timer(period=5.0, jitter=2.0))
    assert details(server, "a")["next"] == WALL + 6


def test_a_timer_that_has_ended_has_no_next_run(server):
    server.scheduler.add(timer(repeat=1))
    server.leap(1.0)
    found = details(server, "a")
    assert (found["last"], found["next"], found["fired"]) == (WALL + 1, None, 1)


def test_the_last_run_is_the_time_at_which_the_signal_was_sent(server, tmp_path):
    server.scheduler.replace_all([timer(), rule(), monitor(tmp_path)])
    server.leap(3 * 3600.0)
    assert times(server, "a") == times(server, "nightly") == (AT_THREE, None, None)
    (tmp_path / "new").touch()
    server.read_changes(5.0)
    server.leap(1.0)
    assert details(server, "m")["last"] == AT_THREE


def test_a_run_that_cannot_be_sent_is_late(server):
    """Until its queue has space."""
    server.scheduler.add(timer(period=10.0))
    server.full = True
    server.leap(10.0)
    server.leap(2.5)
    assert times(server, "a") == (None, None, 2.5)
    server.full = False
    server.leap(1.0)
    assert times(server, "a") == (WALL + 13.5, None, None)


def test_a_run_that_the_host_has_not_looked_at_is_late(server):
    server.scheduler.replace_all([timer(period=10.0), rule()])
    server.now = ClockReading(12.0, AT_THREE + 1)
    assert (details(server, "a")["late"], details(server, "nightly")["late"]) == (2.0, 1.0)


def test_a_trigger_that_was_removed_is_not_late_when_it_comes_back(server):
    server.scheduler.add(timer(period=10.0))
    server.full = True
    server.leap(10.0)
    server.scheduler.add(timer(period=10.0))
    server.leap(10.0)
    assert details(server, "a")["late"] == 0 or details(server, "a")["late"] is None
    server.leap(1.0)
    assert details(server, "a")["late"] == 1.0


def test_a_run_that_was_too_late_is_missed_until_a_later_one(server):
    server.scheduler.add(rule(misfire_grace=60.0))
    server.leap(4 * 3600.0)
    assert times(server, "nightly") == (None, AT_THREE + 3600, None)
    server.leap(23 * 3600.0)
    assert times(server, "nightly") == (AT_THREE + 86400, None, None)


def test_a_run_that_makes_up_for_others_is_not_missed(server):
    server.scheduler.add(timer())
    server.leap(7.0)
    assert times(server, "a") == (WALL + 7, None, None)
    assert details(server, "a")["missed"] == 6


def test_a_rule_is_missed_if_its_last_run_is_still_queued(server):
    """A timer is not: it has another run soon."""
    server.scheduler.replace_all([rule(), Trigger(2, Timer(3600.0), "hourly")])
    server.queued = {2}
    server.leap(3 * 3600.0)
    assert (details(server, "nightly")["last_missed"], details(server, "hourly")["last_missed"]) == (AT_THREE, None)
    assert (details(server, "nightly")["missed"], details(server, "hourly")["missed"]) == (1, 3)


def test_runs_beyond_the_number_that_waits_are_missed(server):
    server.scheduler.add(rule(coalesce=False))
    server.full = True
    server.leap(3 * 3600.0)
    assert details(server, "nightly")["last_missed"] is None
    server.leap(2000 * 86400.0)
    assert details(server, "nightly")["last_missed"] is not None


def test_a_path_that_cannot_be_watched_has_a_fault(server, tmp_path):
    """Until it can."""
    path = tmp_path / "prices"
    server.scheduler.add(Trigger(7, FileMonitor(str(path)), "m"))
    assert "path to watch is missing" in details(server, "m")["fault"]
    path.mkdir()
    server.leap(WATCH_RETRY_INTERVAL)
    assert details(server, "m")["fault"] is None
