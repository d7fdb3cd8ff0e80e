"""Types in the arguments of the tasks under test, and the journal of their attempts."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import NamedTuple

JOURNAL = "tasks.journal"
"""Name of the file in the directory of the server."""


class Colour(Enum):
    """An enum in the arguments of a task."""

    RED = "red"


@dataclass
class Item:
    """A dataclass in the arguments of a task."""

    name: str
    price: Decimal


class Line(NamedTuple):
    """An attempt of a task, as its function has recorded it."""

    id: str
    attempt: int
    process: str
    pid: int
    time: float
    """Seconds since 1970, on the engine's clock."""
    text: str


def read_lines(directory: Path) -> list[Line]:
    """Return the lines of the journal so far."""
    path = directory / JOURNAL
    found: list[Line] = []
    for line in path.read_text().splitlines() if path.exists() else ():
        task_id, attempt, process, pid, at, text = line.split(" ", 5)
        found.append(Line(task_id, int(attempt), process, int(pid), float(at), text))
    return found
