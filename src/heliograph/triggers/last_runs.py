"""The last runs of cron rules, kept on disk so that a server can catch up on runs that it missed while stopped.

Only rules with a `misfire_grace` are kept. If the file cannot be read or written, the store logs a warning and the
server continues without it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from heliograph.ipc.private_files import make_private_directory, replace_private_file
from heliograph.ipc.state_directory import state_directory

_LOG = logging.getLogger("heliograph.master")


class LastRun(NamedTuple):
    """Time of the last run of a rule. A rule with other times does not continue it."""

    rule: str
    """The rule, as `describe_trigger` returns it."""
    at: float
    """Seconds since 1970."""


class LastRunStore:
    """A JSON file: name of the trigger -> its rule and last run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times = self._read()

    @classmethod
    def of_server(cls, name: str) -> LastRunStore:
        """Return the store of the server `name`, below `XDG_STATE_HOME` or `~/.local/state`."""
        return cls(state_directory() / f"{name}.json")

    def load(self) -> dict[str, LastRun]:
        """Return all last runs."""
        return dict(self._times)

    def record(self, runs: dict[str, LastRun]) -> None:
        """Add these last runs, or replace older ones, and write the file."""
        self._times |= runs
        self._write()

    def retain(self, names: Collection[str]) -> None:
        """Drop the last runs of all other triggers, and write the file if there were any."""
        dropped = [name for name in self._times if name not in names]
        for name in dropped:
            del self._times[name]
        if dropped:
            self._write()

    def _write(self) -> None:
        try:
            make_private_directory(self._path.parent)
            replace_private_file(self._path, json.dumps(self._times).encode())
        except OSError as error:
            _LOG.warning(
                "Cannot write %s, missed cron runs will not be caught up after a restart: %s", self._path, error
            )

    def _read(self) -> dict[str, LastRun]:
        try:
            found: Any = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(name): LastRun(str(rule), float(at)) for name, (rule, at) in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _LOG.warning("Cannot read %s, missed cron runs are not caught up: %s", self._path, error)
            return {}
