"""Limits of the heliograph server: signals for each process, time for each handler, signals in a queue."""

from __future__ import annotations

import pytest

WORK = """
import asyncio

@Signal(1).register_handler("mule1")
def work():
    record("work")

@Signal(2).register_handler("worker")
def fill():
    for _ in range(1000):
        Signal(1).send()

@Signal(3).register_handler("mule1")
def slow():
    record("slow")
    time.sleep(30)
    record("never")

@Signal(4).register_handler("mule1", time_limit=0.2)
def limited():
    record("limited")
    time.sleep(30)
    record("never")

@Signal(5).register_handler("mule1", time_limit=0)
def unlimited():
    time.sleep(0.4)
    record("unlimited")
"""


@pytest.mark.parametrize("target", ["mule1", "mule"])
def test_max_signals_replaces_a_process_and_loses_nothing(server, target):
    """With an own queue and a shared queue: each process handles as many signals as allowed, and none is lost."""
    server.start(WORK.replace('"mule1")\ndef work', f'"{target}")\ndef work'), "--mules", "1", "--max-signals", "100")
    server.send(2)
    work = server.expect(1000, "work")
    pids = [event.pid for event in work]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [100] * 10
    server.await_row(1, sent=1000, started=1000, done=1000, redelivered=0, queued=0)
    assert "exited" not in server.log
    assert server.end() == 0


@pytest.mark.parametrize(("num", "said"), [(3, "slow"), (4, "limited")], ids=["the server's", "the handler's"])
def test_a_time_limit_kills_the_process(server, num, said):
    """The signal counts as failed and is not redelivered. Later signals are handled."""
    limit = "0.2" if num == 3 else "20"
    server.start(WORK, "--mules", "1", "--time-limit", limit)
    server.send(num)
    first = server.expect(1, said)[0]
    server.send(1)
    assert server.expect(1, "work")[0].pid != first.pid
    server.await_row(num, sent=1, started=1, done=0, failed=1, redelivered=0, dropped=1, queued=0)
    assert "mule1 exited (its handler exceeded the time limit)" in server.log
    assert f"Dropped signal {num}, which was in flight in mule1: its handler exceeded the time limit" in server.log
    assert not server.events("never")
    assert server.end() == 0


def test_a_handler_can_disable_the_time_limit(server):
    """With `time_limit=0` it takes as long as it needs. The limit of an earlier handler kills no process later."""
    server.start(WORK, "--mules", "1", "--time-limit", "0.3")
    pid = server.pids()["mule1"]
    server.send(1)
    server.send(5, 2)
    assert {event.pid for event in server.expect(2, "unlimited")} == {pid}
    server.await_row(5, done=2, failed=0)
    assert server.end() == 0


def test_async_handlers_run_on_one_loop(server):
    """The loop and its objects live as long as the process. A failure is counted, and the process continues."""
    code = """
LOCK = asyncio.Lock()
LOOPS = []
tasks = []

async def background():
    while True:
        await asyncio.sleep(0)

@Signal(6).register_handler("mule1")
async def coroutine(num):
    async with LOCK:
        await asyncio.sleep(0.001)
        if not tasks:
            tasks.append(asyncio.create_task(background()))
        LOOPS.append(asyncio.get_running_loop())
        same = len(set(map(id, LOOPS)))
        record(f"loops{same}")

@Signal(7).register_handler("mule1")
async def fails():
    await asyncio.sleep(0)
    raise LookupError("on purpose")
"""
    server.start(WORK + code, "--mules", "1", remote="6,7")
    server.send(6, 3)
    server.send(7)
    server.send(6, 2)
    assert len({event.pid for event in server.expect(5, "loops1")}) == 1
    server.await_row(6, done=5, failed=0)
    server.await_row(7, done=0, failed=1)
    assert "LookupError: on purpose" in server.log
    assert server.end() == 0


FULL_QUEUE = """
from heliograph.exceptions import SignalQueueFull

@Signal(6).register_handler("mule1")
def blocking():
    record("blocked")
    block_on("gate")

@Signal(7).register_handler("mule1")
def counted():
    pass

@Signal(8).register_handler("mule2")
def free():
    record("free")

@Signal(9).register_handler("worker1")
def flood():
    Signal(6).send()
    while not os.path.exists("fetched"):
        time.sleep(0.001)
    sent = 0
    try:
        while True:
            Signal(7).send(timeout=0)
            sent += 1
    except SignalQueueFull:
        record(f"sent{sent}")
    before = time.monotonic()
    try:
        Signal(7).send(timeout=0.3)
    except TimeoutError as error:
        record("rejected" if 0.3 <= time.monotonic() - before < 3 and "mule1" in str(error) else f"wrong{error!r}")
    Signal(8).send()
    before = time.monotonic()
    record("tries")
    Signal(7).send(timeout=20)
    record("accepted")
"""


def test_a_full_queue_blocks_the_sender_until_its_timeout(server):
    """D1: A queue holds 65,536 signals. The next send is rejected after its timeout. Other receivers continue."""
    server.start(WORK + FULL_QUEUE, "--mules", "2", remote="8,9")
    server.send(9)
    server.expect(1, "blocked")
    (server.directory / "fetched").touch()
    server.expect(1, "sent65536")
    server.expect(1, "rejected")
    server.expect(1, "free")
    server.expect(1, "tries")
    assert server.state()["rejected"] == 2
    assert server.row(7)["queued"] == 65_536
    server.release("gate")
    server.expect(1, "accepted")
    server.await_row(7, sent=65_537, done=65_537, queued=0)
    assert server.end() == 0


SIGNALS_OF_THE_APPLICATION = """
import signal

def on_alarm(*_):
    raise TimeoutError("alarm")

signal.signal(signal.SIGALRM, on_alarm)

@Signal(1).register_handler("mule1", time_limit=0.5)
def cancels_alarms():
    signal.alarm(0)
    record("began")
    time.sleep(30)
    record("never")

@Signal(2).register_handler("mule1", time_limit=60)
def limited():
    record("limited")

@Signal(3).register_handler("mule1")
def own_alarm():
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        time.sleep(5)
    except TimeoutError:
        record("alarm")

@Signal(4).register_handler("mule1")
def waits():
    record("waiting")
    Signal(5).wait()
    record("resumed")

@Signal(5).register_handler("mule1", time_limit=0.3)
def within():
    if not os.path.exists("within"):
        open("within", "w").close()
        time.sleep(30)
"""


def test_a_time_limit_leaves_sigalrm_to_the_application(server):
    """The application cannot cancel a limit, and its own alarm works after a handler with a limit."""
    server.start(SIGNALS_OF_THE_APPLICATION, "--mules", "1", remote="1,2,3")
    server.send(2)
    server.send(3)
    server.expect(1, "alarm")
    server.send(1)
    server.await_row(1, started=1, done=0, failed=1)
    assert not server.events("never")
    assert server.end() == 0


def test_a_time_limit_holds_within_a_waiting_handler(server):
    """It ends the process, and only its own signal has failed: the waiting one is redelivered."""
    server.start(SIGNALS_OF_THE_APPLICATION, "--mules", "1", remote="4,5")
    server.send(4)
    server.expect(1, "waiting")
    server.send(5)
    server.await_row(5, failed=1, dropped=1)
    server.expect(2, "waiting")
    server.send(5)
    server.expect(1, "resumed")
    server.await_row(4, done=1, failed=0, redelivered=1)
    assert server.end() == 0
