"""What the `uwsgi` module says about its server: options, topology, and who this process is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import uwsgi

from heliograph.values import FarmSpec, Identity, Topology


def options() -> dict[str, Any]:
    """The server's options as text; the module gives bytes, in 2.0.30 with str keys."""
    return {_text(key): _text(value) for key, value in uwsgi.opt.items()}


def read_topology() -> Topology:
    """The processes that this server was configured for. Farms that cannot be read are left to uWSGI to refuse."""
    opt = options()
    mules = sum(int(n) for n in _listed(opt, "mules")) + len(_listed(opt, "mule"))
    farms = tuple(_farm(spec) for spec in _listed(opt, "farm"))
    spoolers = len(uwsgi.spooler_pids()) if hasattr(uwsgi, "spooler_pids") else 0
    return Topology(uwsgi.numproc, mules, farms, spoolers)


def is_lazy() -> bool:
    """Whether each worker loads the application for itself."""
    opt = options()
    return any(opt.get(name) for name in ("lazy-apps", "lazy"))


def threads() -> int:
    """Threads per worker that take requests and signals."""
    return max([int(n) for n in _listed(options(), "threads")], default=1)


def programmed_mules() -> frozenset[int]:
    """Numbers of the mules that run a program of their own (`--mule=FILE`)."""
    opt = options()
    patched = [name for name in opt if name in ("mule", "mules")]
    count = 0
    programmed: list[int] = []
    for name in patched:
        for value in _listed(opt, name):
            if name == "mules":
                count += int(value)
            else:
                count += 1
                if value is not True:
                    programmed.append(count)
    return frozenset(programmed)


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
    return Identity("spooler", pids.index(pid) + 1) if pid in pids else Identity("outside")


def worker_records() -> tuple[Mapping[str, Any], ...]:
    """`uwsgi.workers()`, as text."""
    return tuple({_text(key): _text(value) for key, value in item.items()} for item in uwsgi.workers())


def active_workers() -> tuple[int, ...]:
    """Numbers of the workers that run and are not cheaped."""
    return tuple(w["id"] for w in worker_records() if w["pid"] > 0 and w.get("status") != "cheap")


def _listed(opt: Mapping[str, Any], name: str) -> list[Any]:
    value: list[Any] | Any = opt.get(name, [])
    return [*value] if isinstance(value, list) else [value]


def _farm(spec: str) -> FarmSpec:
    name, _, mules = spec.partition(":")
    return FarmSpec(name, tuple(int(n) for n in mules.split(",") if n.strip().isdigit()))


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list):
        return [_text(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value
