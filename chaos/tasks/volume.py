"""A small file system for the store, which can be full without harm to others.

It is a tmpfs in a mount namespace of this program. A user without rights makes one through a user namespace, if the
system allows that.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Self

_INSIDE = "CHAOS_NAMESPACE"
"""Variable that the program has in the environment if it has tried to get a namespace: "1", or "" if it failed."""

_BLOCK = 4096


def enter_namespace() -> None:
    """Replace this program by itself in namespaces of its own. Do nothing if the system does not allow them."""
    if _INSIDE in os.environ:
        return
    unshare = ("unshare", "--user", "--map-root-user", "--mount")
    try:
        command = [*unshare, "mount", "-t", "tmpfs", "none", "/mnt"]
        allowed = subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603
    except FileNotFoundError:
        allowed = False
    os.environ[_INSIDE] = "1" if allowed else ""
    if allowed:
        os.execvp("unshare", [*unshare, sys.executable, "-m", "chaos", *sys.argv[1:]])  # noqa: S606, S607 - ourselves


class Volume:
    """The file system, mounted on a directory. It stays a plain directory without a namespace."""

    def __init__(self, directory: Path, size: int) -> None:
        """Mount it. `size` is in bytes."""
        self.directory = directory
        directory.mkdir(mode=0o700)
        self.can_be_full = os.environ.get(_INSIDE) == "1"
        if self.can_be_full:
            options = f"size={size},mode=0700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", directory], check=True)  # noqa: S603, S607

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.can_be_full:
            subprocess.run(["umount", "--lazy", self.directory], check=True)  # noqa: S603, S607

    def fill(self) -> None:
        """Take all the space that is left."""
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(_BLOCK))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink()

    @property
    def _ballast(self) -> Path:
        return self.directory / "ballast"
