"""What the `uwsgi` module says about its server: options, topology, and who this process is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import uwsgi

from heliograph.engines.uwsgi.configuration import option_values
from heliograph.models import FarmSpec, Identity, Topology


def options() -> dict[str, Any]:
    """The server's options as text; the module gives bytes, in 2.0.30 with str keys."""
    return {_text(key): _text(value) for key, value in uwsgi.opt.items()}


def read_topology() -> Topology:
    """The processes that this server was configured for. Farms that cannot be read are left to uWSGI to refuse."""
    opt = options()
    mules = sum(int(number) for number in option_values("mules", opt)) + len(option_values("mule", opt))
    farms = tuple(_farm(spec) for spec in option_values("farm", opt))
    spoolers = len(uwsgi.spooler_pids()) if hasattr(uwsgi, "spooler_pids") else 0
    return Topology(uwsgi.numproc, mules, farms, spoolers)


def is_lazy() -> bool:
    """Whether each worker loads the application for itself."""
    opt = options()
    return any(opt.get(name) for name in ("lazy-apps", "lazy"))


def threads() -> int:
    """Threads per worker that take requests and signals."""
    return max([int(number) for number in option_values("threads", options())], default=1)


def identify() -> Identity:
    """Who this process is. During the load of the application it is the master."""
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
    """`uwsgi.workers()`, as text."""
    return tuple({_text(key): _text(value) for key, value in item.items()} for item in uwsgi.workers())


def active_workers() -> tuple[int, ...]:
    """Numbers of the workers that run and are not cheaped."""
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
