"""Facts that the `uwsgi` module reports about its server: options, topology, and the identity of this process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import uwsgi

from heliograph.engines.uwsgi.configuration import option_values
from heliograph.models import FarmSpec, Identity, Topology


def options() -> dict[str, Any]:
    """Return the options as text. The module has bytes, in 2.0.30 with str keys."""
    return {_text(key): _text(value) for key, value in uwsgi.opt.items()}


def read_topology() -> Topology:
    """Return the configured processes. uWSGI itself rejects invalid farms."""
    opt = options()
    mules = sum(int(number) for number in option_values("mules", opt)) + len(option_values("mule", opt))
    farms = tuple(_farm(spec) for spec in option_values("farm", opt))
    spoolers = len(uwsgi.spooler_pids()) if hasattr(uwsgi, "spooler_pids") else 0
    return Topology(uwsgi.numproc, mules, farms, spoolers)


def is_lazy() -> bool:
    """Return True if each worker loads the application itself."""
    opt = options()
    return any(opt.get(name) for name in ("lazy-apps", "lazy"))


def threads() -> int:
    """Return the number of threads of a worker that take requests and signals."""
    return max([int(number) for number in option_values("threads", options())], default=1)


def identify() -> Identity:
    """Return the identity of this process. The master loads the application."""
    worker, mule = uwsgi.worker_id(), uwsgi.mule_id()
    if worker:
        return Identity("worker", worker)
    if mule:
        return Identity("mule", mule)
    pid = os.getpid()
    if pid == uwsgi.masterpid():
        return Identity("master")
    pids = uwsgi.spooler_pids() if hasattr(uwsgi, "spooler_pids") else []
    return Identity("spooler", pids.index(pid) + 1) if pid in pids else Identity("external")


def worker_records() -> tuple[Mapping[str, Any], ...]:
    """Return `uwsgi.workers()` as text."""
    return tuple({_text(key): _text(value) for key, value in item.items()} for item in uwsgi.workers())


def active_workers() -> tuple[int, ...]:
    """Return the numbers of the workers that run and are not cheaped."""
    return tuple(w["id"] for w in worker_records() if w["pid"] > 0 and w.get("status") != "cheap")


def _farm(spec: str) -> FarmSpec:
    name, _, mules = spec.partition(":")
    return FarmSpec(name, tuple(int(n) for n in mules.split(",") if n.strip().isdigit()))


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list):
        return [_text(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
