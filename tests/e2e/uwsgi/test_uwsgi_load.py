"""Real uWSGI with many signals: reloads, and bursts to many processes."""

import os
import signal

import pytest

from heliograph.testing.harness.harness import eventually

pytestmark = pytest.mark.needs("uwsgi")

MASTER = ("--master", "--enable-threads")


# Reload


def test_a_reload_resets_queues_and_counters(uwsgi):
    """D4: uWSGI loses the queued signals. Capacity, order and counters are those of a new server."""
    code = """
@Signal(1).register_handler("mule1")
def work():
    if not Path("gate").exists():
        record("blocks")
        block_on("gate")
    record("work")

Signal(2).register_handler("worker1")(lambda: fill(1, 0.2))
Signal(3).register_handler("worker2")(lambda: record(f"done{engines.current().counters.total('done', 1)}"))

@Signal(4).register_handler("worker1")
def burst():
    for _ in range(3000):
        Signal(1).send(timeout=20)
    record("burst")
"""
    server = uwsgi.start(code, *MASTER, "--mules", "1")
    server.send(2)
    server.expect(1, "SignalQueueFull")
    assert len(server.events("blocks")) == 1
    server.process.send_signal(signal.SIGHUP)
    eventually("the mule is gone", lambda: not alive(uwsgi.pid_of("mule1", "blocks")))
    server.release("gate")
    server.expect(4, "up")
    assert server.events("work") == []
    server.send(3)
    server.expect(1, "done0")
    server.send(4)
    server.expect(1, "burst")
    eventually("all of the burst", lambda: len(server.events("work")) >= 3000)
    server.send(1)
    eventually("one more", lambda: len(server.events("work")) == 3001)
    server.send(3)
    server.expect(1, "done3001")
    assert server.end() == 0


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# Many processes


BURST = """
@Signal(4).register_handler("worker1")
def burst():
    for _ in range(500):
        for num in (1, 2, 3):
            if Signal(num).registered:
                Signal(num).send(timeout=20)
"""


def test_two_spoolers_share_a_burst(uwsgi):
    """T7, D1: One of them handles each signal once."""
    code = "Signal(3).register_handler('spooler')(lambda num: record(f'work{num}'))" + BURST
    (uwsgi.server.directory / "one").mkdir()
    (uwsgi.server.directory / "two").mkdir()
    server = uwsgi.start(code, *MASTER, "--spooler", "one", "--spooler", "two")
    server.send(4, 2)
    assert {event.by for event in server.expect(1000, "work3")} <= {"spooler1", "spooler2"}
    assert len(server.events("work3")) == 1000
    assert server.end() == 0


FARMS = ("--mules", "3", "--farm", "big:1,2", "--farm", "small:3")


def test_two_farms_share_a_burst(uwsgi):
    """D1, T6: One mule of the farm handles each signal once."""
    code = """
for num, target in ((1, "farm_big"), (2, "farm2")):
    Signal(num).register_handler(target)(lambda num: record(f"work{num}"))
"""
    server = uwsgi.start(code + BURST, *MASTER, *FARMS)
    server.send(4, 2)
    for num, process in {1: {"mule1", "mule2"}, 2: {"mule3"}}.items():
        assert {event.by for event in server.expect(1000, f"work{num}")} <= process
        assert len(server.events(f"work{num}")) == 1000
    assert server.end() == 0


def test_many_processes_lose_nothing(uwsgi):
    """D1: Ten workers send to eight mules at the same time."""
    code = """
Signal(1).register_handler("mules")(lambda: record("each"))
Signal(2).register_handler("mule")(lambda: record("any"))

@Signal(3).register_handler("workers")
def burst():
    for _ in range(200):
        Signal(1).send(timeout=20)
        Signal(2).send(timeout=20)
    record("sent")
"""
    server = uwsgi.start(code, *MASTER, "--mules", "8", workers=10)
    server.send(3)
    eventually("all have sent", lambda: len(server.events("sent")) == 10, 40)
    eventually("all is handled", lambda: (len(server.events("each")), len(server.events("any"))) == (16_000, 2000))
    assert "SIGNAL QUEUE IS FULL" not in server.log
    assert server.end() == 0
