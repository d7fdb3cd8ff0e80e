"""The application: plain WSGI, with heliograph signals. Every handler reports who it ran in.

It talks with the demo through two datagram sockets in the directory DEMO_DIRECTORY: numbers to raise come in by one,
reports go out by the other. So the demo needs no HTTP, and runs on any engine.
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
"""Names of the sockets: numbers to raise, and what came of them."""


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:  # noqa: ARG001
    """Served where the engine serves HTTP; the demo does without."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"worker {uwsgi.worker_id} of {uwsgi.workers_count}\n".encode()]


def handle(num: int) -> None:
    """The handler of all signals."""
    report(f"handled {num} {engines.current().identity}")


for case in ALL:
    Signal(case.num).register_handler(case.target, remote=case is FROM_OUTSIDE)(handle)


@uwsgi.postfork_hooks.add()
def listen() -> None:
    """Each process says that it is there; worker 1 raises what it is told to."""
    report(f"ready {engines.current().identity}")
    if uwsgi.worker_id == 1:
        threading.Thread(target=_obey, daemon=True).start()


def report(text: str) -> None:
    """One datagram to the demo."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.encode(), _path(REPORTS))


def _obey() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        # A worker that takes the place of a dead one finds the name taken.
        Path(_path(COMMANDS)).unlink(missing_ok=True)
        sock.bind(_path(COMMANDS))
        report("ready to raise")
        while True:
            _raise(int(sock.recv(16)))


def _raise(num: int) -> None:
    try:
        Signal(num).send()
    except Exception as error:  # noqa: BLE001 - whatever it is, the demo shows it
        report(f"failed {num} {error}")


def _path(name: str) -> str:
    return f"{os.environ[DIRECTORY]}/{name}"
