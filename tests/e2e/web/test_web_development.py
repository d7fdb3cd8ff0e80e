"""Web servers that heliograph does not detect, such as `flask run` and `runserver`, and sockets of systemd."""

from __future__ import annotations

import socket
import sys
import time

import httpx
import pytest

from heliograph.testing.harness.harness import eventually

TASKS = """
@Signal(1).register_handler("workers")
def handle():
    record("handled")

@Signal(2).register_handler("mule1")
def handle_in_a_mule():
    record("in-a-mule")
"""

FLASK = """
import os
import flask
import tasks

app = flask.Flask(__name__)

@app.get("/")
def index():
    return str(os.getpid())
"""

MIDDLEWARE = """
from heliograph.contrib.wsgi import Middleware
app.wsgi_app = Middleware(app.wsgi_app)
"""

RELOADED = "Reload complete (generation 2)\nNote: the web server got SIGHUP. The command did not wait for worker1"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Site:
    """`flask run` with a heliograph server."""

    def __init__(self, server, app: str) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{free_port()}/"
        server.write(TASKS)
        (server.directory / "web.py").write_text(app)
        port = self.url.rstrip("/").rpartition(":")[2]
        command = ("flask", "--app", "web", "run", "--no-reload", "--port", port)
        server.launch("--socket", server.remote_socket, "--allow-remote", "1,2", "--mules", "1", "--", *command)
        self.pid = self.await_answer()

    def answer(self) -> str:
        try:
            return httpx.get(self.url).text
        except httpx.TransportError:
            return ""

    def await_answer(self, old: str = "") -> str:
        """Wait until the web server answers, from another process than the `old` one."""
        return eventually("an answer", lambda: (found := self.answer()) != old and found)

    def reload(self) -> None:
        """Reload, and check that the command does not wait for the web server."""
        mule, begun = self.server.pids()["mule1"], time.monotonic()
        done = self.server.command("reload")
        assert done.returncode == 0, done.stderr
        assert RELOADED in done.stderr
        assert time.monotonic() - begun < 15
        assert self.server.pids()["mule1"] != mule


@pytest.mark.needs("flask")
def test_a_reload_does_not_wait_for_a_request(server):
    """With the WSGI middleware a process joins at its first request, and its successor will do so too."""
    site = Site(server, FLASK + MIDDLEWARE)
    server.await_log("Server ready: worker1, mule1")
    server.send(1)
    server.expect(1, "handled")
    site.reload()
    server.send(1)
    assert site.await_answer(site.pid) == str(server.expect(2, "handled")[1].pid)
    assert server.end() == 0


@pytest.mark.early
@pytest.mark.needs("flask")
def test_a_reload_does_not_wait_for_processes_that_have_not_joined(server):
    """Once the log has said that they do not join. The mule gets the new code, and the site is started again."""
    site = Site(server, FLASK)
    server.await_log("Unknown web server: flask --app web run")
    server.await_log("No process has joined as worker1")
    site.reload()
    site.await_answer(site.pid)
    server.send(2)
    server.expect(1, "in-a-mule")
    assert server.end() == 0


ACTIVATED = """
import os, socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
with open("port", "w") as file:
    file.write(str(listener.getsockname()[1]) + "\\n")
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "http"}
os.execv(sys.executable, [sys.executable, "-m", "heliograph", *sys.argv[1:]])
"""
"""What systemd does with a socket unit."""

WSGI = """
import os
import tasks

def app(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("gunicorn", "web:app"), marks=pytest.mark.needs("gunicorn"), id="gunicorn"),
        pytest.param(("uvicorn", "--fd", "3", "web:asgi"), marks=pytest.mark.needs("uvicorn"), id="uvicorn"),
    ],
)
def test_a_web_server_serves_on_the_socket_of_systemd(server, command):
    """It is open while the web server is replaced, so a request waits and is not refused."""
    server.write(TASKS)
    (server.directory / "web.py").write_text(WSGI)
    (server.directory / "activate.py").write_text(ACTIVATED)
    options = ("--name", server.name, "--mules", "1", "--socket", server.remote_socket, "--allow-remote", "1")
    server.process = server.popen(sys.executable, "activate.py", "run", "tasks", *options, "--", *command)
    server.await_log("Server ready: worker1, mule1")
    url = f"http://127.0.0.1:{(server.directory / 'port').read_text().strip()}/"
    pid = httpx.get(url, timeout=20).text
    assert pid == str(server.pids()["worker1"])
    assert server.command("reload").returncode == 0, server.log
    assert httpx.get(url, timeout=20).text not in ("", pid)
    server.send(1)
    server.expect(1, "handled")
    assert server.end() == 0


@pytest.mark.needs("gunicorn")
def test_a_script_finds_the_python_of_the_environment(server, monkeypatch):
    """PATH need not have it: the virtual environment is not activated."""
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    server.write(TASKS)
    (server.directory / "web.py").write_text(WSGI)
    script = server.directory / "serve.sh"
    script.write_text(f"#!/bin/sh\nexec python -m gunicorn -b 127.0.0.1:{free_port()} web:app\n")
    script.chmod(0o755)
    server.launch("--mules", "1", "--socket", server.remote_socket, "--allow-remote", "1", "--", str(script))
    server.await_log("Server ready: worker1")
    server.send(1)
    server.expect(1, "handled")
    assert server.end() == 0
