"""Run `wrk`, an HTTP load generator."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import NamedTuple

from lib.report import Skipped

CONNECTIONS = 8

_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Load(NamedTuple):
    """Results of a run."""

    requests: int
    rate: float
    """Requests per second."""
    p50: float
    """Milliseconds."""
    p99: float


def find() -> str:
    """Return the path of the program. Raises `Skipped` if it is not installed."""
    found = shutil.which("wrk")
    if found is None:
        raise Skipped("wrk not found. Install it (Debian: apt-get install wrk).")
    return found


def load(port: int, seconds: int, *, close: bool = False) -> Load:
    """Request the page through `CONNECTIONS` connections. With `close`, close them after each request.

    Raises:
        RuntimeError: A request failed, or the output of wrk is not understood.
    """
    command = [find(), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency"]
    command += ["-H", "Connection: close"] if close else []
    command += [f"http://127.0.0.1:{port}/"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"requests failed:\n{text}")
    requests = int(_find(r"(\d+) requests in", text)[0])
    rate = float(_find(r"Requests/sec:\s+([\d.]+)", text)[0])
    return Load(requests, rate, _percentile(50, text), _percentile(99, text))


def _percentile(percent: int, text: str) -> float:
    value, unit = _find(rf"\b{percent}%\s+([\d.]+)(us|ms|s)\b", text)
    return float(value) * _MS[unit]


def _find(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"unexpected output of wrk, no match for {pattern}:\n{text}")
    return found.groups()
