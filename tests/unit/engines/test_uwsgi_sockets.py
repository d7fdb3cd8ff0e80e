"""The fill level of real sockets, as the kernel reports it, and the order in which uWSGI opens them."""

import importlib.util
import os
import socket
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import heliograph.engines
from heliograph._core.signals.targets import all_queues
from heliograph.models import FarmSpec, Identity, Queue, Topology

Pair = tuple[socket.socket, socket.socket]


def load() -> ModuleType:
    """Load the module without its package, which needs the real `uwsgi` module."""
    path = Path(heliograph.engines.__file__).parent / "uwsgi" / "sockets.py"
    spec = importlib.util.spec_from_file_location("uwsgi_sockets_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sockets = load()


@pytest.fixture
def pair() -> Generator[Pair]:
    """The master's and the reader's end, as uWSGI creates them."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with left, right:
        yield left, right


def test_queued_bytes_are_counted_on_the_readers_end(pair: Pair) -> None:
    """One byte is one signal, and reading makes space."""
    writer, reader = pair
    seen = [sockets.waiting_bytes(reader.fileno())]
    for num in range(5):
        writer.send(bytes((num,)))
        seen.append(sockets.waiting_bytes(reader.fileno()))
    reader.recv(3)
    seen.append(sockets.waiting_bytes(reader.fileno()))
    assert seen == [0, 1, 2, 3, 4, 5, 2]


def test_unread_memory_is_counted_on_the_senders_end(pair: Pair) -> None:
    """It is a multiple of the kernel memory of one signal."""
    writer, reader = pair
    one = sockets.memory_per_signal()
    assert one > 1
    assert sockets.unread_memory(writer.fileno()) == 0
    for _ in range(7):
        writer.send(b"\0")
    assert sockets.unread_memory(writer.fileno()) == 7 * one
    reader.recv(7)
    assert sockets.unread_memory(writer.fileno()) == 0


def test_queued_signals_are_seen_and_stay(pair: Pair) -> None:
    """All numbers in a queue, in their order. An empty queue has none, and does not block."""
    writer, reader = pair
    assert sockets.queued_signals(reader.fileno()) == b""
    for num in (3, 1, 3):
        writer.send(bytes([num]))
    assert sockets.queued_signals(reader.fileno()) == b"\x03\x01\x03"
    assert reader.recv(10) == b"\x03\x01\x03"


def test_capacity_is_the_number_of_signals_that_fit(pair: Pair) -> None:
    """As many one-byte writes succeed, and only few more."""
    writer, reader = pair
    writer.setblocking(False)
    capacity = sockets.socket_capacity(reader.fileno(), sockets.memory_per_signal())
    for _ in range(capacity):
        assert writer.send(b"\0") == 1
    dropped = 0
    for _ in range(2):
        try:
            writer.send(b"\0")
        except BlockingIOError:
            dropped += 1
    assert dropped


def test_asking_closes_no_descriptor(pair: Pair) -> None:
    """The descriptors belong to uWSGI."""
    writer, reader = pair
    sockets.socket_capacity(reader.fileno(), 1)
    sockets.stream_sockets()
    writer.send(b"x")
    assert reader.recv(1) == b"x"


def test_only_anonymous_stream_sockets_are_found(pair: Pair, tmp_path: Path) -> None:
    """Files, pipes, datagram, network and named sockets belong to other code."""
    datagrams = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    network = socket.socket()
    named = socket.socket(socket.AF_UNIX)
    named.bind(str(tmp_path / "named"))
    ends = os.pipe()
    try:
        others = {sock.fileno() for sock in (*datagrams, network, named)} | set(ends)
        found = sockets.stream_sockets()
    finally:
        for sock in (*datagrams, network, named):
            sock.close()
        for end in ends:
            os.close(end)
    assert {sock.fileno() for sock in pair} <= set(found)
    assert others.isdisjoint(found)
    assert found == sorted(found)


def test_pairs_are_in_uwsgi_order() -> None:
    """Workers, shared pair of the mules, mules, farms, shared pair of the spoolers. That of the workers comes later."""
    server = Topology(workers=2, mules=2, farms=(FarmSpec("a", (1,)), FarmSpec("b", (2,))), spoolers=3)
    assert [str(queue) for queue in sockets.pair_order(server)] == [
        *("worker1", "worker2", "mule0", "mule1", "mule2", "farm1", "farm2", "spooler0")
    ]
    assert sockets.pair_order(Topology(workers=1)) == [Queue("worker", 1)]
    assert sockets.pair_order(Topology()) == []


@given(workers=st.integers(1, 8), mules=st.integers(0, 8), farms=st.integers(0, 3), spoolers=st.integers(0, 3))
def test_every_queue_has_a_pair(workers: int, mules: int, farms: int, spoolers: int) -> None:
    """Exception: the shared queue of the workers."""
    specs = tuple(FarmSpec(f"f{n}", (1,)) for n in range(farms if mules else 0))
    server = Topology(workers, mules, specs, spoolers)
    order = sockets.pair_order(server)
    assert len(order) == len(set(order))
    assert set(order) == set(all_queues(server)) - {Queue("worker", 0)}


class Opened:
    """The pairs that a uWSGI of this topology has open, and no other sockets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, server: Topology) -> None:
        self.pairs = [socket.socketpair() for _ in sockets.pair_order(server)]
        self.later: list[socket.socket] = []
        self._monkeypatch = monkeypatch
        self.show()

    def show(self) -> None:
        """Let the module see only these sockets, since the test run has others."""
        found = [sock.fileno() for sock in (*(end for pair in self.pairs for end in pair), *self.later)]
        self._monkeypatch.setattr(sockets, "stream_sockets", lambda: found)

    def open_later(self) -> None:
        self.later += socket.socketpair()
        self.show()

    def close(self) -> None:
        for sock in (*(end for pair in self.pairs for end in pair), *self.later):
            sock.close()


SERVER = Topology(workers=2, mules=1)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Generator[Opened]:
    opened = Opened(monkeypatch, SERVER)
    yield opened
    opened.close()


@pytest.fixture
def queues(opened: Opened) -> Generator[object]:
    found = sockets.QueueSockets(SERVER)
    yield found
    for fd in found.readers.values():
        os.close(fd)


def test_every_process_can_ask_about_every_queue(opened: Opened, queues) -> None:
    """The duplicated reader's end works after uWSGI has closed its own descriptors."""
    opened.pairs[1][0].send(b"ab")
    opened.pairs[1][1].close()
    assert list(queues.readers) == sockets.pair_order(SERVER)
    assert sockets.waiting_bytes(queues.readers[Queue("worker", 2)]) == 2
    assert sockets.waiting_bytes(queues.readers[Queue("worker", 1)]) == 0


def test_process_with_its_own_ends_confirms_the_order(opened: Opened, queues) -> None:
    """Worker 1 has kept its reader's end, and lost those of the others and of the master."""
    (worker1, worker2, _mules, mule1) = opened.pairs
    for end in (worker1[0], *worker2, *mule1):
        end.close()
    assert queues.confirmed_by(Identity("worker", 1))
    assert not queues.confirmed_by(Identity("worker", 2))
    assert not queues.confirmed_by(Identity("mule", 1))


def test_missing_pairs_do_not_confirm_the_order(opened: Opened) -> None:
    """With fewer sockets than queues, the order cannot be the expected one."""
    opened.pairs[-1][0].close()
    opened.pairs[-1][1].close()
    del opened.pairs[-1]
    opened.show()
    found = sockets.QueueSockets(SERVER)
    for end in (opened.pairs[0][0], *opened.pairs[1]):
        end.close()
    assert not found.complete
    assert not found.confirmed_by(Identity("worker", 1))
    for fd in found.readers.values():
        os.close(fd)


def test_socket_opened_later_belongs_to_the_workers(opened: Opened, queues) -> None:
    """Sockets from before, and duplicates, are left out."""
    assert queues.opened_since() == []
    opened.open_later()
    assert queues.opened_since() == [sock.fileno() for sock in opened.later]
