"""Processes that are replaced because of their age. Scripted histories."""

import logging

from heliograph._core.supervision.actions import Drain, Fork, Kill, Log
from heliograph._core.supervision.children import NEVER, WEB_COMMAND, WEB_SERVER
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkServerReady,
    Joined,
    ProcessReady,
    ReloadRequested,
    Started,
    StartRequested,
    StopRequested,
)
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.models import Identity, Topology

MULES = Identity("mule", 1), Identity("mule", 2)
FIRST, SECOND = MULES
HOUR = 3600.0


def running(jitter, **options):
    """A supervisor with two mules that are ready since 10. `jitter` are the numbers by which their limits differ."""
    numbers = iter(jitter)
    supervisor = Supervisor(
        Topology(workers=0, mules=2), max_age=HOUR, jitter=lambda: next(numbers), graceful_timeout=20.0, **options
    )
    supervisor.handle(StartRequested(), 0)
    supervisor.handle(ForkServerReady(1), 1)
    for number, mule in enumerate(MULES):
        supervisor.handle(Started(mule, 100 + number, 1), 5)
        supervisor.handle(ProcessReady(mule), 10)
    return supervisor


def replace(supervisor, mule, pid, now):
    """Let a process exit that was asked to, and its successor start."""
    actions = supervisor.handle(Exited(mule, "exit code 64", expected=True), now)
    supervisor.handle(Started(mule, pid, 1), now)
    supervisor.handle(ProcessReady(mule), now)
    return actions


def test_an_old_process_is_asked_to_exit():
    """Up to a tenth later than the limit says, so that the others go on. Its successor is forked at once."""
    supervisor = running([0, 1, 0.5, 0])
    assert supervisor.deadline == 10 + HOUR
    assert supervisor.handle(Due(), 10 + HOUR) == [
        Log(logging.INFO, "Recycling mule1: it is 3605 s old (--max-age 1h)"),
        Drain(100),
    ]
    assert supervisor.deadline == 10 + 1.1 * HOUR
    assert replace(supervisor, FIRST, 102, 3611) == [Fork(1, FIRST)]
    assert supervisor.children[FIRST].last_exit.reason == "it is 3605 s old (--max-age 1h)"
    assert supervisor.children[FIRST].last_exit.was_expected
    assert Drain(101) in supervisor.handle(Due(), 10 + 1.1 * HOUR)
    replace(supervisor, SECOND, 103, 3971)
    assert supervisor.deadline == 3611 + 1.05 * HOUR
    assert supervisor.children[SECOND].recycle_at == 3971 + HOUR


def test_a_process_that_takes_long_is_not_killed():
    """Its handler may run for hours. A reload ends it after the graceful timeout, as any other process."""
    supervisor = running([0, 1])
    supervisor.handle(Due(), 10 + HOUR)
    supervisor.children[SECOND].recycle_at = NEVER
    assert supervisor.deadline == NEVER
    supervisor.handle(ReloadRequested(), 5000)
    assert Drain(100) in supervisor.handle(ForkServerReady(2), 5001)
    assert Kill(100) in supervisor.handle(Due(), 5021)


def test_a_crash_says_its_own_reason():
    """The successor of a process that was asked to exit has a new age, and no reason yet."""
    supervisor = running([0, 1, 0])
    supervisor.handle(Due(), 10 + HOUR)
    replace(supervisor, FIRST, 102, 3611)
    supervisor.handle(Exited(FIRST, "killed by signal 9"), 3700)
    assert supervisor.children[FIRST].last_exit.reason == "killed by signal 9"


def test_nothing_is_due_for_a_process_that_has_exited():
    """Its place waits for a successor."""
    supervisor = running([0, 1])
    supervisor.handle(Exited(FIRST, "killed by signal 9"), 20)
    assert supervisor.children[FIRST].recycle_at == NEVER
    assert not any(isinstance(action, Drain) for action in supervisor.handle(Due(), 10 + HOUR))


def test_a_stopping_server_replaces_none():
    """The processes exit anyway."""
    supervisor = running([0, 1])
    supervisor.handle(StopRequested(), 3000)
    assert not any(isinstance(action, Drain) and action.pid == 101 for action in supervisor.handle(Due(), 10 + HOUR))
    assert supervisor.children[FIRST].recycling == ""


def test_a_process_that_loads_for_long_is_not_too_old():
    """Its age begins when it is ready, so that a short limit does not replace it before it has done anything."""
    supervisor = Supervisor(Topology(workers=0, mules=1), max_age=1.0)
    supervisor.handle(StartRequested(), 0)
    supervisor.handle(ForkServerReady(1), 1)
    supervisor.handle(Started(FIRST, 100, 1), 2)
    assert supervisor.children[FIRST].recycle_at == NEVER
    supervisor.handle(ProcessReady(FIRST), 50)
    assert supervisor.children[FIRST].recycle_at == 51


def test_a_server_without_a_limit():
    """No process is asked to exit."""
    supervisor = Supervisor(Topology(workers=0, mules=1))
    supervisor.handle(StartRequested(), 0)
    supervisor.handle(ForkServerReady(1), 1)
    supervisor.handle(Started(FIRST, 100, 1), 2)
    supervisor.handle(ProcessReady(FIRST), 4)
    assert supervisor.deadline == NEVER


def test_processes_of_a_web_server():
    """The web server replaces them."""
    supervisor = Supervisor(Topology(workers=1), commands={WEB_SERVER: WEB_COMMAND}, max_age=HOUR)
    supervisor.handle(StartRequested(), 0)
    supervisor.handle(ForkServerReady(1), 1)
    supervisor.handle(Started(Identity("webserver"), 99, 1), 2)
    supervisor.handle(Joined(100), 3)
    supervisor.handle(ProcessReady(Identity("worker", 1)), 4)
    assert supervisor.children[Identity("worker", 1)].ready
    assert {child.recycle_at for child in supervisor.children} == {NEVER}
