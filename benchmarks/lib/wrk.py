"""`wrk`, which makes requests as fast as they are answered."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import NamedTuple

from lib.report import Skipped

CONNECTIONS = 8

_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Load(NamedTuple):
    """What a run has found."""

    requests: int
    rate: float
    """Requests a second."""
    p50: float
    """Milliseconds."""
    p99: float


def find() -> str:
    """The program. Raises `Skipped` where there is none."""
    found = shutil.which("wrk")
    if found is None:
        raise Skipped("wrk makes the requests, and is not on the path; install it, on Debian: apt-get install wrk")
    return found


def load(port: int, seconds: int, *, close: bool = False) -> Load:
    """Have so many connections ask for the page; `close` them after each request.

    Raises `RuntimeError` if a request is not answered as it should be.
    """
    command = [find(), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    command += ["-H", "Connection: close"] if close else []
    command += [f"http://127.0.0.1:{port}/"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"requests have failed:\n{text}")
    requests = int(_find(r"(\d+) requests in", text)[0])
    rate = float(_find(r"Requests/sec:\s+([\d.]+)", text)[0])
    return Load(requests, rate, _percentile(50, text), _percentile(99, text))


def _percentile(percent: int, text: str) -> float:
    value, unit = _find(rf"\b{percent}%\s+([\d.]+)(us|ms|s)\b", text)
    return float(value) * _MS[unit]


def _find(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk says something else than {pattern}:\n{text}")
    return found.groups()
