"""Requests to the control socket of a heliograph server. No other module of the benchmarks uses the control socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from heliograph.exceptions import ConfigError
from heliograph.insights import read_state
from heliograph.ipc.control_client import request

__all__ = ["ConfigError", "next_runs", "server_state"]


def server_state(runtime_dir: Path, name: str) -> dict[str, Any]:
    """Return what `heliograph signals --json` shows. Raises `ConfigError` if the server does not answer."""
    return read_state(_socket(runtime_dir, name))


def next_runs(runtime_dir: Path, name: str, count: int) -> list[dict[str, Any]]:
    """Return the next runs: `at`, `name`, `signal`. Raises `ConfigError` if the server does not answer."""
    runs: list[dict[str, Any]] = request(_socket(runtime_dir, name), "schedule", count=count)["runs"]
    return runs


def _socket(runtime_dir: Path, name: str) -> Path:
    return runtime_dir / "heliograph" / f"{name}.sock"
