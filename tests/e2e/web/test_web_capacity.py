"""`--workers MIN..MAX`: the processes of a web server come and go while the server runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter

import pytest

from heliograph.testing.harness.harness import eventually

ELASTIC = ("--workers", "1..4", "--graceful-timeout", "2")


@pytest.fixture
def web_server(make_web_server):
    """gunicorn with two processes of one to four."""
    return make_web_server("gunicorn-sync")


def add(web_server):
    """Let gunicorn start one more process."""
    os.kill(web_server.server.pids()["webserver"], signal.SIGTTIN)


def remove(web_server):
    """Let gunicorn end its oldest process."""
    os.kill(web_server.server.pids()["webserver"], signal.SIGTTOU)


def await_workers(web_server, count):
    return eventually(f"{count} workers", lambda: len(w := web_server.workers()) == count and w)


def test_a_process_that_is_added_gets_signals(web_server):
    """Those to its number, and those to all. A signal to a number that is not in use waits."""
    web_server.start(*ELASTIC)
    assert sorted(web_server.workers()) == ["worker1", "worker2"]
    web_server.get(13)
    assert web_server.by(13, 2) == ["worker1", "worker2"]
    add(web_server)
    await_workers(web_server, 3)
    web_server.get(13)
    assert web_server.by(13, 5) == ["worker1", "worker1", "worker2", "worker2", "worker3"]
    web_server.server.await_row(13, sent=2, done=5, queued=0)
    assert web_server.server.end() == 0


TIMER = """
from heliograph.runtime.scheduling import register_timer

@Signal(12).register_handler("worker1")
def first():
    record("first")

@Signal(13).register_handler("workers")
def each():
    record("each")

@register_timer(0.1, target="workers", name="beat")
def beat():
    record("beat")

def answer(path):
    if path.isdigit():
        Signal(int(path)).send()
    return b"{}"
"""


def test_the_queue_of_a_process_that_is_removed_is_dropped_and_logged(web_server):
    """After the graceful timeout. The other processes get all signals meanwhile, also those of timers."""
    web_server.start(*ELASTIC, code=TIMER)
    first = web_server.workers()
    remove(web_server)
    left = await_workers(web_server, 1)
    (other,) = left
    (gone,) = first.keys() - left.keys()
    web_server.get(13)
    beats = len(web_server.server.events("beat"))
    eventually("timers", lambda: len(web_server.server.events("beat")) > beats + 5)
    assert "Vacated" not in web_server.server.log
    web_server.server.await_log(rf"Vacated {gone}, dropping \d+ queued signals: .* signal 13 \(1\)")
    web_server.get(13)
    web_server.server.await_row(13, sent=2, done=2, dropped=1, queued=0)
    assert {event.by for event in web_server.server.events("each")} == {other}
    assert web_server.server.end() == 0


def test_a_reload_under_load_keeps_the_numbers_and_loses_nothing(web_server):
    """Though there are free numbers for the new processes. Each worker handles each signal once."""
    web_server.start(*ELASTIC[:2])
    reloaded, sent = threading.Event(), []

    def send_signals():
        while not reloaded.is_set() or len(sent) < 100:
            web_server.server.send(13)
            sent.append(13)

    sender = threading.Thread(target=send_signals)
    sender.start()
    try:
        for _ in range(2):
            assert web_server.server.command("reload").returncode == 0, web_server.server.log
    finally:
        reloaded.set()
        sender.join()
    assert sorted(web_server.workers()) == ["worker1", "worker2"]
    assert Counter(web_server.by(13, 2 * len(sent))) == {"worker1": len(sent), "worker2": len(sent)}
    web_server.server.await_row(13, sent=len(sent), done=2 * len(sent), queued=0, dropped=0)
    assert web_server.server.end() == 0


def test_a_reload_does_not_wait_for_a_process_that_was_added(web_server):
    """gunicorn starts two again. The graceful timeout is longer than the deadline of the test."""
    web_server.start("--workers", "1..4", "--graceful-timeout", "300")
    add(web_server)
    await_workers(web_server, 3)
    assert web_server.server.command("reload").returncode == 0, web_server.server.log
    assert "Vacated" not in web_server.server.log


def test_a_killed_worker_keeps_its_number(web_server):
    """Its successor gets what was in flight."""
    web_server.start(*ELASTIC)
    before = web_server.workers()
    web_server.get(50)
    web_server.server.expect(1, "blocks")
    os.kill(before["worker1"], signal.SIGKILL)
    web_server.server.expect(2, "blocks")
    web_server.server.release("gate")
    web_server.server.await_row(50, sent=1, started=2, done=1, redelivered=1, dropped=0)
    assert sorted(web_server.workers()) == ["worker1", "worker2"]
    assert web_server.server.end() == 0


def test_without_a_web_server_the_least_number_is_started(server):
    """The server is ready with it. Targets up to the most number exist."""
    code = '@Signal(1).register_handler("workers")\ndef each(): record("each")\n'
    code += '@Signal(2).register_handler("worker4")\ndef fourth(): record("fourth")\n'
    server.start(code, "--workers", "2..4")
    assert sorted(server.pids()) == ["worker1", "worker2"]
    server.send(1)
    assert {event.by for event in server.expect(2, "each")} == {"worker1", "worker2"}
    server.await_row(1, sent=1, done=2, queued=0)
    assert server.end() == 0


def test_the_server_runs_in_a_program_with_a_pair(server, tmp_path):
    """`serve(workers=(2, 4))`."""
    (tmp_path / "main.py").write_text(
        "import logging, heliograph\n"
        "logging.basicConfig(level=logging.INFO)\n"
        'raise SystemExit(heliograph.serve("tasks", name="e2e", workers=(2, 4)))\n'
    )
    server.write('@Signal(1).register_handler("workers")\ndef each(): record("each")\n')
    server.process = server.popen(sys.executable, "main.py")
    server.await_log("Server ready: worker1, worker2 of tasks")
    assert server.end() == 0
