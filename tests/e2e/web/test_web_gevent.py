"""gunicorn's gevent workers: handlers run in a greenlet, next to those of the requests."""

from __future__ import annotations

import pytest

from heliograph.testing.harness.harness import eventually

COMMANDS = [(), ("--preload",)]
"""Options with which gunicorn replaces threads before the application is imported, and after."""


@pytest.fixture(params=COMMANDS, ids=["plain", "preload"])
def web_server(request, make_web_server):
    """Two gevent workers."""
    return make_web_server("gunicorn-gevent", *request.param)


CODE = """
import asyncio, gevent, threading
from heliograph.runtime.scheduling import register_timer

HUB = []

@Signal(13).register_handler("workers")
def where():
    record("hub" if gevent.get_hub() in HUB else "elsewhere")
    record("main" if isinstance(gevent.getcurrent().parent, gevent.hub.Hub) else "not")

@Signal(50).register_handler("worker1")
def wait():
    record("waits")
    while not Path("gate").exists():
        time.sleep(0.002)
    record("waited")

@Signal(51).register_handler("worker1")
async def wait_on_a_loop():
    record("awaits")
    while not Path("gate").exists():
        await asyncio.sleep(0.002)
    record(f"awaited-{Signal(51).num}")

@Signal(52).register_handler("worker1")
def time_out():
    record("begins")
    with gevent.Timeout(0.01):
        gevent.sleep(10)

def fork():
    if not os.fork():
        gevent.sleep(1)
        os._exit(0)
    record("forked")

@Signal(54).register_handler("worker1", time_limit=0.2)
def overlong():
    record("overlong")
    gevent.sleep(30)

@Signal(10).register_handler("worker")
def counted():
    record("counted")

@register_timer(0.2, target="workers")
def to_all():
    record("to-all")

@register_timer(0.2, target="worker")
def to_one():
    record("to-one")

def answer(path):
    HUB.append(gevent.get_hub())
    if path == "fork":
        fork()
    if path.isdigit():
        Signal(int(path)).send()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = False
    else:
        loop = True
    return ('{"pid": %d, "loop": %s}' % (os.getpid(), str(loop).lower())).encode()
"""


def ask_until(web_server, pid):
    """Send requests until that process answers one, and return the answer."""
    return eventually(f"an answer of {pid}", lambda: (found := web_server.get().json())["pid"] == pid and found)


def test_handlers_run_on_the_hub_of_the_requests(web_server):
    """In a greenlet of that hub."""
    web_server.start(code=CODE)
    for pid in web_server.workers().values():
        ask_until(web_server, pid)
    web_server.get(13)
    assert {event.by for event in web_server.server.expect(2, "hub")} == {"worker1", "worker2"}
    assert len(web_server.server.expect(2, "main")) == 2
    assert web_server.server.end() == 0


def test_timers_reach_the_workers(web_server):
    """Those to each worker and those to any."""
    web_server.start(code=CODE)
    assert {event.by for event in web_server.server.expect(6, "to-all")} == {"worker1", "worker2"}
    web_server.server.expect(3, "to-one")
    assert web_server.server.end() == 0


@pytest.mark.parametrize("num", [50, 51])
def test_a_handler_that_waits_does_not_block_requests(web_server, num):
    """The requests do not see the event loop of an `async def` handler."""
    web_server.start(code=CODE)
    web_server.get(num)
    web_server.server.expect(1, "waits" if num == 50 else "awaits")
    for _ in range(3):
        assert not ask_until(web_server, web_server.workers()["worker1"])["loop"]
    web_server.server.release("gate")
    web_server.server.expect(1, "waited" if num == 50 else "awaited-51")
    assert web_server.server.end() == 0


def test_a_timeout_of_gevent_is_a_failure(make_web_server):
    """It is no `Exception`. The process goes on, and the traceback is in the log."""
    web_server = make_web_server("gunicorn-gevent").start(code=CODE)
    before = web_server.workers()
    web_server.get(52)
    web_server.get(52)
    web_server.server.await_row(52, sent=2, started=2, done=0, failed=2)
    assert web_server.workers() == before
    assert "Handler of signal 52 failed" in web_server.server.log
    assert web_server.server.end() == 0


def test_a_fork_of_a_worker_takes_no_signals(make_web_server):
    """gevent copies the greenlet that receives into the child."""
    web_server = make_web_server("gunicorn-gevent").start(code=CODE)
    web_server.get("fork")
    web_server.get("fork")
    web_server.server.expect(2, "forked")
    web_server.server.send(10, 20)
    pids = {event.pid for event in web_server.server.expect(20, "counted")}
    assert pids <= set(web_server.workers().values())
    web_server.server.await_row(10, sent=20, done=20, queued=0)
    assert web_server.server.end() == 0


def test_a_handler_over_its_time_limit_ends_its_process(make_web_server):
    """gunicorn replaces it."""
    web_server = make_web_server("gunicorn-gevent").start(code=CODE)
    before = web_server.workers()["worker1"]
    web_server.get(54)
    web_server.server.expect(1, "overlong")
    web_server.server.await_successor("worker1", before)
    web_server.server.await_row(54, sent=1, started=1, done=0, failed=1, redelivered=0)
    assert web_server.server.end() == 0


IN_A_MULE = """
from gevent import monkey
monkey.patch_all()
import gevent

def tick():
    while True:
        gevent.sleep(0.01)
        record("ticks")

@uwsgi.postfork_hooks.add()
def start():
    gevent.spawn(tick)

@Signal(1).register_handler("mule1")
def handle():
    gevent.sleep(0.01)
    record("handled")
"""


@pytest.mark.needs("gevent")
def test_an_application_may_replace_threads_at_import(server):
    """Its mules receive signals, and their other greenlets run while none arrives."""
    server.start("from gevent import monkey; monkey.patch_all()\n" + IN_A_MULE, "--mules", "1")
    server.expect(5, "ticks")
    server.send(1, 3)
    server.expect(3, "handled")
    assert server.command("reload").returncode == 0, server.log
    server.send(1)
    server.expect(4, "handled")
    assert server.end() == 0
