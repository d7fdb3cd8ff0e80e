"""What a server is to be started with: parsed and checked, so that an engine only has to translate it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heliograph._core.signals.targets import parse
from heliograph.application import AppSpec
from heliograph.exceptions import ConfigError
from heliograph.models import FarmSpec, Topology

_FARM = re.compile(r"(?P<name>[\w.-]+)=(?P<mules>[0-9]+(,[0-9]+)*)")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """A server: its application, its processes, its addresses."""

    app: AppSpec
    topology: Topology
    spooler: Path | None = None
    """The spooler's directory; there is a spooler if there is one."""
    http: str | None = None
    socket: str | None = None
    """Where the server takes the uwsgi protocol, and so signals from outside."""
    threads: int = 1
    """Threads per worker that take requests and signals."""
    lazy_apps: bool = False
    name: str | None = None
    """What the server is found by; by its directory if there is none."""
    graceful_timeout: float = 30.0
    max_signals: int = 0
    time_limit: float = 0.0
    allow_remote: tuple[int, ...] = ()
    extra: tuple[str, ...] = ()
    """What followed two dashes: the server's own flags, or the command of a server to run beside."""


def parse_farms(texts: Sequence[str], mules: int) -> tuple[FarmSpec, ...]:
    """Understand `NAME=1,2` for a server of so many mules. Raises `ConfigError`, naming the farm."""
    farms: dict[str, FarmSpec] = {}
    for text in texts:
        farm = _farm(text)
        if farm.name in farms:
            raise ConfigError(f"--farm {text}: there already is a farm {farm.name!r}; give each its own name")
        _check_mules(text, farm, mules)
        farms[farm.name] = farm
    return tuple(farms.values())


def check_spooler(directory: Path) -> None:
    """Raise `ConfigError` unless the directory can be used, or can be made: its parent is there."""
    if directory.exists():
        if not directory.is_dir():
            raise ConfigError(f"--spooler {directory} is not a directory")
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise ConfigError(f"--spooler {directory}: this user may not read and write there")
    elif not directory.absolute().parent.is_dir():
        raise ConfigError(f"--spooler {directory}: there is no {directory.absolute().parent}; mkdir -p {directory}")


def _farm(text: str) -> FarmSpec:
    found = _FARM.fullmatch(text)
    if found is None:
        raise ConfigError(f"--farm {text!r}: a farm is NAME=1,2: a name, and the numbers of its mules")
    try:
        parse(f"farm_{found['name']}", None)
    except ValueError as error:
        raise ConfigError(f"--farm {text!r}: {error}") from error
    return FarmSpec(found["name"], tuple(int(number) for number in found["mules"].split(",")))


def _check_mules(text: str, farm: FarmSpec, mules: int) -> None:
    missing = [number for number in farm.mules if not 1 <= number <= mules]
    if missing:
        there = f"mules 1 to {mules}" if mules > 1 else "mule 1" if mules else "no mules"
        raise ConfigError(f"--farm {text}: there is no mule {missing[0]}; this server has {there} (--mules)")
    if len(set(farm.mules)) < len(farm.mules):
        raise ConfigError(f"--farm {text}: a mule stands in it twice")
