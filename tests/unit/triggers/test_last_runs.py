"""Last runs of cron rules across a stop of the server."""

import json
import logging
import os
import pwd
import stat
from pathlib import Path

import pytest

from heliograph._core.schedule.schedule import ClockReading, Schedule
from heliograph.models import CronRule, Trigger
from heliograph.triggers.last_runs import LastRun, LastRunStore
from heliograph.triggers.scheduler import Scheduler, SchedulerHost

HOURLY = CronRule("0", "*", "*", "*", "*", "UTC")
HOUR = 3600.0
RUN = LastRun("0 * * * * UTC", 1.5)
NOON = 1_767_268_800.0
"""2026-01-01 12:00 UTC."""


def rule(grace, name="hourly"):
    return Trigger(7, HOURLY, name, misfire_grace=grace)


def next_hour(_rule, after):
    return (after // HOUR + 1) * HOUR


@pytest.mark.parametrize(
    ("grace", "last_run", "times"),
    [
        (600.0, NOON - 1800, 1),  # 12:00 was missed five minutes ago
        (60.0, NOON - 1800, 0),  # too late by now
        (None, NOON - 1800, 0),  # no misfire_grace
        (600.0, NOON + 60, 0),  # nothing was missed
        (7 * HOUR, NOON - 6 * HOUR, 1),  # one run makes up for several
        (600.0, NOON + HOUR, 0),  # the clock was set back in the meantime
        (600.0, None, 0),  # a new rule
    ],
)
def test_rule_that_was_due_while_no_server_ran(grace, last_run, times):
    """A rule with a `misfire_grace` runs once, unless it is too late."""
    schedule = Schedule(next_hour, lambda: 0.0)
    now = ClockReading(50.0, NOON + 300)
    schedule.replace_all([rule(grace)], now, {} if last_run is None else {"hourly": last_run})
    assert sum(firing.times for firing in schedule.due(now)) == times
    assert not schedule.due(ClockReading(60.0, NOON + 310))


def test_restarted_server_catches_up(tmp_path):
    """The next server of the same name reads the last runs. A third server has nothing to catch up on."""
    sent = []
    now = ClockReading(0.0, NOON - 1800)

    def serve():
        host = SchedulerHost(logging.getLogger("heliograph.master"), lambda: now, last_runs=LastRunStore(path))
        scheduler = Scheduler(lambda num: not sent.append(num), lambda _: False, host)
        scheduler.replace_all([rule(3600.0), rule(None, "other")])
        scheduler.tick()

    path = tmp_path / "state" / "x.json"
    serve()
    assert sent == []
    assert json.loads(path.read_text()) == {"hourly": ["0 * * * * UTC", now.wall]}
    now = ClockReading(5.0, NOON + 900)
    serve()
    assert sent == [7]
    serve()
    assert sent == [7]


@pytest.mark.parametrize("restart", [False, True], ids=["reload", "restart"])
@pytest.mark.parametrize("coalesce", [False, True])
def test_changed_rule_does_not_inherit_the_last_run(tmp_path, coalesce, restart):
    """Neither does a rule that was away for a while. They did not exist at the times that passed."""
    sent = []
    now = ClockReading(0.0, NOON)
    old = Trigger(7, CronRule("0", "3", "*", "*", "*", "UTC"), "a", misfire_grace=13 * HOUR, coalesce=coalesce)
    new = Trigger(7, CronRule("*/5", "*", "*", "*", "*", "UTC"), "a", misfire_grace=13 * HOUR, coalesce=coalesce)
    schedulers = []

    def load(*triggers):
        if restart or not schedulers:
            host = SchedulerHost(
                logging.getLogger("heliograph.master"), lambda: now, last_runs=LastRunStore(tmp_path / "x.json")
            )
            schedulers.append(Scheduler(lambda num: not sent.append(num), lambda _: False, host))
        schedulers[-1].replace_all(triggers)
        schedulers[-1].tick()

    load(old)
    for triggers in [(new,), (), (new,), (old,)]:
        now = ClockReading(now.monotonic + 12 * HOUR + 60, now.wall + 12 * HOUR + 60)
        load(*triggers)
        assert sent == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": "x"}', '{"a": 1.5}', "\x00"])
def test_unreadable_file_counts_as_empty(tmp_path, caplog, text):
    """The store logs a warning, and the next record replaces the file."""
    path = tmp_path / "x.json"
    path.write_text(text)
    store = LastRunStore(path)
    assert store.load() == {}
    assert f"Cannot read {path}" in caplog.text
    store.record({"a": RUN})
    assert LastRunStore(path).load() == {"a": RUN}


def test_file_that_cannot_be_written_is_logged(tmp_path, caplog):
    """The store keeps the last runs in memory."""
    (tmp_path / "file").write_text("")
    store = LastRunStore(tmp_path / "file" / "x.json")
    store.record({"a": RUN})
    assert store.load() == {"a": RUN}
    assert "Cannot write" in caplog.text


def test_file_is_in_the_state_directory(monkeypatch, tmp_path):
    """Its name is the name of the server."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    LastRunStore.of_server("shop").record({"a": RUN})
    assert (tmp_path / "heliograph" / "shop.json").exists()


def test_a_user_without_a_home_directory_has_no_file(monkeypatch, caplog):
    """As in a container with an arbitrary uid. The server runs, and a warning says what is missing."""

    def unknown(_uid):
        raise KeyError("uid not found")

    for variable in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(Path, "mkdir", _refuse)
    store = LastRunStore.of_server("shop")
    store.record({"nightly": LastRun("0 3 * * *", 5.0)})
    assert "missed cron runs will not be caught up after a restart" in caplog.text


def _refuse(self, *_arguments, **_options):
    raise PermissionError(13, "Permission denied", str(self))


@pytest.mark.parametrize("umask", [0, 0o777])
def test_the_file_is_private_whatever_the_umask_is(tmp_path, umask):
    """So are the directories that it needs."""
    path = tmp_path / "state" / "heliograph" / "shop.json"
    before = os.umask(umask)
    try:
        LastRunStore(path).record({"nightly": LastRun("0 3 * * *", 5.0)})
    finally:
        os.umask(before)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent, path.parent.parent)] == [0o600, 0o700, 0o700]
