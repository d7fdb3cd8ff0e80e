"""The directory of tasks, and its one server."""

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from heliograph.exceptions import StoreError
from heliograph.ipc import filesystem
from heliograph.ipc.store_directory import ServerLock, make_directory, running_server, running_topology
from heliograph.models import FarmSpec, Topology


@pytest.fixture
def directory(tmp_path):
    path = str(tmp_path / "spool")
    make_directory(path)
    return path


def fork(function):
    """Run a function in a child, which then sleeps."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kept = function()
            os.write(writer, b"x")
            time.sleep(60)
            del kept
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"x"
    return pid


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_the_directory_is_for_its_owner_only(tmp_path):
    path = tmp_path / "spool"
    make_directory(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    path.chmod(0o755)
    make_directory(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_parents_that_are_missing_are_private_too(tmp_path):
    """The state directory of a user's servers is often made by the first store."""
    make_directory(str(tmp_path / "state" / "shop.tasks"))
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot create the directory of tasks: .*/file/x"):
        make_directory(str(tmp_path / "file/x"))


def test_the_file_system_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(filesystem, "filesystem_type", lambda _: 0x6969)
    with pytest.raises(StoreError, match="NFS"):
        make_directory(str(tmp_path / "spool"))
    assert "NFS" in make_directory(str(tmp_path / "spool"), allow_any=True)


def test_a_second_server_is_refused_and_the_first_one_named(directory):
    pid = fork(lambda: ServerLock(directory, "shop"))
    with pytest.raises(StoreError, match=rf"belong to a running server: 'shop' .process {pid}\)\."):
        ServerLock(directory, "other")
    assert running_server(directory) == "shop"
    kill(pid)
    assert running_server(directory) is None
    lock = ServerLock(directory, "other")
    lock.release()
    lock.release()


def test_a_server_that_was_killed_does_not_keep_the_directory(directory):
    """Not even if a process that it had forked lives on."""
    reader, writer = os.pipe()

    def master():
        lock = ServerLock(directory, "shop")
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        os.write(writer, f"{child}\n".encode())
        return lock

    pid = fork(master)
    child = int(os.read(reader, 20))
    try:
        kill(pid)
        ServerLock(directory, "next").release()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_of_the_master_does_not_free_the_directory(directory):
    lock = ServerLock(directory, "shop")
    pid = os.fork()
    if pid == 0:
        lock.release()
        os._exit(0)
    os.waitpid(pid, 0)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, (running_server(directory) or "none").encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 20) == b"shop"
    lock.release()


def test_there_is_no_server_where_there_is_no_directory(tmp_path):
    assert running_server(str(tmp_path)) is None


def test_a_server_notes_its_processes_as_long_as_it_runs(directory):
    topology = Topology(2, 2, (FarmSpec("crunchers", (1, 2)),), spoolers=1, min_workers=1)
    assert running_topology(directory) is None
    pid = fork(lambda: ServerLock(directory, "shop", topology))
    try:
        assert running_topology(directory) == topology
        assert running_server(directory) == "shop"
        with pytest.raises(StoreError, match=rf"a running server: 'shop' .process {pid}\)\."):
            ServerLock(directory, "other")
    finally:
        kill(pid)
    assert running_topology(directory) is None


@pytest.mark.parametrize("note", ["shop", "shop\nx", "shop\n[]", 'shop\n{"workers": 1}', "shop\n1"])
def test_processes_that_another_version_has_noted_are_unknown(directory, note):
    pid = fork(lambda: ServerLock(directory, "shop"))
    try:
        Path(directory, "server").write_text(note)
        assert running_topology(directory) is None
        assert running_server(directory) == "shop"
    finally:
        kill(pid)
