"""What the application and the server around it agree on: numbers, targets, processes, places."""

from __future__ import annotations

from typing import NamedTuple

WORKERS, MULES = 2, 4
FARMS = {"crew": (2, 3, 4)}
"""One: of several, uWSGI 2.0.30 tells the application the last only (`uwsgi.opt`)."""
PROCESSES = ("worker1", "worker2", "mule1", "mule2", "mule3", "mule4", "spooler1")
"""The processes of the server."""
SENDERS = frozenset(PROCESSES) - {"spooler1"}

DIRECTORY, RATE = "CHAOS_DIRECTORY", "CHAOS_RATE"
"""Environment variables: where to count, and how many signals a second each sender sends."""
HISTORY, OVER = "history", "over"
"""Names in that directory: of the history, and of a file that tells the senders to stop."""


class Kind(NamedTuple):
    """A signal number's target; one send of it is handled `copies` times."""

    target: str
    copies: int = 1


WORKLOAD = {
    1: Kind("mule"),
    2: Kind("mule1"),
    3: Kind("mule2"),
    4: Kind("mule3"),
    5: Kind("mule4"),
    6: Kind("mules", MULES),
    7: Kind("worker"),
    8: Kind("worker1"),
    9: Kind("workers", WORKERS),
    10: Kind("farm_crew"),
    11: Kind("spooler"),
}
