"""A web server under test: gunicorn, uvicorn or granian with a heliograph server, and one application for all."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from heliograph.testing.harness.harness import eventually

TASKS = """
import asyncio, json, threading

TARGETS = {10: "worker", 11: "worker1", 12: "worker2", 13: "workers", 14: "active-workers",
           20: "mule", 21: "mule1", 22: "mules", 23: "farm_crunchers", 30: "spooler"}

def listen(num, target):
    Signal(num).register_handler(target)(lambda: record(num))

for num, target in TARGETS.items():
    listen(num, target)

@Signal(40).register_handler("mule1")
def from_a_mule():
    Signal(13).send()

@Signal(41).register_handler("spooler")
def from_the_spooler():
    Signal(13).send()

@Signal(50).register_handler("worker1")
def block():
    record("blocks")
    block_on("gate")
    record("unblocks")

@Signal(51).register_handler("workers")
async def on_the_loop():
    record(f"loop-{id(asyncio.get_running_loop())}")

@Signal(52).register_handler("worker1")
async def block_on_the_loop():
    record("awaits")
    while not Path("gate").exists():
        await asyncio.sleep(0.002)
    record("awaited")

@Signal(53).register_handler("worker1", time_limit=0.3)
def overlong():
    record("overlong")
    block_on("gate")

@Signal(54).register_handler("worker1")
def leave():
    record("leaves")
    sys.exit(3)

def answer(path):
    if path.isdigit():
        Signal(int(path)).send()
    process = engines.current().identity
    return json.dumps({"pid": os.getpid(), "by": str(process), "thread": threading.get_ident()}).encode()
"""
"""A signal to every target. Its handler records the event. A request sends the signal in its path."""

WEB = """
import asyncio
import tasks

def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [tasks.answer(environ["PATH_INFO"].strip("/"))]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"].strip("/")
    body = str(id(asyncio.get_running_loop())).encode() if path == "loop" else tasks.answer(path)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
"""

GUNICORN_VERSION = tuple(map(int, version("gunicorn").split(".")[:2]))
"""Major and minor version of the gunicorn under test."""

NO_CONTROL_SOCKET = ("--no-control-socket",) if GUNICORN_VERSION >= (25, 1) else ()
"""gunicorn 25.1 and later open a control socket unless told otherwise."""

GUNICORN = ("gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", *NO_CONTROL_SOCKET, "web:wsgi")
COMMANDS = {
    "gunicorn-sync": GUNICORN,
    "gunicorn-gthread": (*GUNICORN, "-k", "gthread", "--threads", "3"),
    "gunicorn-preload": (*GUNICORN, "--preload"),
    "gunicorn-gevent": (*GUNICORN, "-k", "gevent"),
    "uvicorn": ("uvicorn", "--workers", "2", "--port", "{port}", "web:asgi"),
    "granian": (
        *("granian", "--workers", "2", "--port", "{port}", "--interface", "asgi"),
        *("--respawn-failed-workers", "--respawn-interval", "0.2", "web:asgi"),
    ),
}
"""Web servers with two processes."""

NEEDS = {"gunicorn-gevent": ("gunicorn", "gevent")}
"""What a command needs besides its own program."""


class WebServer:
    """A heliograph server with a web server."""

    def __init__(self, server, command: tuple[str, ...], directory: Path) -> None:
        self.server = server
        self.port = _free_port()
        self.command = [word.format(port=self.port) for word in command]
        self.url = f"http://127.0.0.1:{self.port}"
        (directory / "web.py").write_text(WEB)

    def start(self, *options: str, code: str = TASKS) -> WebServer:
        """Start both, with two mules and a spooler, and wait until all are ready and requests are answered."""
        whole = ("--mules", "2", "--farm", "crunchers=1,2", "--spooler", "spool", *options)
        self.server.start(code, *whole, "--", *self.command, remote="10,13,20")
        eventually("an answer", self.answers)
        return self

    def get(self, path: object = "") -> httpx.Response:
        """Send a request on a new connection."""
        return httpx.get(f"{self.url}/{path}", timeout=20)

    def answers(self) -> bool:
        try:
            return self.get().is_success
        except httpx.TransportError:
            return False

    def workers(self) -> dict[str, int]:
        """Return the process ids of the workers that have joined, by name."""
        return {process: pid for process, pid in self.server.pids().items() if process.startswith("worker")}

    def await_workers(self, condition: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Wait until two workers have joined that meet a condition."""
        return eventually("two workers", lambda: len(w := self.workers()) == 2 and condition(w) and w)

    def by(self, num: object, count: int) -> list[str]:
        """Wait until the handler of a signal has run `count` times, and return the processes that ran it."""
        return sorted(event.by for event in self.server.expect(count, str(num)))


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _param(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.needs(*NEEDS.get(name, COMMANDS[name][:1])))


@pytest.fixture(params=map(_param, COMMANDS))
def web_server(request, server, tmp_path):
    """A web server of each kind with two processes. The test starts it."""
    return WebServer(server, COMMANDS[request.param], tmp_path)


@pytest.fixture
def make_web_server(server, tmp_path, require):
    """A function that makes one web server: `make_web_server("uvicorn")`, or a command with `{port}` in it."""

    def make(command, *more):
        words = COMMANDS.get(command, (command,))
        require(*NEEDS.get(command, words[:1]))
        return WebServer(server, (*words, *more), tmp_path)

    return make
