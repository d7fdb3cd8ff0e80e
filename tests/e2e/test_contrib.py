"""`contrib` on a real server: processes of servers that are not known join, and leave with nothing unfinished."""

import os
import signal
import socket
import sys
import urllib.request

import pytest

from heliograph.testing.harness.harness import eventually

TASKS = """
refresh, crunch = Signal(1), Signal(2)

@refresh.register_handler("workers", remote=True)
def note_it():
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
"""A WSGI server that nobody knows: two processes that were forked after the application was imported."""

ASYNC_TASKS = """
import asyncio
slow = Signal(1)

@slow.register_handler("worker", remote=True)
async def take_long():
    record("begun")
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

QUIET = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""

SEATS = """
import os, sys, threading, time
from pathlib import Path
from heliograph import join, leave, uwsgi
import tasks

if not (child := os.fork()):
    os.setpgid(0, 0)
tasks.record("started")
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
    """A server of ours with this file beside `tasks.py`, and this command beside it."""
    (server.directory / "web.py").write_text(app)
    options = ["--socket", server.remote_socket, "--allow-remote", "1,2"]
    server.launch(*options, "--workers", workers, "--", *command)
    return server


def test_a_process_of_an_unknown_wsgi_server_joins_at_its_first_request(server):
    """Each fork for itself, and not before; then signals reach it."""
    port = free_port()
    server.write(TASKS)
    launch(server, PREFORK, sys.executable, "web.py", str(port), workers="2")

    def ask_until_both_have_answered():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            assert answer.read() == b"hello"
        return len({event.pid for event in server.events("asked")}) == 2

    server.await_log("started ")
    eventually("the port", lambda: listens(port))
    assert not [who for who in server.pids() if who.startswith("worker")]
    eventually("both processes have answered", ask_until_both_have_answered)
    server.await_log("ready: worker1, worker2")
    server.send(1)
    heard = server.expect(2, "refreshed")
    assert {event.pid for event in heard} == {event.pid for event in server.events("asked")}
    assert {event.by for event in heard} == {"worker1", "worker2"}
    assert server.command("stop").returncode == 0
    assert server.wait() == 0


@pytest.mark.parametrize("app", ["app", "framework"])
def test_an_async_handler_finishes_before_its_loop_ends(server, app):
    """The process is told to end while one runs: it takes no more, and that one comes to its end there."""
    server.write(ASYNC_TASKS)
    launch(server, ASGI, "uvicorn", "--port", str(free_port()), f"web:{app}")
    server.await_log("ready: worker1")
    server.send(1)
    begun = server.expect(1, "begun")
    os.kill(begun[0].pid, signal.SIGTERM)
    server.expect(1, "leaving")
    server.send(1)  # for its successor
    server.release("gate")
    finished = server.expect(2, "finished")
    assert begun[0].pid == finished[0].pid
    assert finished[1].pid != begun[0].pid
    server.await_row(1, started=2, done=2, redelivered=0, failed=0)
    assert server.end() == 0


def test_gunicorns_hook_joins_for_an_application_that_knows_of_nothing(server):
    """It imports nothing of ours; signals reach it all the same, since the tasks are loaded then."""
    server.write(TASKS)
    (server.directory / "gunicorn.conf.py").write_text(
        "from heliograph.contrib.gunicorn import post_worker_init\nworkers = 2\n"
    )
    launch(server, QUIET, "gunicorn", "-b", f"127.0.0.1:{free_port()}", "web", workers="2")
    server.await_log("ready: worker1, worker2")
    server.send(1)
    assert {event.by for event in server.expect(2, "refreshed")} == {"worker1", "worker2"}
    assert server.end() == 0


def test_who_leaves_while_there_is_no_seat_does_not_take_the_next(server):
    """Eight threads that join are one worker; and who waits for a seat in vain stops waiting."""
    server.write(TASKS)
    launch(server, SEATS, sys.executable, "web.py")
    server.await_log("ready: worker1")
    server.expect(2, "serves-in-1")
    worker = server.pids()["worker1"]
    server.release("leave")
    left = server.expect(1, "left")
    assert left[0].pid != worker
    assert server.pids()["worker1"] == worker
    server.release("end")
    server.wait()
