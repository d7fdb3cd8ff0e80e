"""A server with the benchmark's application: started, asked to run a job, ended."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

from heliograph.exceptions import RemoteRejected
from heliograph.remote import send_signal
from lib import job_socket
from lib.load_generators import Figures
from lib.processes import HERE, running, tail

_START, _JOB = 20.0, 90.0
"""Seconds that a server may take to start, and to run one job."""

FLAGS = ("--master", "--need-app", "--processes", "1", "--enable-threads", "--disable-logging")
"""The same for every peer on uWSGI; no buffer is enlarged."""


class Server(Protocol):
    """One worker and some mules that run the benchmark's application."""

    def ask(self, job: str, **arguments: int) -> Figures:
        """Have the worker run a job of `lib.load_generators`. Raises `RuntimeError` with the server's error."""
        ...


class UwsgiServer:
    """Real uWSGI; a job is a request."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "socket"

    def ask(self, job: str, **arguments: int) -> Figures:
        answer = _exchange(self._path, _request(json.dumps([job, arguments])))
        return _figures(job, answer.partition(b"\r\n\r\n")[2])


class LocalServer:
    """heliograph's own server; a job is a signal from outside, whose handler then serves `lib.job_socket`."""

    def __init__(self, folder: Path) -> None:
        self._outside, self._desk = folder / "socket", folder / "desk"

    def ask(self, job: str, **arguments: int) -> Figures:
        try:
            send_signal(job_socket.NUMBER, str(self._outside))
        except RemoteRejected as error:
            raise RuntimeError(f"{job}: {error}") from error
        return _figures(job, _exchange(self._desk, json.dumps([job, arguments]).encode()))


class BareServer:
    """`lib.pipe_baseline`; a job comes to its job_socket."""

    def __init__(self, folder: Path) -> None:
        self._desk = folder / "desk"

    def ask(self, job: str, **arguments: int) -> Figures:
        return _figures(job, _exchange(self._desk, json.dumps([job, arguments]).encode()))


@contextmanager
def uwsgi_server(binding: str, mules: int) -> Generator[Server]:
    """Real uWSGI, whose application uses that binding."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        command = [str(Path(sys.executable).with_name("pyuwsgi")), *FLAGS, "--mules", str(mules)]
        command += ["--socket", str(folder / "socket"), "--pythonpath", str(HERE), "--module", "lib.app"]
        with running(command, folder / "log", {"BENCH_BINDING": binding}) as process:
            yield _ready(process, UwsgiServer(folder), folder / "log")


@contextmanager
def local_server(mules: int) -> Generator[Server]:
    """`heliograph run --engine local`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "heliograph", "run", "lib.app", "--engine", "local", "--mules", str(mules)]
        command += ["--name", f"bench-{os.getpid()}", "--socket", str(folder / "socket")]
        environment = {
            "BENCH_BINDING": "heliograph",
            job_socket.VARIABLE: str(folder / "desk"),
            "XDG_RUNTIME_DIR": name,
        }
        with running(command, folder / "log", environment) as process:
            yield _ready(process, LocalServer(folder), folder / "log")


@contextmanager
def bare_server(_mules: int) -> Generator[Server]:
    """A pipe between two processes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with running([sys.executable, "-m", "lib.pipe_baseline", str(folder / "desk")], folder / "log", {}) as process:
            yield _ready(process, BareServer(folder), folder / "log")


def _ready(process: subprocess.Popen[bytes], server: Server, log: Path) -> Server:
    """Wait until the application answers and a signal was handled."""
    deadline = time.monotonic() + _START
    while True:
        try:
            server.ask("rounds", rounds=1, batch=1)
        except (OSError, RuntimeError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {error}\n{tail(log)}") from error
            time.sleep(0.05)
        else:
            return server


def _figures(job: str, answer: bytes) -> Figures:
    found = json.loads(answer or b'"no answer"')
    if not isinstance(found, dict):
        raise RuntimeError(f"{job}: {found}")  # noqa: TRY004 - a text is what a failed job answers
    return cast("Figures", found)


def _exchange(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_JOB)
        sock.connect(str(path))
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        return _read_all(sock.recv)


def _request(query: str) -> bytes:
    variables = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "PATH_INFO": "/", "QUERY_STRING": query}
    texts = [text.encode() for pair in variables.items() for text in pair]
    body = b"".join(struct.pack("<H", len(text)) + text for text in texts)
    return struct.pack("<BHB", 0, len(body), 0) + body


def _read_all(receive: Callable[[int], bytes]) -> bytes:
    chunks: list[bytes] = []
    while chunk := receive(65_536):
        chunks.append(chunk)
    return b"".join(chunks)
