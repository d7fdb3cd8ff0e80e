"""`heliograph.contrib` on a real server: processes of unknown web servers join and leave."""

import os
import signal
import socket
import sys
import urllib.request

import httpx
import pytest

from heliograph.testing.harness.harness import eventually

TASKS = """
refresh, crunch = Signal(1), Signal(2)

@refresh.register_handler("workers", remote=True)
def refresh_it():
    record("refreshed")
"""

PREFORK = """
import os, signal, sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from heliograph.contrib.wsgi import Middleware
import tasks


def application(environ, start_response):
    tasks.record("asked")
    start_response("200 OK", [])
    return [b"hello"]


server = WSGIServer(("127.0.0.1", int(sys.argv[1])), WSGIRequestHandler)
server.set_app(Middleware(application))
children = []
for _ in range(2):
    children.append(os.fork())
    if not children[-1]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        server.serve_forever()
signal.signal(signal.SIGTERM, lambda *_: [os.kill(child, signal.SIGTERM) for child in children])
for child in children:
    os.waitpid(child, 0)
"""
"""An unknown WSGI server: two processes that it forks after it has imported the application."""

ASYNC_TASKS = """
import asyncio
slow = Signal(1)

@slow.register_handler("worker", remote=True)
async def take_long():
    record("started")
    receiver = engines.current().receiver
    while not receiver._draining and not Path("gate").exists():
        await asyncio.sleep(0.01)
    record("leaving")
    while not Path("gate").exists():
        await asyncio.sleep(0.01)
    record("finished")
"""

ASGI = """
import tasks
from heliograph.contrib.asgi import Middleware, lifespan

async def bare(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            tasks.record(message["type"])
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return

app = Middleware(bare)

try:
    from fastapi import FastAPI
    framework = FastAPI(lifespan=lifespan)
except ImportError:
    pass
"""

PLAIN_APP = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""

JOINING = """
import os, sys, threading, time
from pathlib import Path
from heliograph import join, leave, uwsgi
import tasks

if not (child := os.fork()):
    os.setpgid(0, 0)
tasks.record("forked")
threads = [threading.Thread(target=join) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
tasks.record(f"serves-in-{sum(thread.name == 'heliograph' for thread in threading.enumerate())}")
while not uwsgi.worker_id and not Path("leave").exists():
    time.sleep(0.01)
if not uwsgi.worker_id:
    leave()
    while any(thread.name == "heliograph" for thread in threading.enumerate()):
        time.sleep(0.01)
    tasks.record("left")
while not Path("end").exists():
    time.sleep(0.01)
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def listens(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def launch(server, app, *command, workers="1"):
    """Start a server with this web application and web server command."""
    (server.directory / "web.py").write_text(app)
    options = ["--socket", server.remote_socket, "--allow-remote", "1,2"]
    server.launch(*options, "--workers", workers, "--", *command)
    return server


def test_a_process_of_an_unknown_wsgi_server_joins_at_its_first_request(server):
    """Each forked process joins by itself at its first request. Then it receives signals."""
    port = free_port()
    server.write(TASKS)
    launch(server, PREFORK, sys.executable, "web.py", str(port), workers="2")

    def ask_until_both_have_answered():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.read() == b"hello"
        return len({event.pid for event in server.events("asked")}) == 2

    server.await_log("Started web server")
    eventually("the port", lambda: listens(port))
    assert not [process for process in server.pids() if process.startswith("worker")]
    eventually("both processes have answered", ask_until_both_have_answered)
    server.await_log("Server ready: worker1, worker2")
    server.send(1)
    heard = server.expect(2, "refreshed")
    assert {event.pid for event in heard} == {event.pid for event in server.events("asked")}
    assert {event.by for event in heard} == {"worker1", "worker2"}
    assert server.command("stop").returncode == 0
    assert server.wait() == 0


@pytest.mark.needs("uvicorn")
@pytest.mark.parametrize("app", ["app", pytest.param("framework", marks=pytest.mark.needs("fastapi"))])
def test_an_async_handler_finishes_before_its_loop_stops(server, app):
    """After SIGTERM the process takes no further signals and finishes the running handler."""
    server.write(ASYNC_TASKS)
    launch(server, ASGI, "uvicorn", "--port", str(free_port()), f"web:{app}")
    server.await_log("Server ready: worker1")
    server.send(1)
    started = server.expect(1, "started")
    os.kill(started[0].pid, signal.SIGTERM)
    server.expect(1, "leaving")
    server.send(1)  # Its successor handles this one.
    server.release("gate")
    finished = server.expect(2, "finished")
    assert started[0].pid == finished[0].pid
    assert finished[1].pid != started[0].pid
    server.await_row(1, started=2, done=2, redelivered=0, failed=0)
    assert server.end() == 0


@pytest.mark.needs("hypercorn", "trio")
@pytest.mark.parametrize("app", ["app", pytest.param("framework", marks=pytest.mark.needs("fastapi"))])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with a server"])
def test_a_web_server_on_trio_serves(server, app, alone):
    """With a heliograph server its process joins, and its handlers run in a thread. Without one it only serves."""
    server.write(TRIO_TASKS)
    port = free_port()
    command = ("hypercorn", "-k", "trio", "-b", f"127.0.0.1:{port}", f"web:{app}")
    if alone:
        (server.directory / "web.py").write_text(TRIO_APP)
        server.process = server.popen(sys.executable, "-m", *command)
        eventually("an answer", lambda: listens(port) and httpx.get(f"http://127.0.0.1:{port}/").text == "trio")
        assert server.end() == 0
        return
    launch(server, TRIO_APP, *command)
    server.await_log("Server ready: worker1")
    assert httpx.get(f"http://127.0.0.1:{port}/").text == "trio"
    server.send(1)
    server.send(2)
    assert {server.expect(1, what)[0].by for what in ("handled", "awaited")} == {"worker1"}
    assert server.command("reload").returncode == 0, server.log
    server.await_row(2, sent=1, done=1, failed=0, redelivered=0)
    assert server.end() == 0


TRIO_TASKS = """
import asyncio

@Signal(1).register_handler("workers")
def handle():
    record("handled")

@Signal(2).register_handler("workers")
async def handle_on_a_loop():
    await asyncio.sleep(0)
    record("awaited")
"""

TRIO_APP = """
import tasks, trio
from heliograph.contrib.asgi import Middleware, lifespan

async def plain(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"].endswith("shutdown"):
                return
    await trio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"trio"})

app = Middleware(plain)

try:
    from starlette.applications import Starlette
    from starlette.routing import Mount
except ImportError:
    pass
else:
    framework = Starlette(routes=[Mount("/", plain)], lifespan=lifespan)
"""


@pytest.mark.needs("gunicorn")
def test_the_gunicorn_hook_joins_for_an_application_without_heliograph(server):
    """The web application imports nothing of heliograph. The hook loads the tasks and joins."""
    server.write(TASKS)
    (server.directory / "gunicorn.conf.py").write_text(
        "from heliograph.contrib.gunicorn import post_worker_init\nworkers = 2\n"
    )
    launch(server, PLAIN_APP, "gunicorn", "-b", f"127.0.0.1:{free_port()}", "web", workers="2")
    server.await_log("Server ready: worker1, worker2")
    server.send(1)
    assert {event.by for event in server.expect(2, "refreshed")} == {"worker1", "worker2"}
    assert server.end() == 0


def test_a_process_that_leaves_does_not_take_the_next_worker_number(server):
    """Eight threads that join become one worker. A process that leaves before it got a number stops asking for one."""
    server.write(TASKS)
    launch(server, JOINING, sys.executable, "web.py")
    server.await_log("Server ready: worker1")
    server.expect(2, "serves-in-1")
    worker = server.pids()["worker1"]
    server.release("leave")
    left = server.expect(1, "left")
    assert left[0].pid != worker
    assert server.pids()["worker1"] == worker
    server.release("end")
    server.end()
