"""gunicorn, uvicorn and granian beside a server of our own: their processes are its workers, as if it forked them."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

import httpx

from heliograph.testing.harness.harness import eventually


def test_every_target_is_reached(web):
    """From a request, from a mule, from the spooler; each process of the web server is one worker."""
    web.start()
    assert sorted(web.workers()) == ["worker1", "worker2"]
    for num in (10, 11, 12, 13, 14, 20, 21, 22, 23, 30):
        web.get(num)
    assert web.by(10, 1)[0] in ("worker1", "worker2")
    assert (web.by(11, 1), web.by(12, 1)) == (["worker1"], ["worker2"])
    assert (web.by(13, 2), web.by(14, 2)) == (["worker1", "worker2"],) * 2
    assert web.by(20, 1)[0] in ("mule1", "mule2")
    assert (web.by(21, 1), web.by(22, 2)) == (["mule1"], ["mule1", "mule2"])
    assert web.by(23, 1)[0] in ("mule1", "mule2")
    assert web.by(30, 1) == ["spooler1"]
    web.get(40)
    web.get(41)
    assert Counter(web.by(13, 6)) == {"worker1": 3, "worker2": 3}
    assert {event.pid for event in web.server.events("13")} == set(web.workers().values())
    assert web.server.end() == 0


def test_a_handler_that_hangs_stops_no_request(web):
    """Nor the other worker's signals; the requests of its own process are answered too."""
    web.start()
    web.get(50)
    web.server.expect(1, "hangs")
    hanging = web.workers()["worker1"]
    eventually("an answer of that process", lambda: web.get().json()["pid"] == hanging)
    for _ in range(20):
        web.get(10)
    assert web.by(10, 20) == ["worker2"] * 20
    web.server.release("gate")
    web.server.expect(1, "unhangs")
    assert web.server.end() == 0


def test_a_worker_that_is_killed_loses_nothing(web):
    """The web server replaces it; the new process takes the number, what was in hand and what waits."""
    web.start()
    before = web.workers()
    web.get(50)
    web.server.expect(1, "hangs")
    web.get(11)
    os.kill(before["worker1"], signal.SIGKILL)
    after = web.await_workers(lambda workers: workers["worker1"] != before["worker1"])
    assert after["worker2"] == before["worker2"]
    web.server.expect(2, "hangs")
    web.server.release("gate")
    assert web.by(11, 1) == ["worker1"]
    assert web.server.events("11")[0].pid == after["worker1"]
    web.server.await_row(50, sent=1, started=2, done=1, redelivered=1)
    assert web.server.end() == 0


def test_a_reload_under_load_loses_nothing(web):
    """Of ours, and with it of the web server: every process is new, every signal was handled once by each worker."""
    web.start()
    before = web.server.pids()
    reloaded = threading.Event()
    sent = []

    def raise_signals():
        while not reloaded.is_set() or len(sent) < 100:
            web.server.send(13)
            sent.append(13)

    sender = threading.Thread(target=raise_signals)
    sender.start()
    try:
        assert web.server.command("reload").returncode == 0, web.server.log
    finally:
        reloaded.set()
        sender.join()
    after = web.server.pids()
    assert before.keys() == after.keys()
    assert not set(web.workers().values()) & set(before.values())
    assert Counter(web.by(13, 2 * len(sent))) == {"worker1": len(sent), "worker2": len(sent)}
    web.server.await_row(13, sent=len(sent), done=2 * len(sent), waiting=0)
    eventually("an answer", web.answers)
    assert web.server.end() == 0


UNTIL_TOLD = """
import asyncio

def is_told():
    return engines.current().receiver._draining

@Signal(13).register_handler("worker1")
def until_told():
    record("begins")
    while not is_told():
        time.sleep(0.01)
    record("ends")

@Signal(14).register_handler("worker1")
async def until_told_on_the_loop():
    record("begins")
    while not is_told():
        await asyncio.sleep(0.01)
    await asyncio.to_thread(record, "ends")

def answer(path):
    if path.isdigit():
        Signal(int(path)).send()
    return b"{}"
"""


def test_a_reload_lets_the_handler_that_runs_finish(web):
    """In the process that it began in, which takes no more: none is handled twice."""
    web.start(code=UNTIL_TOLD)
    _reload_within(web, 13)


def test_a_reload_of_uvicorn_lets_async_handlers_finish(beside):
    """It is told to end when they have: its loop runs until then."""
    web = beside("uvicorn").start(code=UNTIL_TOLD)
    for _ in range(4):
        _reload_within(web, 14)


def _reload_within(web, num):
    done = web.server.row(num)["done"]
    web.get(num)
    web.server.expect(done + 1, "begins")
    assert web.server.command("reload").returncode == 0, web.server.log
    web.server.await_row(num, started=done + 1, done=done + 1, failed=0, redelivered=0, dropped=0)


def test_the_web_servers_own_reload_changes_nothing_else(web):
    """SIGHUP to it, as its own tools do: new processes take the numbers, mules go on."""
    web.start()
    before = web.server.pids()
    os.kill(before["webserver"], signal.SIGHUP)
    web.await_workers(lambda workers: not set(workers.values()) & set(before.values()))
    after = web.server.pids()
    assert {who: pid for who, pid in after.items() if not who.startswith("worker")} == {
        who: pid for who, pid in before.items() if not who.startswith("worker")
    }
    web.get(13)
    assert web.by(13, 2) == ["worker1", "worker2"]
    assert web.server.end() == 0


def test_async_handlers_run_on_the_servers_loop(web):
    """And block it not; where there is none, on one of their own, beside the requests."""
    web.start()
    has_loop = "asgi" in web.command[-1]
    web.get(52)
    web.server.expect(1, "awaits")
    eventually("an answer of that process", lambda: web.get().json()["pid"] == web.workers()["worker1"])
    web.server.release("gate")
    web.server.expect(1, "awaited")
    web.get(51)
    eventually("two more", lambda: len([e for e in web.server.events() if e.what.startswith("loop-")]) == 2)
    loops = {event.what.removeprefix("loop-") for event in web.server.events() if event.what.startswith("loop-")}
    if has_loop:
        seen = {web.get("loop").text for _ in range(30)}
        assert seen & loops
        assert seen <= loops
    assert web.server.end() == 0


def test_a_master_that_is_killed_leaves_nobody(web):
    """The kernel tells the web server to stop, and it takes its processes along."""
    web.start()
    assert web.server.end(signal.SIGKILL) == -signal.SIGKILL


def test_a_web_server_that_is_killed_is_replaced(web):
    """With all that it left behind, so that the next can have the port."""
    web.start()
    before = web.server.pids()
    os.kill(before["webserver"], signal.SIGKILL)
    web.await_workers(lambda workers: not set(workers.values()) & set(before.values()))
    eventually("an answer", web.answers)
    web.get(13)
    assert set(web.by(13, 2)) == {"worker1", "worker2"}
    assert web.server.end() == 0


def test_requests_are_answered_while_signals_arrive(web):
    """At each worker, all the time; and what the requests raise is handled."""
    web.start()
    over = threading.Event()
    answered, failures = [], []

    def ask():
        while not over.is_set():
            try:
                answered.append(web.get(10).raise_for_status())
            except httpx.HTTPError as failure:
                failures.append(failure)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for asker in askers:
        asker.start()
    sent = 0
    while not failures and len(answered) < 50:
        web.server.send(13)
        sent += 1
    over.set()
    for asker in askers:
        asker.join()
    assert not failures
    assert Counter(web.by(13, 2 * sent)) == {"worker1": sent, "worker2": sent}
    web.server.await_row(10, sent=len(answered), done=len(answered), waiting=0)
    assert web.server.end() == 0
