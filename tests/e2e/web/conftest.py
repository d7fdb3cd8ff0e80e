"""A web server under test: gunicorn, uvicorn or granian beside a server of our own, and one application for all."""

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
def hang():
    record("hangs")
    block_on("gate")
    record("unhangs")

@Signal(51).register_handler("workers")
async def on_the_loop():
    record(f"loop-{id(asyncio.get_running_loop())}")

@Signal(52).register_handler("worker1")
async def hang_on_the_loop():
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
    who = engines.current().identity
    return json.dumps({"pid": os.getpid(), "by": str(who), "thread": threading.get_ident()}).encode()
"""
"""Signals to every target, each of which says who ran it; a request raises the one in its path."""

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
    "uvicorn": ("uvicorn", "--workers", "2", "--port", "{port}", "web:asgi"),
    "granian": (
        *("granian", "--workers", "2", "--port", "{port}", "--interface", "asgi"),
        *("--respawn-failed-workers", "--respawn-interval", "0.2", "web:asgi"),
    ),
}
"""Each with two processes that serve."""


class Web:
    """One server with a web server beside it."""

    def __init__(self, server, command: tuple[str, ...], directory: Path) -> None:
        self.server = server
        self.port = _free_port()
        self.command = [word.format(port=self.port) for word in command]
        self.url = f"http://127.0.0.1:{self.port}"
        (directory / "web.py").write_text(WEB)

    def start(self, *options: str, code: str = TASKS) -> Web:
        """Start both, with two mules and a spooler, and wait until all are up and requests are answered."""
        whole = ("--mules", "2", "--farm", "crunchers=1,2", "--spooler", "spool", *options)
        self.server.start(code, *whole, "--", *self.command, remote="10,13,20")
        eventually("an answer", self.answers)
        return self

    def get(self, path: object = "") -> httpx.Response:
        """Ask, each time on a connection of its own."""
        return httpx.get(f"{self.url}/{path}", timeout=20)

    def answers(self) -> bool:
        try:
            return self.get().is_success
        except httpx.TransportError:
            return False

    def workers(self) -> dict[str, int]:
        """The workers that have joined: name and process id."""
        return {who: pid for who, pid in self.server.pids().items() if who.startswith("worker")}

    def await_workers(self, condition: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Wait until two workers are there and are as they should."""
        return eventually("two workers", lambda: len(w := self.workers()) == 2 and condition(w) and w)

    def by(self, num: object, count: int) -> list[str]:
        """Who ran a signal's handler so often."""
        return sorted(event.by for event in self.server.expect(count, str(num)))


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(params=COMMANDS)
def web(request, server, tmp_path):
    """A server of each kind with two processes; not started yet."""
    return Web(server, COMMANDS[request.param], tmp_path)


@pytest.fixture
def beside(server, tmp_path):
    """One of a kind: `beside("uvicorn")`; or with a command of its own, and the port in braces."""
    return lambda command, *more: Web(server, (*COMMANDS.get(command, (command,)), *more), tmp_path)
