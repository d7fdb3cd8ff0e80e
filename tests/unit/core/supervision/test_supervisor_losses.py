"""What the supervisor does when it loses the template, and how it stops: scripted histories, no process."""

from __future__ import annotations

import pytest

from heliograph._core.supervision.actions import Drain, Finish, Fork, Kill, StartForkServer, StopForkServer
from heliograph._core.supervision.supervisor import MAX_BACKOFF, Supervisor
from heliograph.models import Identity, Topology

WORKER, MULE = Identity("worker", 1), Identity("mule", 1)
NEVER = float("inf")


@pytest.fixture
def server():
    """A server whose worker (pid 11) and mule (pid 12) have run since 0, with 30 seconds of mercy."""
    supervisor = Supervisor(Topology(workers=1, mules=1), graceful_timeout=30.0)
    assert supervisor.start() == [StartForkServer(1)]
    assert supervisor.fork_server_ready(1, 0.0) == [Fork(1, WORKER), Fork(1, MULE)]
    assert supervisor.forking
    assert supervisor.forked(WORKER, 11, 1, 0.0) == supervisor.forked(MULE, 12, 1, 0.0) == []
    assert supervisor.all_running
    assert not supervisor.forking
    return supervisor


def deeds(actions):
    """The actions without what is only told."""
    return [action for action in actions if not hasattr(action, "text")]


def test_who_ends_while_there_is_no_template_is_replaced_from_the_next(server):
    """The master never tells a template that is gone to fork."""
    assert deeds(server.fork_server_failed(1, "killed", 5.0)) == [StartForkServer(2)]
    assert deeds(server.exited(MULE, "killed", expected=False, now=6.0)) == []
    assert deeds(server.fork_server_ready(2, 7.0)) == [StopForkServer(1), Drain(11), Fork(2, MULE)]


def test_an_early_end_while_there_is_no_template_waits_for_the_next(server):
    """Its pause runs out, and it still is not forked from what is gone."""
    server.fork_server_failed(1, "killed", 0.1)
    assert deeds(server.exited(MULE, "killed", expected=False, now=0.2)) == []
    assert deeds(server.tick(0.3)) == []
    assert server.deadline == NEVER
    assert Fork(2, MULE) in server.fork_server_ready(2, 7.0)


def test_a_lost_template_is_loaded_until_it_loads(server):
    """Broken code on the disk is tried again after a while, or at a reload."""
    server.fork_server_failed(1, "killed", 5.0)
    assert deeds(server.fork_server_failed(2, "SyntaxError", 6.0)) == []
    assert server.deadline == 6.0 + MAX_BACKOFF
    assert deeds(server.tick(6.0 + MAX_BACKOFF)) == [StartForkServer(3)]
    server.fork_server_failed(3, "SyntaxError", 17.0)
    assert deeds(server.reload()) == [StartForkServer(4)]
    assert server.deadline == NEVER


def test_a_failed_reload_leaves_the_template(server):
    """It is still there, and replaces who ends."""
    server.reload()
    assert deeds(server.fork_server_failed(2, "SyntaxError", 5.0)) == []
    assert deeds(server.exited(MULE, "killed", expected=False, now=6.0)) == [Fork(1, MULE)]


def test_who_ends_before_a_stopping_server_is_quiet_is_replaced(server):
    """What waits for it is still to be handled: after a crash, and after as many signals as it may handle."""
    assert deeds(server.stop(5.0)) == []
    assert server.draining_queues
    assert deeds(server.exited(MULE, "exit code 64", expected=True, now=6.0)) == [Fork(1, MULE)]
    assert deeds(server.exited(WORKER, "killed", expected=False, now=6.0)) == [Fork(1, WORKER)]
    server.forked(MULE, 13, 1, 6.1)
    server.forked(WORKER, 14, 1, 6.1)
    assert server.deadline == 35.0
    assert deeds(server.on_idle()) == [Drain(14), Drain(13)]
    assert not server.draining_queues
    assert deeds(server.exited(MULE, "exit code 64", expected=True, now=7.0)) == []
    assert deeds(server.exited(WORKER, "exit code 64", expected=True, now=7.0)) == [StopForkServer(1), Finish(0)]


def test_a_stop_in_the_midst_of_a_reload_goes_on_with_it(server):
    """The old processes are told to drain already; without successors what waits would be lost."""
    server.reload()
    assert deeds(server.fork_server_ready(2, 5.0)) == [StopForkServer(1), Drain(11), Drain(12)]
    server.stop(5.1)
    assert deeds(server.exited(MULE, "exit code 64", expected=True, now=5.2)) == [Fork(2, MULE)]


def test_one_that_is_forked_after_the_server_was_quiet_is_told_to_drain(server):
    """It came too late to have anything to do."""
    server.stop(5.0)
    server.exited(MULE, "exit code 64", expected=True, now=6.0)
    assert deeds(server.on_idle()) == [Drain(11)]
    assert deeds(server.forked(MULE, 13, 1, 6.1)) == [Drain(13)]


def test_a_crash_loop_does_not_hold_up_the_end(server):
    """Who waits for its next start is given up when the server is quiet, and when the mercy is over."""
    server.exited(MULE, "exit code 1", expected=False, now=0.5)
    server.stop(0.5)
    server.exited(WORKER, "exit code 1", expected=False, now=0.5)
    assert server.draining_queues
    assert deeds(server.on_idle()) == [StopForkServer(1), Finish(0)]


def test_mercy_ends(server):
    """Who still runs is killed, and nobody is started any more."""
    server.stop(5.0)
    assert deeds(server.tick(35.0)) == [Kill(11), Kill(12)]
    assert deeds(server.exited(MULE, "killed", expected=False, now=35.1)) == []
    assert deeds(server.exited(WORKER, "killed", expected=False, now=35.1)) == [StopForkServer(1), Finish(0)]


def test_a_second_stop_is_at_once(server):
    """No pause and no mercy is waited for."""
    server.stop(0.4)
    server.exited(MULE, "exit code 1", expected=False, now=0.5)
    server.stop(0.52)
    assert server.deadline == 0.52
    assert deeds(server.tick(0.52)) == [Kill(11)]
    assert deeds(server.exited(WORKER, "killed", expected=False, now=0.6)) == [StopForkServer(1), Finish(0)]
