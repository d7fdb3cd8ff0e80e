"""Sending by the master, and its counts of queued signals. Real pipes and memory, no process."""

import os
import time
from dataclasses import replace

import pytest

from heliograph._core.signals.records import DONE, FETCHED, RECORD_BYTES, RUNNING, Record, decode, encode
from heliograph._core.signals.routes import Route
from heliograph.ipc.pipes import make_pipes, server_queues
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import FarmSpec, Identity, Queue, Topology
from heliograph.server.server_queues import ServerQueues
from heliograph.server.services import master_queues as module
from heliograph.server.services.master_queues import MasterQueues

SERVER = Topology(workers=2, mules=2, farms=(FarmSpec("crunchers", (1, 2)),), spoolers=1)
TARGETS = {1: "worker", 2: "workers", 3: "active-workers", 4: "mule1", 5: "mules", 6: "farm_crunchers", 7: "spooler"}
MULE1, MULE2, WORKER1, WORKER2 = (Identity(role, number) for role in ("mule", "worker") for number in (1, 2))


class Server:
    """Queues, memory and routes, as a master has them."""

    def __init__(self):
        self.memory = SharedMemory.create(SERVER)
        self.queues = server_queues(SERVER)
        self.pipes = make_pipes(SERVER)
        server = ServerQueues.of(self.memory, SERVER, self.pipes)
        self.counters, self.master_queues = server.counters, MasterQueues(server)
        for num, target in TARGETS.items():
            self.memory.live[num] = Route(target, "handler")

    def pipe(self, queue):
        return self.pipes[self.queues.index(queue)]

    def read(self, queue):
        """Take the records from a queue, and return them."""
        try:
            data = os.read(self.pipe(queue)[0], 1 << 20)
        except BlockingIOError:
            return []
        return [decode(data[i : i + RECORD_BYTES]) for i in range(0, len(data), RECORD_BYTES)]

    def contents(self):
        """Take all records, and return the signals in each queue."""
        return {str(queue): [record.num for record in found] for queue in self.queues if (found := self.read(queue))}

    def fill(self, queue, num=99):
        """Fill a queue, and return how many records that took."""
        record, count = encode(Record(num, self.queues.index(queue))), 0
        block = record * 256
        try:
            while True:
                count += os.write(self.pipe(queue)[1], block) // RECORD_BYTES
        except BlockingIOError:
            return count

    def send_external(self, queue, process, state):
        """Fetch a record as a process does: into its in-flight buffer."""
        os.readv(self.pipe(queue)[0], [self.memory.in_flight(process)[:RECORD_BYTES]])
        self.mark(process, state)

    def mark(self, process, state):
        buffer = self.memory.in_flight(process)
        buffer[0] = state
        if state == RUNNING:
            self.memory.counters.slots[self.memory.slot_number(process)].started[buffer[1]] += 1

    def close(self):
        os.close(self.memory.fd)
        for pipe in self.pipes:
            for fd in pipe:
                os.close(fd)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("num", "contents"),
    [
        (1, {"worker0": [1]}),
        (2, {"worker1": [2], "worker2": [2]}),
        (4, {"mule1": [4]}),
        (5, {"mule1": [5], "mule2": [5]}),
        (6, {"farm1": [6]}),
        (7, {"spooler0": [7]}),
    ],
)
def test_a_signal_goes_into_its_queues(server, num, contents):
    """One record in each queue of the target, with the number of the queue. It is counted once."""
    before = time.monotonic_ns()
    assert server.master_queues.send(num)
    (queue, *_) = (queue for queue in server.queues if str(queue) in contents)
    [record] = server.read(queue)
    assert before <= record.time <= time.monotonic_ns()
    assert record == Record(num, server.queues.index(queue), 0, FETCHED, record.time)
    rest = {name: nums for name, nums in contents.items() if name != str(queue)}
    assert (server.contents(), server.counters.sent[num]) == (rest, 1)


def test_active_workers_are_those_that_run(server):
    """Workers whose process is known. If there is none, the signal is not sent, and is not queued for the others."""
    assert not server.master_queues.send(3)
    assert server.master_queues.send_external(3, frozenset({3})) == "no worker is active"
    assert (server.contents(), server.counters.sent[3], server.master_queues.is_queued(3)) == ({}, 0, False)
    assert [server.master_queues.has_receivers(num) for num in (3, 4)] == [False, True]
    server.memory.counters.slots[server.memory.slot_number(WORKER2)].pid = 4711
    assert server.master_queues.has_receivers(3)
    assert server.master_queues.send(3)
    assert server.master_queues.is_queued(3)
    assert server.master_queues.rows()[2]["queued"] == 1
    assert (server.contents(), server.counters.sent[3]) == ({"worker2": [3]}, 1)
    server.counters.started[3] += 1
    assert not server.master_queues.is_queued(3)
    server.fill(Queue("mule", 1))
    assert server.master_queues.rows()[2]["queued"] == 0


def test_a_number_without_a_handler_goes_nowhere(server):
    """It is not counted as sent."""
    assert server.master_queues.send(200)
    assert (server.contents(), server.counters.sent[200], server.master_queues.is_queued(200)) == ({}, 0, False)


@pytest.mark.parametrize("full", [MULE1, MULE2])
def test_a_broadcast_is_all_or_none(server, full):
    """If one of two queues is full, no record goes into the other, and nothing is counted."""
    server.fill(Queue("mule", full.number))
    assert not server.master_queues.send(5)
    other = MULE2 if full == MULE1 else MULE1
    assert server.read(Queue("mule", other.number)) == []
    assert server.counters.sent[5] == server.counters.rejected == 0
    server.read(Queue("mule", full.number))
    while server.read(Queue("mule", full.number)):
        pass
    assert server.master_queues.send(5)


def test_a_queue_that_others_fill_in_the_meantime(server, monkeypatch):
    """The signal is rejected. If a copy was sent already, that queue is left out."""
    monkeypatch.setattr(module, "has_space", lambda _fd: True)
    server.fill(Queue("mule", 1))
    assert not server.master_queues.send(4)
    assert not server.master_queues.send(5)
    assert (server.counters.sent[4], server.counters.sent[5], server.counters.rejected) == (0, 0, 0)
    while server.read(Queue("mule", 1)):
        pass
    server.fill(Queue("mule", 2))
    assert server.master_queues.send(5)
    assert (server.counters.sent[5], server.counters.skipped[5]) == (1, 1)
    assert server.master_queues._balance(5) == 1
    assert [record.num for record in server.read(Queue("mule", 1))] == [5]
    assert (server.counters.sent[5], server.counters.rejected) == (1, 1)


def test_a_signal_is_queued_until_it_is_started(server):
    """In its queue, or fetched and not started. Not while its handler runs, nor after."""
    assert not server.master_queues.is_queued(4)
    server.master_queues.send(4)
    assert server.master_queues.is_queued(4)
    server.send_external(Queue("mule", 1), MULE1, FETCHED)
    assert server.master_queues.is_queued(4)
    server.mark(MULE1, RUNNING)
    assert not server.master_queues.is_queued(4)
    server.mark(MULE1, DONE)
    assert not server.master_queues.is_queued(4)


def test_another_signal_in_the_same_queue(server):
    """The counters tell them apart."""
    server.memory.live[8] = Route("mule1", "handler")
    server.master_queues.send(8)
    assert (server.master_queues.is_queued(8), server.master_queues.is_queued(4)) == (True, False)
    server.master_queues.send(4)
    assert server.master_queues.is_queued(4)
    server.send_external(Queue("mule", 1), MULE1, RUNNING)
    assert (server.master_queues.is_queued(8), server.master_queues.is_queued(4)) == (False, True)


def test_a_broadcast_is_queued_until_all_have_started_it(server):
    """Each copy counts."""
    server.master_queues.send(5)
    server.send_external(Queue("mule", 1), MULE1, RUNNING)
    assert server.master_queues.is_queued(5)
    server.send_external(Queue("mule", 2), MULE2, RUNNING)
    assert not server.master_queues.is_queued(5)


@pytest.mark.parametrize("drift", [-3, 3])
def test_counters_that_a_killed_process_left_wrong(server, drift):
    """Off by some, in either direction. After the queue was seen empty, only what is added later counts."""
    server.memory.live[8] = Route("mule1", "handler")
    for row in ("sent", "started"):
        getattr(server.counters, row)[4] = 10
    server.counters.sent[4] += drift
    assert not server.master_queues.is_queued(4)
    server.master_queues.send(8)
    assert not server.master_queues.is_queued(4), "a timer would never tick again while others keep the queue filled"
    server.master_queues.send(4)
    assert server.master_queues.is_queued(4)


def test_a_row_contains_the_name(server):
    """It is empty if the number has none."""
    server.memory.names[4] = "crunch"
    assert [(row["num"], row["name"]) for row in server.master_queues.rows()] == [
        (num, "crunch" if num == 4 else "") for num in TARGETS
    ]


def test_queued_and_in_flight_records(server):
    """At a stop, the server is idle when neither exists. Queued records are counted."""
    assert (server.master_queues.is_idle(), server.master_queues.queued()) == (True, 0)
    server.master_queues.send(4)
    server.master_queues.send(7)
    assert (server.master_queues.is_idle(), server.master_queues.queued()) == (False, 2)
    server.send_external(Queue("mule", 1), MULE1, FETCHED)
    assert (server.master_queues.is_idle(), server.master_queues.queued()) == (False, 2)
    server.mark(MULE1, RUNNING)
    assert (server.master_queues.is_idle(), server.master_queues.queued()) == (False, 1)
    server.read(Queue("spooler", 0))
    assert not server.master_queues.is_idle()
    server.mark(MULE1, DONE)
    assert server.master_queues.is_idle()


def test_queues_without_readers_do_not_count(server):
    """The own queue of a process that does not exist, and a shared queue if none of its readers exists."""
    both = frozenset({MULE1, MULE2})
    server.master_queues.send(4)
    assert not server.master_queues.is_idle()
    assert server.master_queues.is_idle(frozenset({MULE1}))
    assert not server.master_queues.is_idle(frozenset({MULE2}))
    server.send_external(Queue("mule", 1), MULE1, FETCHED)
    assert server.master_queues.is_idle(frozenset({MULE1}))
    server.mark(MULE1, DONE)
    server.master_queues.send(5)
    assert not server.master_queues.is_idle(frozenset({MULE1}))
    assert server.master_queues.is_idle(both)


def test_find_takes_numbers_names_and_handlers(server):
    """A number or name comes first. A handler may have several signals."""
    memory = server.memory
    memory.live[8] = Route("mule1", "shop.tasks.refresh")
    memory.live[9] = Route("mule1", "shop.tasks.refresh")
    memory.live[10] = Route("mule1", "shop.tasks.Shop.close")
    found = server.master_queues.find
    assert [found("8"), found("shop.tasks:refresh"), found("shop.tasks:Shop.close")] == [[8], [8, 9], [10]]
    assert [found("11"), found("shop.tasks:other"), found("shop.tasks.refresh"), found("")] == [[]] * 4


@pytest.fixture
def elastic(monkeypatch):
    """A server with one to two workers. Both are present, and the first one runs."""
    monkeypatch.setitem(globals(), "SERVER", replace(SERVER, min_workers=1))
    server = Server()
    server.master_queues.admit(WORKER1, WORKER2)
    server.memory.counters.slots[server.memory.slot_number(WORKER1)].pid = 1
    yield server
    server.close()


def test_a_broadcast_reaches_the_workers_that_are_present(elastic):
    """A worker that was vacated gets no copy until it is admitted again."""
    assert elastic.master_queues.send(2)
    assert elastic.contents() == {"worker1": [2], "worker2": [2]}
    elastic.master_queues.vacate(WORKER2)
    assert elastic.master_queues.send(2)
    assert elastic.contents() == {"worker1": [2]}
    elastic.master_queues.admit(WORKER2)
    assert elastic.master_queues.send(2)
    assert elastic.contents() == {"worker1": [2], "worker2": [2]}


def test_a_vacated_queue_is_dropped_and_logged(elastic, caplog):
    """With what its last process had in flight. The counters say so."""
    for _ in range(2):
        assert elastic.master_queues.send(2)
    elastic.send_external(Queue("worker", 2), WORKER2, FETCHED)
    with caplog.at_level("INFO", "heliograph.master"):
        elastic.master_queues.vacate(WORKER2)
        elastic.master_queues.vacate(WORKER2)
    first, second = caplog.records
    assert "Vacated worker2, dropping 2 queued signals" in first.getMessage()
    assert first.getMessage().endswith("Dropped: signal 2 (2)")
    assert (first.levelname, second.levelname) == ("WARNING", "INFO")
    assert elastic.contents() == {"worker1": [2, 2]}
    assert elastic.counters.dropped[2] == 2


def test_what_waits_for_an_absent_worker_does_not_hold_back_a_timer(elastic):
    """The others get each run. The absent worker keeps one of them for its successor."""
    worker1 = elastic.memory.counters.slots[elastic.memory.slot_number(WORKER1)]
    for _ in range(3):
        assert not elastic.master_queues.is_queued(2)
        assert elastic.master_queues.send(2)
        assert elastic.master_queues.is_queued(2)
        worker1.started[2] += len(elastic.read(Queue("worker", 1)))
    assert elastic.contents() == {"worker2": [2]}


def test_the_row_of_a_broadcast_counts_the_copies_that_were_sent(elastic):
    """However many workers there were at the time, without those that were dropped."""
    assert elastic.master_queues.send(2)
    elastic.master_queues.vacate(WORKER2)
    assert elastic.master_queues.send(2)
    elastic.memory.counters.slots[elastic.memory.slot_number(WORKER1)].started[2] += 1
    assert elastic.master_queues.send(1)  # the total does not hide a wrong difference
    (row,) = [row for row in elastic.master_queues.rows() if row["num"] == 2]
    assert (row["sent"], row["started"], row["dropped"], row["queued"]) == (2, 1, 1, 1)
