"""The signal numbers of the application under test, by section."""

from __future__ import annotations

from enum import IntEnum

from heliograph import Farm, Mule, TypeTarget


class To(IntEnum):
    """One signal for each way to write a target. Its handler records the event."""

    DEFAULT = 10
    EMPTY_TEXT = 11
    ANY_WORKER = 12
    WORKER_0 = 13
    WORKER_1 = 14
    WORKER_2 = 15
    ALL_WORKERS = 16
    ACTIVE_WORKERS = 17
    ANY_MULE = 20
    MULE_0 = 21
    MULE_1 = 22
    MULE_2 = 23
    ALL_MULES = 24
    MULE_1_AS_OBJECT = 25
    MULE_2_AS_NUMBER = 26
    FARM_1 = 30
    FARM_BY_NAME = 31
    FARM_AS_OBJECT = 32
    SPOOLER = 35


ANY_WORKER: dict[To, TypeTarget] = {
    To.DEFAULT: None,
    To.EMPTY_TEXT: "",
    To.ANY_WORKER: "worker",
    To.WORKER_0: "worker0",
}
"""The ways to write "the first available worker". Every engine and mode has this target."""

OTHER_TARGETS: dict[To, TypeTarget] = {
    To.WORKER_1: "worker1",
    To.WORKER_2: "worker2",
    To.ALL_WORKERS: "workers",
    To.ACTIVE_WORKERS: "active-workers",
    To.ANY_MULE: "mule",
    To.MULE_0: "mule0",
    To.MULE_1: "mule1",
    To.MULE_2: "mule2",
    To.ALL_MULES: "mules",
    To.MULE_1_AS_OBJECT: Mule(1),
    To.MULE_2_AS_NUMBER: 2,
    To.FARM_1: "farm1",
    To.FARM_BY_NAME: "farm_crunchers",
    To.FARM_AS_OBJECT: Farm("crunchers"),
    To.SPOOLER: "spooler",
}
"""The targets that need `Capability.MULES`."""


class SecondTo(IntEnum):
    """A second signal to one process, for tests of the order."""

    WORKER_2 = 41
    MULE_1 = 42
    MULE_2 = 43
    SPOOLER = 44


SECOND_TARGETS: dict[SecondTo, str] = {
    SecondTo.WORKER_2: "worker2",
    SecondTo.MULE_1: "mule1",
    SecondTo.MULE_2: "mule2",
    SecondTo.SPOOLER: "spooler",
}


class JobIn(IntEnum):
    """The signal whose handler runs the job that an agent has for its process."""

    WORKER_1 = 50
    WORKER_2 = 51
    MULE_1 = 52
    MULE_2 = 53
    SPOOLER = 54


JOB_SIGNALS: dict[str, JobIn] = {
    "worker1": JobIn.WORKER_1,
    "worker2": JobIn.WORKER_2,
    "mule1": JobIn.MULE_1,
    "mule2": JobIn.MULE_2,
    "spooler1": JobIn.SPOOLER,
}
"""The job signal of each process."""


class Handler(IntEnum):
    """Signals whose handlers or registrations are special."""

    NO_ARGUMENTS = 60
    FAILING = 61
    EXITING = 62
    REPLACED = 63
    IN_KILLED_MULE = 64
    """To mule 2, which the tests kill."""
    BLOCKING = 65
    """Blocks mule 2 until the file `Harness.unblock_file` exists."""
    COALESCED = 66
    """To mule 1, with `coalesce=True`."""
    COALESCED_BY_ALL = 67
    """To all workers, with `coalesce=True`."""
    COALESCED_BY_ONE = 68
    """To any mule, with `coalesce=True`."""
    CALLBACK = 98
    DECORATED = 99
    INVALID = 101
    """Every registration of this number is invalid."""


COALESCED_TARGETS = {
    Handler.COALESCED: "mule1",
    Handler.COALESCED_BY_ALL: "workers",
    Handler.COALESCED_BY_ONE: "mule",
}
"""The targets of the handlers with `coalesce=True`."""


class Triggered(IntEnum):
    """The signals that timers, cron rules and file monitors send."""

    EVERY_PERIOD = 70
    THREE_TIMES = 71
    EVERY_100_MS = 72
    EVERY_MINUTE = 73
    FILE_CHANGED = 74
    PERIOD_CHANGED = 75
    HUNDRED_TIMERS = 76


class Unregistered(IntEnum):
    """Numbers without a handler."""

    LATE = 97
    """The tests try to register it too late."""
    AWAITED = 100
    """The tests send it, and wait for it."""


class Life(IntEnum):
    """Numbers of the events that the hooks of the application's life record. They are no signals."""

    STARTED = 300
    STOPPED = 301
    FAILED = 302


NAME = "harness"
"""The name of the signal that is registered by name."""

PERIOD = 0.1
"""The period in seconds of the timers."""
