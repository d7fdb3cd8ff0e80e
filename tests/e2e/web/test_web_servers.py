"""gunicorn, uvicorn and granian with a heliograph server: their processes are its workers."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

import httpx
import pytest

from heliograph.testing.harness.harness import eventually


@pytest.mark.quick
def test_every_target_is_reached(web_server):
    """From a request, a mule and the spooler. Each process of the web server is one worker."""
    web_server.start()
    assert sorted(web_server.workers()) == ["worker1", "worker2"]
    for num in (10, 11, 12, 13, 14, 20, 21, 22, 23, 30):
        web_server.get(num)
    assert web_server.by(10, 1)[0] in ("worker1", "worker2")
    assert (web_server.by(11, 1), web_server.by(12, 1)) == (["worker1"], ["worker2"])
    assert (web_server.by(13, 2), web_server.by(14, 2)) == (["worker1", "worker2"],) * 2
    assert web_server.by(20, 1)[0] in ("mule1", "mule2")
    assert (web_server.by(21, 1), web_server.by(22, 2)) == (["mule1"], ["mule1", "mule2"])
    assert web_server.by(23, 1)[0] in ("mule1", "mule2")
    assert web_server.by(30, 1) == ["spooler1"]
    web_server.get(40)
    web_server.get(41)
    assert Counter(web_server.by(13, 6)) == {"worker1": 3, "worker2": 3}
    assert {event.pid for event in web_server.server.events("13")} == set(web_server.workers().values())
    assert web_server.server.end() == 0


def test_a_blocked_handler_does_not_block_requests(web_server):
    """Its process answers requests, and the other worker handles signals."""
    web_server.start()
    web_server.get(50)
    web_server.server.expect(1, "blocks")
    blocked = web_server.workers()["worker1"]
    eventually("an answer of that process", lambda: web_server.get().json()["pid"] == blocked)
    for _ in range(20):
        web_server.get(10)
    assert web_server.by(10, 20) == ["worker2"] * 20
    web_server.server.release("gate")
    web_server.server.expect(1, "unblocks")
    assert web_server.server.end() == 0


def test_a_killed_worker_loses_nothing(web_server):
    """The web server replaces it. The new process takes its number and its unfinished and queued signals."""
    web_server.start()
    before = web_server.workers()
    web_server.get(50)
    web_server.server.expect(1, "blocks")
    web_server.get(11)
    os.kill(before["worker1"], signal.SIGKILL)
    after = web_server.await_workers(lambda workers: workers["worker1"] != before["worker1"])
    assert after["worker2"] == before["worker2"]
    web_server.server.expect(2, "blocks")
    web_server.server.release("gate")
    assert web_server.by(11, 1) == ["worker1"]
    assert web_server.server.events("11")[0].pid == after["worker1"]
    web_server.server.await_row(50, sent=1, started=2, done=1, redelivered=1)
    assert web_server.server.end() == 0


def test_a_reload_under_load_loses_nothing(web_server):
    """`heliograph reload` reloads the web server too. Each worker handles each signal once."""
    web_server.start()
    before = web_server.server.pids()
    reloaded = threading.Event()
    sent = []

    def send_signals():
        while not reloaded.is_set() or len(sent) < 100:
            web_server.server.send(13)
            sent.append(13)

    sender = threading.Thread(target=send_signals)
    sender.start()
    try:
        assert web_server.server.command("reload").returncode == 0, web_server.server.log
    finally:
        reloaded.set()
        sender.join()
    after = web_server.server.pids()
    assert before.keys() == after.keys()
    assert not set(web_server.workers().values()) & set(before.values())
    assert Counter(web_server.by(13, 2 * len(sent))) == {"worker1": len(sent), "worker2": len(sent)}
    web_server.server.await_row(13, sent=len(sent), done=2 * len(sent), queued=0)
    eventually("an answer", web_server.answers)
    assert web_server.server.end() == 0


UNTIL_STOPPED = """
import asyncio

def is_stopping():
    return engines.current().receiver._draining

@Signal(13).register_handler("worker1")
def until_stopped():
    record("started")
    while not is_stopping():
        time.sleep(0.01)
    record("ends")

@Signal(14).register_handler("worker1")
async def until_stopped_on_the_loop():
    record("started")
    while not is_stopping():
        await asyncio.sleep(0.01)
    await asyncio.to_thread(record, "ends")

def answer(path):
    if path.isdigit():
        Signal(int(path)).send()
    return b"{}"
"""


def test_a_reload_waits_for_the_running_handler(web_server):
    """Its process takes no further signals. No signal is handled twice."""
    web_server.start(code=UNTIL_STOPPED)
    _reload_within(web_server, 13)


def test_a_reload_of_uvicorn_waits_for_async_handlers(make_web_server):
    """uvicorn gets SIGTERM after they have finished, because its loop runs until then."""
    web_server = make_web_server("uvicorn").start(code=UNTIL_STOPPED)
    for _ in range(4):
        _reload_within(web_server, 14)


def _reload_within(web_server, num):
    done = web_server.server.row(num)["done"]
    web_server.get(num)
    web_server.server.expect(done + 1, "started")
    assert web_server.server.command("reload").returncode == 0, web_server.server.log
    web_server.server.await_row(num, started=done + 1, done=done + 1, failed=0, redelivered=0, dropped=0)


def test_a_reload_of_the_web_server_alone_keeps_the_other_processes(web_server):
    """SIGHUP to the web server. Its new processes take the numbers of the old ones."""
    web_server.start()
    before = web_server.server.pids()
    os.kill(before["webserver"], signal.SIGHUP)
    web_server.await_workers(lambda workers: not set(workers.values()) & set(before.values()))
    after = web_server.server.pids()
    assert {process: pid for process, pid in after.items() if not process.startswith("worker")} == {
        process: pid for process, pid in before.items() if not process.startswith("worker")
    }
    web_server.get(13)
    assert web_server.by(13, 2) == ["worker1", "worker2"]
    assert web_server.server.end() == 0


def test_async_handlers_run_on_the_loop_of_the_web_server(web_server):
    """They do not block it. In a web server without a loop they run on a loop in a thread."""
    web_server.start()
    has_loop = "asgi" in web_server.command[-1]
    web_server.get(52)
    web_server.server.expect(1, "awaits")
    eventually("an answer of that process", lambda: web_server.get().json()["pid"] == web_server.workers()["worker1"])
    web_server.server.release("gate")
    web_server.server.expect(1, "awaited")
    web_server.get(51)
    eventually("two more", lambda: len([e for e in web_server.server.events() if e.what.startswith("loop-")]) == 2)
    loops = {event.what.removeprefix("loop-") for event in web_server.server.events() if event.what.startswith("loop-")}
    if has_loop:
        seen = {web_server.get("loop").text for _ in range(30)}
        assert seen & loops
        assert seen <= loops
    assert web_server.server.end() == 0


def test_the_web_server_stops_if_the_master_is_killed(web_server):
    """The kernel sends it SIGTERM."""
    web_server.start()
    assert web_server.server.end(signal.SIGKILL) == -signal.SIGKILL


def test_a_killed_web_server_is_replaced(web_server):
    """The master kills its remaining processes, so that the successor can use the port."""
    web_server.start()
    before = web_server.server.pids()
    os.kill(before["webserver"], signal.SIGKILL)
    web_server.await_workers(lambda workers: not set(workers.values()) & set(before.values()))
    eventually("an answer", web_server.answers)
    web_server.get(13)
    assert set(web_server.by(13, 2)) == {"worker1", "worker2"}
    assert web_server.server.end() == 0


def test_requests_are_answered_while_signals_arrive(web_server):
    """Each worker answers all requests, and the signals that they send are handled."""
    web_server.start()
    over = threading.Event()
    answered, failures = [], []

    def ask():
        while not over.is_set():
            try:
                answered.append(web_server.get(10).raise_for_status())
            except httpx.HTTPError as failure:
                failures.append(failure)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    sent = 0
    while not failures and len(answered) < 50:
        web_server.server.send(13)
        sent += 1
    over.set()
    for asker in askers:
        asker.join()
    assert not failures
    assert Counter(web_server.by(13, 2 * sent)) == {"worker1": sent, "worker2": sent}
    web_server.server.await_row(10, sent=len(answered), done=len(answered), queued=0)
    assert web_server.server.end() == 0
