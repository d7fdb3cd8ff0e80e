"""What the supervisor does when it loses the template, and how it stops: scripted histories, no process."""

from __future__ import annotations

import pytest

from heliograph._core.supervision.actions import (
    Activate,
    Drain,
    Finish,
    Fork,
    Kill,
    KillForkServer,
    ReloadFailed,
    StartForkServer,
    StopForkServer,
)
from heliograph._core.supervision.children import MAX_BACKOFF
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkServerExited,
    ForkServerFailed,
    ForkServerReady,
    Idle,
    ReloadRequested,
    Started,
    StartRequested,
    StopRequested,
)
from heliograph._core.supervision.loads import LOAD_TIMEOUT
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.models import Identity, Topology

WORKER, MULE = Identity("worker", 1), Identity("mule", 1)
GRACEFUL_TIMEOUT = 30.0


@pytest.fixture
def server():
    """A server whose worker (pid 11) and mule (pid 12) have run since 0, with 30 seconds of mercy."""
    supervisor = Supervisor(Topology(workers=1, mules=1), graceful_timeout=GRACEFUL_TIMEOUT)
    assert supervisor.handle(StartRequested(), 0.0) == [StartForkServer(1)]
    assert supervisor.handle(ForkServerReady(1), 0.0) == [Activate(1), Fork(1, WORKER), Fork(1, MULE)]
    assert supervisor.forking
    assert supervisor.handle(Started(WORKER, 11, 1), 0.0) == supervisor.handle(Started(MULE, 12, 1), 0.0) == []
    assert supervisor.all_running
    assert not supervisor.forking
    return supervisor


def deeds(actions):
    """The actions without what is only told."""
    return [action for action in actions if not hasattr(action, "text")]


def test_who_ends_while_there_is_no_template_is_replaced_from_the_next(server):
    """The master never tells a template that is gone to fork."""
    assert deeds(server.handle(ForkServerExited(1, "killed"), 5.0)) == [StartForkServer(2)]
    assert deeds(server.handle(Exited(MULE, "killed"), 6.0)) == []
    assert deeds(server.handle(ForkServerReady(2), 7.0)) == [Activate(2), Drain(11), Fork(2, MULE)]


def test_an_early_end_while_there_is_no_template_waits_for_the_next(server):
    """Its pause runs out, and it still is not forked from what is gone."""
    server.handle(ForkServerExited(1, "killed"), 0.1)
    assert deeds(server.handle(Exited(MULE, "killed"), 0.2)) == []
    assert deeds(server.handle(Due(), 0.3)) == []
    assert server.deadline == 0.1 + LOAD_TIMEOUT
    assert Fork(2, MULE) in server.handle(ForkServerReady(2), 7.0)


def test_a_lost_template_is_loaded_until_it_loads(server):
    """Broken code on the disk is tried again after a while, or at a reload."""
    server.handle(ForkServerExited(1, "killed"), 5.0)
    assert deeds(server.handle(ForkServerFailed(2, "SyntaxError"), 6.0)) == [ReloadFailed(2, "SyntaxError")]
    server.handle(ForkServerExited(2, "exit code 1"), 6.1)
    assert server.deadline == 6.0 + MAX_BACKOFF
    assert deeds(server.handle(Due(), 6.0 + MAX_BACKOFF)) == [StartForkServer(3)]
    server.handle(ForkServerFailed(3, "SyntaxError"), 17.0)
    assert deeds(server.handle(ReloadRequested(), 17.0)) == [StartForkServer(4)]
    server.handle(ForkServerExited(3, "exit code 1"), 17.1)
    assert server.deadline == 17.0 + LOAD_TIMEOUT


def test_a_failed_reload_leaves_the_template(server):
    """It is still there, and replaces who ends."""
    server.handle(ReloadRequested(), 0.0)
    assert deeds(server.handle(ForkServerFailed(2, "SyntaxError"), 5.0)) == [ReloadFailed(2, "SyntaxError")]
    assert deeds(server.handle(Exited(MULE, "killed"), 6.0)) == [Fork(1, MULE)]


def test_who_ends_before_a_stopping_server_is_quiet_is_replaced(server):
    """What waits for it is still to be handled: after a crash, and after as many signals as it may handle."""
    assert deeds(server.handle(StopRequested(), 5.0)) == []
    assert server.draining_queues
    assert deeds(server.handle(Exited(MULE, "exit code 64", expected=True), 6.0)) == [Fork(1, MULE)]
    assert deeds(server.handle(Exited(WORKER, "killed"), 6.0)) == [Fork(1, WORKER)]
    server.handle(Started(MULE, 13, 1), 6.1)
    server.handle(Started(WORKER, 14, 1), 6.1)
    assert server.deadline == 35.0
    assert deeds(server.handle(Idle(), 6.1)) == [Drain(14), Drain(13)]
    assert not server.draining_queues
    assert deeds(server.handle(Exited(MULE, "exit code 64", expected=True), 7.0)) == []
    assert deeds(server.handle(Exited(WORKER, "exit code 64", expected=True), 7.0)) == [StopForkServer(1), Finish(0)]


def test_a_stop_in_the_midst_of_a_reload_goes_on_with_it(server):
    """The old processes are told to drain already; without successors what waits would be lost."""
    server.handle(ReloadRequested(), 0.0)
    assert deeds(server.handle(ForkServerReady(2), 5.0)) == [Activate(2), StopForkServer(1), Drain(11), Drain(12)]
    server.handle(StopRequested(), 5.1)
    assert deeds(server.handle(Exited(MULE, "exit code 64", expected=True), 5.2)) == [Fork(2, MULE)]


def test_one_that_is_forked_after_the_server_was_quiet_is_told_to_drain(server):
    """It came too late to have anything to do."""
    server.handle(StopRequested(), 5.0)
    server.handle(Exited(MULE, "exit code 64", expected=True), 6.0)
    assert deeds(server.handle(Idle(), 6.0)) == [Drain(11)]
    assert deeds(server.handle(Started(MULE, 13, 1), 6.1)) == [Drain(13)]


def test_a_crash_loop_does_not_hold_up_the_end(server):
    """Who waits for its next start is given up when the server is quiet, and when the mercy is over."""
    server.handle(Exited(MULE, "exit code 1"), 0.5)
    server.handle(StopRequested(), 0.5)
    server.handle(Exited(WORKER, "exit code 1"), 0.5)
    assert server.draining_queues
    assert deeds(server.handle(Idle(), 0.5)) == [StopForkServer(1), Finish(0)]


def test_mercy_ends(server):
    """Who still runs is killed, and nobody is started any more."""
    server.handle(StopRequested(), 5.0)
    assert deeds(server.handle(Due(), 35.0)) == [Kill(11), Kill(12)]
    assert deeds(server.handle(Exited(MULE, "killed"), 35.1)) == []
    assert deeds(server.handle(Exited(WORKER, "killed"), 35.1)) == [StopForkServer(1), Finish(0)]


def test_a_second_stop_is_at_once(server):
    """No pause and no mercy is waited for."""
    server.handle(StopRequested(), 0.4)
    server.handle(Exited(MULE, "exit code 1"), 0.5)
    server.handle(StopRequested(), 0.52)
    assert server.deadline == 0.52
    assert deeds(server.handle(Due(), 0.52)) == [Kill(11)]
    assert deeds(server.handle(Exited(WORKER, "killed"), 0.6)) == [StopForkServer(1), Finish(0)]
