"""Processes that are replaced because of their memory or age: nothing is lost, and the reason is known."""

from __future__ import annotations

import re

import pytest

from heliograph.ipc.control_client import request
from heliograph.ipc.instance import control_socket
from heliograph.testing.harness.harness import eventually

LEAKS = """
from heliograph import task

HELD = []

def leak():
    HELD.append(os.urandom(40 << 20))
    record("leaks")

@Signal(1).register_handler("mule1")
def leaks():
    leak()

@Signal(2).register_handler("mule")
def works():
    record("works")

@Signal(3).register_handler("mule1")
def slow():
    record("begins")
    block_on("gate")
    record("ends")

@task
def leaks_in_task():
    leak()

@Signal(4).register_handler("mule1")
def stores():
    leaks_in_task.enqueue()
"""


def reason_of(server, process):
    """The reason of the last exit of a process."""
    rows = request(control_socket(server.name), "details")["processes"]
    last = next(row for row in rows if row["name"] == process)["last_exit"]
    return last and last["reason"]


@pytest.mark.parametrize(("process", "num"), [("mule1", 1), ("spooler1", 4)], ids=["signals", "tasks"])
def test_a_process_that_leaks(server, process, num):
    """It is replaced after the handler or task that exceeds the limit."""
    server.start(LEAKS, "--mules", "1", "--spooler", "spool", "--max-rss", "200M")
    first = server.pids()[process]
    sent = 0

    def is_replaced():
        nonlocal sent
        server.send(num)
        sent += 1
        server.expect(sent, "leaks")
        return server.pids().get(process) not in (None, first)

    eventually("another process", is_replaced, 60)
    (size,) = re.findall(rf"Recycling {process}(?: soon after its start)?: it uses ([0-9.]+) MiB", server.log)[:1]
    assert 200 < float(size) < 1000
    assert re.search(rf"Recycling {process}.*\(--max-rss 200M\)", server.log)
    assert reason_of(server, process) == f"it uses {size} MiB (--max-rss 200M)"
    assert len(server.events("leaks")) == sent
    server.await_row(num, sent=sent, done=sent, failed=0, redelivered=0, queued=0)
    assert "exited" not in server.log
    assert server.end() == 0


def test_idle_processes_become_old(server):
    """Nobody sends a signal, and all kinds of processes are replaced nonetheless."""
    server.start(LEAKS, "--mules", "2", "--spooler", "spool", "--max-age", "1")
    first = server.pids()
    for process in ("worker1", "mule1", "mule2", "spooler1"):
        server.await_successor(process, first[process])
        assert re.fullmatch(r"it is \d+ s old \(--max-age 1s\)", reason_of(server, process))
        assert f"Recycling {process}: it is " in server.log
    assert "exited" not in server.log
    assert server.end() == 0


def test_signals_while_processes_are_replaced(server):
    """None is lost, and none runs twice."""
    server.start(LEAKS, "--mules", "2", "--max-age", "1")
    sent = 0
    while len({event.pid for event in server.events("works")}) < 6:
        server.send(2, 20)
        sent += 20
        server.expect(sent, "works")
    server.await_row(2, sent=sent, started=sent, done=sent, failed=0, redelivered=0, dropped=0, queued=0)
    assert len(server.events("works")) == sent
    assert server.end() == 0


def test_a_long_handler_of_an_old_process(server):
    """It is not killed after the graceful timeout: it ends, and then its process does."""
    server.start(LEAKS, "--mules", "1", "--max-age", "1", "--graceful-timeout", "0.2")
    server.send(3)
    pid = server.expect(1, "begins")[0].pid
    server.await_log("Recycling mule1: ")
    other = server.pids()["worker1"]
    server.await_successor("worker1", other)
    assert server.pids()["mule1"] == pid
    server.release("gate")
    assert server.expect(1, "ends")[0].pid == pid
    server.await_successor("mule1", pid)
    server.await_row(3, done=1, failed=0, redelivered=0)
    assert "killing it" not in server.log
    assert server.end() == 0


def test_a_limit_below_the_memory_of_a_new_process(server):
    """It has no effect, so that the server does not replace its processes again and again. The log says so."""
    server.start(LEAKS, "--mules", "1", "--max-rss", "1M")
    pid = server.pids()["mule1"]
    server.await_log(r"mule1 uses [0-9.]+ MiB when it starts, more than --max-rss 1M: the limit has no effect")
    server.send(1, 3)
    assert {event.pid for event in server.expect(3, "leaks")} == {pid}
    assert "Recycling" not in server.log
    assert server.end() == 0


def test_the_number_of_signals_is_a_reason(server):
    """As it is for the other limits."""
    server.start(LEAKS, "--mules", "1", "--max-signals", "2")
    pid = server.pids()["mule1"]
    server.send(2, 2)
    server.await_successor("mule1", pid)
    assert "Recycling mule1: it has handled 2 signals (--max-signals 2)" in server.log
    assert reason_of(server, "mule1") == "it has handled 2 signals (--max-signals 2)"
    assert server.end() == 0
