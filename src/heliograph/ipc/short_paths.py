"""Short paths of Unix sockets: an address has 107 bytes at most, and a directory may have a longer name."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

from heliograph.exceptions import StoreError


@contextmanager
def short_path(directory: str) -> Generator[str]:
    """Open a directory, and yield a short path of it.

    Raises:
        StoreError: There is a file in its place.
        OSError: It cannot be opened.
    """
    try:
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError:
        raise StoreError(f"not a directory: {directory}. Remove the file there.", os.path.dirname(directory)) from None  # noqa: PTH120
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
