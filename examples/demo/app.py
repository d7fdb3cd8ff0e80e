"""The application: plain WSGI, with heliograph signals. Every handler reports the process that it runs in.

The demo needs no HTTP and runs on every engine: it uses two datagram sockets in the directory DEMO_DIRECTORY. The
application receives the numbers of the signals to send on one, and sends reports to the other.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from heliograph import Signal, engines, uwsgi

from .cases import ALL, FROM_OUTSIDE

DIRECTORY = "DEMO_DIRECTORY"
COMMANDS, REPORTS = "commands", "reports"
"""Names of the sockets: signal numbers to send, and reports."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:  # noqa: ARG001
    """Answer with the worker number. The demo itself makes no requests."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"worker {uwsgi.worker_id} of {uwsgi.workers_count}\n".encode()]


def handle(num: int) -> None:
    """Report the signal and the process that handles it."""
    report(f"handled {num} {engines.current().identity}")


for case in ALL:
    Signal(case.num).register_handler(case.target, remote=case is FROM_OUTSIDE)(handle)


@uwsgi.postfork_hooks.add()
def listen() -> None:
    """Report that the process has started. In worker 1, start the thread that sends signals."""
    report(f"ready {engines.current().identity}")
    if uwsgi.worker_id == 1:
        threading.Thread(target=_receive_commands, daemon=True).start()


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


def _send(num: int) -> None:
    try:
        Signal(num).send()
    except Exception as error:  # noqa: BLE001 - the demo prints every error
        report(f"failed {num} {error}")


def _path(name: str) -> str:
    return f"{os.environ[DIRECTORY]}/{name}"
