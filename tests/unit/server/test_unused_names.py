"""Names that no process has any more: when the master frees their numbers. Real pipes and memory, no process."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from heliograph._core.layout import MAX_SENDER_ONLY
from heliograph._core.signals.records import FETCHED, Record, encode
from heliograph._core.signals.routes import Route
from heliograph._core.supervision.events import Due, ReloadRequested
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import Identity, Topology
from heliograph.server.server_queues import ServerQueues
from heliograph.server.unused_names import KEPT, UnusedNames

NAMES = [f"name {number}" for number in range(KEPT + 1)]
MULE = Identity("mule", 1)


@pytest.fixture
def server():
    server = ServerQueues.create(Topology(workers=1, mules=1))
    yield server
    server.close()


@pytest.fixture
def supervisor():
    return SimpleNamespace(forkable_generations=frozenset({2}))


@pytest.fixture
def numbers(server):
    """The numbers of names that code of generation 1 has."""
    return [server.memory.allocate_name(name, lambda _num: True, 1) for name in NAMES]


def named(server):
    return {name for num in range(256) if (name := server.memory.names[num])}


def test_names_are_freed_when_all_processes_have_newer_code(server, supervisor, numbers):
    """Their counters begin at 0 again. An event that changes no process frees nothing."""
    freed = []
    unused = UnusedNames(server, supervisor, freed.append)
    server.counters.sent[numbers[0]] = 5
    supervisor.forkable_generations = frozenset({1, 2})
    unused.free()
    assert named(server) == set(NAMES)
    supervisor.forkable_generations = frozenset({2})
    unused.observe(Due())
    assert named(server) == set(NAMES)
    unused.observe(ReloadRequested())
    assert named(server) == set()
    assert server.counters.sent[numbers[0]] == 0
    assert sorted(freed) == sorted(numbers)


def test_a_few_unused_names_keep_their_numbers(server, supervisor, numbers):
    """Code that comes back gets the same ones."""
    server.memory.allocate_name(NAMES[0], lambda _num: True, 2)
    UnusedNames(server, supervisor, [].append).free()
    assert named(server) == set(NAMES)


def test_a_name_that_is_registered_is_kept(server, supervisor, numbers):
    """And one that a process in another role has."""
    server.memory.live[numbers[0]] = Route("mule1", "handler")
    server.memory.allocate_name("more", lambda _num: True, 1)
    UnusedNames(server, supervisor, [].append).free()
    assert named(server) == {NAMES[0]}


def test_names_are_kept_while_a_process_with_a_counter_slot_has_the_old_code(server, supervisor, numbers):
    """A worker of the web server may have attached before the reload."""
    slot = server.memory.counters.slots[server.memory.slot_number(MULE)]
    slot.pid, slot.generation = 4711, 1
    unused = UnusedNames(server, supervisor, [].append)
    unused.free()
    assert named(server) == set(NAMES)
    slot.pid = 0
    unused.free()
    assert named(server) == set()


def test_names_are_kept_while_a_sender_only_process_has_the_old_code(server, supervisor, numbers):
    """It holds the lock of a slot. The lock is free when it exits."""
    (ready, tell), (end, stop) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        try:
            memory = SharedMemory(server.memory.fd, server.topology)
            number = memory.claim_sender_only_slot()
            memory.counters.slots[number].generation = 1
            os.write(tell, b"x")
            os.close(stop)
            os.read(end, 1)
        finally:
            os._exit(0)
    os.close(tell)
    assert os.read(ready, 1)
    unused = UnusedNames(server, supervisor, [].append)
    unused.free()
    assert named(server) == set(NAMES)
    os.close(stop)
    os.waitpid(child, 0)
    unused.free()
    assert named(server) == set()
    for fd in (ready, end):
        os.close(fd)


def test_names_are_kept_until_each_queue_was_empty_once(server, supervisor, numbers):
    """A queue may hold a signal with such a number. The queues need not be empty at the same time."""
    unused = UnusedNames(server, supervisor, [].append)
    (first, second) = server.pipes[:2]
    os.write(first[1], encode(Record(numbers[0], 0)))
    unused.free()
    os.read(first[0], 16)
    os.write(second[1], encode(Record(1, 1)))
    assert named(server) == set(NAMES)
    unused.free()
    assert named(server) == set()


def test_a_number_that_is_in_flight_keeps_its_name(server, supervisor, numbers):
    """A process has fetched a signal and not handled it."""
    server.memory.in_flight(MULE)[:16] = encode(Record(numbers[0], 0, 0, FETCHED))
    UnusedNames(server, supervisor, [].append).free()
    assert named(server) == {NAMES[0]}


def test_a_name_is_kept_while_a_process_runs_code_that_had_it(server, supervisor, numbers):
    """An old process of the web server keeps its names, but not those that came and went after its start."""
    later = [server.memory.allocate_name(f"later {number}", lambda _num: True, 2) for number in range(KEPT + 1)]
    slot = server.memory.counters.slots[server.memory.slot_number(MULE)]
    slot.pid, slot.generation = 4711, 1
    supervisor.forkable_generations = frozenset({3})
    freed = []
    UnusedNames(server, supervisor, freed.append).free()
    assert named(server) == set(NAMES)
    assert sorted(freed) == sorted(later)


def test_no_name_is_freed_while_a_process_allocates_one(server, supervisor, numbers):
    """The master does not wait for that process, which may have been stopped."""
    code = (
        "from heliograph.ipc.shared_memory import SharedMemory; from heliograph.models import Topology; import sys; "
        "memory = SharedMemory(int(sys.argv[1]), Topology(workers=1, mules=1)); "
        "memory.allocate_name('new', lambda num: print(num, flush=True) or not sys.stdin.readline(), 2)"
    )
    fd = server.memory.fd
    command = [sys.executable, "-c", code, str(fd)]
    with subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        UnusedNames(server, supervisor, [].append).free()
        assert named(server) == set(NAMES)
    UnusedNames(server, supervisor, [].append).free()
    assert named(server) == {"new"}


def test_a_number_for_which_a_thread_waits_is_kept(server, supervisor, numbers):
    """Other code may wait for the same number without the name."""
    server.memory.counters.slots[server.memory.slot_number(MULE)].waiters[numbers[0]] = 1
    server.memory.allocate_name("more", lambda _num: True, 1)
    UnusedNames(server, supervisor, [].append).free()
    assert named(server) == {NAMES[0]}


def test_nothing_is_freed_if_there_may_be_processes_that_are_not_counted(server, supervisor, numbers):
    """They have no slot that says which code they run."""
    server.memory._claimed[0] = MAX_SENDER_ONLY
    UnusedNames(server, supervisor, [].append).free()
    assert named(server) == set(NAMES)
