"""Finding a server by its name, and the lock that allows one per name."""

import os
import re
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.exceptions import ConfigError
from heliograph.ipc import instance
from heliograph.ipc.instance import InstanceLock, control_socket, server_name

BOUND = 108
"""Bytes of a unix socket's path, with the zero at its end."""


@pytest.fixture(autouse=True)
def runtime(directory, monkeypatch):
    """Return the directory in which the directory of the sockets is created."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    return directory


# names


@pytest.mark.parametrize("name", ["shop", "Shop-2.test_a", "x" * 64, "0"])
def test_a_name_is_taken_as_it_is(name, tmp_path):
    """Letters, digits, dots and dashes."""
    assert server_name(name, tmp_path) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "../x", "a b", "a\n", "a\0", "x" * 65, "shop;ls"])
def test_a_name_that_is_not_a_file_name_is_rejected(name, tmp_path):
    """It becomes part of a path, and must not lead elsewhere."""
    with pytest.raises(ConfigError, match="Use letters"):
        server_name(name, tmp_path)


def test_a_name_is_derived_from_the_directory(tmp_path, monkeypatch):
    """It is the same for every path to a directory, and another for another directory with the same base name."""
    one, two = tmp_path / "one" / "shop", tmp_path / "two" / "shop"
    for directory in (one, two):
        directory.mkdir(parents=True)
    (tmp_path / "link").symlink_to(one)
    monkeypatch.chdir(one)
    names = {server_name(None, path) for path in (one, Path(), Path("../shop"))}
    assert len(names) == 1
    (name,) = names
    assert re.fullmatch(r"shop-[0-9a-f]{10}", name)
    assert server_name(None, two) != name
    assert server_name(None, Path("/")).startswith("root-")


@given(name=st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_every_directory_has_a_valid_name(name):
    """`--name` would accept it too."""
    found = server_name(None, Path("/srv") / name)
    assert server_name(found, Path("/")) == found


@pytest.mark.parametrize("name", ["ä" * 60, "あ" * 80, b"caf\xe9".decode(errors="surrogateescape"), "x" * 200])
def test_a_long_name_or_one_that_is_not_utf_8_fits_into_the_path(name):
    """A Unix socket's path has at most 107 bytes."""
    found = server_name(None, Path("/srv") / name)
    assert len(f"/run/user/{2**32}/heliograph/{found}.sock".encode()) < BOUND
    assert server_name(found, Path("/")) == found


def test_a_deleted_working_directory_is_named(tmp_path, monkeypatch):
    """The error says what to do. A name does without the directory."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match=r"does not exist any more\. Change"):
        instance.working_directory()
    assert instance.find_control_socket("shop").name == "shop.sock"


# the directory


def test_the_directory_of_the_sockets_is_private(runtime):
    """It is created with mode 0700, whatever the umask is."""
    before = os.umask(0)
    try:
        path = control_socket("shop")
    finally:
        os.umask(before)
    assert path == runtime / "heliograph" / "shop.sock"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert control_socket("shop") == path


def test_without_a_runtime_directory_a_temporary_one_is_used(runtime, monkeypatch):
    """One for each user."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(runtime))
    assert control_socket("shop") == runtime / f"heliograph-{os.getuid()}" / "shop.sock"


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o770, 0o755, 0o777])
def test_a_directory_that_others_can_enter_is_rejected(runtime, mode):
    """Its content may come from another user. The error says what to do, and nothing is changed."""
    path = runtime / "heliograph"
    path.mkdir()
    path.chmod(mode)
    for attempt in (lambda: control_socket("shop"), lambda: InstanceLock("shop")):
        with pytest.raises(ConfigError, match="chmod 700"):
            attempt()
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(path.iterdir()) == []


def test_a_directory_of_another_user_is_rejected(runtime, monkeypatch):
    """Whatever its mode is."""
    control_socket("shop")
    monkeypatch.setattr(instance.os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(ConfigError, match="Make it yours"):
        control_socket("shop")


def test_a_link_to_a_directory_is_rejected(runtime):
    """Another user who can write next to it could change where it leads."""
    (runtime / "mine").mkdir(mode=0o700)
    (runtime / "heliograph").symlink_to(runtime / "mine")
    with pytest.raises(ConfigError, match="unsafe directory"):
        control_socket("shop")


def test_every_path_fits_the_longest_name(runtime, tmp_path):
    """In the usual directories."""
    usual = f"/run/user/{2**32}/heliograph/"
    assert len(usual) + len(control_socket("x" * 64).name) < BOUND


# the lock


def test_one_server_per_name(descriptors):
    """A second one fails with the process id of the first. Another name is free."""
    lock, before = InstanceLock("shop"), descriptors()
    with pytest.raises(ConfigError, match=rf"server already running: 'shop' \(process {os.getpid()}\).*--name"):
        InstanceLock("shop")
    assert descriptors() == before
    other = InstanceLock("other")
    for held in (lock, other):
        held.release()


def test_the_name_of_a_running_server_is_taken_though_its_lock_was_removed(runtime, descriptors):
    """A program that cleans up /tmp removes locks, since their files are old and small."""
    before = descriptors()
    path = control_socket("shop")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(ConfigError, match="server already running: 'shop'"):
            InstanceLock("shop")
    assert descriptors() == before
    InstanceLock("shop").release()


def test_a_name_is_free_again(runtime, descriptors):
    """After a release, nothing is left."""
    before = descriptors()
    for _ in range(3):
        InstanceLock("shop").release()
    assert descriptors() == before
    assert list((runtime / "heliograph").iterdir()) == []


@pytest.mark.parametrize("left", ["", "4711\n", "999999999999\n", "x" * 100])
def test_the_file_of_a_killed_master_is_no_lock(runtime, left):
    """Whatever it contains: the kernel knows that no process holds the lock."""
    control_socket("shop")
    (runtime / "heliograph" / "shop.lock").write_text(left)
    lock = InstanceLock("shop")
    assert (runtime / "heliograph" / "shop.lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_lock_without_a_process_id_is_held(runtime):
    """Its holder has just taken it."""
    lock = InstanceLock("shop")
    os.ftruncate(lock._fd, 0)
    with pytest.raises(ConfigError, match=r"process \?"):
        InstanceLock("shop")
    lock.release()


def test_a_file_that_its_last_holder_removes_is_no_lock(runtime, monkeypatch):
    """It was opened before and locked after the removal: the next master would lock another file with that name."""
    real, path, removed = instance.fcntl.flock, runtime / "heliograph" / "shop.lock", []

    def late(fd, how):
        if not removed:
            removed.append(path.unlink())
        real(fd, how)

    monkeypatch.setattr(instance.fcntl, "flock", late)
    lock = InstanceLock("shop")
    assert path.stat().st_ino == os.fstat(lock._fd).st_ino
    with pytest.raises(ConfigError, match="already running"):
        InstanceLock("shop")
    lock.release()


def test_the_lock_is_private_and_not_inherited(runtime):
    """Its mode is 0600, and it is closed in programs that are started."""
    lock = InstanceLock("shop")
    assert stat.S_IMODE((runtime / "heliograph" / "shop.lock").stat().st_mode) == 0o600
    assert not os.get_inheritable(lock._fd)
    lock.release()
