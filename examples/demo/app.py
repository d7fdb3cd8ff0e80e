"""The application: plain WSGI, with heliograph signals. Every handler reports the process that it runs in.

The demo needs no web server and runs on every engine: worker 1 serves requests in a thread. The demo and the
application also use two datagram sockets in the directory DEMO_DIRECTORY. The application receives the numbers of the
signals to send on one, and sends reports to the other.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from heliograph import Signal, engines, uwsgi

from . import tasks
from .cases import ALL, FROM_OUTSIDE

DIRECTORY = "DEMO_DIRECTORY"
COMMANDS, REPORTS = "commands", "reports"
"""Names of the sockets: signal numbers to send, and reports."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the worker number. `POST /orders` enqueues tasks for a customer, and returns their ids."""
    if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] == "/orders":
        customer = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()
        ids = tasks.order(customer)
        start_response("202 Accepted", [("Content-Type", "application/json")])
        return [json.dumps(ids).encode()]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"worker {uwsgi.worker_id} of {uwsgi.workers_count}\n".encode()]


def handle(num: int) -> None:
    """Report the signal and the process that handles it."""
    report(f"handled {num} {engines.current().identity}")


for case in ALL:
    Signal(case.num).register_handler(case.target, remote=case is FROM_OUTSIDE)(handle)


@uwsgi.postfork_hooks.add()
def listen() -> None:
    """Report that the process has started. In worker 1, start the threads that send signals and serve requests."""
    report(f"ready {engines.current().identity}")
    if uwsgi.worker_id == 1:
        threading.Thread(target=_receive_commands, daemon=True).start()
        threading.Thread(target=_serve_requests, daemon=True).start()


def report(text: str) -> None:
    """Send a report to the demo."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), _path(REPORTS))


def _receive_commands() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        # If this worker replaces one that exited, the socket already exists.
        Path(_path(COMMANDS)).unlink(missing_ok=True)
        sock.bind(_path(COMMANDS))
        report("ready to send")
        while True:
            _send(int(sock.recv(16)))


def _serve_requests() -> None:
    with make_server("127.0.0.1", 0, application, handler_class=_QuietHandler) as server:
        report(f"listening {server.server_port}")
        server.serve_forever()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Log no requests."""


def _send(num: int) -> None:
    try:
        Signal(num).send()
    except Exception as error:  # noqa: BLE001 - the demo prints every error
        report(f"failed {num} {error}")


def _path(name: str) -> str:
    return f"{os.environ[DIRECTORY]}/{name}"
