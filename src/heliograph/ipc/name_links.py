"""The link by which the commands find a server by its name, if its control socket is in another place (`--control`)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from heliograph.exceptions import ConfigError
from heliograph.ipc import control_sockets


class NameLink:
    """A link in the directory of control sockets, from a server's name to its socket.

    It is only a convenience: a server whose name is taken, or that has no such directory, is found by its path alone.
    """

    def __init__(self, name: str, control: Path) -> None:
        self._target = str(control)
        self._path: Path | None = None
        with contextlib.suppress(OSError, ConfigError):
            path = control_sockets.own_directory() / f"{name}.sock"
            if path == control or control_sockets.is_served(path):
                return
            path.unlink(missing_ok=True)
            path.symlink_to(control)
            self._path = path

    def remove(self) -> None:
        """Remove the link, unless it is that of another server by now."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                if os.readlink(self._path) == self._target:  # noqa: PTH115 - the text of the link
                    self._path.unlink()
        self._path = None
