"""What can go wrong beside a web server: handlers that end their process, too many processes, code that disagrees."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from importlib.metadata import version

import pytest

from heliograph.ipc.instance import control_socket
from heliograph.testing.harness.harness import eventually

GUNICORN_VERSION = tuple(map(int, version("gunicorn").split(".")[:2]))
"""Major and minor version of the gunicorn under test."""

GTHREAD = pytest.param(
    "gunicorn-gthread",
    marks=pytest.mark.skipif(GUNICORN_VERSION < (24, 0), reason="gunicorn 23 resets connections with --max-requests"),
)


def test_max_requests_replaces_a_worker_and_loses_nothing(beside):
    """gunicorn's own replacement: the new process takes the number, and what waits."""
    web = beside("gunicorn-sync", "--max-requests", "5").start()
    first = set(web.workers().values())
    for _ in range(60):
        web.get(13)
    workers = Counter(web.by(13, 120))
    assert workers == {"worker1": 60, "worker2": 60}
    assert len({event.pid for event in web.server.events("13")} - first) > 4
    web.server.await_row(13, sent=60, done=120, redelivered=0, queued=0)
    assert web.server.end() == 0


@pytest.mark.parametrize("command", ["gunicorn-sync", GTHREAD])
def test_a_handler_that_runs_while_its_process_ends_has_its_executors(beside, command):
    """Signals stop before Python shuts thread pools; no handler fails of what it awaits."""
    web = beside(command, "--max-requests", "5").start(code=IN_A_THREAD)
    for _ in range(40):
        web.get(13)
    web.server.await_row(13, sent=40, started=80, done=80, failed=0, redelivered=0)
    assert web.server.end() == 0


@pytest.mark.skipif(GUNICORN_VERSION < (25, 0), reason="gunicorn has its asgi worker from 25.0 on")
def test_a_handler_that_ends_with_its_loop_is_begun_again(beside):
    """However slowly other tasks end: to be cancelled by the loop is no failure, and no death of its process."""
    web = beside("gunicorn-sync")
    web.command[-1:] = ["-k", "asgi", "web:asgi"]
    (web.server.directory / "web.py").write_text(SLOW_TO_END)
    web.start(code=AWAITS)
    web.get(13)
    for count in range(1, 5):
        web.server.expect(count, "awaits")
        assert web.server.command("reload").returncode == 0, web.server.log
    web.server.release("gate")
    web.server.await_row(13, sent=1, done=1, failed=0, redelivered=4, dropped=0)
    assert web.server.end() == 0


SLOW_TO_END = """
import asyncio, tasks

async def stay():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(1)

async def asgi(scope, receive, send):
    global staying
    if scope["type"] == "lifespan":
        await receive()
        staying = asyncio.create_task(stay())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = tasks.answer(scope["path"].strip("/"))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
"""

AWAITS = """
import asyncio

@Signal(13).register_handler("worker1")
async def awaits():
    record("awaits")
    while not Path("gate").exists():
        await asyncio.sleep(0.01)

def answer(path):
    if path.isdigit():
        Signal(int(path)).send()
    return b"{}"
"""

IN_A_THREAD = """
import asyncio

@Signal(13).register_handler("workers")
async def each():
    await asyncio.to_thread(time.sleep, 0.02)

def answer(path):
    if path.isdigit():
        Signal(int(path)).send()
    return b"{}"
"""


def test_the_reload_of_a_preloaded_application_is_joined_too(beside):
    """gunicorn forks new processes from the code that it has: they join like the first."""
    web = beside("gunicorn-preload").start()
    for _ in range(2):
        before = set(web.workers().values())
        os.kill(web.server.pids()["webserver"], signal.SIGHUP)
        web.await_workers(lambda workers, before=before: not set(workers.values()) & before)
    web.get(13)
    assert web.by(13, 2) == ["worker1", "worker2"]
    assert web.server.end() == 0


def test_a_server_of_one_process_is_its_own_worker(beside):
    """uvicorn without a parent."""
    web = beside("uvicorn")
    web.command[1:3] = []
    web.start(code=ONE)
    assert web.workers() == {"worker1": web.server.pids()["webserver"]}
    web.get(13)
    assert web.by(13, 1) == ["worker1"]
    assert web.server.end() == 0


ONE = """
@Signal(13).register_handler("workers")
def each():
    record(13)

def answer(path):
    if path.isdigit():
        Signal(int(path)).send()
    return b"{}"
"""


@pytest.mark.parametrize("num", [53, 54], ids=["a time limit", "SystemExit"])
@pytest.mark.parametrize("command", ["gunicorn-sync", "uvicorn"])
def test_a_handler_may_end_its_process(beside, command, num):
    """As its server has it end; the signal counts as failed, and is not run again by the next."""
    web = beside(command).start()
    pid = web.workers()["worker1"]
    web.get(num)
    web.await_workers(lambda workers: workers["worker1"] != pid)
    web.server.await_row(num, sent=1, started=1, done=0, failed=1, redelivered=0, queued=0)
    web.get(11)
    assert web.by(11, 1) == ["worker1"]
    assert web.server.end() == 0


def test_a_process_too_many_serves_and_waits(beside):
    """It answers requests and gets no signals; it, or whoever asks first, takes the number of one that ends."""
    web = beside("gunicorn-sync")
    web.start("--workers", "2")
    first = web.workers()
    os.kill(web.server.pids()["webserver"], signal.SIGTTIN)
    eventually("a third", lambda: {web.get().json()["pid"] for _ in range(10)} - set(first.values()))
    assert web.workers() == first
    os.kill(first["worker2"], signal.SIGKILL)
    web.await_workers(lambda workers: workers["worker2"] != first["worker2"] and workers["worker1"] == first["worker1"])
    assert web.server.end() == 0


def test_a_command_that_fails_ends_the_server(beside):
    """With its exit code, before anybody had joined."""
    web = beside("gunicorn", "-b", "127.0.0.1:{port}", "nowhere:app")
    web.server.write(ONE)
    web.server.launch("--workers", "1", "--", *web.command)
    assert web.server.wait() in (3, 1)  # 1 if it was ending when it heard of the second
    assert "before any of its processes had joined" in web.server.log
    assert "nowhere" in web.server.log


@pytest.mark.parametrize(("command", "said"), [("no-such-server", "no such command"), ("--workers", "a command")])
def test_what_is_no_command_is_refused(server, command, said):
    """Exit code 2, before anything is started."""
    server.write(ONE)
    server.launch("--", command)
    assert server.wait() == 2
    assert said in server.log


DISAGREEING = """
def one():
    record("one")

def other():
    record("other")

here = "fork_server" in sys.argv[0]
for func in (one, other) if here else (other, one):
    Signal().register_handler("workers")(func)

def answer(path):
    try:
        Signal(0).send()
    except Exception as failure:
        return str(failure).encode()
"""


def test_two_functions_under_one_number_are_told_by_name(beside):
    """Where the order of imports differs: neither is run or raised in the wrong place, and requests are answered."""
    web = beside("gunicorn-sync")
    web.server.write(DISAGREEING)
    web.server.launch(
        "--socket", web.server.remote_socket, "--allow-remote", "0", "--graceful-timeout", "0.5", "--", *web.command
    )
    told = r"in tasks tasks\.one has it, with target 'workers'; here tasks\.other, .*Signal\(name="
    web.server.await_log(f"gets no signals: cannot register signal 0: {told}", 2)
    assert "tasks.one has it" in web.get().text
    web.server.send(0)
    assert web.workers() == {}
    assert web.server.events() == []
    assert web.server.row(0)["queued"] == 2
    assert web.server.end() == 0
    assert "2 signals were still waiting and are lost" in web.server.log


UNKNOWN = """
from tasks import *
from heliograph.runtime.scheduling import register_timer

@Signal(77).register_handler("worker")
def unknown():
    record("unknown")

@register_timer(0.01, name="unheard")
def tick():
    record("tick")

def wsgi(environ, start_response):
    start_response("200 OK", [])
    try:
        Signal(77).send()
    except Exception as failure:
        return [str(failure).encode()]
    return []
"""


def test_what_the_server_does_not_know_is_told(beside):
    """A handler and a timer that only the web application has: where they belong is said, the rest works."""
    web = beside("gunicorn-sync")
    (web.server.directory / "web.py").write_text(UNKNOWN)
    web.start(code=ONE)
    told = r"has what tasks does not have, .*: signal 77 \(web.unknown\), .*'unheard'; import"
    web.server.await_log(told, 2)
    assert "signal 77 has no handler" in web.get().text
    web.server.send(13)
    assert web.by(13, 2) == ["worker1", "worker2"]
    assert web.server.end() == 0


def test_an_application_that_imports_only_some_gets_the_rest(beside):
    """A worker has every handler that workers need: what is missing is loaded when it joins."""
    web = beside("gunicorn-sync")
    code = (web.server.directory / "web.py").read_text()
    (web.server.directory / "web.py").write_text("import heliograph\nheliograph.Signal()\n" + LATE_IMPORT)
    assert "import tasks" in code
    web.start()
    web.server.send(13)
    assert web.by(13, 2) == ["worker1", "worker2"]
    assert web.server.end() == 0


LATE_IMPORT = """
def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"{}"]
"""


def test_a_program_that_a_worker_starts_sends_and_receives_nothing(beside):
    """It finds the master in its environment; it takes no seat."""
    web = beside("gunicorn-sync")
    web.start(code=ONE + STARTS)
    answered = web.get("run").json()
    assert answered == {"identity": "external", "topology": 2}
    assert web.by(13, 2) == ["worker1", "worker2"]
    assert sorted(web.workers()) == ["worker1", "worker2"]
    assert web.server.end() == 0


STARTS = '''
import subprocess
PROGRAM = """
import json, tasks
from heliograph import Signal, engines
Signal(13).send()
engine = engines.current()
print(json.dumps({"identity": str(engine.identity), "topology": engine.topology.workers}))
"""

def answer(path):
    if path != "run":
        return b"{}"
    return subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True).stdout
'''


def test_an_address_at_which_nobody_answers_is_an_error(tmp_path):
    """It names the value; nothing hangs."""
    env = {**os.environ, "HELIOGRAPH_MASTER": str(tmp_path / "nobody.sock")}
    program = [sys.executable, "-c", "import heliograph; heliograph.Signal()"]
    done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "ConfigError: no server answers at" in done.stderr
    assert "nobody.sock" in done.stderr


def test_who_asks_to_join_a_server_of_its_own_workers_is_told(server):
    """Joining is for a server that was started beside another."""
    server.start(ONE)
    program = [sys.executable, "-c", JOIN, str(control_socket(server.name))]
    done = subprocess.run(program, capture_output=True, text=True, timeout=20, check=False)
    assert "starts its workers itself" in done.stderr
    assert server.end() == 0


JOIN = """
import pathlib, sys
from heliograph.ipc.control_client import request as ask
ask(pathlib.Path(sys.argv[1]), {"do": "join"})
"""


TIMERS = """
from heliograph.runtime.scheduling import register_timer, register_timer_rb

def first():
    @register_timer(0.05, target="workers", name="first")
    def tick():
        record("first")

def second():
    @register_timer(0.05, target="mule1", name="second")
    def tock():
        record("second")

@register_timer_rb(0.01, repeat=1, name="once")
def once():
    record("once")

here = "fork_server" in sys.argv[0]
for declare in (first, second) if here else (second, first):
    declare()

def answer(path):
    return b"{}"
"""


def test_timers_agree_in_whatever_order_they_are_declared(beside):
    """Each has the number that it has where the server loaded it, and exists once."""
    web = beside("gunicorn-sync")
    web.server.start(TIMERS, "--mules", "1", "--", *web.command)
    assert {event.by for event in web.server.expect(10, "first")} == {"worker1", "worker2"}
    assert {event.by for event in web.server.expect(5, "second")} == {"mule1"}
    before = web.workers()
    os.kill(before["worker1"], signal.SIGKILL)
    web.await_workers(lambda workers: workers["worker1"] != before["worker1"])
    assert [row["num"] for row in web.server.state()["triggers"]] == [0, 1, 2]
    assert len(web.server.events("once")) == 1
    assert web.server.end() == 0


def test_max_signals_is_not_for_those_who_joined(beside):
    """Their server says when they are replaced."""
    web = beside("gunicorn-sync")
    web.start("--max-signals", "3", code=ONE)
    before = web.workers()
    web.server.send(13, 20)
    assert Counter(web.by(13, 40)) == {"worker1": 20, "worker2": 20}
    assert web.workers() == before
    assert web.server.end() == 0
