"""The memory that the processes of a server share, as far as it is about names."""

import fcntl
import os
import subprocess
import sys

import pytest

from heliograph._core.signals.routes import Route
from heliograph.exceptions import NoSignalAvailable
from heliograph.ipc.shared_memory import MAX_SENDER_ONLY, SharedMemory
from heliograph.models import SIGNALS, Identity, Topology

SERVER = Topology(workers=2, mules=1)
BEYOND = 4 + MAX_SENDER_ONLY
"""The byte after those of the server's processes, its master and guests."""
WANT_67 = ("a", "x")
"""Two names with the same first candidate."""


@pytest.fixture
def memory():
    memory = SharedMemory.create(SERVER)
    yield memory
    os.close(memory.fd)


def anything(_num):
    return True


def test_a_name_keeps_its_number(memory):
    """Whatever is free when it is asked for again, and whoever asks."""
    assert memory.allocate_name("a", anything) == 67
    assert memory.allocate_name("a", lambda _num: False) == 67
    assert SharedMemory(memory.fd, SERVER).allocate_name("a", anything) == 67
    assert memory.names[67] == "a"


def test_names_that_want_one_number_get_two(memory):
    """The first that comes has it, for all processes."""
    first, second = (memory.allocate_name(name, anything) for name in WANT_67)
    theirs = SharedMemory(memory.fd, SERVER)
    assert [theirs.allocate_name(name, anything) for name in reversed(WANT_67)] == [second, first] == [68, 67]


@pytest.mark.parametrize("table", ["live", "staged"])
def test_a_registered_number_gets_no_name(memory, table):
    """Nor one that is not free in the process that asks."""
    getattr(memory, table)[67] = Route("worker", "shop.refresh")
    assert memory.allocate_name("a", lambda num: num != 68) == 69


def test_with_no_number_left(memory):
    """A name that is known is found nevertheless, and the other changes nothing."""
    for num in range(SIGNALS):
        memory.names[num] = f"name {num}"
    with pytest.raises(NoSignalAvailable):
        memory.allocate_name("a", anything)
    assert memory.allocate_name("name 5", anything) == 5
    assert memory.names.find("a") is None


def test_a_name_that_could_not_be_given_keeps_nobody_out(memory):
    """The lock is given back."""
    with pytest.raises(NoSignalAvailable):
        memory.allocate_name("a", lambda _num: False)
    with _other(memory, "print(memory.allocate_name('a', lambda _num: True))") as other:
        assert other.stdout.readline() == "67\n"
        other.stdin.close()
        assert other.wait() == 0


def test_names_touch_nothing_else(memory):
    """Routes, accounts and hands stay as they are, to the last byte of each."""
    for num in range(SIGNALS):
        memory.names[num] = "x" * 63
    assert all(memory.live[num] is None and memory.staged[num] is None for num in range(SIGNALS))
    assert not any(any(memory.in_flight(who)) for who in (*memory.processes, Identity("master")))
    assert all(slot.pid == 0 and not any(slot.sent) for slot in memory.counters.slots)
    for who in (*memory.processes, Identity("master")):
        memory.in_flight(who)[:] = b"\xff" * len(memory.in_flight(who))
    assert {memory.names[num] for num in range(SIGNALS)} == {"x" * 63}


def test_one_process_names_at_a_time(memory):
    """While another is at it this one would wait; guests are not kept out, nor do they keep anybody out."""
    assert memory.claim_sender_only_slot() == BEYOND - MAX_SENDER_ONLY
    fcntl.lockf(memory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, MAX_SENDER_ONLY, BEYOND - MAX_SENDER_ONLY)
    with _other(memory, "with memory._name_lock():\n    print('within')\n    sys.stdin.read()") as other:
        assert other.stdout.readline() == "within\n"
        with pytest.raises(OSError, match="temporarily unavailable"):
            fcntl.lockf(memory.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, BEYOND)
        other.stdin.close()
        assert other.wait() == 0
    assert memory.allocate_name("a", anything) == 67


def _other(memory, code):
    """Another process of that server, which does this and says it at once."""
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


def test_who_has_a_slot_of_its_own_gives_up_that_of_a_guest(memory):
    """Another guest has it then."""
    claim = "print(memory.claim_sender_only_slot())\nsys.stdin.read()"
    mine = memory.claim_sender_only_slot()
    for expected in (mine + 1, mine):
        with _other(memory, claim) as other:
            assert other.stdout.readline() == f"{expected}\n"
            other.stdin.close()
            assert other.wait() == 0
        memory.free_sender_only_slot()
