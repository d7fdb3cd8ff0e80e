"""Keeps the descriptors 0, 1 and 2 occupied."""

from __future__ import annotations

import os


def reserve_standard_descriptors() -> None:
    """Open /dev/null for each standard descriptor that is closed.

    Otherwise the next file or socket gets that number, and the output of a process is written into it.
    """
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.open(os.devnull, os.O_RDWR)
    os.close(fd)
