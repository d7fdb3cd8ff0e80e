"""A uWSGI server with the benchmark's application: started, asked to run a job, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from rig.jobs import Figures

_HERE = Path(__file__).resolve().parent.parent
_START, _JOB, _STOP = 20.0, 90.0, 5.0
"""Seconds that a server may take to start, to run one job, and to be gone once killed."""

FLAGS = ("--master", "--need-app", "--processes", "1", "--enable-threads", "--disable-logging")
"""The same for every peer; no buffer is enlarged."""


class UwsgiServer:
    """A running server; `ask` has its worker run a job."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, job: str, **arguments: int) -> Figures:
        """Run a job of `rig.jobs`. Raises `RuntimeError` with the server's word if that failed."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_JOB)
            sock.connect(str(self._path))
            sock.sendall(_request(json.dumps([job, arguments])))
            head, _, body = _read_all(sock).partition(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise RuntimeError(f"{job}: {body.decode() or 'no answer'}")
        return cast("Figures", json.loads(body))


@contextmanager
def uwsgi_server(binding: str, mules: int) -> Generator[UwsgiServer]:
    """A server of one worker and so many mules, whose application uses that binding; ended with the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path, log = Path(folder, "socket"), Path(folder, "log")
        command = [str(Path(sys.executable).with_name("pyuwsgi")), *FLAGS, "--mules", str(mules)]
        command += ["--socket", str(path), "--pythonpath", str(_HERE), "--module", "rig.app"]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | {"BENCH_BINDING": binding},
                start_new_session=True,  # Ctrl-C reaches us alone, and we end the server
            )
        try:
            yield _ready(process, path, log)
        finally:
            _stop(process)


def _ready(process: subprocess.Popen[bytes], path: Path, log: Path) -> UwsgiServer:
    """Wait until the application answers and a signal was handled."""
    server = UwsgiServer(path)
    deadline = time.monotonic() + _START
    while True:
        try:
            server.ask("rounds", rounds=1, batch=1)
        except (OSError, RuntimeError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the server did not start: {error}\n{tail}") from error
            time.sleep(0.05)
        else:
            return server


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the master and its children at once: nothing of theirs outlives them, and a kind stop takes a second."""
    with suppress(ProcessLookupError):  # ended by itself, as one does whose application fails
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_STOP)


def _request(query: str) -> bytes:
    variables = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "PATH_INFO": "/", "QUERY_STRING": query}
    texts = [text.encode() for pair in variables.items() for text in pair]
    body = b"".join(struct.pack("<H", len(text)) + text for text in texts)
    return struct.pack("<BHB", 0, len(body), 0) + body


def _read_all(sock: socket.socket) -> bytes:
    chunks: list[bytes] = []
    while chunk := sock.recv(65_536):
        chunks.append(chunk)
    return b"".join(chunks)
