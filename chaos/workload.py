"""Constants that the application and the server share: signals, targets, processes, paths."""

from __future__ import annotations

from typing import NamedTuple

WORKERS, MULES = 2, 4
FARMS = {"team": (2, 3, 4)}
"""A single farm, because uWSGI 2.0.30 reports only the last one to the application (`uwsgi.opt`)."""
PROCESSES = ("worker1", "worker2", "mule1", "mule2", "mule3", "mule4", "spooler1")
"""All processes of the server that run handlers."""
SENDERS = frozenset(PROCESSES) - {"spooler1"}

DIRECTORY, RATE = "CHAOS_DIRECTORY", "CHAOS_RATE"
"""Environment variables: the directory for the counts, and the signals per second of each sender."""
HISTORY, STOP, CLOSE = "history", "stop", "close"
"""Names in that directory: the directory of the counts, a file that makes the senders pause, and one that makes the
mule or spooler that finds it close its descriptors."""


class Kind(NamedTuple):
    """The target of a signal. One send is handled `copies` times."""

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
    10: Kind("farm_team"),
    11: Kind("spooler"),
}
