"""The control socket and its lock are restored when something removes them, unless another server has the name."""

import errno
import fcntl
import os
import shutil
import stat

import pytest

from heliograph._core.supervision.events import Due, ReloadRequested
from heliograph.exceptions import ConfigError, ScheduleError
from heliograph.ipc.control_sockets import is_served
from heliograph.ipc.instance import InstanceLock, control_socket
from heliograph.loop import NEVER
from heliograph.server.services import control, socket_watch
from heliograph.server.services.control import ControlServer
from heliograph.server.services.control_watch import texts_for, watched_files
from heliograph.server.services.socket_watch import (
    DELAY_RESET_AFTER,
    INITIAL_DELAY,
    LOGGED_FAILURE,
    MAX_DELAY,
    SocketWatch,
)


@pytest.fixture(params=["name", "control"])
def path(request, directory, monkeypatch):
    """Path of a control socket: by name, and given with --control."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    if request.param == "name":
        return control_socket("shop")
    (directory / "here").mkdir()
    return directory / "here" / "shop.sock"


@pytest.fixture
def given(path, directory):
    """The value of --control."""
    return path if path.parent.name == "here" else None


@pytest.fixture
def lock(given):
    lock = InstanceLock("shop", given)
    yield lock
    lock.release()


@pytest.fixture
def server(loop, path, lock):
    server = ControlServer(path, loop.selector, {}, loop.clock)
    loop.listeners.append(server)
    return server


@pytest.fixture
def watch(loop, lock, server):
    watch = SocketWatch(loop.selector, watched_files(lock, server), texts_for(server), loop.clock)
    loop.listeners.append(watch)
    pass_time(loop, watch, INITIAL_DELAY)
    assert watch.deadline == NEVER
    return watch


def pass_time(loop, watch, seconds):
    loop.run_ready(watch)
    loop.now += seconds
    loop.run_ready(watch)
    watch.tick(loop.now)


def remove_socket(path):
    path.unlink()


def remove_lock(path):
    path.with_suffix(".lock").unlink()


def remove_files(path):
    remove_socket(path)
    remove_lock(path)


def remove_directory(path):
    shutil.rmtree(path.parent)


def rename_socket(path):
    path.rename(path.with_name("moved"))


def rename_directory(path):
    path.parent.rename(path.parent.with_name("moved"))


def replace_socket(path):
    path.unlink()
    os.mknod(path, stat.S_IFSOCK | 0o600)


REMOVALS = (
    *(remove_socket, remove_lock, remove_files, remove_directory),
    *(rename_socket, rename_directory, replace_socket),
)


@pytest.mark.parametrize("remove", REMOVALS)
def test_what_was_removed_is_restored(loop, watch, path, given, caplog, descriptors, remove):  # noqa: PLR0917 - fixtures
    """Again and again, with one line each and no descriptor more. Clients are served, and the name is taken."""
    before = descriptors()
    for count in range(1, 4):
        remove(path)
        pass_time(loop, watch, MAX_DELAY)
        assert is_served(path)
        with pytest.raises(ConfigError, match=rf"already running: 'shop' \(process {os.getpid()}\)"):
            InstanceLock("shop", given)
        loop.run_ready(watch)
        assert caplog.messages == [f"The control socket or its lock was removed, restored: {path}"] * count
        shutil.rmtree(path.parent.with_name("moved"), ignore_errors=True)
        path.with_name("moved").unlink(missing_ok=True)
        pass_time(loop, watch, MAX_DELAY)
        assert watch.deadline == NEVER
    assert descriptors() == before
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(path.with_suffix(".lock").stat().st_mode) == 0o600
    if remove in {remove_directory, rename_directory}:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_connection_survives(loop, server, watch, path):
    """A client that waits for a reload does not lose it."""
    peer = loop.connect(path)
    loop.run_ready(server)
    remove_socket(path)
    pass_time(loop, watch, INITIAL_DELAY)
    peer.sendall(b"\0\0\0\2[]")
    loop.run_ready(server)
    assert b"malformed" in peer.recv(1000)


def test_the_end_removes_what_was_restored(loop, server, watch, lock, path):
    """As a server does otherwise."""
    remove_directory(path)
    pass_time(loop, watch, INITIAL_DELAY)
    server.stop_listening()
    lock.release()
    assert list(path.parent.iterdir()) == []


def test_another_server_keeps_the_name(loop, watch, path, given, caplog):
    """One that started before the files were restored. This one logs an error once, and returns when that one ends."""
    remove_files(path)
    other_lock = InstanceLock("shop", given)
    other = ControlServer(path, loop.selector, {}, loop.clock)
    inode = path.stat().st_ino
    for _ in range(LOGGED_FAILURE + 3):
        pass_time(loop, watch, MAX_DELAY)
    (line,) = caplog.records
    assert line.levelname == "ERROR"
    assert "server already running: 'shop'" in line.getMessage()
    assert f"kill {os.getpid()}" in line.getMessage()
    assert path.stat().st_ino == inode
    assert other.is_in_place()
    assert other_lock.is_in_place()
    other.close()
    other_lock.release()
    pass_time(loop, watch, MAX_DELAY)
    assert is_served(path)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_file_in_the_place_of_the_socket_is_kept(loop, watch, path, caplog):
    """It may be the user's."""
    remove_socket(path)
    path.write_text("mine")
    for _ in range(LOGGED_FAILURE):
        pass_time(loop, watch, MAX_DELAY)
    assert f"there is a file that is not a socket: {path}" in caplog.text
    assert path.read_text() == "mine"


def test_a_server_that_is_rejected_meanwhile_is_no_error(loop, watch, path, caplog):
    """It holds the new lock for a moment."""
    remove_lock(path)
    passing = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(passing, fcntl.LOCK_EX)
    pass_time(loop, watch, INITIAL_DELAY)
    assert watch.deadline < NEVER
    os.close(passing)
    pass_time(loop, watch, MAX_DELAY)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_directory_that_cannot_be_created_is_named(loop, watch, path, caplog):
    """Here its parent is a file. It is created as soon as that is possible."""
    base = path.parent.parent
    moved = base.with_name(f"{base.name}-moved")
    base.rename(moved)
    base.touch()
    try:
        remove_directory(moved / path.parent.name / path.name)
        for _ in range(LOGGED_FAILURE + 1):
            pass_time(loop, watch, MAX_DELAY)
        (line,) = caplog.messages
        assert f"cannot create the directory of control sockets: {path.parent} (" in line
    finally:
        base.unlink()
        moved.rename(base)
    pass_time(loop, watch, MAX_DELAY)
    assert is_served(path)


def test_a_full_disk_is_named(loop, watch, path, caplog, monkeypatch):
    remove_files(path)

    def fail(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(InstanceLock, "_write_pid", fail)
        full.setattr(control, "_listen", fail)
        for _ in range(LOGGED_FAILURE + 1):
            pass_time(loop, watch, MAX_DELAY)
    assert "Cannot restore the control socket: No space left on device. Commands" in caplog.text


def test_a_removal_that_repeats_costs_little(loop, watch, path):
    """The delay doubles up to ten seconds. After a quiet minute it is the first one again."""
    delays = []
    for _ in range(10):
        remove_socket(path)
        loop.run_ready(watch)
        delays.append(watch.deadline - loop.now)
        pass_time(loop, watch, delays[-1])
        pass_time(loop, watch, MAX_DELAY)
    assert delays[:3] == pytest.approx([INITIAL_DELAY, 2 * INITIAL_DELAY, 4 * INITIAL_DELAY])
    assert max(delays) == pytest.approx(MAX_DELAY)
    pass_time(loop, watch, DELAY_RESET_AFTER + 1)
    remove_socket(path)
    loop.run_ready(watch)
    assert watch.deadline - loop.now == pytest.approx(INITIAL_DELAY)


@pytest.mark.parametrize("lacking", ["instances", "watches"])
def test_without_inotify_the_files_are_checked_at_intervals(loop, lock, server, path, monkeypatch, lacking):
    """The user may have used up the instances or the watches."""

    def fail(*_args):
        raise ScheduleError("none left", "x")

    monkeypatch.setattr(socket_watch.Inotify, "__init__" if lacking == "instances" else "add", fail)
    watch = SocketWatch(loop.selector, watched_files(lock, server), texts_for(server), loop.clock)
    loop.listeners.append(watch)
    pass_time(loop, watch, INITIAL_DELAY)
    remove_files(path)
    for _ in range(2):
        assert watch.deadline - loop.now <= MAX_DELAY
        pass_time(loop, watch, MAX_DELAY)
        assert is_served(path)


def test_events_of_the_supervisor_check(loop, watch):
    """A reload does, and a deadline does not. inotify does not report that a parent directory was renamed."""
    watch.observe(Due())
    assert watch.deadline == NEVER
    watch.observe(ReloadRequested())
    assert watch.deadline == loop.now + INITIAL_DELAY
    pass_time(loop, watch, INITIAL_DELAY)
    assert watch.deadline == NEVER


def test_a_restart_checks(loop, watch, path):
    """After an error of the service."""
    remove_files(path)
    watch.restart()
    watch.tick(loop.now)
    assert is_served(path)


def test_the_link_from_the_name_is_restored_with_the_socket(loop, watch, path, given):
    """The commands find a server with --control by its name through a link, which the same program may remove."""
    link = control_socket("shop")
    remove_files(path)
    link.unlink(missing_ok=True)
    pass_time(loop, watch, INITIAL_DELAY)
    assert is_served(link)
    assert link.is_symlink() == (given is not None)
