"""What people and programs do to files, as one change each: real events of the kernel, simulated time."""

import logging
import os
import select

import pytest

from heliograph._core.schedule.schedule import ClockReading
from heliograph._core.schedule.settling import MAX_SETTLES
from heliograph.models import DEFAULT_SETTLE, FileMonitor, Trigger
from heliograph.triggers.scheduler import Scheduler, SchedulerHost

WALL = 1_767_225_600.0
LOG = logging.getLogger("heliograph.master")


class Server:
    """A scheduler with a monitor of `path`. The test reads the events of the kernel, and lets time pass."""

    def __init__(self, path, **facts):
        self.now, self.sent = 0.0, []
        self.scheduler = Scheduler(self.send, lambda _: False, SchedulerHost(LOG, self.clock))
        self.scheduler.add(Trigger(7, FileMonitor(str(path), **facts), "m"))
        self.settle()
        self.sent.clear()

    def clock(self):
        return ClockReading(self.now, WALL + self.now)

    def send(self, num):
        self.sent.append(num)
        return True

    def read(self):
        """Read the events as the loop does: if there are any."""
        if select.select([self.scheduler.watch_fd], [], [], 0)[0]:
            self.scheduler.read_changes()
        self.scheduler.tick()

    def settle(self, seconds=DEFAULT_SETTLE):
        """Let time pass, and tick at each deadline."""
        self.read()
        end = self.now + seconds + 0.001
        while (wait := self.scheduler.wait()) <= end - self.now:
            self.now += wait + 1e-6
            self.scheduler.tick()
        self.now = end

    def fired(self):
        return next(row["fired"] for row in self.scheduler.rows())


@pytest.fixture
def server(request, tmp_path):
    path = tmp_path / "etc/prices.csv"
    path.parent.mkdir()
    path.write_text("old")
    server = Server(path, **getattr(request, "param", {}))
    yield server
    server.scheduler.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "etc/prices.csv"


def append(path):
    """`echo new >> file`."""
    with path.open("a") as file:
        file.write("new\n")


def five_appends(path):
    for _ in range(5):
        append(path)


def truncate_and_write(path):
    """nano, `cp`, and `open(path, "w")` in any program."""
    with path.open("w") as file:
        for line in range(10):
            file.write(f"{line}\n")
            file.flush()


def replace_atomically(path):
    """Deployment tools, and most editors with a graphical interface."""
    spare = path.with_name(".prices.csv.tmp")
    spare.write_text("new")
    spare.chmod(0o644)
    spare.rename(path)


def save_in_vim(path):
    """With `backupcopy=no`: the old file becomes the backup, and a new one is written."""
    (path.with_name("4913")).touch()
    (path.with_name("4913")).unlink()
    backup = path.with_name("prices.csv~")
    path.rename(backup)
    path.write_text("new")
    path.chmod(0o644)
    backup.unlink()


def save_in_vim_with_a_copy(path):
    """With `backupcopy=yes`: the file itself is written."""
    backup = path.with_name("prices.csv~")
    backup.write_text(path.read_text())
    truncate_and_write(path)
    path.chmod(0o644)
    backup.unlink()


def save_in_emacs(path):
    """The first save keeps a backup, and a lock is beside it."""
    lock = path.with_name(".#prices.csv")
    lock.symlink_to("somebody@here.1")
    path.rename(path.with_name("prices.csv~"))
    path.write_text("new")
    os.utime(path)
    lock.unlink()


def rotate(path):
    """logrotate: rename, create, set the owner, and the program writes on."""
    path.rename(path.with_name("prices.csv.1"))
    path.touch()
    path.chmod(0o640)
    os.chown(path, os.getuid(), os.getgid())
    append(path)


WAYS = [
    append,
    five_appends,
    truncate_and_write,
    replace_atomically,
    save_in_vim,
    save_in_vim_with_a_copy,
    save_in_emacs,
    rotate,
]


@pytest.mark.parametrize("change", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("watched", ["etc/prices.csv", "etc"])
def test_one_change_is_one_run(server, path, tmp_path, change, watched):
    """For a monitor of the file, and for one of its directory."""
    if watched == "etc":
        server.scheduler.add(Trigger(7, FileMonitor(str(tmp_path / watched)), "m"))
    for runs in (1, 2):
        path.with_name("prices.csv~").unlink(missing_ok=True)
        server.settle()
        server.sent.clear()
        before = server.fired()
        change(path)
        server.read()
        assert server.sent == []
        server.settle()
        assert (server.sent, server.fired()) == ([7], before + 1), runs


@pytest.mark.parametrize("change", WAYS, ids=lambda way: way.__name__)
def test_events_are_read_while_they_come(server, path, change, monkeypatch):
    """The loop reads after each step, 20 ms apart, and the steps are still one change."""
    steps = 0

    def step(*_):
        nonlocal steps
        steps += 1
        server.now += 0.02
        server.read()

    for name in ("rename", "chmod", "unlink", "touch", "write_text", "open"):
        original = getattr(type(path), name)
        monkeypatch.setattr(type(path), name, lambda *a, original=original, **k: (step(), original(*a, **k))[1])
    change(path)
    assert steps >= 1
    assert server.sent == []
    server.settle()
    assert server.sent == [7]


def test_the_data_link_of_a_config_map(tmp_path):
    """Kubernetes writes a new directory, and swaps the link `..data` to it."""
    for number in (1, 2, 3):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}/prices.csv").write_text(f"{number}")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "prices.csv").symlink_to("..data/prices.csv")
    server = Server(tmp_path / "prices.csv")
    for number in (2, 3):
        (tmp_path / "..data_tmp").symlink_to(f"..{number}")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        (tmp_path / f"..{number - 1}/prices.csv").unlink()
        (tmp_path / f"..{number - 1}").rmdir()
        server.settle()
        assert server.sent == [7] * (number - 1)
    server.scheduler.close()


def test_two_changes_are_two_runs(server, path):
    """With a time between them that is longer than `settle`."""
    append(path)
    server.settle()
    append(path)
    server.settle()
    assert server.sent == [7, 7]


@pytest.mark.parametrize("server", [{"settle": 0.0}], indirect=True)
def test_a_monitor_that_does_not_wait(server, path):
    """`settle=0` fires as soon as the events are read."""
    append(path)
    server.scheduler.read_changes()
    assert server.sent == [7]


@pytest.mark.parametrize("server", [{"settle": 2.0}], indirect=True)
def test_a_longer_wait(server, path):
    """For a program that takes its time between two steps."""
    append(path)
    server.settle(1.5)
    append(path)
    server.settle(1.5)
    assert server.sent == []
    server.settle(0.5)
    assert server.sent == [7]


def test_a_file_that_is_written_to_for_ever(server, path):
    """Its monitor fires once in a while."""
    while server.now < 10 * MAX_SETTLES * DEFAULT_SETTLE:
        append(path)
        server.read()
        server.now += DEFAULT_SETTLE / 2
    assert 9 <= len(server.sent) <= 10
    server.settle()
    assert server.fired() == len(server.sent)


def test_a_late_host_reads_before_it_fires(server, path):
    """The time has passed, and events are unread that belong to the same change."""
    append(path)
    server.read()
    server.now += 10 * DEFAULT_SETTLE
    append(path)
    server.scheduler.tick()
    assert server.sent == []
    server.settle()
    assert server.sent == [7]


def test_a_removed_monitor_does_not_fire(server, path):
    """Nor does one of another path with the same name fire for the old path."""
    append(path)
    server.read()
    server.scheduler.replace_all([Trigger(8, FileMonitor(str(path.parent), recursive=True), "m")])
    server.settle()
    append(path)
    server.read()
    server.scheduler.remove("m")
    server.settle()
    assert server.sent == []


def test_a_reload_keeps_a_change(server, path):
    """The new code has the same monitor, also if its signal has another number now."""
    append(path)
    server.read()
    server.scheduler.replace_all([Trigger(9, FileMonitor(str(path)), "m")])
    server.settle()
    assert server.sent == [9]
