"""Directories and files that only their owner may use, whatever the umask is."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_DIRECTORY_MODE, _FILE_MODE = 0o700, 0o600


def make_private_directory(path: Path) -> None:
    """Create a directory with mode 0700, and the parents that are missing. Leave an existing one as it is.

    Raises:
        OSError: It cannot be created.
    """
    if not path.parent.is_dir():
        make_private_directory(path.parent)
    try:
        path.mkdir(mode=_DIRECTORY_MODE)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        path.chmod(_DIRECTORY_MODE)  # the umask may have removed more


def open_private_file(path: Path, flags: int) -> int:
    """Open a file, and create it with mode 0600 if it is missing. Raises: OSError: it cannot be opened."""
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        fd = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    os.fchmod(fd, _FILE_MODE)
    return fd


def replace_private_file(path: Path, data: bytes) -> None:
    """Replace a file at once, with mode 0600: a reader sees the old content or the new one.

    Raises:
        OSError: It cannot be written. The old file stays.
    """
    draft = path.with_name(f"{path.name}.new{os.getpid()}")
    try:
        with os.fdopen(open_private_file(draft, os.O_WRONLY | os.O_TRUNC), "wb") as file:
            file.write(data)
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
