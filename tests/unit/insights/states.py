"""States of a server for tests: a healthy one, and parts of it with changes."""

from dataclasses import replace

from heliograph.insights.model import (
    Distribution,
    Exit,
    HostState,
    ProcessState,
    QueueState,
    Running,
    ServerState,
    SignalState,
    StoreState,
    TaskState,
    TriggerState,
)

NOW = 1_800_000_000.0
NONE = Distribution(0, 0.0, (), None, None, None)
MIB = 1 << 20
EXIT = Exit(99, NOW - 2.0, "exit code 3", was_expected=False)
HANDLER = Running("signal", "7", "shop.refresh", NOW - 12.0, is_overdue=True)
TASK = Running("task", "shop:send", "shop:send", NOW - 90.0, "0194", is_overdue=True)


def process(name="mule1", role="mule", **changes):
    """A process that runs."""
    found = ProcessState(
        name=name,
        role=role,
        pid=100,
        status="running",
        since=NOW - 1000.0,
        generation=2,
        restarts=0,
        early_exits=0,
        last_exit=None,
        memory=20 * MIB,
        running=(),
        handled=5,
        queued=0,
        rss=40 * MIB,
        rss_at_start=30 * MIB,
    )
    return replace(found, **changes)


def signal(**changes):
    """A signal that is sent now and then."""
    return replace(SignalState(7, "", "mule1", "shop.refresh", 5, 5, 0, 0, 0, 0, 0, NONE, NONE), **changes)


def task(**changes):
    """A function with finished tasks."""
    known = TaskState("shop:send", "spooler", {"SUCCESSFUL": 3}, False, True, None, NONE, NONE)
    return replace(known, **changes)


def store(**changes):
    """A store that works."""
    found = StoreState(
        directory="/var/lib/shop",
        tasks=(task(),),
        paused=(),
        bytes=MIB,
        log_bytes=0,
        free_bytes=1000 * MIB,
        sqlite="3.51.3",
        sync="disk",
        fault=None,
        warning=None,
    )
    return replace(found, **changes)


def trigger(**changes):
    """A cron rule that ran in time."""
    return replace(
        TriggerState("nightly", "cron", "0 3 * * *", 7, "mule1", 9, 0, NOW - 60, NOW + 60, None, None, None), **changes
    )


def state(**changes):
    """A server that is well."""
    found = ServerState(
        name="shop",
        app="shop",
        version="1.0",
        python="3.13.1",
        pid=1,
        started_at=NOW - 5000.0,
        looked_at=NOW,
        generation=2,
        is_loading=False,
        is_ready=True,
        is_stopping=False,
        reload_failure=None,
        problems=(),
        processes=(
            process("master", "master", generation=None),
            process("worker1", "worker"),
            process("mule1"),
            process("mule2"),
            process("spooler1", "spooler"),
        ),
        queues=(
            QueueState("worker1", 0, 1000, ("worker1",)),
            QueueState("mule", 0, 1000, ("mule1", "mule2")),
            QueueState("mule1", 0, 1000, ("mule1",)),
        ),
        signals=(signal(),),
        rejected=0,
        rejected_at=None,
        triggers=(trigger(),),
        store=store(),
        hosts=(HostState("here", 2, 0.5),),
        loaded_at=NOW - 1000.0,
    )
    return replace(found, **changes)


def with_process(**changes):
    """A server whose process `mule1` is like this."""
    well = state()
    return replace(well, processes=tuple(replace(p, **changes) if p.name == "mule1" else p for p in well.processes))


def with_store(**changes):
    """A server whose store is like this."""
    return state(store=store(**changes))
