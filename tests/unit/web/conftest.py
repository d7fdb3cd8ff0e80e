"""Made-up states of servers, for tests of what shows them."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

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
from heliograph.web.task_lists import NO_TASKS

NOW = 1_795_800_000.0
EVIL = """<script>window.hacked=1</script><img src=x onerror="window.hacked=2">'"&\\"""
"""A name that changes a page that does not escape it."""

NEVER = Distribution(0, 0.0, (), None, None, None)


def distribution(count=100, power=10):
    """Durations of about 1 ms, in three buckets."""
    bounds = [2.0**n / 1e6 for n in (power - 1, power, power + 2)]
    parts = (count // 2, count // 4, count - count // 2 - count // 4)
    return Distribution(count, count * bounds[1], tuple(zip(bounds, parts, strict=True)), *bounds)


def process(name, **changes):
    """A process that runs and does nothing."""
    role = name.rstrip("0123456789")
    values = {
        "name": name,
        "role": role,
        "pid": 4711,
        "status": "running",
        "since": NOW - 3700,
        "generation": 1,
        "restarts": 0,
        "early_exits": 0,
        "last_exit": None,
        "memory": 34_567_890,
        "running": (),
        "handled": 12_345,
        "queued": 0,
    }
    return ProcessState(**{**values, **changes})


def signal(num, name="", **changes):
    """A signal that is handled now and then."""
    values = {
        "num": num,
        "name": name,
        "target": "mule",
        "handler": "shop.tasks:refresh",
        "sent": 1200,
        "done": 1198,
        "failed": 0,
        "redelivered": 1,
        "dropped": 0,
        "coalesced": 3,
        "queued": 2,
        "waited": distribution(),
        "ran": distribution(power=14),
    }
    return SignalState(**{**values, **changes})


def task(name, **changes):
    """A function with some tasks."""
    values = {
        "name": name,
        "target": "spooler",
        "counts": {"READY": 3, "RUNNING": 1, "SUCCESSFUL": 940},
        "is_paused": False,
        "is_known": True,
        "held_back": None,
        "waited": distribution(),
        "ran": distribution(power=18),
    }
    return TaskState(**{**values, **changes})


def trigger(name, **changes):
    """A timer."""
    values = {
        "name": name,
        "kind": "timer",
        "schedule": "every 5 s",
        "num": 7,
        "target": "mule",
        "fired": 720,
        "missed": 0,
        "last": NOW - 2,
        "next": NOW + 3,
        "last_missed": None,
        "late": None,
        "fault": None,
    }
    return TriggerState(**{**values, **changes})


def store(*tasks, **changes):
    """A store that can be used."""
    values = {
        "directory": "/var/lib/shop/tasks",
        "tasks": tasks,
        "paused": (),
        "bytes": 1_234_567,
        "log_bytes": 4096,
        "free_bytes": 12_000_000_000,
        "sqlite": "3.46.1",
        "sync": "disk",
        "fault": None,
        "warning": None,
    }
    return StoreState(**{**values, **changes})


def server(**changes):
    """A server that is well."""
    values = {
        "name": "shop",
        "app": "shop.tasks",
        "version": "0.1.0",
        "python": "3.11.2",
        "pid": 4700,
        "started_at": NOW - 3700,
        "looked_at": NOW,
        "generation": 1,
        "is_loading": False,
        "is_ready": True,
        "is_stopping": False,
        "reload_failure": None,
        "problems": (),
        "processes": (process("master"), process("worker1"), process("mule1")),
        "queues": (QueueState("worker1", 0, 4096), QueueState("mule1", 2, 4096)),
        "signals": (signal(1, "refresh"), signal(7)),
        "rejected": 0,
        "rejected_at": None,
        "triggers": (trigger("every 5 s"),),
        "store": store(task("shop.tasks:send_mail")),
        "hosts": (HostState("web-3", 4, 0.7),),
    }
    return ServerState(**{**values, **changes})


def unwell(name="shop.tasks:send_mail"):
    """A server with a handler that hangs and tasks that failed. `name` stands wherever a user's name can."""
    problems = (
        Problem(
            "hung_handler",
            "critical",
            "mule1",
            f"mule1 has run {name} for 4 min.",
            "Run heliograph stack mule1.",
            NOW - 240,
        ),
        Problem(
            "tasks_dead",
            "critical",
            name,
            f"2 tasks of {name} have killed three processes each.",
            "Look at them.",
            NOW - 60,
        ),
        Problem("rule_missed", "warning", "nightly", f"The rule {name} was missed.", "Use misfire_grace."),
    )
    running = (Running("signal", name, name, NOW - 240, is_overdue=True),)
    processes = (
        process("master"),
        process(
            "worker1", restarts=3, last_exit=Exit(4600, NOW - 100, f"killed by signal 9 {name}", was_expected=False)
        ),
        process("mule1", running=running, queued=900),
        process("spooler1", status="missing", pid=None, since=None, memory=None),
    )
    return server(
        problems=problems,
        processes=processes,
        signals=(
            signal(1, name, failed=17, queued=900, handler=name),
            signal(7),
            signal(9, "unused", waited=NEVER, ran=NEVER),
        ),
        triggers=(
            trigger(name, kind="cron", missed=1, last_missed=NOW - 999),
            trigger("conf", kind="file", fault=name, schedule=name),
        ),
        store=store(
            task(name, counts={"READY": 3, "FAILED": 2, "DEAD": 2}, is_paused=True),
            task("shop.tasks:gone", is_known=False),
            warning=name,
        ),
        reload_failure=name,
    )


def large():
    """256 signals, 1,000 functions, 100 processes, all of them in use."""
    signals = tuple(signal(n, f"signal-{n}", sent=n, waited=distribution(n + 1)) for n in range(256))
    tasks = tuple(task(f"shop.tasks:function_{n}", ran=distribution(n + 1)) for n in range(1000))
    processes = tuple(process(f"mule{n + 1}", handled=n) for n in range(100))
    queues = tuple(QueueState(process.name, n, 4096) for n, process in enumerate(processes))
    return server(signals=signals, processes=processes, queues=queues, store=replace(store(), tasks=tasks))


@pytest.fixture
def states():
    """This module, since tests cannot import it."""
    return sys.modules[__name__]


class Reader:
    """Answers with the states that the test sets, and counts how often it was asked."""

    def __init__(self, state):
        self.answer = state
        self.lists = NO_TASKS
        self.asked = 0
        self.is_closed = False

    def state(self):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def task_lists(self, _):
        return self.lists

    def refresh(self, state):
        self.refreshed = state

    def close(self):
        self.is_closed = True


@pytest.fixture
def reader():
    """A reader of a server that is well."""
    return Reader(server())
