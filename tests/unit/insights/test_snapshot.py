"""The view of a server: figures that it sums itself, over memory that it can only read."""

import os
import threading
from dataclasses import asdict

import pytest

from heliograph._core.signals.records import FETCHED, RECORD_BYTES, RUNNING, Record, encode
from heliograph._core.signals.routes import Route
from heliograph._core.stats import counters
from heliograph.exceptions import ConfigError
from heliograph.insights import ServerView, read_state
from heliograph.ipc.control_client import ServerNotRunning
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import FarmSpec, Identity, Topology
from heliograph.server.services.control import Answer, ControlServer, Verb

TOPOLOGY = Topology(workers=2, mules=1, farms=(FarmSpec("crew", (1,)),), spoolers=1)
FACTS = {"name": "shop", "app": "tasks", "pid": 5, "queued": 3, "triggers": [], "processes": {"worker1": 10}}
WORKER1, MULE1 = Identity("worker", 1), Identity("mule", 1)


class Server:
    """Memory, and a thread that answers for the master."""

    def __init__(self, loop, directory):
        self.path = directory / "sock"
        self.memory = SharedMemory.create(TOPOLOGY)
        self.facts = dict(FACTS)
        self.asked = []
        verbs = {"memory": Verb(self._memory, "read"), "state": Verb(self._state, "read")}
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
        return Answer({"topology": asdict(TOPOLOGY), "state": self.facts}, (fd,), (fd,))

    def _state(self, _call):
        self.asked.append("state")
        return Answer(self.facts)

    def slot(self, process):
        return self.memory.counters.slots[self.memory.slot_number(process)]

    def fetch(self, process, place, num, state):
        record = encode(Record(num, 0, 0, state))
        self.memory.in_flight(process)[place * RECORD_BYTES : (place + 1) * RECORD_BYTES] = record

    def close(self):
        self._over = True
        self._thread.join()
        os.close(self.memory.fd)


@pytest.fixture
def server(loop, directory):
    server = Server(loop, directory)
    yield server
    server.close()


def test_the_figures_are_summed_over_all_processes(server):
    """A row for each registered signal, and the facts of the master."""
    server.memory.live[1] = Route("worker", "tasks.one")
    server.memory.live[7] = Route("workers", "tasks.seven")
    server.memory.names[7] = "seven"
    one, mule = server.slot(WORKER1), server.slot(MULE1)
    one.sent[1], mule.sent[1], one.started[1], one.done[1], one.failed[1] = 3, 2, 4, 3, 1
    mule.sent[7], one.started[7], mule.redelivered[7], mule.dropped[7] = 1, 1, 1, 1
    mule.coalesced[7] = 1  # one of the two workers did not run it again
    mule.sent[9] = 5  # not registered any more
    mule.count_rejected(1.0)
    assert read_state(server.path) == {
        **FACTS,
        "queued": 3,
        "rejected": 1,
        "signals": [
            {"num": 1, "name": "", "target": "worker", "handler": "tasks.one", "sent": 5, "started": 4, "done": 3}
            | {"failed": 1, "redelivered": 0, "dropped": 0, "coalesced": 0, "queued": 1},
            {
                "num": 7,
                "name": "seven",
                "target": "workers",
                "handler": "tasks.seven",
                "sent": 1,
                "started": 1,
                "done": 0,
            }
            | {"failed": 0, "redelivered": 1, "dropped": 1, "coalesced": 1, "queued": 1},
        ],
    }


def test_signals_that_were_fetched_and_not_started_are_queued(server):
    """In addition to those in the pipes, which only the master can count."""
    server.memory.live[1] = Route("mule1", "tasks.one")
    server.fetch(MULE1, 0, 1, RUNNING)
    server.fetch(MULE1, 1, 1, FETCHED)
    server.fetch(WORKER1, 0, 1, FETCHED)
    assert read_state(server.path)["queued"] == 3 + 2


@pytest.mark.parametrize(("sent", "started"), [(100, 0), (0, 100)])
def test_a_row_has_no_more_queued_than_the_server(server, sent, started):
    """Counters that a killed process left wrong do not show: never below 0, nor above all that is queued."""
    server.memory.live[1] = Route("mule1", "tasks.one")
    server.slot(MULE1).sent[1], server.slot(MULE1).started[1] = sent, started
    assert read_state(server.path)["signals"][0]["queued"] == (3 if sent else 0)


def test_a_view_follows_the_server(server):
    """The memory is passed once; later only the facts are asked for."""
    server.memory.live[1] = Route("mule1", "tasks.one")
    with ServerView(server.path) as view:
        assert view.state()["signals"][0]["sent"] == 0
        server.slot(MULE1).sent[1] = 8
        server.facts = {**FACTS, "queued": 0, "processes": {}}
        found = view.state()
    assert (found["signals"][0]["sent"], found["queued"], found["processes"]) == (8, 0, {})
    assert server.asked == ["memory", "state"]


def test_a_view_leaves_nothing_open(server, descriptors):
    """Neither the connection nor the memory's descriptor."""
    read_state(server.path)
    server.control.stop_listening()
    before = descriptors()
    with pytest.raises(ServerNotRunning):
        read_state(server.path)
    assert descriptors() == before


def test_another_layout_is_refused_in_one_line(server, monkeypatch):
    """Before anything is read as something else."""
    monkeypatch.setattr(counters, "FORMAT_VERSION", counters.FORMAT_VERSION + 1)
    with pytest.raises(
        ConfigError, match=r"another layout of the shared memory: counters.*restart the server"
    ) as failure:
        read_state(server.path)
    assert "\n" not in str(failure.value)


def test_no_server(directory):
    with pytest.raises(ServerNotRunning, match="no server answers at"):
        read_state(directory / "nobody.sock")
