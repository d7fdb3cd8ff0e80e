"""When cron rules were last seen to, kept on disk: what came up while no server ran can be made up for.

Only rules that say how late they may be (`misfire_grace`) are kept. A memo that cannot be read or written costs that,
and is logged; it stops nothing.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

_LOG = logging.getLogger("heliograph.master")


class LastRunStore:
    """Names of sources, and seconds since 1970."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times = self._read()

    @classmethod
    def of_server(cls, name: str) -> LastRunStore:
        """The memo of the server of that name, in the directory for what programs remember."""
        home = os.environ.get("XDG_STATE_HOME")
        return cls((Path(home) if home else Path.home() / ".local" / "state") / "heliograph" / f"{name}.json")

    def load(self) -> dict[str, float]:
        """All that is known."""
        return dict(self._times)

    def record(self, times: dict[str, float]) -> None:
        """Keep these from now on, and whatever else is known."""
        self._times |= times
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps(self._times))
            draft.replace(self._path)
        except OSError as error:
            _LOG.warning("%s cannot be written, so no rule is made up for after a stop: %s", self._path, error)

    def _read(self) -> dict[str, float]:
        try:
            found: Any = json.loads(self._path.read_text())
            return {str(name): float(time) for name, time in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            _LOG.warning("%s cannot be read, so no rule is made up for: %s", self._path, error)
            return {}
