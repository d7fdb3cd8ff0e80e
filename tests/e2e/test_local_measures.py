"""Figures of the heliograph server that other processes read from its memory: times of signals, and what runs now."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager

import pytest

from heliograph.insights.snapshot import ServerView
from heliograph.ipc.instance import control_socket
from heliograph.models import Identity
from heliograph.store.sqlite import SqliteStore
from heliograph.testing.harness.harness import eventually

MULE1 = Identity("mule", 1)

CODE = """
@Signal(1).register_handler("mule1")
def slow():
    record("slow")
    block_on("go")

@Signal(2).register_handler("mule1")
def queued():
    record("queued")

@Signal(3).register_handler("mule2")
def send_directly():
    Signal(2).send()
    record("sent")

@Signal(4).register_handler("mule2")
def send_many():
    for _ in range(5000):
        Signal(2).send()
"""

TASK = """
from heliograph import task

@task(target="mule1")
def report():
    record("running")
    block_on("go")

@Signal(1).register_handler("mule2")
def enqueue():
    report.enqueue()
"""


@contextmanager
def memory_of(server):
    """Map the memory of a server as a program that looks at it does."""
    with ServerView(control_socket(server.name)) as view:
        yield view._memory


@pytest.mark.quick
def test_a_slow_handler_and_a_signal_that_waits_for_it_are_measured(server):
    """While it runs, others see since when. Afterwards its time is counted, and the wait of the signal behind it."""
    server.start(CODE, "--mules", "2")
    with memory_of(server) as memory:
        before = time.monotonic_ns()
        server.send(1)
        server.expect(1, "slow")
        [running] = memory.running(MULE1)
        assert running.num == 1
        assert before < running.since < time.monotonic_ns()
        server.send(3)
        server.expect(1, "sent")
        sent = time.monotonic_ns()
        time.sleep(0.3)
        least = time.monotonic_ns() - sent
        server.release("go")
        server.expect(1, "queued")
        server.await_row(2, done=1)
        most = time.monotonic_ns() - before
        eventually("the figures", lambda: memory.durations().ran(2).count)
        durations = memory.durations()
        assert memory.running(MULE1) == []
    for histogram in (durations.ran(1), durations.waited(2)):
        assert histogram.count == 1
        assert least <= histogram.nanoseconds <= most
        [(bound, count)] = histogram.rows()
        assert (count, bound / 2 <= histogram.total <= bound) == (1, True)
    assert server.end() == 0


def test_a_killed_process_leaves_no_figures_of_its_handler(server):
    """Its successor runs the handler again, and shows since when."""
    server.start(CODE, "--mules", "2")
    with memory_of(server) as memory:
        server.send(1)
        server.expect(1, "slow")
        [first] = memory.running(MULE1)
        pid = server.kill("mule1")
        server.await_successor("mule1", pid)
        server.expect(2, "slow")
        [second] = eventually("the handler", lambda: memory.running(MULE1))
        assert (second.num, second.since > first.since) == (1, True)
        server.release("go")
        server.await_row(1, done=1, redelivered=1)
        eventually("the figures", lambda: memory.durations().ran(1).count)
        assert memory.durations().ran(1).nanoseconds < time.monotonic_ns() - second.since
        assert memory.durations().ran(1).count == 1
    assert server.end() == 0


def test_many_fast_handlers_are_all_counted(server):
    """Up to the last few, which count with the next ones."""
    server.start(CODE, "--mules", "2")
    with memory_of(server) as memory:
        server.send(4)
        server.await_row(2, done=5000)
        eventually("the figures", lambda: memory.durations().ran(2).count >= 5000 - 7)
        durations = memory.durations()
    assert durations.ran(2).count <= 5000
    assert 0 < durations.waited(2).count <= 5000
    assert durations.ran(2).nanoseconds > 0
    assert server.end() == 0


def test_a_running_task_is_shown_with_its_id(server):
    """Also after a kill, with the time of the new attempt. Its figures are in the store afterwards."""
    server.start(TASK, "--mules", "2")
    with memory_of(server) as memory:
        for activity in (memory.activity(Identity("worker", 1)), memory.activity(MULE1)):
            assert activity.ready_memory > 1_000_000
        server.send(1)
        server.expect(1, "running")
        activity = memory.activity(MULE1)
        first = activity.task()
        with closing(SqliteStore(server.state()["tasks"], sync=False)) as store:
            [row] = store.find()
            assert (first.name, first.id) == (row.name, row.id)
            pid = server.kill("mule1")
            server.await_successor("mule1", pid)
            server.expect(2, "running")
            second = activity.task()
            assert (second.id, second.since > first.since) == (first.id, True)
            server.release("go")
            timings = eventually("the figures", lambda: store.timings().get(row.name))
            assert (timings.ran.count, timings.outcomes) == (1, {"SUCCESSFUL": 1})
            eventually("the end of the task", lambda: activity.task() is None)
    assert server.end() == 0
