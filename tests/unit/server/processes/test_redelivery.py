"""Redelivery of the records in flight of a process that exited. Real pipes and memory, no process."""

import logging
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.signals.records import (
    DONE,
    FETCHED,
    INTERRUPTED,
    LIMITED_BYTE,
    PREFETCH,
    RECORD_BYTES,
    RUNNING,
    Record,
    decode,
    encode,
    unfinished,
)
from heliograph._core.signals.routes import Route
from heliograph.ipc.pipes import make_pipes, server_queues
from heliograph.ipc.shared_memory import SharedMemory
from heliograph.models import FarmSpec, Identity, Queue, Topology
from heliograph.server.processes.redelivery import MAX_DELIVERY_ATTEMPTS, Redelivery
from heliograph.server.server_queues import ServerQueues

SERVER = Topology(workers=2, mules=2, farms=(FarmSpec("crunchers", (1, 2)),), spoolers=2)
MULE = Identity("mule", 1)
OWN, POOL, FARM = Queue("mule", 1), Queue("mule", 0), Queue("farm", 1)
REDELIVERED, ONCE, GONE, WAKEUP = 10, 11, 12, 255
"""Numbers: as by default, with redeliver=False, registered no more, and for tasks."""


STARTED = time.monotonic_ns()


def timeless(record):
    """Return the record without its time, which is that of its redelivery, unless the test made it."""
    assert record.time == 0 or STARTED < record.time <= time.monotonic_ns()
    return record._replace(time=0)


class Server:
    """Queues, memory and routes, as a master has them."""

    def __init__(self):
        self.memory = SharedMemory.create(SERVER)
        self.queues = server_queues(SERVER)
        self.pipes = make_pipes(SERVER)
        server = ServerQueues.of(self.memory, SERVER, self.pipes)
        self.counters, self.redelivery = server.counters, Redelivery(server)
        self.memory.live[REDELIVERED] = Route("mule", "handler")
        self.memory.live[WAKEUP] = Route("mule", "tasks for mule", wakeup=True)
        self.memory.live[ONCE] = Route("mule", "handler", redeliver=False)

    def place(self, queue):
        return self.queues.index(queue)

    def give(self, *records, process=MULE):
        """Put records into the in-flight buffer of a process."""
        for number, record in enumerate(records):
            self.memory.in_flight(process)[number * RECORD_BYTES : (number + 1) * RECORD_BYTES] = encode(record)

    def recover(self, *, process=MULE, timed_out=False):
        buffer = self.memory.in_flight(process)
        for offset, _ in unfinished(buffer):
            buffer[offset + LIMITED_BYTE] = timed_out
        self.redelivery.recover(process, timed_out=timed_out)

    def in_flight(self, process=MULE):
        return [timeless(record) for _, record in unfinished(self.memory.in_flight(process))]

    def queued(self, queue):
        """Take the records out of a queue."""
        try:
            data = os.read(self.pipes[self.place(queue)][0], 1 << 20)
        except BlockingIOError:
            return []
        return [timeless(decode(data[i : i + RECORD_BYTES])) for i in range(0, len(data), RECORD_BYTES)]

    def fill(self, queue):
        block = encode(Record(99, self.place(queue))) * 256
        try:
            while True:
                os.write(self.pipes[self.place(queue)][1], block)
        except BlockingIOError:
            return

    def counted(self):
        """The counts of the master, row by row."""
        rows = ("sent", "started", "done", "failed", "redelivered", "dropped")
        return {row: found for row in rows if (found := {n: c for n, c in enumerate(getattr(self.counters, row)) if c})}

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


def test_an_empty_buffer(server, caplog):
    """Nothing was in flight: nothing happens."""
    server.recover()
    assert (server.in_flight(), server.counted(), caplog.records) == ([], {}, [])


def test_senders_no_longer_rely_on_what_was_parked(server):
    """Another process may take the record, so each signal that is sent from now on is queued."""
    server.memory.parked(MULE)[REDELIVERED] = server.memory.parked(Identity("mule", 2))[REDELIVERED] = 1
    server.recover()
    assert not any(server.memory.parked(MULE))
    assert server.memory.parked(Identity("mule", 2))[REDELIVERED] == 1


@pytest.mark.parametrize("queue", [POOL, FARM, Queue("worker", 0), Queue("spooler", 0)], ids=str)
@pytest.mark.parametrize("state", [FETCHED, RUNNING])
def test_a_record_of_a_shared_queue_goes_back(server, queue, state):
    """Any reader of the queue may take it. If it was started, it counts as redelivered, with one more attempt."""
    server.give(Record(REDELIVERED, server.place(queue), 1, state))
    server.recover()
    began = state == RUNNING
    assert server.queued(queue) == [Record(REDELIVERED, server.place(queue), 1 + began, FETCHED)]
    assert server.in_flight() == []
    assert server.counted() == ({"redelivered": {REDELIVERED: 1}} if began else {})


@pytest.mark.parametrize("queue", [OWN, Queue("worker", 1), Queue("spooler", 1)], ids=str)
@pytest.mark.parametrize("state", [FETCHED, RUNNING])
def test_a_record_of_the_process_s_own_queue_stays_in_the_buffer(server, queue, state):
    """The successor begins with it, before the records in the queue, which keeps the order."""
    server.give(Record(REDELIVERED, server.place(queue), 1, state))
    server.recover()
    began = state == RUNNING
    assert server.in_flight() == [Record(REDELIVERED, server.place(queue), 1 + began, FETCHED)]
    assert server.queued(queue) == []
    assert server.counted() == ({"redelivered": {REDELIVERED: 1}} if began else {})


@pytest.mark.parametrize("queue", [POOL, OWN], ids=str)
def test_at_most_once(server, queue, caplog):
    """With redeliver=False, a started record is dropped, counted and logged. One that was not started is kept."""
    place = server.place(queue)
    server.give(Record(ONCE, place, 0, RUNNING), Record(ONCE, place, 0, FETCHED))
    with caplog.at_level(logging.ERROR):
        server.recover()
    assert [record.num for record in server.in_flight() + server.queued(queue)] == [ONCE]
    assert server.counted() == {"dropped": {ONCE: 1}}
    (line,) = caplog.messages
    assert "signal 11" in line
    assert "mule1" in line
    assert "redeliver=False" in line


def test_a_signal_without_a_handler_goes_back(server):
    """The process that takes it logs that and counts it as failed. It is not lost silently."""
    server.give(Record(GONE, server.place(POOL), 0, RUNNING))
    server.recover()
    assert server.queued(POOL) == [Record(GONE, server.place(POOL), 1, FETCHED)]


@pytest.mark.parametrize("queue", [POOL, OWN], ids=str)
def test_an_interrupted_handler_did_not_kill_its_process(server, queue):
    """The process exits on command. Its signal is redelivered, however often that happens to a long handler."""
    place = server.place(queue)
    server.give(Record(REDELIVERED, place, MAX_DELIVERY_ATTEMPTS - 1, INTERRUPTED), Record(ONCE, place, 0, INTERRUPTED))
    server.recover()
    again = Record(REDELIVERED, place, MAX_DELIVERY_ATTEMPTS - 1, FETCHED)
    assert server.in_flight() + server.queued(queue) == [again]
    assert server.counted() == {"redelivered": {REDELIVERED: 1}, "dropped": {ONCE: 1}}


@pytest.mark.parametrize("queue", [POOL, OWN], ids=str)
def test_three_deaths_in_a_row(server, queue, caplog):
    """At the third, the signal is dropped, logged and counted."""
    place = server.place(queue)
    server.give(Record(REDELIVERED, place, 0, RUNNING))
    for deaths in range(1, MAX_DELIVERY_ATTEMPTS):
        server.recover()
        (record,) = server.in_flight() + server.queued(queue)
        assert record == Record(REDELIVERED, place, deaths, FETCHED)
        server.give(record._replace(state=RUNNING))
    with caplog.at_level(logging.ERROR):
        server.recover()
    assert server.in_flight() == server.queued(queue) == []
    assert server.counted() == {"redelivered": {REDELIVERED: MAX_DELIVERY_ATTEMPTS - 1}, "dropped": {REDELIVERED: 1}}
    assert "3 processes in a row" in caplog.text


def test_exits_of_processes_that_had_not_started_it_do_not_count(server):
    """The record was only in their in-flight buffers."""
    server.give(Record(REDELIVERED, server.place(OWN), 2, FETCHED))
    for _ in range(5):
        server.recover()
    assert server.in_flight() == [Record(REDELIVERED, server.place(OWN), 2, FETCHED)]


@pytest.mark.parametrize("num", [REDELIVERED, ONCE])
def test_a_handler_that_took_too_long(server, num, caplog):
    """It failed and is not redelivered. Records that were not started are, without one more attempt."""
    server.give(Record(num, server.place(OWN), 0, RUNNING), Record(REDELIVERED, server.place(OWN), 0, FETCHED))
    with caplog.at_level(logging.ERROR):
        server.recover(timed_out=True)
    assert server.in_flight() == [Record(REDELIVERED, server.place(OWN), 0, FETCHED)]
    assert server.counted() == {"failed": {num: 1}, "dropped": {num: 1}}
    assert "time limit" in caplog.text


def test_a_shared_queue_that_is_full(server):
    """Records that do not fit stay in the buffer for the successor. Nothing is lost."""
    server.fill(POOL)
    server.give(Record(REDELIVERED, server.place(POOL), 0, RUNNING), Record(ONCE, server.place(FARM), 0, FETCHED))
    server.recover()
    assert server.in_flight() == [Record(REDELIVERED, server.place(POOL), 1, FETCHED)]
    assert server.queued(FARM) == [Record(ONCE, server.place(FARM), 0, FETCHED)]
    assert server.counted() == {"redelivered": {REDELIVERED: 1}}


def test_another_process_keeps_its_records(server):
    """Only the buffer of the process that exited is read."""
    other = Identity("mule", 2)
    server.give(Record(REDELIVERED, server.place(POOL), 0, RUNNING), process=other)
    server.recover()
    assert server.in_flight(other) == [Record(REDELIVERED, server.place(POOL), 0, RUNNING)]
    assert server.queued(POOL) == []


records = st.builds(
    Record,
    st.sampled_from([REDELIVERED, ONCE, GONE]),
    st.sampled_from([OWN, POOL, FARM]).map(server_queues(SERVER).index),
    st.integers(0, MAX_DELIVERY_ATTEMPTS - 1),
    st.sampled_from([DONE, FETCHED, RUNNING]),
    st.just(0),
)


@given(buffer=st.lists(records, max_size=PREFETCH), timed_out=st.booleans())
def test_every_record_is_somewhere_or_counted(buffer, timed_out):
    """Whatever was in flight, each record is in its queue, in the buffer, or dropped. None is there twice."""
    server = Server()
    try:
        server.give(*buffer)
        server.recover(timed_out=timed_out)
        there = [record for record in buffer if record.state != DONE]
        kept = [
            record._replace(attempts=record.attempts + (record.state == RUNNING), state=FETCHED)
            for record in there
            if record.state == FETCHED
            or (not timed_out and record.num != ONCE and record.attempts + 1 < MAX_DELIVERY_ATTEMPTS)
        ]
        assert server.in_flight() == [record for record in kept if record.queue == server.place(OWN)]
        for queue in (POOL, FARM):
            assert server.queued(queue) == [record for record in kept if record.queue == server.place(queue)]
        assert sum(server.counted().get("dropped", {}).values()) == len(there) - len(kept)
        assert sum(server.counted().get("redelivered", {}).values()) == len(kept) - sum(
            record.state == FETCHED for record in there
        )
    finally:
        server.close()


@pytest.mark.parametrize("queue", [POOL, OWN], ids=str)
def test_a_wakeup_is_redelivered_however_many_processes_were_killed(server, queue, caplog):
    """The store counts how many a task has killed."""
    server.give(Record(WAKEUP, server.place(queue), 0, RUNNING))
    for deaths in range(1, 300):
        server.recover()
        (record,) = server.in_flight() + server.queued(queue)
        assert record == Record(WAKEUP, server.place(queue), 0, FETCHED)
        assert server.counters.redelivered[WAKEUP] == deaths
        server.give(record._replace(state=RUNNING))
    assert caplog.records == []


@pytest.mark.parametrize("queue", [POOL, OWN], ids=str)
def test_a_redelivered_signal_has_the_time_of_its_redelivery(server, queue):
    """Its next handler did not wait for the handler that was killed."""
    server.give(Record(REDELIVERED, server.place(queue), 0, RUNNING, 5))
    before = time.monotonic_ns()
    server.recover()
    if queue == OWN:
        [(_, record)] = unfinished(server.memory.in_flight(MULE))
    else:
        record = decode(os.read(server.pipes[server.place(queue)][0], RECORD_BYTES))
    assert before <= record.time <= time.monotonic_ns()
