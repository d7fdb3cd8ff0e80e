"""Every state except running has a deadline: what the supervisor does when it passes. Scripted histories."""

import logging
import math

import pytest

from heliograph._core.supervision.actions import (
    Activate,
    Drain,
    Finish,
    Fork,
    Kill,
    KillForkServer,
    Log,
    ReloadFailed,
    ReportSlowLoad,
    StartForkServer,
    StopForkServer,
)
from heliograph._core.supervision.children import FORK_TIMEOUT, INITIAL_BACKOFF, KILL_TIMEOUT, OLD_FORK_TIMEOUT
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
from heliograph._core.supervision.loads import LOAD_TIMEOUT, SLOW_LOAD
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.models import Identity, Topology

WORKER, MULE = Identity("worker", 1), Identity("mule", 1)
GRACEFUL_TIMEOUT = 20.0


def actions_of(actions):
    """Return the actions without log lines."""
    return [action for action in actions if not isinstance(action, Log)]


def log_of(actions):
    """Return level and text of the log lines."""
    return [(action.level, action.text) for action in actions if isinstance(action, Log)]


@pytest.fixture
def new():
    """Return a supervisor that is loading the application since 0."""
    supervisor = Supervisor(Topology(workers=1, mules=1), graceful_timeout=GRACEFUL_TIMEOUT)
    supervisor.handle(StartRequested(), 0.0)
    return supervisor


@pytest.fixture
def loaded(new):
    """Return a supervisor whose fork server got the commands to fork worker1 and mule1 at 0."""
    assert new.handle(ForkServerReady(1), 0.0) == [Activate(1), Fork(1, WORKER), Fork(1, MULE)]
    return new


@pytest.fixture
def server(loaded):
    """Return a supervisor whose worker (pid 11) and mule (pid 12) run since 0."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(Started(MULE, 12, 1), 0.0)
    assert loaded.deadline == math.inf
    return loaded


# loading


def test_an_application_that_loads_forever_ends_the_start(new):
    """The supervisor kills the fork server, and exits with code 2 as if the load had failed."""
    assert new.handle(Due(), SLOW_LOAD) == [ReportSlowLoad(1, SLOW_LOAD)]
    assert new.deadline == LOAD_TIMEOUT
    assert new.handle(Due(), LOAD_TIMEOUT - 1) == []
    actions = new.handle(Due(), LOAD_TIMEOUT)
    assert actions_of(actions) == [KillForkServer(1), Finish(2)]
    assert log_of(actions) == [(logging.ERROR, "Cannot load the application: not loaded within 600 s")]


def test_a_reload_that_loads_forever_fails(server):
    """The old code keeps running, and the next reload is possible. A late report of the old load is ignored."""
    server.handle(ReloadRequested(), 1.0)
    actions = server.handle(Due(), 1.0 + LOAD_TIMEOUT)
    assert actions_of(actions) == [KillForkServer(2), ReloadFailed(2, "not loaded within 600 s")]
    assert log_of(actions) == [(logging.ERROR, "Reload failed, keeping the old code: not loaded within 600 s")]
    assert (server.loading, server.all_running) == (False, True)
    assert server.handle(ForkServerReady(2), 602.0) == [StopForkServer(2)]
    assert server.handle(ForkServerExited(2, "killed by signal 9"), 602.1) == []
    assert server.deadline == math.inf
    assert actions_of(server.handle(Exited(MULE, "killed"), 603.0)) == [Fork(1, MULE)]
    assert actions_of(server.handle(ReloadRequested(), 604.0)) == [StartForkServer(3)]


def test_a_load_that_hangs_is_followed_by_the_load_that_was_requested_meanwhile(server):
    """The request came after that load began, so it is not lost with it. Here the master was suspended for long."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ReloadRequested(), 1.0)
    actions = actions_of(server.handle(Due(), LOAD_TIMEOUT))
    assert actions == [KillForkServer(2), ReloadFailed(2, "not loaded within 600 s"), StartForkServer(3)]


def test_a_load_that_takes_long_is_reported_once(server):
    """The report has the time since the load began."""
    server.handle(ReloadRequested(), 1.0)
    assert server.deadline == 1.0 + SLOW_LOAD
    assert server.handle(Due(), SLOW_LOAD) == []
    assert server.handle(Due(), 3.0 + SLOW_LOAD) == [ReportSlowLoad(2, 2.0 + SLOW_LOAD)]
    assert server.deadline == 1.0 + LOAD_TIMEOUT
    assert server.handle(Due(), 100.0) == []


def test_a_reload_replaces_a_load_that_has_taken_long(server):
    """The supervisor kills its fork server and loads the code again. The killed one is not a failed reload."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(Due(), SLOW_LOAD)
    assert server.requested_generation == 2
    actions = server.handle(ReloadRequested(), 40.0)
    assert actions_of(actions) == [KillForkServer(2), StartForkServer(3)]
    text = "Loading the application takes more than 40 s (generation 2), killing its fork server because another "
    assert log_of(actions) == [
        (logging.WARNING, f"{text}reload was requested"),
        (logging.INFO, "Reloading (generation 3)"),
    ]
    assert (server.requested_generation, server.failed_generation) == (3, 0)
    assert server.handle(ForkServerExited(2, "killed by signal 9"), 40.1) == []
    assert server.handle(ForkServerReady(3), 41.0) == [Activate(3), Drain(11), Drain(12)]


def test_a_load_is_replaced_as_soon_as_it_has_taken_long(server):
    """A reload was requested before. Several requests are one."""
    server.handle(ReloadRequested(), 0.0)
    for now in (9.0, 10.0):
        assert actions_of(server.handle(ReloadRequested(), now)) == []
        assert server.requested_generation == 3
    assert server.deadline == SLOW_LOAD
    assert actions_of(server.handle(Due(), SLOW_LOAD)) == [KillForkServer(2), StartForkServer(3)]
    assert server.requested_generation == 3
    assert server.handle(ForkServerReady(3), 16.0) == [Activate(3), Drain(11), Drain(12)]


def test_a_first_load_that_has_taken_long_is_replaced(new):
    """SIGHUP during the start loads corrected code."""
    new.handle(Due(), SLOW_LOAD)
    assert actions_of(new.handle(ReloadRequested(), 16.0)) == [KillForkServer(1), StartForkServer(2)]
    assert new.handle(ForkServerExited(1, "killed by signal 9"), 16.1) == []
    assert new.handle(ForkServerReady(2), 17.0) == [Activate(2), Fork(2, WORKER), Fork(2, MULE)]


def test_an_application_that_always_loads_slowly_is_not_replaced_in_its_usual_time(server):
    """Otherwise regular reloads would keep it from being loaded. The first slow load sets the usual time."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 100.0)
    server.handle(ReloadRequested(), 1000.0)
    assert actions_of(server.handle(ReloadRequested(), 1199.0)) == []
    assert KillForkServer(3) not in server.handle(Due(), 1199.0)
    actions = server.handle(Due(), 1200.0)
    assert KillForkServer(3) in actions
    assert StartForkServer(4) in actions


def test_a_load_that_replaced_another_gets_more_time(server):
    """An application that needs longer than before is loaded in the end, even if reloads are requested all the time."""
    now, generation, replaced_after = 0.0, 2, []
    server.handle(ReloadRequested(), now)
    for _ in range(4):
        server.handle(ReloadRequested(), now)
        began, now = now, server.deadline
        replaced_after.append(now - began)
        actions = actions_of(server.handle(Due(), now))
        assert actions == [KillForkServer(generation), StartForkServer(generation + 1)]
        server.handle(ForkServerExited(generation, "killed by signal 9"), now)
        generation += 1
    assert replaced_after == [SLOW_LOAD, 2 * SLOW_LOAD, 4 * SLOW_LOAD, 8 * SLOW_LOAD]
    server.handle(ForkServerFailed(generation, "SyntaxError"), now)
    server.handle(ReloadRequested(), now)
    assert server.deadline == now + SLOW_LOAD


def test_a_stop_cancels_a_reload_that_waits_for_a_slow_load(server):
    """The server loads no code that it will not run."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ReloadRequested(), 1.0)
    server.handle(StopRequested(), 2.0)
    assert actions_of(server.handle(Due(), SLOW_LOAD)) == [ReportSlowLoad(2, SLOW_LOAD)]


# forking


def test_a_fork_that_is_never_reported(loaded):
    """The supervisor kills the fork server and loads the application again, and forks from the new one."""
    loaded.handle(Started(WORKER, 11, 1), 0.1)
    assert loaded.deadline == FORK_TIMEOUT
    assert loaded.handle(Due(), FORK_TIMEOUT - 1) == []
    actions = loaded.handle(Due(), FORK_TIMEOUT)
    assert actions_of(actions) == [KillForkServer(1), StartForkServer(2)]
    assert log_of(actions)[0][0] == logging.ERROR
    assert "mule1 was not forked within 30 s" in log_of(actions)[0][1]
    assert loaded.handle(ForkServerExited(1, "killed by signal 9"), 30.1) == []
    assert loaded.handle(ForkServerReady(2), 31.0) == [Activate(2), Drain(11), Fork(2, MULE)]


def test_two_forks_that_are_never_reported_are_one_failure(loaded):
    """The fork server is killed once, and the application loaded once."""
    assert actions_of(loaded.handle(Due(), FORK_TIMEOUT)) == [KillForkServer(1), StartForkServer(2)]
    assert loaded.handle(ForkServerReady(2), 31.0) == [Activate(2), Fork(2, WORKER), Fork(2, MULE)]


def test_a_fork_that_an_old_fork_server_never_reports(loaded):
    """The current fork server forks the process instead. It does not wait as long as without a successor."""
    loaded.handle(Started(WORKER, 11, 1), 0.1)
    loaded.handle(ReloadRequested(), 1.0)
    assert loaded.handle(ForkServerReady(2), 2.0) == [Activate(2), Drain(11)]
    assert loaded.deadline == OLD_FORK_TIMEOUT
    assert loaded.handle(Due(), OLD_FORK_TIMEOUT - 0.1) == []
    actions = loaded.handle(Due(), OLD_FORK_TIMEOUT)
    assert actions_of(actions) == [KillForkServer(1), Fork(2, MULE)]
    assert log_of(actions) == [
        (logging.WARNING, "The fork server of generation 1 has not forked mule1 in time, killing it")
    ]


def test_a_fork_that_has_taken_long_when_new_code_is_ready(loaded):
    """The new fork server forks the process at once."""
    loaded.handle(ReloadRequested(), 20.0)
    assert loaded.handle(ForkServerReady(2), 25.0) == [Activate(2)]
    assert loaded.deadline == 25.0
    actions = loaded.handle(Due(), 25.0)
    assert actions_of(actions) == [KillForkServer(1), Fork(2, WORKER), Fork(2, MULE)]
    assert len(log_of(actions)) == 1
    assert loaded.deadline == 25.0 + FORK_TIMEOUT


def test_a_process_that_an_old_fork_server_forks_in_time_is_used(loaded):
    """The report comes after the new code is ready. The process is replaced as usual."""
    loaded.handle(Started(WORKER, 11, 1), 0.1)
    loaded.handle(ReloadRequested(), 1.0)
    loaded.handle(ForkServerReady(2), 2.0)
    assert actions_of(loaded.handle(Started(MULE, 12, 1), 4.0)) == [Drain(12)]
    assert loaded.handle(Due(), OLD_FORK_TIMEOUT) == []


def test_a_fork_that_is_reported_late_counts(loaded):
    """The report and the kill crossed: the process that there is, is used."""
    loaded.handle(Started(WORKER, 11, 1), 0.1)
    loaded.handle(Due(), FORK_TIMEOUT)
    assert loaded.handle(Started(MULE, 12, 1), FORK_TIMEOUT) == []
    assert loaded.handle(ForkServerReady(2), 31.0) == [Activate(2), Drain(11), Drain(12)]


def test_a_second_process_in_the_same_place_is_killed(server):
    """Two processes would share an in-flight buffer."""
    actions = server.handle(Started(MULE, 13, 1), 1.0)
    assert actions_of(actions) == [Kill(13)]
    assert server.pids() == {WORKER: 11, MULE: 12}


def test_a_fork_that_fails_is_tried_again(server):
    """After a delay that doubles: the machine may have too many processes, or no memory, for a while."""
    server.handle(Exited(MULE, "exit code 64", expected=True), 5.0)
    actions = server.handle(ForkFailed(MULE, 1, "Resource temporarily unavailable"), 5.1)
    assert actions_of(actions) == []
    assert log_of(actions)[0] == (
        logging.ERROR,
        "Cannot fork mule1 (Resource temporarily unavailable), trying again in 0.05 s",
    )
    assert server.deadline == 5.1 + INITIAL_BACKOFF
    assert server.handle(Due(), 6.0) == [Fork(1, MULE)]
    server.handle(ForkFailed(MULE, 1, "no memory"), 6.1)
    assert server.deadline == 6.1 + 2 * INITIAL_BACKOFF
    assert server.handle(Due(), 7.0) == [Fork(1, MULE)]
    assert server.handle(ForkFailed(MULE, 2, "of another generation"), 7.1) == []
    assert server.handle(ForkFailed(WORKER, 1, "of a process that runs"), 7.2) == []
    assert server.handle(Started(MULE, 13, 1), 7.3)[0].level == logging.INFO
    assert server.deadline == math.inf


# fork servers that were told to exit


def test_a_fork_server_that_does_not_exit_is_killed(server):
    """After the graceful timeout, and the log names it."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 1.0)
    for process, pid in ((WORKER, 21), (MULE, 22)):
        server.handle(Exited(process, "exit code 64", expected=True), 2.0)
        server.handle(Started(process, pid, 2), 2.0)
    assert server.deadline == 2.0 + GRACEFUL_TIMEOUT
    actions = server.handle(Due(), 22.0)
    assert actions_of(actions) == [KillForkServer(1)]
    assert log_of(actions)[0] == (
        logging.WARNING,
        "Fork server of generation 1 did not exit within the graceful timeout, killing it",
    )
    assert server.deadline == 22.0 + KILL_TIMEOUT
    assert server.handle(Due(), 22.0 + KILL_TIMEOUT) == []
    assert (server.deadline, server.all_running) == (math.inf, True)


def test_a_fork_server_is_stopped_in_the_end_if_its_process_survives_sigkill(server):
    """It waits for its last process, but not for ever."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 1.0)
    for seconds in (GRACEFUL_TIMEOUT, GRACEFUL_TIMEOUT + KILL_TIMEOUT):
        stopped = StopForkServer(1) in server.handle(Due(), 1.0 + seconds)
    assert stopped


# processes that were killed


def test_a_process_that_survives_sigkill_is_killed_again(server):
    """For example one that waits for a dead network file system. It is not replaced while it exists."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 0.0)
    server.handle(ForkServerExited(1, "exit code 0"), 0.1)
    server.handle(Exited(WORKER, "exit code 64", expected=True), 1.0)
    server.handle(Started(WORKER, 21, 2), 1.0)
    assert actions_of(server.handle(Due(), GRACEFUL_TIMEOUT)) == [Kill(12)]
    actions = server.handle(Due(), GRACEFUL_TIMEOUT + KILL_TIMEOUT)
    assert actions_of(actions) == [Kill(12)]
    assert log_of(actions) == [(logging.ERROR, "mule1 (pid 12) still exists 30 s after SIGKILL")]
    assert server.deadline == GRACEFUL_TIMEOUT + 2 * KILL_TIMEOUT
    assert actions_of(server.handle(Exited(MULE, "killed by signal 9"), 60.0)) == [Fork(2, MULE)]


def test_a_stop_does_not_wait_for_a_process_that_survives_sigkill(server):
    """The supervisor logs it and finishes."""
    server.handle(StopRequested(), 0.0)
    server.handle(Idle(), 0.1)
    server.handle(Exited(WORKER, "exit code 64", expected=True), 0.2)
    assert actions_of(server.handle(Due(), GRACEFUL_TIMEOUT)) == [Kill(12)]
    actions = server.handle(Due(), GRACEFUL_TIMEOUT + KILL_TIMEOUT)
    assert actions_of(actions) == [StopForkServer(1), Finish(0)]
    assert "mule1 (pid 12) still exists 30 s after SIGKILL, stopping without it" in log_of(actions)[0][1]
