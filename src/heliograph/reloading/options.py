"""The options of the process that watches the files, which the master passes to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

OPTIONS_ENV = "HELIOGRAPH_RELOADER"
"""Environment variable with the options, as JSON."""


@dataclass(frozen=True, slots=True)
class ReloaderOptions:
    """Files to watch, and the settings of the log."""

    directories: tuple[str, ...]
    patterns: tuple[str, ...]
    log_level: str
    log_config: str
    """Empty: none."""

    def to_json(self) -> str:
        """Return the value of the variable."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the value of the variable."""
        given = json.loads(text)
        return cls(tuple(given["directories"]), tuple(given["patterns"]), given["log_level"], given["log_config"])

    @property
    def roots(self) -> tuple[Path, ...]:
        """The directories to watch."""
        return tuple(map(Path, self.directories))
