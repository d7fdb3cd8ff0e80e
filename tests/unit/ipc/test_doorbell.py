"""The doorbell: rings of processes that have no queues of the server."""

import logging
import os
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from heliograph.ipc import doorbell as module
from heliograph.ipc.doorbell import MAX_RINGS, Doorbell, Ring, ring
from heliograph.ipc.store_directory import DOORBELL


@pytest.fixture
def place(directory):
    return str(directory)


@pytest.fixture
def bell(place):
    bell = Doorbell(place)
    yield bell
    bell.close()


def descriptors():
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_a_ring_is_heard(place, bell):
    """With the target, and the time if there is one."""
    assert ring(place, "spooler")
    assert ring(place, "farm_crunchers", 1_800_000_000.25)
    assert bell.read() == [Ring("spooler"), Ring("farm_crunchers", 1_800_000_000.25)]
    assert bell.read() == []


def test_a_ring_goes_to_no_file_that_has_got_the_descriptor_of_the_socket(place, bell, tmp_path):
    """A program that closes all its descriptors, as daemons do, closes the one with which this process rings."""
    assert ring(place, "spooler")
    [(_, fd, _)] = module._ringers
    other = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.dup2(other, fd)
    assert ring(place, "mule")
    os.close(fd)
    assert ring(place, "worker")
    assert [heard.target for heard in bell.read()] == ["spooler", "mule", "worker"]
    assert os.fstat(other).st_size == 0
    os.close(other)


def test_nobody_is_there(place):
    """Without a directory, without a socket, and with the socket of a server that was killed."""
    assert not ring(place + "/none", "spooler")
    assert not ring(place, "spooler")
    left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.bind(f"{place}/{DOORBELL}")
    left.close()
    assert not ring(place, "spooler")


def test_a_new_server_replaces_the_socket_of_a_killed_one(place):
    """The lock of the directory says that the old one is gone."""
    killed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    killed.bind(f"{place}/{DOORBELL}")
    killed.close()
    bell = Doorbell(place)
    assert ring(place, "mule")
    assert bell.read() == [Ring("mule")]
    bell.close()
    assert list(Path(place).iterdir()) == []


def test_the_socket_of_a_successor_stays(place):
    """A server that closes late removes its own file only."""
    old = Doorbell(place)
    new = Doorbell(place)
    old.close()
    assert ring(place, "mule")
    assert new.read() == [Ring("mule")]
    new.close()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_only_the_user_may_ring(place, umask):
    """Whatever the umask is."""
    before = os.umask(umask)
    try:
        bell = Doorbell(place)
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path(place, DOORBELL).stat().st_mode) == 0o600
    bell.close()


def test_a_long_path(directory):
    """The address of a Unix socket has 107 bytes at most."""
    path = directory.joinpath(*["a-directory-with-a-long-name"] * 8)
    path.mkdir(parents=True)
    assert len(str(path)) > 200
    bell = Doorbell(str(path))
    assert ring(str(path), "spooler")
    assert bell.read() == [Ring("spooler")]
    bell.close()
    assert list(path.iterdir()) == []


def test_a_full_socket_makes_the_sender_wait(place, bell):
    """Nothing is lost, although the kernel takes few datagrams."""
    count = 3 * MAX_RINGS
    sender = threading.Thread(target=lambda: [ring(place, f"mule{number}") for number in range(count)])
    sender.start()
    heard = []
    while len(heard) < count:
        heard += bell.read()
    sender.join()
    assert heard == [Ring(f"mule{number}") for number in range(count)]


def test_a_server_that_does_not_read(place, bell, monkeypatch, caplog):
    """The sender gives up and says so. Its task is stored nonetheless."""
    monkeypatch.setattr(module, "_RING_TIMEOUT", 0.02)
    with caplog.at_level(logging.WARNING):
        while ring(place, "mule"):
            pass
    assert f"The server of {place} does not read its doorbell" in caplog.text
    assert bell.read()


def test_a_turn_of_the_loop_reads_some_of_the_rings(place, bell):
    """The others follow in the next one."""
    writers = threading.Thread(target=lambda: [ring(place, "m") for _ in range(MAX_RINGS + 5)])
    writers.start()
    first = 0
    total = 0
    while total < MAX_RINGS + 5:
        first = len(bell.read())
        assert first <= MAX_RINGS
        total += first
    writers.join()


@pytest.mark.parametrize("data", [b"\xff\xfe", b"mule soon", b"mule 1 2"])
def test_nonsense_is_left_out(place, bell, data):
    """The next ring is heard."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, f"{place}/{DOORBELL}")
    ring(place, "mule")
    assert bell.read() == [Ring("mule")]


def test_a_directory_that_does_not_exist(place):
    """No descriptor stays open."""
    before = descriptors()
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            Doorbell(place + "/none")
    assert descriptors() == before


def test_python_does_not_warn_at_the_end_of_a_process_that_rang(place, bell):
    """The socket for rings stays open until then."""
    code = f"from heliograph.ipc.doorbell import ring; assert ring({place!r}, 'mule1')"
    done = subprocess.run([sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert bell.read() == [Ring("mule1")]
