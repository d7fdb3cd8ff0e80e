"""Start and stop servers with the benchmark's application, and run jobs on them."""

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

_START_TIMEOUT, _JOB_TIMEOUT = 20.0, 90.0
"""Seconds for the start of a server, and for one job."""

FLAGS = ("--master", "--need-app", "--processes", "1", "--enable-threads", "--disable-logging")
"""Options of every peer on uWSGI. Buffers have their default sizes."""


class Server(Protocol):
    """One worker and one or more mules that run the benchmark's application."""

    def run_job(self, job: str, **arguments: int) -> Figures:
        """Run a job of `lib.load_generators` in the worker.

        Raises:
            RuntimeError: The job failed. The message has the server's error.
        """
        ...


class UwsgiServer:
    """uWSGI. A job is a request."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "socket"

    def run_job(self, job: str, **arguments: int) -> Figures:
        answer = _exchange(self._path, _request(json.dumps([job, arguments])))
        return _figures(job, answer.partition(b"\r\n\r\n")[2])


class LocalServer:
    """The heliograph server. A remote signal makes the worker accept one job on `lib.job_socket`."""

    def __init__(self, folder: Path) -> None:
        self._remote, self._job_socket = folder / "socket", folder / "jobs"

    def run_job(self, job: str, **arguments: int) -> Figures:
        try:
            send_signal(job_socket.JOB_SIGNAL, str(self._remote))
        except RemoteRejected as error:
            raise RuntimeError(f"{job}: {error}") from error
        return _figures(job, _exchange(self._job_socket, json.dumps([job, arguments]).encode()))


class PipeServer:
    """`lib.pipe_baseline`. A job goes to its socket."""

    def __init__(self, folder: Path) -> None:
        self._job_socket = folder / "jobs"

    def run_job(self, job: str, **arguments: int) -> Figures:
        return _figures(job, _exchange(self._job_socket, json.dumps([job, arguments]).encode()))


@contextmanager
def uwsgi_server(binding: str, mules: int) -> Generator[Server]:
    """Start uWSGI with the application that uses this binding."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        command = [str(Path(sys.executable).with_name("pyuwsgi")), *FLAGS, "--mules", str(mules)]
        command += ["--socket", str(folder / "socket"), "--pythonpath", str(HERE), "--module", "lib.app"]
        with running(command, folder / "log", {"BENCH_BINDING": binding}) as process:
            yield _ready(process, UwsgiServer(folder), folder / "log")


@contextmanager
def local_server(mules: int, source: Path | None = None) -> Generator[Server]:
    """Start `heliograph run --engine local`, with the package in the directory `source` if it is given."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "heliograph", "run", "lib.app", "--engine", "local", "--mules", str(mules)]
        command += ["--name", f"bench-{os.getpid()}", "--socket", str(folder / "socket")]
        environment = {
            "BENCH_BINDING": "heliograph",
            job_socket.SOCKET_ENV: str(folder / "jobs"),
            "XDG_RUNTIME_DIR": name,
        }
        if source is not None:
            environment["PYTHONPATH"] = os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])])
        with running(command, folder / "log", environment) as process:
            yield _ready(process, LocalServer(folder), folder / "log")


@contextmanager
def pipe_server(_mules: int) -> Generator[Server]:
    """Start `lib.pipe_baseline`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with running([sys.executable, "-m", "lib.pipe_baseline", str(folder / "jobs")], folder / "log", {}) as process:
            yield _ready(process, PipeServer(folder), folder / "log")


def _ready(process: subprocess.Popen[bytes], server: Server, log: Path) -> Server:
    """Wait until the application answers and has handled a signal."""
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            server.run_job("batches", count=1, batch=1)
        except (OSError, RuntimeError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"server did not start: {error}\n{tail(log)}") from error
            time.sleep(0.05)
        else:
            return server


def _figures(job: str, answer: bytes) -> Figures:
    found = json.loads(answer or b'"the server closed the connection"')
    if not isinstance(found, dict):
        raise RuntimeError(f"{job}: {found}")  # noqa: TRY004 - a failed job returns a string
    return cast("Figures", found)


def _exchange(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(_JOB_TIMEOUT)
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
