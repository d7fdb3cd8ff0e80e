"""Made-up states of a server."""

from __future__ import annotations

from dataclasses import replace

from heliograph.insights.model import (
    Distribution,
    Exit,
    HostState,
    Problem,
    ProcessState,
    QueueState,
    Running,
    ServerState,
    SignalState,
    StoreState,
    TaskState,
    TriggerState,
)

NOW = 1_790_000_000.0
NONE = Distribution(0, 0.0, (), None, None, None)
SHORT = Distribution(160, 0.8, ((0.001, 20), (0.002, 90), (0.004, 45), (0.008, 5)), 0.0018, 0.0039, 0.0077)


def process(name: str, **changes) -> ProcessState:
    role = name.rstrip("0123456789")
    facts = ProcessState(name, role, 1200, "running", NOW - 3600, 2, 0, 0, None, 24 << 20, (), 40, 0)
    return replace(facts, **changes)


def signal(num: int, name: str = "", **changes) -> SignalState:
    facts = SignalState(num, name, "mule", f"shop.signals:handle_{name or num}", 160, 160, 0, 0, 0, 0, 0, SHORT, SHORT)
    return replace(facts, **changes)


def task(name: str, counts: dict[str, int], **changes) -> TaskState:
    return replace(TaskState(name, "spooler", counts, False, True, None, SHORT, SHORT), **changes)


def trigger(name: str, **changes) -> TriggerState:
    facts = TriggerState(name, "timer", "every 5 s", 5, "mule", 120, 0, NOW - 3, NOW + 2, None, None, None)
    return replace(facts, **changes)


def well(**changes) -> ServerState:
    """Return a server without problems."""
    state = ServerState(
        name="shop",
        app="shop.tasks",
        version="0.9.0",
        python="3.14.0",
        pid=1200,
        started_at=NOW - 11_520,
        looked_at=NOW,
        generation=2,
        is_loading=False,
        is_ready=True,
        is_stopping=False,
        reload_failure=None,
        problems=(),
        processes=tuple(
            process(name, pid=1200 + number)
            for number, name in enumerate(("master", "worker1", "worker2", "mule1", "mule2", "spooler1"))
        ),
        queues=(QueueState("mule1", 0, 1000),),
        signals=(signal(1, "refresh-prices", target="workers"), signal(7), signal(12, "mail", sent=161)),
        rejected=0,
        rejected_at=None,
        triggers=(
            trigger("heartbeat"),
            trigger("nightly", kind="cron", schedule="0 3 * * * Europe/Berlin", next=NOW + 40_000, last=None, fired=0),
            trigger("prices.csv", kind="file", schedule="/srv/shop/prices.csv", next=None, fired=3),
        ),
        store=StoreState(
            "/var/lib/shop/tasks",
            (
                task("shop.mail:send_mail", {"READY": 4, "RUNNING": 1, "SUCCESSFUL": 1204, "FAILED": 3}),
                task("shop.reports:monthly_report", {"READY": 1}),
            ),
            (),
            1 << 20,
            1 << 16,
            1 << 34,
            "3.45.0",
            "disk",
            None,
            None,
        ),
        hosts=(HostState("web1", 4, 0.4),),
    )
    return replace(state, **changes)


def unwell(**changes) -> ServerState:
    """Return a server with a hung handler and a full queue."""
    state = well()
    running = Running("signal", "7", "shop.signals:handle_7", NOW - 754, is_overdue=True)
    exit_ = Exit(1180, NOW - 4000, "signal 9 (SIGKILL)", was_expected=False)
    processes = tuple(
        replace(one, running=(running,), queued=412)
        if one.name == "mule1"
        else replace(one, restarts=3, last_exit=exit_)
        if one.name == "mule2"
        else one
        for one in state.processes
    )
    problems = (
        Problem(
            "hung_handler",
            "critical",
            "mule1",
            "mule1 has run shop.signals:handle_7 for 12m34s.",
            "See where it stands: heliograph stack mule1.",
            NOW - 700,
        ),
        Problem(
            "queue_near_full",
            "warning",
            "7",
            "Signal 7 has 412 of 500 places of its queue in use.",
            "Add mules, or send less.",
            NOW - 60,
        ),
    )
    signals = tuple(replace(one, queued=412, failed=2, sent=574) if one.num == 7 else one for one in state.signals)
    return replace(state, processes=processes, problems=problems, signals=signals, **changes)
