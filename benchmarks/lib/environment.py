"""Describe the machine and the versions that a benchmark ran with."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def describe() -> str:
    """Return one paragraph with the date, the machine and the versions."""
    machine = f"{_cpu()}, {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"
    versions = f"Python {platform.python_version()}, uWSGI {version('pyuwsgi')} (pyuwsgi wheel)"
    libraries = f"heliograph {version('heliograph')} ({_commit()}), uwsgiconf {version('uwsgiconf')}"
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {machine}; {versions}, {libraries}."


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "CPU unknown")


def _commit() -> str:
    """Return the last commit that changed `src`, followed by `+` if there are uncommitted changes."""
    try:
        last = _git("log", "-1", "--format=%h", "--", "src")
        return last + ("+" if _git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "no checkout"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
