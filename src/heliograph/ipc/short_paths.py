"""Short paths of Unix sockets: an address has 107 bytes at most, and a directory may have a longer name."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def short_path(directory: str) -> Generator[str]:
    """Open a directory, and yield a short path of it. Raises: OSError: it cannot be opened."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
