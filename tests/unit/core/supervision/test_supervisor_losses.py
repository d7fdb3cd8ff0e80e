"""The fork server is lost, and how that affects stops: scripted histories, no process."""

from __future__ import annotations

import pytest

from heliograph._core.supervision.actions import (
    Activate,
    Drain,
    Finish,
    Fork,
    Kill,
    ReloadFailed,
    StartForkServer,
    StopForkServer,
)
from heliograph._core.supervision.children import MAX_BACKOFF
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkFailed,
    ForkServerExited,
    ForkServerFailed,
    ForkServerReady,
    Idle,
    ReloadRequested,
    Started,
    StartRequested,
    StopRequested,
)
from heliograph._core.supervision.loads import SLOW_LOAD, STARTED_WELL
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.models import Identity, Topology

WORKER, MULE = Identity("worker", 1), Identity("mule", 1)
GRACEFUL_TIMEOUT = 30.0


@pytest.fixture
def server():
    """Return a supervisor whose worker (pid 11) and mule (pid 12) run since 0."""
    supervisor = Supervisor(Topology(workers=1, mules=1), graceful_timeout=GRACEFUL_TIMEOUT)
    assert supervisor.handle(StartRequested(), 0.0) == [StartForkServer(1)]
    assert supervisor.handle(ForkServerReady(1), 0.0) == [Activate(1), Fork(1, WORKER), Fork(1, MULE)]
    assert supervisor.forking
    assert supervisor.handle(Started(WORKER, 11, 1), 0.0) == supervisor.handle(Started(MULE, 12, 1), 0.0) == []
    assert supervisor.all_running
    assert not supervisor.forking
    return supervisor


def actions_of(actions):
    """Return the actions without log lines."""
    return [action for action in actions if not hasattr(action, "text")]


def test_a_process_that_exits_without_a_fork_server_is_forked_from_the_next(server):
    """The master never tells a fork server that has exited to fork."""
    assert actions_of(server.handle(ForkServerExited(1, "killed"), 5.0)) == [StartForkServer(2)]
    assert actions_of(server.handle(Exited(MULE, "killed"), 6.0)) == []
    assert actions_of(server.handle(ForkServerReady(2), 7.0)) == [Activate(2), Drain(11), Fork(2, MULE)]


def test_an_early_exit_without_a_fork_server_waits_for_the_next(server):
    """The delay passes, and the process is still not forked from the lost fork server."""
    server.handle(ForkServerExited(1, "killed"), 0.1)
    assert actions_of(server.handle(Exited(MULE, "killed"), 0.2)) == []
    assert actions_of(server.handle(Due(), 0.3)) == []
    assert server.deadline == 0.1 + SLOW_LOAD
    assert Fork(2, MULE) in server.handle(ForkServerReady(2), 7.0)


def test_the_application_is_loaded_until_a_lost_fork_server_is_replaced(server):
    """Broken code is tried again after a delay, or at a reload."""
    server.handle(ForkServerExited(1, "killed"), 5.0)
    assert actions_of(server.handle(ForkServerFailed(2, "SyntaxError"), 6.0)) == [ReloadFailed(2, "SyntaxError")]
    server.handle(ForkServerExited(2, "exit code 1"), 6.1)
    assert server.deadline == 6.0 + MAX_BACKOFF
    assert actions_of(server.handle(Due(), 6.0 + MAX_BACKOFF)) == [StartForkServer(3)]
    server.handle(ForkServerFailed(3, "SyntaxError"), 17.0)
    assert actions_of(server.handle(ReloadRequested(), 17.0)) == [StartForkServer(4)]
    server.handle(ForkServerExited(3, "exit code 1"), 17.1)
    assert server.deadline == 17.0 + SLOW_LOAD


def test_a_fork_server_that_exits_soon_after_each_load_is_replaced_with_growing_delays(server):
    """A thread of the application ends it, for example. A reload does not wait for the delay."""
    now, delays = 0.0, []
    for generation in range(1, 11):
        actions = server.handle(ForkServerExited(generation, "exit code 1"), now + 0.1)
        due = now + 0.1
        if StartForkServer(generation + 1) not in actions:
            due = server.deadline
            assert actions_of(server.handle(Due(), due - 0.01)) == []
            actions = server.handle(Due(), due)
        delays.append(round(due - now - 0.1, 2))
        now = due
        assert actions_of(actions) == [StartForkServer(generation + 1)]
        server.handle(ForkServerReady(generation + 1), now)
    assert delays == [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, MAX_BACKOFF]
    log = server.handle(ForkServerExited(11, "exit code 1"), now + 0.1)
    assert [line.text for line in log] == ["Fork server exited (exit code 1), loading the application again in 10 s"]
    assert actions_of(server.handle(ReloadRequested(), now + 0.2)) == [StartForkServer(12)]
    server.handle(ForkServerReady(12), now + 0.3)
    actions = server.handle(ForkServerExited(12, "killed"), now + 0.3 + STARTED_WELL)
    assert actions_of(actions) == [StartForkServer(13)]


def test_a_report_of_a_fork_server_that_was_reaped_before_is_ignored(server):
    """It died right after the load, and the master saw the exit first. At a start and at a reload."""
    server.handle(ReloadRequested(), 0.0)
    assert ReloadFailed(2, "exit code 1") in server.handle(ForkServerExited(2, "exit code 1"), 1.0)
    assert not any(isinstance(action, Activate) for action in server.handle(ForkServerReady(2), 1.0))
    assert (server.generation, server.complete) == (1, False)


def test_a_failed_reload_keeps_the_fork_server(server):
    """It still forks processes that exit."""
    server.handle(ReloadRequested(), 0.0)
    assert actions_of(server.handle(ForkServerFailed(2, "SyntaxError"), 5.0)) == [ReloadFailed(2, "SyntaxError")]
    assert actions_of(server.handle(Exited(MULE, "killed"), 6.0)) == [Fork(1, MULE)]


def test_a_process_that_exits_while_a_stop_drains_the_queues_is_restarted(server):
    """Its queued signals must be handled: after a crash, and after `--max-signals`."""
    assert actions_of(server.handle(StopRequested(), 5.0)) == []
    assert server.draining_queues
    assert actions_of(server.handle(Exited(MULE, "exit code 64", expected=True), 6.0)) == [Fork(1, MULE)]
    assert actions_of(server.handle(Exited(WORKER, "killed"), 6.0)) == [Fork(1, WORKER)]
    server.handle(Started(MULE, 13, 1), 6.1)
    server.handle(Started(WORKER, 14, 1), 6.1)
    assert server.deadline == 32.0
    assert actions_of(server.handle(Idle(), 6.1)) == [Drain(14), Drain(13)]
    assert not server.draining_queues
    assert actions_of(server.handle(Exited(MULE, "exit code 64", expected=True), 7.0)) == []
    assert actions_of(server.handle(Exited(WORKER, "exit code 64", expected=True), 7.0)) == [
        StopForkServer(1),
        Finish(0),
    ]


def test_a_stop_during_a_reload_continues_it(server):
    """The old processes drain already. Without successors, queued signals would be lost."""
    server.handle(ReloadRequested(), 0.0)
    assert actions_of(server.handle(ForkServerReady(2), 5.0)) == [Activate(2), Drain(11), Drain(12)]
    server.handle(StopRequested(), 5.1)
    assert actions_of(server.handle(Exited(MULE, "exit code 64", expected=True), 5.2)) == [Fork(2, MULE)]


def test_a_process_that_is_forked_after_the_queues_were_empty_drains(server):
    """It comes too late to have anything to do."""
    server.handle(StopRequested(), 5.0)
    server.handle(Exited(MULE, "exit code 64", expected=True), 6.0)
    assert actions_of(server.handle(Idle(), 6.0)) == [Drain(11)]
    assert actions_of(server.handle(Started(MULE, 13, 1), 6.1)) == [Drain(13)]


def test_a_crash_loop_does_not_delay_a_stop(server):
    """A process that waits for its restart is given up when the queues are empty."""
    server.handle(Exited(MULE, "exit code 1"), 0.5)
    server.handle(StopRequested(), 0.5)
    server.handle(Exited(WORKER, "exit code 1"), 0.5)
    assert server.draining_queues
    assert actions_of(server.handle(Idle(), 0.5)) == [StopForkServer(1), Finish(0)]


def test_a_process_that_exits_again_during_a_stop_does_not_delay_its_end(server):
    """Its pause grows beyond the graceful timeout. The stop ends with the timeout."""
    server.handle(StopRequested(), 5.0)
    actions, now = server.handle(Exited(MULE, "exit code 1"), 5.0), 5.0
    while Fork(1, MULE) in actions or server.deadline < 32.0:
        if Fork(1, MULE) in actions:
            server.handle(Started(MULE, 13, 1), now)
            server.handle(Exited(MULE, "exit code 1"), now)
        now = server.deadline
        actions = server.handle(Due(), now) if now < 32.0 else []
    assert server.deadline <= 35.0
    assert actions_of(server.handle(Due(), 32.0)) == [Drain(11)]
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 33.0)[-1] == Finish(0)


def test_a_fork_that_fails_during_a_stop_does_not_delay_its_end(server):
    """Its pause grows in the same way."""
    server.handle(StopRequested(), 5.0)
    actions, now = server.handle(Exited(MULE, "exit code 1"), 5.0), 5.0
    while Fork(1, MULE) in actions or server.deadline < 32.0:
        if Fork(1, MULE) in actions:
            server.handle(ForkFailed(MULE, 1, "too many processes"), now)
        now = server.deadline
        actions = server.handle(Due(), now) if now < 32.0 else []
    assert server.deadline <= 35.0
    assert actions_of(server.handle(Due(), 32.0)) == [Drain(11)]
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 33.0)[-1] == Finish(0)


def test_the_graceful_timeout_passes(server):
    """Processes that still run are killed, and none is started any more."""
    server.handle(StopRequested(), 5.0)
    assert actions_of(server.handle(Due(), 35.0)) == [Kill(11), Kill(12)]
    assert actions_of(server.handle(Exited(MULE, "killed"), 35.1)) == []
    assert actions_of(server.handle(Exited(WORKER, "killed"), 35.1)) == [StopForkServer(1), Finish(0)]


def test_a_second_stop_kills_at_once(server):
    """It waits for no delay and no graceful timeout."""
    server.handle(StopRequested(), 0.4)
    server.handle(Exited(MULE, "exit code 1"), 0.5)
    server.handle(StopRequested(), 0.52)
    assert server.deadline == 0.52
    assert actions_of(server.handle(Due(), 0.52)) == [Kill(11)]
    assert actions_of(server.handle(Exited(WORKER, "killed"), 0.6)) == [StopForkServer(1), Finish(0)]
