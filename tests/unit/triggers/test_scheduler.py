"""What the master raises by itself: coalescing, what is owed when a queue is full, files, reload. Time is told."""

import logging
import os
import selectors
import time
from pathlib import Path

import pytest

from heliograph._core.schedule.schedule import MAX_CATCH_UP_RUNS, ClockReading
from heliograph.exceptions import ScheduleError
from heliograph.models import CronRule, FileMonitor, Timer, Trigger
from heliograph.triggers.scheduler import MasterScheduler

WALL = 1_767_225_600.0
DEADLINE = 5.0
"""Seconds after which a change of a file is taken for lost."""


class Server:
    """A raiser whose clock and queues a test holds in its hands."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.now = ClockReading(0.0, WALL)
        self.full, self.waiting, self.raised = False, set(), []
        self.raiser = MasterScheduler(self.selector, self.put, lambda num: num in self.waiting, lambda: self.now)

    def put(self, num):
        if not self.full:
            self.raised.append(num)
        return not self.full

    def pass_time(self, seconds, step=0.125):
        """Tick by tick."""
        for _ in range(int(seconds / step)):
            self.leap(step)

    def leap(self, seconds):
        self.now = ClockReading(self.now.monotonic + seconds, self.now.wall + seconds)
        self.raiser.tick()

    def counts(self, name="a"):
        return next((row["fired"], row["missed"]) for row in self.raiser.rows() if row["name"] == name)

    def look(self, timeout=0.0):
        for key, _ in self.selector.select(timeout):
            key.data(0.0)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.raiser.close()
    server.selector.close()


def timer(name="a", period=1.0, repeat=0, num=1, **facts):
    return Trigger(num, Timer(period, repeat), name, **facts)


def test_what_is_due_is_raised(server):
    """Timers and rules, each with its number."""
    server.raiser.replace_all([timer("t", 20.0, num=1), Trigger(2, CronRule("*", "*", "*", "*", "*", "UTC"), "r")])
    server.pass_time(60)
    assert server.raised == [1, 1, 1, 2]
    assert server.counts("t") == (3, 0)
    assert server.counts("r") == (1, 0)


def test_the_deadline_is_when_the_next_is_due(server):
    """On the clock that the master's loop goes by, whichever the schedule does."""
    assert server.raiser.deadline == float("inf")
    server.raiser.replace_all([timer(period=1000.0)])
    assert server.raiser.deadline == pytest.approx(time.monotonic() + 1000.0, abs=5.0)
    server.full = True
    server.leap(1000.0)
    assert server.raiser.deadline < time.monotonic() + 1.0


def test_a_run_is_left_out_while_one_waits(server):
    """K4: it counts as missed and not as fired; with coalesce=False it is raised."""
    server.raiser.replace_all([timer("a", num=1), timer("b", num=1, coalesce=False)])
    server.pass_time(2)
    server.waiting = {1}
    server.pass_time(3)
    server.waiting = set()
    server.pass_time(1)
    assert server.counts("a") == (3, 3)
    assert server.counts("b") == (6, 0)
    assert len(server.raised) == 9


def test_a_run_that_finds_no_room_is_owed(server):
    """It is raised when there is room, before what is due then; others that came meanwhile are missed."""
    server.raiser.replace_all([timer("a", num=1), timer("b", 2.0, num=2)])
    server.full = True
    server.pass_time(3)
    assert server.raised == []
    server.full = False
    server.pass_time(0.5)
    assert sorted(server.raised) == [1, 2]
    assert server.counts("a") == (1, 2)
    assert server.counts("b") == (1, 0)
    server.pass_time(0.5)
    assert server.counts("a") == (2, 2)


def test_an_owed_run_is_missed_if_one_waits_by_then(server):
    """Somebody else raised that signal meanwhile."""
    server.raiser.replace_all([timer("a")])
    server.full = True
    server.pass_time(1)
    server.full, server.waiting = False, {1}
    server.pass_time(0.5)
    assert (server.raised, server.counts()) == ([], (0, 1))


def test_every_run_is_owed_where_none_is_to_be_left_out(server):
    """coalesce=False: all are raised when there is room, also those of one leap."""
    server.raiser.replace_all([timer("a", coalesce=False)])
    server.full = True
    server.pass_time(3)
    server.leap(4.0)
    server.full = False
    server.pass_time(0.5)
    assert (len(server.raised), server.counts()) == (7, (7, 0))


def test_room_for_some_is_used(server):
    """The queue takes two of five; the others stay owed."""
    room = [True, True, False]
    server.raiser._runs._send = lambda _num: room.pop(0) if room else server.put(_num)
    server.raiser.replace_all([timer("a", coalesce=False)])
    server.leap(5.0)
    server.leap(0.5)
    assert len(server.raised) == 3


@pytest.mark.parametrize(("coalesce", "most"), [(True, 1), (False, MAX_CATCH_UP_RUNS)])
def test_what_is_owed_does_not_grow_without_end(server, coalesce, most):
    """A queue that stays full: what is beyond is missed, and every run is accounted for."""
    server.raiser.replace_all([timer("a", 0.125, coalesce=coalesce)])
    server.full = True
    server.pass_time(300)
    assert server.counts() == (most, 2400 - most)
    server.full = False
    server.leap(0.0625)
    assert len(server.raised) == most


def test_a_removed_source_is_owed_nothing(server):
    """By name, or by a reload; what the next one of that name owes is its own."""
    server.full = True
    server.raiser.replace_all([timer("a", num=1), timer("b", num=2), timer("c", num=3)])
    server.pass_time(1)
    server.raiser.remove("a")
    server.raiser.replace_all([timer("c", num=4), timer("a", 100.0, num=5)])
    server.full = False
    server.pass_time(0.5)
    assert server.raised == [4]


def test_a_reload_goes_on_and_a_period_changes(server):
    """D4, K12: neither twice nor not at all."""
    triggers = [timer("a"), timer("once", repeat=1, num=2)]
    server.raiser.replace_all(triggers)
    server.pass_time(1.5)
    server.raiser.replace_all(triggers)
    server.pass_time(0.5)
    assert server.raised == [1, 2, 1]
    server.raiser.change_period("a", 0.25)
    server.pass_time(1)
    assert server.raised == [1, 2, 1, 1, 1, 1, 1]
    assert [(when - WALL, name, num) for when, name, num in server.raiser.upcoming(2)] == [
        (3.25, "a", 1),
        (3.5, "a", 1),
    ]


# files


def test_a_change_of_a_file_is_raised_and_counted(server, tmp_path):
    """K9: once for what happened since the last look; left out while one waits."""
    path = tmp_path / "file"
    server.raiser.replace_all([Trigger(7, FileMonitor(str(path), missing_ok=True), "m")])
    path.touch()
    server.look(DEADLINE)
    assert (server.raised, server.counts("m")) == ([7], (1, 0))
    server.waiting = {7}
    path.write_text("more")
    server.look(DEADLINE)
    assert (server.raised, server.counts("m")) == ([7], (1, 1))
    server.full, server.waiting = True, set()
    path.write_text("most")
    server.look(DEADLINE)
    server.full = False
    server.leap(0.1)
    assert (server.raised, server.counts("m")) == ([7, 7], (2, 1))


def test_a_reload_watches_what_it_says(server, tmp_path):
    """What stays is watched on, what changes is watched anew, what goes is not watched."""
    a, b, c = (tmp_path / name for name in "abc")
    for path in (a, b, c):
        path.touch()
    server.raiser.replace_all([Trigger(1, FileMonitor(str(a)), "a"), Trigger(2, FileMonitor(str(b)), "b")])
    server.raiser.replace_all([Trigger(1, FileMonitor(str(a)), "a"), Trigger(3, FileMonitor(str(c)), "b")])
    b.write_text("x")
    server.look()
    for path in (a, c):
        path.write_text("x")
    server.look(DEADLINE)
    assert sorted(server.raised) == [1, 3]
    server.raised.clear()
    server.raiser.remove("b")
    c.write_text("y")
    server.look()
    assert server.raised == []


def test_what_cannot_be_watched_is_told_and_keeps_nobody_up(server, tmp_path, caplog, monkeypatch):
    """A path that is gone by now, or no inotify at all: a line in the log, and the timers tick."""

    def none(_raiser):
        raise ScheduleError("no inotify", None)

    triggers = [Trigger(1, FileMonitor(str(tmp_path / "gone")), "m"), timer("a", num=2)]
    with caplog.at_level(logging.ERROR):
        server.raiser.replace_all(triggers)
        server.raiser.close()
        monkeypatch.setattr(MasterScheduler, "_new_watcher", none)
        server.raiser.replace_all(triggers)
    assert [record.message.split(" is not")[0] for record in caplog.records] == [str(tmp_path / "gone")] * 2
    server.pass_time(1)
    assert server.raised == [2]


def test_it_closes_what_it_opened(tmp_path):
    """Descriptors and the selector's entry; twice does no harm, and without monitors nothing was opened."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    server = Server()
    assert server.selector.get_map() == {}
    server.raiser.replace_all([Trigger(1, FileMonitor(str(tmp_path)), "m")])
    assert len(server.selector.get_map()) == 1
    server.raiser.close()
    server.raiser.close()
    assert len(server.selector.get_map()) == 0
    server.selector.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert os.path.isdir(tmp_path)  # noqa: PTH112 - nothing happened to what was watched
