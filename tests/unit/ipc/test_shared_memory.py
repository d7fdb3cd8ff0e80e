"""The memory that the processes of a server share: opened by its layout, for reading only, and the names in it."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph._core.layout import MAX_SENDER_ONLY, IncompatibleServer, Layout
from heliograph._core.signals.routes import Route
from heliograph.exceptions import ConfigError, NoSignalAvailable
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import SIGNALS, Identity, Topology

SERVER = Topology(workers=2, mules=1)
FIRST_SENDER_ONLY = 4
"""Index of the first slot behind those of the processes and the master."""
LOCKS = Layout.of(SERVER)["locks"].offset
NAME_LOCK = LOCKS + MAX_SENDER_ONLY
SAME_CANDIDATE = ("a", "x")
"""Two names with the same first candidate."""


@pytest.fixture
def memory():
    memory = SharedMemory.create(SERVER)
    yield memory
    os.close(memory.fd)


def anything(_num):
    return True


def test_a_name_keeps_its_number(memory):
    """Also if the number is not free in a process that asks later."""
    assert memory.allocate_name("a", anything) == 67
    assert memory.allocate_name("a", lambda _num: False) == 67
    assert SharedMemory(memory.fd, SERVER).allocate_name("a", anything) == 67
    assert memory.names[67] == "a"


def test_names_with_the_same_first_candidate_get_two_numbers(memory):
    """The name that is allocated first gets it, for all processes."""
    first, second = (memory.allocate_name(name, anything) for name in SAME_CANDIDATE)
    theirs = SharedMemory(memory.fd, SERVER)
    assert [theirs.allocate_name(name, anything) for name in reversed(SAME_CANDIDATE)] == [second, first] == [68, 67]


@pytest.mark.parametrize("table", ["live", "staged"])
def test_a_registered_number_gets_no_name(memory, table):
    """Neither does one that is not free in the process that asks."""
    getattr(memory, table)[67] = Route("worker", "shop.refresh")
    assert memory.allocate_name("a", lambda num: num != 68) == 69


def test_a_new_name_fails_if_no_number_is_left(memory):
    """A known name is still found, and the failure changes nothing."""
    for num in range(SIGNALS):
        memory.names[num] = f"name {num}"
    with pytest.raises(NoSignalAvailable):
        memory.allocate_name("a", anything)
    assert memory.allocate_name("name 5", anything) == 5
    assert memory.names.find("a") is None


def test_a_failed_allocation_releases_the_lock(memory):
    """Another process can allocate a name afterwards."""
    with pytest.raises(NoSignalAvailable):
        memory.allocate_name("a", lambda _num: False)
    with _other(memory, "print(memory.allocate_name('a', lambda _num: True))") as other:
        assert other.stdout.readline() == "67\n"
        other.stdin.close()
        assert other.wait() == 0


def test_names_touch_nothing_else(memory):
    """Routes, counters and in-flight buffers stay as they are, and the names when the buffers are filled."""
    for num in range(SIGNALS):
        memory.names[num] = "x" * 63
    assert all(memory.live[num] is None and memory.staged[num] is None for num in range(SIGNALS))
    assert not any(any(memory.in_flight(process)) for process in (*memory.processes, Identity("master")))
    assert all(slot.pid == 0 and not any(slot.sent) for slot in memory.counters.slots)
    for process in (*memory.processes, Identity("master")):
        memory.in_flight(process)[:] = b"\xff" * len(memory.in_flight(process))
    assert {memory.names[num] for num in range(SIGNALS)} == {"x" * 63}


def test_one_process_allocates_a_name_at_a_time(memory):
    """Another one waits meanwhile. The locks of sender-only slots are independent of that."""
    assert memory.claim_sender_only_slot() == FIRST_SENDER_ONLY
    fcntl.lockf(memory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, MAX_SENDER_ONLY, LOCKS)
    with _other(memory, "with memory._lock():\n    print('within')\n    sys.stdin.read()") as other:
        assert other.stdout.readline() == "within\n"
        with pytest.raises(OSError, match="temporarily unavailable"):
            fcntl.lockf(memory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, NAME_LOCK)
        other.stdin.close()
        assert other.wait() == 0
    assert memory.allocate_name("a", anything) == 67


def _other(memory, code):
    """Start another process of that server, which runs this code."""
    program = f"""
import sys
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Topology
sys.stdout.reconfigure(line_buffering=True)
memory = SharedMemory({memory.fd}, {SERVER!r})
{code}
"""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True, pass_fds=[memory.fd])


def test_a_released_sender_only_slot_is_claimed_by_another_process(memory):
    """Until then, another process claims the next slot."""
    claim = "print(memory.claim_sender_only_slot())\nsys.stdin.read()"
    mine = memory.claim_sender_only_slot()
    for expected in (mine + 1, mine):
        with _other(memory, claim) as other:
            assert other.stdout.readline() == f"{expected}\n"
            other.stdin.close()
            assert other.wait() == 0
        memory.free_sender_only_slot()


def test_forty_sender_only_processes_are_counted(memory):
    """Each has a slot of its own, also if it claims it after others have mapped the memory."""
    reader = SharedMemory(memory.fd, SERVER)
    ready, go_on = os.pipe(), os.pipe()
    children = []
    for _ in range(40):
        children.append(os.fork())
        if not children[-1]:
            number = memory.claim_sender_only_slot()
            memory.counters.slots[number].sent[5] += 100
            os.write(ready[1], b"x")
            os.close(go_on[1])
            os.read(go_on[0], 1)
            os._exit(0)
    found = b""
    while len(found) < len(children):
        found += os.read(ready[0], 100)
    assert reader.counters.total("sent", 5) == 4000
    assert len(reader.counters.slots) == FIRST_SENDER_ONLY + 40
    for fd in (*ready, *go_on):
        os.close(fd)
    for child in children:
        os.waitpid(child, 0)


def test_new_memory_begins_with_its_header(memory):
    """And has nothing but zeros behind it."""
    layout = Layout.of(SERVER)
    content = os.pread(memory.fd, layout.size + 1, 0)
    assert len(content) == layout.size
    assert content.startswith(layout.header())
    assert not any(content[layout.header_bytes :])


@pytest.mark.parametrize("opening", [SharedMemory, SharedMemory.open_read_only])
def test_memory_of_another_layout_is_not_opened(memory, opening):
    """Neither to write nor to read: a figure would be read as another."""
    os.pwrite(memory.fd, b"\xff", Layout.of(SERVER).header_bytes - 1)
    with pytest.raises(IncompatibleServer, match="another layout of the shared memory: locks"):
        opening(memory.fd, SERVER)


@pytest.mark.parametrize("other", [Topology(workers=1, mules=1), Topology(workers=2, mules=2)])
def test_memory_of_another_topology_is_not_opened(memory, other):
    """Its segments are of another length."""
    with pytest.raises(IncompatibleServer, match="counters, in_flight"):
        SharedMemory(memory.fd, other)


def test_memory_that_was_cut_off_is_not_opened(memory):
    """Reading beyond the end of the file would kill the process (SIGBUS)."""
    os.ftruncate(memory.fd, Layout.of(SERVER).size - 1)
    with pytest.raises(IncompatibleServer, match="instead of"):
        SharedMemory(memory.fd, SERVER)


def test_a_reader_sees_what_is_written_and_writes_nothing(memory):
    """Over the descriptor that the master hands out, which cannot be written to either."""
    fd = memory.read_only_descriptor()
    try:
        assert not os.get_inheritable(fd)
        reader = SharedMemory.open_read_only(fd, SERVER)
        memory.counters.slots[1].sent[7] += 3
        memory.live[7] = Route("mule1", "shop.refresh")
        memory.names[67] = "a"
        memory.in_flight(Identity("mule", 1))[0] = 1
        assert reader.counters.total("sent", 7) == 3
        assert (reader.live[7], reader.names.find("a")) == (Route("mule1", "shop.refresh"), 67)
        assert reader.in_flight(Identity("mule", 1))[0] == 1
        for write in (
            lambda: reader.counters.slots[1].sent.__setitem__(7, 0),
            reader.live.clear,
            lambda: reader.names.__setitem__(67, "b"),
            lambda: reader.in_flight(Identity("mule", 1)).__setitem__(0, 0),
        ):
            with pytest.raises(TypeError, match="read-only"):
                write()
        with pytest.raises(PermissionError):
            SharedMemory(fd, SERVER)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(fd, b"x", 0)
    finally:
        os.close(fd)


def test_a_failed_start_leaves_no_descriptor_open(monkeypatch):
    """If the header cannot be written, the memory is closed again."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with pytest.raises(IncompatibleServer, match="without a header"):
        SharedMemory.create(SERVER)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_refused_memory_is_an_error_that_names_the_call(monkeypatch):
    """A seccomp profile of a container may refuse it."""

    def refuse(_name, _flags):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("os.memfd_create", refuse)
    with pytest.raises(ConfigError, match=r"^cannot create .* permitted\. Allow the call memfd_create\.$"):
        SharedMemory.create(SERVER)
