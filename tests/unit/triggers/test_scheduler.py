"""The scheduler on simulated time: coalescing, deferred runs, file monitors and reloads."""

import logging
import os
import select
import time
from pathlib import Path

import pytest

from heliograph._core.schedule.pending_runs import RETRY_INTERVAL
from heliograph._core.schedule.schedule import CLOCK_CHECK_INTERVAL, MAX_CATCH_UP_RUNS, ClockReading
from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule, FileMonitor, Timer, Trigger
from heliograph.timing import zones
from heliograph.triggers.scheduler import LOCALTIME_CHECK_INTERVAL, WATCH_RETRY_INTERVAL, Scheduler, SchedulerHost

WALL = 1_767_225_600.0
TIMEOUT = 5.0
"""Seconds to wait for a file change."""
LOG = logging.getLogger("heliograph.master")


def no_watcher():
    raise ScheduleError("no inotify", None)


class Server:
    """A scheduler with a clock and queues that the test controls."""

    def __init__(self, **host):
        self.now = ClockReading(0.0, WALL)
        self.full, self.queued, self.sent = False, set(), []
        self.scheduler = Scheduler(
            self.send, lambda num: num in self.queued, SchedulerHost(LOG, lambda: self.now, **host)
        )

    def send(self, num):
        if not self.full:
            self.sent.append(num)
        return not self.full

    def pass_time(self, seconds, step=0.125):
        """Tick once per step."""
        for _ in range(int(seconds / step)):
            self.leap(step)

    def leap(self, seconds):
        """Tick once, at the end."""
        self.now = ClockReading(self.now.monotonic + seconds, self.now.wall + seconds)
        self.scheduler.tick()

    def counts(self, name="a"):
        return next((row["fired"], row["missed"]) for row in self.scheduler.rows() if row["name"] == name)

    def read_changes(self, timeout=0.0):
        """Read file changes if the descriptor becomes readable."""
        if select.select([self.scheduler.watch_fd], [], [], timeout)[0]:
            self.scheduler.read_changes()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.scheduler.close()


def timer(name="a", period=1.0, repeat=0, num=1, **facts):
    return Trigger(num, Timer(period, repeat), name, **facts)


def monitor(path, name="m", num=7, settle=0.0, **facts):
    return Trigger(num, FileMonitor(str(path), settle=settle, **facts), name)


def test_due_triggers_send_their_signals(server):
    """Timers and cron rules send their signals when they are due."""
    server.scheduler.replace_all([timer("t", 20.0, num=1), Trigger(2, CronRule("*", "*", "*", "*", "*", "UTC"), "r")])
    server.pass_time(60)
    assert server.sent == [1, 1, 1, 2]
    assert server.counts("t") == (3, 0)
    assert server.counts("r") == (1, 0)


def test_deadline_is_the_next_due_time(server):
    """`deadline` is on the monotonic clock of the host's loop."""
    assert server.scheduler.deadline == float("inf")
    server.scheduler.replace_all([timer(period=1000.0)])
    assert server.scheduler.wait() == CLOCK_CHECK_INTERVAL
    server.leap(999.0)
    assert server.scheduler.wait() == 1.0
    assert server.scheduler.deadline == pytest.approx(time.monotonic() + 1.0, abs=0.9)
    server.full = True
    server.leap(1.0)
    assert server.scheduler.deadline < time.monotonic() + 1.0


def test_run_is_skipped_while_one_is_queued(server):
    """The run counts as missed, not as fired. With coalesce=False the signal is sent."""
    server.scheduler.replace_all([timer("a", num=1), timer("b", num=1, coalesce=False)])
    server.pass_time(2)
    server.queued = {1}
    server.pass_time(3)
    server.queued = set()
    server.pass_time(1)
    assert server.counts("a") == (3, 3)
    assert server.counts("b") == (6, 0)
    assert len(server.sent) == 9


def test_run_that_finds_a_full_queue_is_deferred(server):
    """The scheduler sends it when there is space, before the runs due then. Further runs are missed."""
    server.scheduler.replace_all([timer("a", num=1), timer("b", 2.0, num=2)])
    server.full = True
    server.pass_time(3)
    assert server.sent == []
    assert server.scheduler.deferred == ("a", "b")
    server.full = False
    server.pass_time(0.5)
    assert sorted(server.sent) == [1, 2]
    assert server.counts("a") == (1, 2)
    assert server.counts("b") == (1, 0)
    assert server.scheduler.deferred == ()
    server.pass_time(0.5)
    assert server.counts("a") == (2, 2)


def test_a_deferred_run_without_receivers_does_not_wake_the_server():
    """No worker is active. When one comes, the run follows within the interval for full queues."""
    active = set()
    server = Server(has_receivers=active.__contains__)
    server.scheduler.replace_all([timer("a", 1000.0, num=1)])
    server.full = True
    server.leap(1000)
    assert server.scheduler.deferred == ("a",)
    assert server.scheduler.wait() == CLOCK_CHECK_INTERVAL  # as of each server with timers
    active.add(1)
    server.full = False
    assert server.scheduler.wait() == pytest.approx(RETRY_INTERVAL)
    server.leap(RETRY_INTERVAL)
    assert server.sent == [1]
    assert server.scheduler.wait() == CLOCK_CHECK_INTERVAL


def test_a_deferred_run_is_tried_again_on_a_busy_server(server):
    """A server that is woken more often than runs are tried again asks for the deadline each time."""
    server.scheduler.replace_all([timer("a", 1000.0)])
    server.full = True
    server.leap(1000)
    assert server.scheduler.wait() == pytest.approx(RETRY_INTERVAL)
    server.now = ClockReading(server.now.monotonic + RETRY_INTERVAL / 2, server.now.wall)
    assert server.scheduler.wait() == pytest.approx(RETRY_INTERVAL / 2)
    server.now = ClockReading(server.now.monotonic + RETRY_INTERVAL, server.now.wall)
    assert server.scheduler.wait() == 0


def test_deferred_run_is_missed_if_the_signal_is_queued_by_then(server):
    """Another sender has sent the same signal in the meantime."""
    server.scheduler.replace_all([timer("a")])
    server.full = True
    server.pass_time(1)
    server.full, server.queued = False, {1}
    server.pass_time(0.5)
    assert (server.sent, server.counts()) == ([], (0, 1))


def test_all_runs_are_deferred_without_coalescing(server):
    """With coalesce=False every run is sent when there is space, including the runs of one late tick."""
    server.scheduler.replace_all([timer("a", coalesce=False)])
    server.full = True
    server.pass_time(3)
    server.leap(4.0)
    server.full = False
    server.pass_time(0.5)
    assert (len(server.sent), server.counts()) == (7, (7, 0))


def test_partial_space_is_used(server):
    """The queue takes two of five runs, the others stay deferred."""
    space = [True, True, False]
    server.scheduler._runs._send = lambda num: space.pop(0) if space else server.send(num)
    server.scheduler.replace_all([timer("a", coalesce=False)])
    server.leap(5.0)
    server.leap(0.5)
    assert len(server.sent) == 3


@pytest.mark.parametrize(("coalesce", "most"), [(True, 1), (False, MAX_CATCH_UP_RUNS)])
def test_deferred_runs_are_bounded(server, coalesce, most):
    """While a queue stays full, further runs count as missed, and no run is uncounted."""
    server.scheduler.replace_all([timer("a", 0.125, coalesce=coalesce)])
    server.full = True
    server.pass_time(300)
    assert server.counts() == (most, 2400 - most)
    server.full = False
    server.leap(0.0625)
    assert len(server.sent) == most


def test_removed_trigger_loses_its_deferred_runs(server):
    """This holds for `remove` and for a reload. A new trigger of the same name starts without deferred runs."""
    server.full = True
    server.scheduler.replace_all([timer("a", num=1), timer("b", num=2), timer("c", num=3)])
    server.pass_time(1)
    server.scheduler.remove("a")
    server.scheduler.replace_all([timer("c", num=4), timer("a", 100.0, num=5)])
    server.full = False
    server.pass_time(0.5)
    assert server.sent == [4]


def test_added_trigger_replaces_one_of_the_same_name(server, tmp_path):
    """The deferred runs and the watch of the old trigger are gone."""
    (tmp_path / "old").touch()
    server.full = True
    for trigger in (timer("a"), monitor(tmp_path / "old", "m")):
        server.scheduler.add(trigger)
    server.pass_time(1)
    server.scheduler.add(timer("a", 100.0))
    server.scheduler.add(timer("m", 100.0))
    server.full = False
    (tmp_path / "old").write_text("x")
    server.read_changes()
    server.pass_time(1)
    assert server.sent == []


def test_reload_continues_the_schedule_and_a_period_changes(server):
    """A reload neither repeats nor skips a run."""
    triggers = [timer("a"), timer("once", repeat=1, num=2)]
    server.scheduler.replace_all(triggers)
    server.pass_time(1.5)
    server.scheduler.replace_all(triggers)
    server.pass_time(0.5)
    assert server.sent == [1, 2, 1]
    server.scheduler.change_period("a", 0.25)
    server.pass_time(1)
    assert server.sent == [1, 2, 1, 1, 1, 1, 1]
    assert [(when - WALL, name, num) for when, name, num in server.scheduler.upcoming(2)] == [
        (3.25, "a", 1),
        (3.5, "a", 1),
    ]


def test_file_change_sends_a_signal_and_is_counted(server, tmp_path):
    """Changes since the last read are one run. It is skipped while one is queued, and deferred at a full queue."""
    path = tmp_path / "file"
    server.scheduler.replace_all([monitor(path, missing_ok=True)])
    path.touch()
    server.read_changes(TIMEOUT)
    assert (server.sent, server.counts("m")) == ([7], (1, 0))
    server.queued = {7}
    path.write_text("more")
    server.read_changes(TIMEOUT)
    assert (server.sent, server.counts("m")) == ([7], (1, 1))
    server.full, server.queued = True, set()
    path.write_text("most")
    server.read_changes(TIMEOUT)
    server.full = False
    server.leap(0.1)
    assert (server.sent, server.counts("m")) == ([7, 7], (2, 1))


def test_reload_updates_the_watched_paths(server, tmp_path):
    """An unchanged monitor stays, a changed one watches its new path, and a removed one watches nothing."""
    a, b, c = (tmp_path / name for name in "abc")
    for path in (a, b, c):
        path.touch()
    server.scheduler.replace_all([monitor(a, "a", 1), monitor(b, "b", 2)])
    server.scheduler.replace_all([monitor(a, "a", 1), monitor(c, "b", 3)])
    b.write_text("x")
    server.read_changes()
    for path in (a, c):
        path.write_text("x")
    server.read_changes(TIMEOUT)
    assert sorted(server.sent) == [1, 3]
    server.sent.clear()
    server.scheduler.remove("b")
    c.write_text("y")
    server.read_changes()
    assert server.sent == []


@pytest.mark.parametrize("host", [{}, {"open_watcher": no_watcher}], ids=["missing path", "no inotify"])
def test_path_that_cannot_be_watched_is_logged(tmp_path, caplog, host):
    """The scheduler logs an error, and the timers run."""
    server = Server(**host)
    path = tmp_path / "gone"
    with caplog.at_level(logging.ERROR):
        server.scheduler.replace_all([monitor(path), timer("a", num=2)])
    assert [
        record.message.startswith(f"Cannot watch {path} for signal 7, trying again") for record in caplog.records
    ] == [True]
    server.pass_time(1)
    assert server.sent == [2]
    server.scheduler.close()


def test_path_that_cannot_be_watched_is_tried_again(tmp_path, caplog):
    """One error is logged. As soon as the path can be watched, that counts as a change."""
    server, path = Server(), tmp_path / "later"
    server.scheduler.replace_all([monitor(path)])
    server.leap(WATCH_RETRY_INTERVAL + 1)
    assert server.sent == []
    path.write_text("new")
    server.leap(WATCH_RETRY_INTERVAL + 1)
    assert server.sent == [7]
    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ["ERROR"]
    path.write_text("changed")
    server.read_changes(TIMEOUT)
    assert server.sent == [7, 7]
    server.scheduler.close()


@pytest.mark.parametrize("reload", [False, True])
def test_changed_zone_of_the_machine_moves_the_next_run(monkeypatch, tmp_path, reload):
    """The server looks at /etc/localtime once a minute, and at a reload. A run is neither lost nor repeated."""
    localtime = tmp_path / "localtime"
    monkeypatch.setattr(zones, "LOCALTIME", localtime)
    monkeypatch.setenv("TZ", "America/New_York")  # that of the master does not matter
    localtime.symlink_to("/usr/share/zoneinfo/UTC")
    zones.forget_zones()
    rules = [Trigger(2, CronRule("0", "3", "*", "*", "*"), "r")]
    server = Server()
    server.scheduler.replace_all(rules)
    server.leap(0.0)
    assert server.scheduler.upcoming(1) == [(WALL + 3 * 3600, "r", 2)]
    localtime.unlink()
    localtime.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    if reload:
        server.scheduler.replace_all(rules)
    else:
        server.leap(LOCALTIME_CHECK_INTERVAL)
    assert server.scheduler.upcoming(1) == [(WALL + 18 * 3600, "r", 2)]
    assert server.sent == []
    zones.forget_zones()


def test_close_closes_the_watcher(tmp_path):
    """The watcher is opened with the first file monitor, and `close` may be called twice."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    server = Server()
    server.scheduler.read_changes()
    assert server.scheduler.watch_fd is None
    server.scheduler.replace_all([monitor(tmp_path)])
    assert os.fstat(server.scheduler.watch_fd)
    server.scheduler.close()
    server.scheduler.close()
    assert server.scheduler.watch_fd is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Alarm:
    """A clock watch that a test sets off."""

    def __init__(self):
        self.set_to, self.clock_was_set, self.closed = [], False, False

    def fileno(self):
        return 99

    def set(self, when):
        if self.set_to[-1:] != [when]:
            self.set_to.append(when)

    def read(self):
        return self.clock_was_set

    def close(self):
        self.closed = True


def test_a_wakeup_is_sent_by_an_alarm_of_the_kernel():
    """The host need not look at the clock, and has no alarm without wake-ups."""
    alarm = Alarm()
    server = Server(open_clock_watch=lambda: alarm)
    assert server.scheduler.clock_fd is None
    assert server.scheduler.wake_at(255, WALL + 3600) == WALL + 3600
    assert server.scheduler.clock_fd == 99
    assert server.scheduler.wait() == 3600
    server.scheduler.wake_at(255, WALL + 60)
    assert server.scheduler.wait() == 60
    server.leap(60)
    assert server.sent == [255]
    assert server.scheduler.wait() == float("inf")
    assert alarm.set_to == [WALL + 3600, WALL + 60, float("inf")]
    assert not server.scheduler.read_clock()
    alarm.clock_was_set = True
    assert server.scheduler.read_clock()
    server.scheduler.close()
    assert alarm.closed


def test_without_an_alarm_the_host_looks_at_the_clock():
    """As for cron rules."""
    server = Server(open_clock_watch=lambda: None)
    server.scheduler.wake_at(255, WALL + 3600)
    assert (server.scheduler.clock_fd, server.scheduler.wait()) == (None, CLOCK_CHECK_INTERVAL)


def test_a_wakeup_waits_for_space_in_its_queue():
    """It is not lost, also if another time is asked for meanwhile, and it is sent whatever else is queued."""
    server = Server(open_clock_watch=lambda: None)
    server.full, server.queued = True, {255}
    server.scheduler.wake_at(255, 0.0)
    server.pass_time(1)
    server.scheduler.wake_at(255, WALL + 50)
    server.pass_time(1)
    assert server.sent == []
    server.full = False
    server.pass_time(1)
    assert server.sent == [255]
    server.pass_time(60)
    assert server.sent == [255, 255]
    assert server.scheduler.rows() == []
    assert server.scheduler.upcoming(3) == []
