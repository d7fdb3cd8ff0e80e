"""Problems with a web server: handlers that end their process, too many processes, and code that differs."""

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


def test_max_requests_replaces_a_worker_and_loses_nothing(make_web_server):
    """gunicorn replaces the worker. The new process takes its number and its queued signals."""
    web_server = make_web_server("gunicorn-sync", "--max-requests", "5").start()
    first = set(web_server.workers().values())
    for _ in range(60):
        web_server.get(13)
    workers = Counter(web_server.by(13, 120))
    assert workers == {"worker1": 60, "worker2": 60}
    assert len({event.pid for event in web_server.server.events("13")} - first) > 4
    web_server.server.await_row(13, sent=60, done=120, redelivered=0, queued=0)
    assert web_server.server.end() == 0


@pytest.mark.parametrize("command", ["gunicorn-sync", GTHREAD])
def test_a_handler_can_use_executors_while_its_process_exits(make_web_server, command):
    """The last handler finishes before Python shuts thread pools down."""
    web_server = make_web_server(command, "--max-requests", "5").start(code=IN_A_THREAD)
    for _ in range(40):
        web_server.get(13)
    web_server.server.await_row(13, sent=40, started=80, done=80, failed=0, redelivered=0)
    assert web_server.server.end() == 0


@pytest.mark.early
@pytest.mark.skipif(GUNICORN_VERSION < (25, 0), reason="gunicorn has its asgi worker from 25.0 on")
def test_a_handler_that_its_loop_cancels_is_redelivered(make_web_server):
    """A cancellation by the loop is neither a failure nor a crash, however slowly the other tasks end."""
    web_server = make_web_server("gunicorn-sync")
    web_server.command[-1:] = ["-k", "asgi", "web:asgi"]
    (web_server.server.directory / "web.py").write_text(NO_LIFESPAN)
    web_server.start(code=AWAITING)
    web_server.get(13)
    for count in range(1, 5):
        web_server.server.expect(count, "awaits")
        assert web_server.server.command("reload").returncode == 0, web_server.server.log
    web_server.server.release("gate")
    web_server.server.await_row(13, sent=1, done=1, failed=0, redelivered=4, dropped=0)
    assert web_server.server.end() == 0


NO_LIFESPAN = """
import tasks

async def asgi(scope, receive, send):
    assert scope["type"] != "lifespan"  # with a lifespan, its shutdown waits for the handler
    body = tasks.answer(scope["path"].strip("/"))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
"""

AWAITING = """
import asyncio

async def stay():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(1)

@Signal(13).register_handler("worker1")
async def awaits():
    global staying
    staying = asyncio.create_task(stay())
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


def test_the_processes_of_a_preloaded_application_join_after_a_reload(make_web_server):
    """gunicorn forks them from the code that it has loaded."""
    web_server = make_web_server("gunicorn-preload").start()
    for _ in range(2):
        before = set(web_server.workers().values())
        os.kill(web_server.server.pids()["webserver"], signal.SIGHUP)
        web_server.await_workers(lambda workers, before=before: not set(workers.values()) & before)
    web_server.get(13)
    assert web_server.by(13, 2) == ["worker1", "worker2"]
    assert web_server.server.end() == 0


def test_a_web_server_with_one_process_is_the_worker(make_web_server):
    """uvicorn without a parent process."""
    web_server = make_web_server("uvicorn")
    web_server.command[1:3] = []
    web_server.start(code=ONE)
    assert web_server.workers() == {"worker1": web_server.server.pids()["webserver"]}
    web_server.get(13)
    assert web_server.by(13, 1) == ["worker1"]
    assert web_server.server.end() == 0


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
def test_a_handler_can_end_its_process(make_web_server, command, num):
    """The web server replaces it. The signal counts as failed and is not redelivered."""
    web_server = make_web_server(command).start()
    pid = web_server.workers()["worker1"]
    web_server.get(num)
    web_server.await_workers(lambda workers: workers["worker1"] != pid)
    web_server.server.await_row(num, sent=1, started=1, done=0, failed=1, redelivered=0, queued=0)
    web_server.get(11)
    assert web_server.by(11, 1) == ["worker1"]
    assert web_server.server.end() == 0


def test_a_process_without_worker_number_serves_requests(make_web_server):
    """It gets no signals until it takes the number of a process that has exited."""
    web_server = make_web_server("gunicorn-sync")
    web_server.start("--workers", "2")
    first = web_server.workers()
    os.kill(web_server.server.pids()["webserver"], signal.SIGTTIN)
    eventually("a third", lambda: {web_server.get().json()["pid"] for _ in range(10)} - set(first.values()))
    assert web_server.workers() == first
    os.kill(first["worker2"], signal.SIGKILL)
    web_server.await_workers(
        lambda workers: workers["worker2"] != first["worker2"] and workers["worker1"] == first["worker1"]
    )
    assert web_server.server.end() == 0


def test_a_process_that_cannot_receive_returns_its_worker_number(make_web_server):
    """Another process takes the number. The process serves requests and can send."""
    web_server = make_web_server("gunicorn-sync")
    web_server.command[web_server.command.index("2")] = "3"
    web_server.start("--workers", "2", code=CANNOT_RECEIVE)
    (failed,) = {int(pid) for pid in (web_server.server.directory / "failed").read_text().split()}
    assert web_server.server.log.count("it cannot receive them as worker") == 1
    eventually("an answer", lambda: web_server.get().json()["pid"] == failed)
    eventually("sent", lambda: web_server.get(13).json()["pid"] == failed)
    assert failed not in web_server.await_workers(bool).values()
    assert web_server.server.end() == 0


CANNOT_RECEIVE = """
import json, select
epoll = select.epoll

def epoll_that_fails_in_one_process(*arguments):
    try:
        Path("failed").open("x").write(str(os.getpid()))
    except FileExistsError:
        return epoll(*arguments)
    raise OSError(24, "Too many open files")

def answer(path):
    if path.isdigit():
        Signal(int(path)).send()
    return json.dumps({"pid": os.getpid()}).encode()

@Signal(13).register_handler("workers")
def handle():
    record("13")

if "gunicorn" in sys.argv[0]:
    import heliograph.engines.local.greenlets
    heliograph.engines.local.greenlets.select = type("", (), {
        **vars(select), "epoll": staticmethod(epoll_that_fails_in_one_process)
    })
"""


def test_a_web_server_that_exits_with_code_0_is_replaced(make_web_server):
    """uvicorn exits so after a number of requests, because it expects somebody to start it again."""
    web_server = make_web_server("uvicorn")
    workers = web_server.command.index("--workers")
    web_server.command[workers : workers + 2] = ["--limit-max-requests", "3"]
    web_server.start(code=CANNOT_RECEIVE.partition("\nif ")[0])
    (first,) = web_server.workers().values()

    def replaced() -> bool:
        web_server.answers()
        return bool(pids := web_server.workers().values()) and first not in pids

    eventually("another process", replaced)
    assert "Web server exited (exit code 0)" in web_server.server.log
    assert web_server.server.end() == 0


def test_a_web_server_that_fails_before_the_first_join_stops_the_server(make_web_server):
    """With its exit code."""
    web_server = make_web_server("gunicorn", "-b", "127.0.0.1:{port}", "nowhere:app")
    web_server.server.write(ONE)
    web_server.server.launch("--workers", "1", "--", *web_server.command)
    assert web_server.server.wait() in (3, 1)  # 1 if its second worker failed while it exited
    assert "before any worker joined" in web_server.server.log
    assert "nowhere" in web_server.server.log


@pytest.mark.parametrize(
    ("command", "text"),
    [("no-such-server", "command not found: 'no-such-server'"), ("--workers", "not a command: '--workers'")],
)
def test_an_invalid_command_is_rejected(server, command, text):
    """The exit code is 2, and nothing is started."""
    server.write(ONE)
    server.launch("--", command)
    assert server.wait() == 2
    assert text in server.log


DISAGREEING = """
def one():
    record("one")

def other():
    record("other")

in_fork_server = "HELIOGRAPH_MASTER" not in os.environ
for func in (one, other) if in_fork_server else (other, one):
    Signal().register_handler("workers")(func)

def answer(path):
    try:
        Signal(0).send()
    except Exception as failure:
        return str(failure).encode()
"""


def test_two_handlers_with_one_number_are_an_error(make_web_server):
    """The log names both, no signal runs the wrong one, and requests are answered."""
    web_server = make_web_server("gunicorn-sync")
    web_server.server.write(DISAGREEING)
    web_server.server.launch(
        "--socket",
        web_server.server.remote_socket,
        "--allow-remote",
        "0",
        "--graceful-timeout",
        "0.5",
        "--",
        *web_server.command,
    )
    message = r"tasks registers tasks\.one with target 'workers', and this process tasks\.other .*Signal\(name="
    web_server.server.await_log(f"gets no signals: cannot register signal 0: {message}", 2)
    assert "tasks registers tasks.one" in web_server.get().text
    web_server.server.send(0)
    assert web_server.workers() == {}
    assert web_server.server.events() == []
    assert web_server.server.row(0)["queued"] == 2
    assert web_server.server.end() == 0
    assert "Lost 2 queued signals" in web_server.server.log


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


def test_handlers_that_only_the_web_application_has_are_logged(make_web_server):
    """A handler and a timer. The log says where they belong. All others work."""
    web_server = make_web_server("gunicorn-sync")
    (web_server.server.directory / "web.py").write_text(UNKNOWN)
    web_server.start(code=ONE)
    message = r"registers what tasks does not register, .*: signal 77 \(web.unknown\), .*'unheard'. Import"
    web_server.server.await_log(message, 2)
    assert "signal 77 has no handler" in web_server.get().text
    web_server.server.send(13)
    assert web_server.by(13, 2) == ["worker1", "worker2"]
    assert web_server.server.end() == 0


def test_a_worker_loads_missing_handlers_when_it_joins(make_web_server):
    """The web application does not import the tasks."""
    web_server = make_web_server("gunicorn-sync")
    code = (web_server.server.directory / "web.py").read_text()
    (web_server.server.directory / "web.py").write_text("import heliograph\nheliograph.Signal()\n" + LATE_IMPORT)
    assert "import tasks" in code
    web_server.start()
    web_server.server.send(13)
    assert web_server.by(13, 2) == ["worker1", "worker2"]
    assert web_server.server.end() == 0


LATE_IMPORT = """
def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"{}"]
"""


def test_a_subprocess_of_a_worker_is_an_external_process(make_web_server):
    """It finds the master in its environment. It can send and takes no worker number."""
    web_server = make_web_server("gunicorn-sync")
    web_server.start(code=ONE + STARTS)
    answered = web_server.get("run").json()
    assert answered == {"identity": "external", "topology": 2}
    assert web_server.by(13, 2) == ["worker1", "worker2"]
    assert sorted(web_server.workers()) == ["worker1", "worker2"]
    assert web_server.server.end() == 0


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


def test_a_master_that_does_not_exist_lets_a_program_run(tmp_path):
    """A stale HELIOGRAPH_MASTER is logged. Only `send()` raises, and the message says what to do."""
    env = {**os.environ, "HELIOGRAPH_MASTER": str(tmp_path / "nobody.sock")}
    program = [sys.executable, "-c", "import heliograph; heliograph.Signal(1)(print); heliograph.Signal(1).send()"]
    done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert f"gets no signals yet: no server answers at {tmp_path / 'nobody.sock'}" in done.stderr
    assert "NoEngine: signal 1 was not sent: no server answers at" in done.stderr
    assert done.stderr.strip().endswith("unset HELIOGRAPH_MASTER.")


@pytest.mark.parametrize("command", ["gunicorn-sync", "gunicorn-preload", "gunicorn-gevent", "uvicorn"])
def test_a_web_process_serves_while_the_master_does_not_answer(make_web_server, command):
    """It starts, sending raises, and it joins as soon as the master answers again."""
    web_server = make_web_server(command).start()
    old = web_server.workers()
    master = web_server.server.process.pid
    os.kill(master, signal.SIGSTOP)
    try:
        for pid in old.values():
            os.kill(pid, signal.SIGKILL)

        def new_process_answers() -> bool:
            return web_server.answers() and web_server.get().json()["pid"] not in old.values()

        eventually("a new process answers", new_process_answers)
        if command != "gunicorn-preload":  # there the parent of the new process has attached already
            web_server.server.await_log("gets no signals yet: no server answers at")
            assert web_server.get(13).status_code == 500
            assert "NoEngine: signal 13 was not sent" in web_server.server.log
    finally:
        os.kill(master, signal.SIGCONT)
    web_server.await_workers(lambda workers: not set(workers.values()) & set(old.values()))
    web_server.server.send(13)
    assert web_server.by(13, 2) == ["worker1", "worker2"]
    assert web_server.server.end() == 0


@pytest.mark.parametrize("command", ["gunicorn-sync", "uvicorn"])
def test_processes_join_although_the_control_socket_was_removed(make_web_server, command):
    """The master restores it, and a process that did not get an answer meanwhile asks again."""
    web_server = make_web_server(command).start()
    for count, number in enumerate((signal.SIGKILL, signal.SIGTERM), 1):
        old = web_server.workers()
        for path in control_socket(web_server.server.name).parent.iterdir():
            path.unlink()
        for pid in old.values():
            os.kill(pid, number)
        web_server.server.await_log("restored: ", count)
        web_server.await_workers(lambda workers, old=old: not set(workers.values()) & set(old.values()))
    web_server.server.send(13)
    assert web_server.by(13, 2) == ["worker1", "worker2"]
    assert web_server.server.end() == 0


def test_joining_a_server_with_workers_of_its_own_is_an_error(server):
    """Processes can join only if the server was started with a web server."""
    server.start(ONE)
    program = [sys.executable, "-c", JOIN, str(control_socket(server.name))]
    done = subprocess.run(program, capture_output=True, text=True, timeout=20, check=False)
    assert "starts its workers itself" in done.stderr
    assert server.end() == 0


JOIN = """
import pathlib, sys
from heliograph.ipc.control_client import request
request(pathlib.Path(sys.argv[1]), "join")
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

in_fork_server = "HELIOGRAPH_MASTER" not in os.environ
for declare in (first, second) if in_fork_server else (second, first):
    declare()

def answer(path):
    return b"{}"
"""


def test_timers_do_not_depend_on_the_order_of_declarations(make_web_server):
    """Each has the number that it has in the fork server, and exists once."""
    web_server = make_web_server("gunicorn-sync")
    web_server.server.start(TIMERS, "--mules", "1", "--", *web_server.command)
    assert {event.by for event in web_server.server.expect(10, "first")} == {"worker1", "worker2"}
    assert {event.by for event in web_server.server.expect(5, "second")} == {"mule1"}
    before = web_server.workers()
    os.kill(before["worker1"], signal.SIGKILL)
    web_server.await_workers(lambda workers: workers["worker1"] != before["worker1"])
    assert [row["num"] for row in web_server.server.state()["triggers"]] == [0, 1, 2]
    assert len(web_server.server.events("once")) == 1
    assert web_server.server.end() == 0


def test_max_signals_does_not_apply_to_joined_processes(make_web_server):
    """Their web server decides when they are replaced."""
    web_server = make_web_server("gunicorn-sync")
    web_server.start("--max-signals", "3", code=ONE)
    before = web_server.workers()
    web_server.server.send(13, 20)
    assert Counter(web_server.by(13, 40)) == {"worker1": 20, "worker2": 20}
    assert web_server.workers() == before
    assert web_server.server.end() == 0
