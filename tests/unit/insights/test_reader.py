"""The reader of the read model: facts of the master, and what it finds in memory, under /proc and in the store."""

import os
import socket
import threading
import time
from contextlib import closing
from dataclasses import asdict

import pytest

from heliograph._core.layout import IncompatibleServer
from heliograph._core.signals.records import DONE, FETCHED, RECORD_BYTES, RUNNING, Record, encode
from heliograph._core.signals.routes import Route
from heliograph._core.stats import counters
from heliograph._core.stats.histogram import WORDS, bucket_of
from heliograph._core.tasks.timings import TimingWords
from heliograph._core.tasks.values import NewTask
from heliograph.insights import ServerReader, read_server, read_store
from heliograph.insights.model import Exit
from heliograph.ipc import proc
from heliograph.ipc.control_client import ServerNotRunning
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import FarmSpec, Identity, Topology
from heliograph.server.services.control import Answer, ControlServer, Verb
from heliograph.store.sqlite import SqliteStore
from heliograph.testing.harness.harness import eventually

TOPOLOGY = Topology(workers=1, mules=2, farms=(FarmSpec("crew", (1, 2)),), spoolers=1)
MULE1 = Identity("mule", 1)


def process(name, role, **changes):
    facts = {
        "name": name,
        "role": role,
        "pid": os.getpid(),
        "status": "running",
        "since": 90.0,
        "generation": 1,
        "restarts": 1,
        "early_exits": 0,
        "last_exit": {"pid": 3, "at": 80.0, "reason": "exit code 3", "was_expected": False},
        "missing_since": None,
        "failure": None,
    }
    return facts | changes


FACTS = {
    "name": "shop",
    "app": "tasks",
    "version": "1",
    "python": "3",
    "pid": 5,
    "started_at": 50.0,
    "generation": 1,
    "is_loading": False,
    "is_ready": True,
    "is_stopping": False,
    "loaded_at": 60.0,
    "reload_failure": None,
    "reload_failed_at": None,
    "graceful_timeout": 30.0,
    "overdue": 5.0,
    "task_sync": "disk",
    "tasks_fault": None,
    "processes": [process("master", "master"), process("mule1", "mule"), process("mule2", "mule", pid=None)],
    "queues": [
        {"name": "mule1", "queued": 3, "capacity": 99, "readers": ["mule1"]},
        {"name": "farm_crew", "queued": 1, "capacity": 99, "readers": ["mule1", "mule2"]},
    ],
    "triggers": [
        {"name": "tick", "kind": "timer", "schedule": "every 5 s", "num": 1, "fired": 2, "missed": 1}
        | {"last": 1.0, "next": 2.0, "last_missed": None, "late": None, "fault": None},
    ],
}


class Server:
    """Memory, and a thread that answers for the master."""

    def __init__(self, loop, directory):
        self.path, self.spool = directory / "sock", directory / "spool"
        self.memory = SharedMemory.create(TOPOLOGY)
        self.facts = {**FACTS, "tasks": str(self.spool)}
        self.asked = []
        verbs = {"memory": Verb(self._memory, "read"), "details": Verb(self._details, "read")}
        self.control = ControlServer(self.path, loop.selector, verbs)
        loop.listeners.append(self.control)
        self._loop, self._over = loop, False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._over:
            for key, _ in self._loop.selector.select(0.01):
                key.data(self._loop.now)

    def _memory(self, _call):
        self.asked.append("memory")
        fd = os.open(f"/proc/self/fd/{self.memory.fd}", os.O_RDONLY)
        return Answer({"topology": asdict(TOPOLOGY), "state": {}}, (fd,), (fd,))

    def _details(self, _call):
        self.asked.append("details")
        return Answer(self.facts)

    def slot(self, process=MULE1):
        return self.memory.counters.slots[self.memory.slot_number(process)]

    def put(self, place, num, state, since=0):
        record = encode(Record(num, 0, 0, state, since))
        self.memory.in_flight(MULE1)[place * RECORD_BYTES : (place + 1) * RECORD_BYTES] = record

    def close(self):
        self._over = True
        self._thread.join()
        os.close(self.memory.fd)


@pytest.fixture
def server(loop, directory):
    server = Server(loop, directory)
    yield server
    server.close()


def mule1(found):
    return next(process for process in found.processes if process.name == "mule1")


def ago(seconds):
    """A time in nanoseconds of CLOCK_MONOTONIC."""
    return time.monotonic_ns() - int(seconds * 1e9)


def test_the_facts_of_the_master_are_values(server):
    found = read_server(server.path)
    assert (found.name, found.started_at, found.is_ready, found.loaded_at) == ("shop", 50.0, True, 60.0)
    assert abs(found.looked_at - time.time()) < 60
    assert [process.name for process in found.processes] == ["master", "mule1", "mule2"]
    assert (mule1(found).restarts, mule1(found).last_exit) == (1, Exit(3, 80.0, "exit code 3", was_expected=False))
    assert found.queues[1].readers == ("mule1", "mule2")
    assert (found.triggers[0].schedule, found.triggers[0].target) == ("every 5 s", "")
    assert (found.store, found.hosts[0].cpus) == (None, os.cpu_count())


def test_signals_are_summed_over_all_processes(server):
    server.memory.live[1] = Route("mule1", "tasks.one")
    server.memory.names[1] = "refresh"
    server.slot().sent[1], server.slot().started[1], server.slot().done[1] = 5, 4, 4
    server.slot(Identity("worker", 1)).sent[1] = 2
    found = read_server(server.path)
    (signal,) = found.signals
    assert (signal.num, signal.name, signal.target, signal.handler) == (1, "refresh", "mule1", "tasks.one")
    assert (signal.sent, signal.done, signal.queued) == (7, 4, 3)
    assert found.triggers[0].target == "mule1"


def test_signals_that_wake_processes_for_tasks_are_left_out(server):
    server.memory.live[200] = Route("mule1", "tasks of mule1", wakeup=True)
    server.put(0, 200, RUNNING, ago(60))
    found = read_server(server.path)
    assert (found.signals, mule1(found).running) == ((), ())


def test_a_process_has_its_signals(server):
    """Those in its queue, and those that it has fetched."""
    server.put(0, 1, FETCHED)
    server.put(1, 1, DONE)
    server.slot().done[1], server.slot().failed[7] = 4, 2
    found = mule1(read_server(server.path))
    assert (found.queued, found.handled) == (3 + 1, 6)


def test_durations_are_distributions(server):
    server.memory.live[1] = Route("mule1", "tasks.one")
    durations = server.memory.process_durations(MULE1)
    server.slot().started[1] = 3
    durations.add_waited(1, 3_000_000)
    for nanoseconds in 1_000_000, 1_000_000, 2_000_000_000:
        durations.add_ran(1, nanoseconds)
    (signal,) = read_server(server.path).signals
    assert (signal.waited.count, signal.ran.count, signal.ran.total) == (1, 3, 2.002)
    assert [count for _, count in signal.ran.buckets] == [2, 1]
    assert signal.ran.p50 < 0.002
    assert signal.ran.p99 > 1.0


def test_a_running_handler_is_shown_with_its_time(server):
    server.memory.live[1] = Route("mule1", "tasks.one")
    server.put(0, 1, RUNNING, ago(2))
    found = read_server(server.path)
    (running,) = mule1(found).running
    assert (running.kind, running.name, running.handler, running.is_overdue) == ("signal", "1", "tasks.one", False)
    assert 1.9 < found.looked_at - running.since < 60
    assert found.problems == ()


def test_a_handler_is_overdue_after_some_time(server):
    """The server says after which, and handlers that have taken longer before may take longer again."""
    server.memory.live[1] = Route("mule1", "tasks.one")
    server.put(0, 1, RUNNING, ago(20))
    found = read_server(server.path)
    assert mule1(found).running[0].is_overdue
    assert [problem.code for problem in found.problems] == ["hung_handler", "slow_queue"]
    server.facts["overdue"] = 1000.0
    assert not mule1(read_server(server.path)).running[0].is_overdue
    server.facts["overdue"] = 5.0
    server.slot().started[1] = 1
    server.memory.process_durations(MULE1).add_ran(1, 1000 * 10**9)
    assert not mule1(read_server(server.path)).running[0].is_overdue


def test_a_running_task_is_shown_after_the_handler_in_which_it_runs(server):
    server.memory.live[1] = Route("mule1", "tasks.one")
    server.put(0, 1, RUNNING, ago(9))
    server.memory.activity(MULE1).show_task("shop:send", "0194", ago(7))
    found = mule1(read_server(server.path))
    assert [(running.kind, running.name, running.id, running.is_overdue) for running in found.running] == [
        ("signal", "1", None, True),
        ("task", "shop:send", "0194", True),
    ]


def test_a_handler_without_a_time_is_left_out(server):
    """It has begun at this moment."""
    server.put(0, 1, RUNNING)
    assert mule1(read_server(server.path)).running == ()


def test_the_last_rejected_send_has_a_time(server):
    server.slot().count_rejected(time.monotonic() - 30)
    server.slot(Identity("worker", 1)).count_rejected(time.monotonic() - 10)
    found = read_server(server.path)
    assert found.rejected == 2
    assert 9 < found.looked_at - found.rejected_at < 29


def test_memory_is_that_of_the_process(server):
    found = mule1(read_server(server.path))
    assert 1 << 20 < found.memory <= found.rss
    assert found.rss_at_start is None
    server.memory.activity(MULE1).ready_memory = 77
    assert mule1(read_server(server.path)).rss_at_start == 77
    assert mule1(read_server(server.path, memory=False)).memory is None


def test_memory_is_looked_at_from_time_to_time_only(server, monkeypatch):
    """It takes a millisecond for each process."""
    asked, now = [], [1000.0]
    monkeypatch.setattr("heliograph.insights.processes.proportional_memory", lambda pid: asked.append(pid) or 5)
    with ServerReader(server.path, memory_age=10.0, clock=lambda: now[0]) as reader:
        for now[0] in 1000.0, 1009.9, 1010.0, 900.0:
            assert mule1(reader.look()).memory == 5
    assert asked == [os.getpid()] * 3


def test_a_process_that_is_gone_has_no_memory():
    assert (proc.resident_memory(2**22 + 1), proc.proportional_memory(2**22 + 1)) == (None, None)


def test_a_reader_follows_the_server(server):
    """It asks for the memory once, and connects again when the server has closed the connection."""
    server.memory.live[1] = Route("mule1", "tasks.one")
    with ServerReader(server.path) as reader:
        assert reader.look().signals[0].sent == 0
        server.slot().sent[1] = 8
        reader._client._socket.shutdown(socket.SHUT_RDWR)
        assert reader.look().signals[0].sent == 8
    assert server.asked == ["details", "memory", "details"]


def test_a_reader_maps_the_memory_of_a_new_server(server):
    with ServerReader(server.path) as reader:
        reader.look()
        server.facts["started_at"] += 0.01  # the clock was corrected
        reader.look()
        server.facts["pid"] += 1
        reader.look()
    assert server.asked == ["details", "memory", "details", "details", "memory"]


def test_a_reader_goes_on_after_an_error(server, descriptors):
    with ServerReader(server.path) as reader:
        reader.look()
        server.facts.pop("generation")
        with pytest.raises(IncompatibleServer, match="generation"):
            reader.look()
        server.facts["generation"] = 7
        assert reader.look().generation == 7


def test_a_reader_leaves_nothing_open(server, descriptors):
    """Except for two files of a store, which a process keeps. The server closes its end a moment later."""
    with closing(SqliteStore(str(server.spool), sync=False)) as store:
        store.enqueue([NewTask("a:b", "mule")], 1)
    before = descriptors()
    assert read_server(server.path).store is not None
    eventually("all descriptors closed", lambda: descriptors() == before)


def test_another_layout_is_refused(server, monkeypatch):
    monkeypatch.setattr(counters, "FORMAT_VERSION", counters.FORMAT_VERSION + 1)
    with pytest.raises(IncompatibleServer, match="another layout of the shared memory: counters"):
        read_server(server.path)


def test_no_server(directory):
    with pytest.raises(ServerNotRunning, match="no server answers at"):
        read_server(directory / "nobody.sock")


def test_the_tasks_of_the_server(server):
    """Also those whose function it does not have."""
    now = time.time_ns() // 1000
    with closing(SqliteStore(str(server.spool), sync=False)) as store:
        store.enqueue([NewTask("a:b", "mule"), NewTask("a:b", "mule1"), NewTask("old:gone", "mule")], now)
        store.note_functions({"a:b": "mule", "a:c": "spooler"})
        store.pause("spooler", "me", now)
        found = read_server(server.path)
    assert [(t.name, t.target, t.counts, t.is_known, t.is_paused) for t in found.store.tasks] == [
        ("a:b", "mule", {"READY": 2}, True, False),
        ("a:c", "spooler", {}, True, True),
        ("old:gone", "mule", {"READY": 1}, False, False),
    ]
    assert (found.store.directory, found.store.paused, found.store.sync) == (str(server.spool), ("spooler",), "disk")
    assert found.store.bytes > 0 < found.store.free_bytes
    assert [problem.code for problem in found.problems] == ["unknown_task"]


def test_a_store_can_be_read_without_a_server(tmp_path):
    assert read_store(tmp_path / "none") is None
    with closing(SqliteStore(str(tmp_path / "spool"), sync=False)) as store:
        store.enqueue([NewTask("a:b", "mule")], time.time_ns() // 1000)
        found = read_store(tmp_path / "spool")
    assert (found.tasks[0].counts, found.tasks[0].is_known, found.sync, found.fault) == ({"READY": 1}, True, None, None)


def test_a_damaged_store_is_a_fault(server):
    with closing(SqliteStore(str(server.spool), sync=False)) as store:
        store.enqueue([NewTask("a:b", "mule")], 1)
    (server.spool / "tasks.db").write_bytes(b"")
    found = read_server(server.path)
    assert "its database was emptied" in found.store.fault
    assert (found.store.tasks, [problem.code for problem in found.problems]) == ((), ["store_fault"])


def test_a_lost_directory_is_a_fault(server):
    server.facts["tasks_fault"] = "The directory of tasks was removed: /x. Put it back"
    found = read_server(server.path)
    assert (found.store.is_lost, [problem.code for problem in found.problems]) == (True, ["tasks_lost"])


def test_times_of_tasks_are_distributions(server):
    """By which a running one is overdue or not."""
    words = TimingWords()
    words.words[WORDS + bucket_of(60 * 10**9)] = 1
    server.memory.activity(MULE1).show_task("a:b", "0194", ago(100))
    assert mule1(read_server(server.path)).running[0].is_overdue
    with closing(SqliteStore(str(server.spool), sync=False)) as store:
        store.enqueue([NewTask("a:b", "mule")], time.time_ns() // 1000)
        with store.database.write("test") as writing:
            writing.connection.execute("INSERT INTO timing VALUES ('a:b', 0, ?)", (words.to_bytes(),))
        found = read_server(server.path)
    assert (found.store.tasks[0].ran.count, found.store.tasks[0].waited.count) == (1, 0)
    assert not mule1(found).running[0].is_overdue
