"""Start, replaced processes, reload and stop of a server: scripted histories, then any history at all.

The loss of fork servers is in `test_supervisor_losses.py`, deadlines are in `test_supervisor_deadlines.py`.
"""

import logging
import math
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliograph._core.supervision.actions import (
    Activate,
    Drain,
    Finish,
    Fork,
    Kill,
    KillForkServer,
    Log,
    Ready,
    ReloadCommand,
    ReloadComplete,
    ReloadFailed,
    StartCommand,
    StartForkServer,
    StopForkServer,
)
from heliograph._core.supervision.children import (
    FORK_TIMEOUT,
    INITIAL_BACKOFF,
    KILL_TIMEOUT,
    MAX_BACKOFF,
    MIN_UPTIME,
    command_policy,
)
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkServerExited,
    ForkServerFailed,
    ForkServerReady,
    Idle,
    ProcessReady,
    ReloadRequested,
    Started,
    StartRequested,
    StopRequested,
)
from heliograph._core.supervision.loads import SLOW_LOAD
from heliograph._core.supervision.stopping import LAST_DRAIN, STOP_DEBOUNCE
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.models import Identity, Topology

WORKER, MULE = Identity("worker", 1), Identity("mule", 1)
SERVER = Topology(workers=1, mules=1)
GRACEFUL_TIMEOUT = 30.0
NEVER = math.inf


def actions_of(actions):
    """Return the actions without log lines."""
    return [action for action in actions if not isinstance(action, Log)]


def log_of(actions):
    """Return level and text of the log lines."""
    return [(action.level, action.text) for action in actions if isinstance(action, Log)]


@pytest.fixture
def new():
    """Return a supervisor to which nothing has happened."""
    return Supervisor(SERVER, graceful_timeout=GRACEFUL_TIMEOUT)


@pytest.fixture
def loaded(new):
    """Return one whose first fork server is ready at 0, and forks."""
    new.handle(StartRequested(), 0.0)
    new.handle(ForkServerReady(1), 0.0)
    return new


@pytest.fixture
def server(loaded):
    """Return one whose worker (pid 11) and mule (pid 12) run since 0."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(Started(MULE, 12, 1), 0.0)
    assert loaded.all_running
    return loaded


# start


def test_a_start(new):
    """The application is loaded, then every process is forked, in the order of the topology. Then nothing is due."""
    assert new.handle(StartRequested(), 0.0) == [StartForkServer(1)]
    assert (new.loading, new.all_running, new.deadline) == (True, False, SLOW_LOAD)
    assert new.handle(ForkServerReady(1), 5.0) == [Activate(1), Fork(1, WORKER), Fork(1, MULE)]
    assert (new.loading, new.forking, new.generation) == (False, True, 1)
    assert new.handle(Started(WORKER, 11, 1), 5.1) == []
    assert (new.all_running, new.pids(), new.identity_of(11), new.identity_of(12)) == (
        False,
        {WORKER: 11},
        WORKER,
        None,
    )
    assert new.handle(Started(MULE, 12, 1), 5.2) == []
    assert (new.all_running, new.forking, new.deadline) == (True, False, NEVER)
    assert new.handle(Due(), 1e9) == []


@pytest.mark.parametrize("reported", [True, False])
def test_an_application_that_does_not_load_ends_the_start(new, reported):
    """The exit code is 2, and the log gives the reason: the fork server reported it, or exited."""
    new.handle(StartRequested(), 0.0)
    actions = new.handle(ForkServerFailed(1, "SyntaxError" if reported else "exit code 1"), 1.0)
    assert actions_of(actions) == [Finish(2)]
    assert log_of(actions)[0][0] == logging.ERROR
    assert ("SyntaxError" if reported else "exit code 1") in log_of(actions)[0][1]


def test_a_server_without_processes_stops_at_once(new):
    """It has nothing to wait for."""
    empty = Supervisor(Topology())
    empty.handle(StartRequested(), 0.0)
    assert empty.handle(ForkServerReady(1), 0.0) == [Activate(1), Ready()]
    assert empty.all_running
    assert actions_of(empty.handle(StopRequested(), 1.0)) == [StopForkServer(1), Finish(0)]


# crashes


def test_a_process_that_exits_is_restarted_at_once(server):
    """It had started well. The log says how it exited."""
    actions = server.handle(Exited(MULE, "killed by signal 9"), MIN_UPTIME)
    assert actions_of(actions) == [Fork(1, MULE)]
    assert log_of(actions) == [(logging.WARNING, "mule1 exited (killed by signal 9), restarting")]
    assert server.pids() == {WORKER: 11}


@pytest.mark.parametrize("lived", [0.0, 0.5, 100.0])
def test_a_process_that_exits_to_be_replaced_did_not_fail(server, lived):
    """It is restarted without a delay and without a warning, however early it exits."""
    assert server.handle(Exited(MULE, "exit code 64", expected=True), lived) == [Fork(1, MULE)]


def crash(server, pid, now):
    """Let the mule be forked and exit at once. Return the delay until it is forked again."""
    server.handle(Started(MULE, pid, 1), now)
    actions = server.handle(Exited(MULE, "exit code 1"), now)
    assert actions_of(actions) == []
    assert log_of(actions)[0][0] == logging.WARNING
    return server.deadline - now


def test_a_crash_loop_is_slowed_down(loaded):
    """The delay doubles up to ten seconds, and the others keep running. A good start resets it."""
    now, pauses = 0.0, []
    loaded.handle(Started(WORKER, 10, 1), 0.0)
    for pid in range(20, 32):
        pauses.append(crash(loaded, pid, now))
        assert loaded.handle(Due(), now + pauses[-1] / 2) == []
        now = loaded.deadline
        assert loaded.handle(Due(), now) == [Fork(1, MULE)]
        assert loaded.deadline == now + FORK_TIMEOUT
    doubled = [min(INITIAL_BACKOFF * 2**n, MAX_BACKOFF) for n in range(12)]
    assert pauses == pytest.approx(doubled)
    loaded.handle(Started(MULE, 40, 1), now)
    assert loaded.deadline == NEVER
    assert actions_of(loaded.handle(Exited(MULE, "exit code 1"), now + MIN_UPTIME)) == [Fork(1, MULE)]
    assert crash(loaded, 41, now + 2) == pytest.approx(INITIAL_BACKOFF)


def test_each_process_has_its_own_delay(loaded):
    """The process that is due first is forked first."""
    loaded.handle(Started(WORKER, 10, 1), 0.0)
    crash(loaded, 20, 0.0)
    loaded.handle(Due(), INITIAL_BACKOFF)
    crash(loaded, 21, INITIAL_BACKOFF)
    loaded.handle(Exited(WORKER, "exit code 1"), INITIAL_BACKOFF)
    assert loaded.handle(Due(), 2 * INITIAL_BACKOFF) == [Fork(1, WORKER)]
    assert loaded.handle(Due(), 3 * INITIAL_BACKOFF) == [Fork(1, MULE)]


# reload


def test_a_reload(server):
    """A new fork server loads the application. When it is ready, the processes drain and are replaced one by one."""
    assert actions_of(server.handle(ReloadRequested(), 0.0)) == [StartForkServer(2)]
    assert server.loading
    assert actions_of(server.handle(Exited(MULE, "killed"), 5.0)) == [Fork(1, MULE)]
    server.handle(Started(MULE, 13, 1), 5.1)
    assert server.handle(ForkServerReady(2), 6.0) == [Activate(2), Drain(11), Drain(13)]
    assert (server.generation, server.all_running, server.deadline) == (2, False, 6.0 + GRACEFUL_TIMEOUT)
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 7.0) == [Fork(2, WORKER)]
    server.handle(Started(WORKER, 21, 2), 7.1)
    assert not server.all_running
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 8.0) == [Fork(2, MULE), StopForkServer(1)]
    server.handle(Started(MULE, 22, 2), 8.1)
    assert (server.all_running, server.deadline) == (True, 8.0 + GRACEFUL_TIMEOUT)
    assert server.handle(ForkServerExited(1, "exit code 0"), 8.2) == []
    assert server.deadline == NEVER


def test_a_reload_that_fails_changes_nothing(server):
    """The old processes keep running, the log gives the reason, and the next reload may succeed."""
    server.handle(ReloadRequested(), 0.0)
    actions = server.handle(ForkServerFailed(2, "SyntaxError: line 5"), 5.0)
    assert actions_of(actions) == [ReloadFailed(2, "SyntaxError: line 5")]
    assert log_of(actions) == [(logging.ERROR, "Reload failed, keeping the old code: SyntaxError: line 5")]
    assert server.handle(ForkServerExited(2, "exit code 1"), 5.1) == []
    assert (server.all_running, server.loading, server.deadline) == (True, False, NEVER)
    assert actions_of(server.handle(ReloadRequested(), 5.1)) == [StartForkServer(3)]
    assert server.handle(ForkServerReady(3), 9.0) == [Activate(3), Drain(11), Drain(12)]


def test_a_reload_while_the_application_is_being_loaded_loads_it_once_more(server):
    """However many reloads are requested in the meantime. The code that is being loaded is used until then."""
    server.handle(ReloadRequested(), 0.0)
    for now in (0.1, 0.2):
        actions = server.handle(ReloadRequested(), now)
        assert actions_of(actions) == []
        assert "loading it once more" in log_of(actions)[0][1]
    actions = server.handle(ForkServerReady(2), 1.0)
    assert actions_of(actions) == [Activate(2), Drain(11), Drain(12), StartForkServer(3)]
    assert log_of(actions) == [(logging.INFO, "Reloading (generation 3)")]
    actions = server.handle(ForkServerReady(3), 2.0)
    assert actions == [Activate(3), StopForkServer(2)]
    assert not server.loading


def test_a_reload_that_fails_is_tried_once_more_if_another_was_requested(server):
    """The code may have been repaired since the load began."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ReloadRequested(), 0.1)
    actions = server.handle(ForkServerFailed(2, "SyntaxError"), 1.0)
    assert actions_of(actions) == [ReloadFailed(2, "SyntaxError"), StartForkServer(3)]
    assert actions_of(server.handle(ForkServerFailed(3, "SyntaxError"), 2.0)) == [ReloadFailed(3, "SyntaxError")]
    assert not server.loading


def test_a_stop_cancels_the_second_load(server):
    """The server loads no code that it will not run."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ReloadRequested(), 0.1)
    server.handle(StopRequested(), 0.2)
    assert actions_of(server.handle(ForkServerReady(2), 1.0)) == [Activate(2)]


def test_the_reports_of_a_start_and_a_reload(server):
    """The server is ready, and a reload complete, when every process has reported that it receives signals."""
    assert server.handle(ProcessReady(WORKER), 0.5) == []
    assert server.handle(ProcessReady(MULE), 0.6) == [Ready()]
    assert server.handle(ProcessReady(MULE), 0.7) == []
    assert log_of(server.handle(ReloadRequested(), 1.0)) == [(logging.INFO, "Reloading (generation 2)")]
    server.handle(ForkServerReady(2), 2.0)
    for process, pid in ((WORKER, 21), (MULE, 22)):
        server.handle(Exited(process, "exit code 64", expected=True), 2.1)
        assert server.handle(ProcessReady(process), 2.1) == []
        assert "old pid" in log_of(server.handle(Started(process, pid, 2), 2.2))[0][1]
    assert server.handle(ProcessReady(WORKER), 2.3) == []
    assert server.handle(ProcessReady(MULE), 2.5) == [ReloadComplete(2, 1.5)]


def test_a_reload_before_the_server_is_ready(loaded):
    """Both are reported when the newest code runs."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(ReloadRequested(), 1.0)
    loaded.handle(Started(MULE, 12, 1), 1.1)
    for process in (WORKER, MULE):
        assert loaded.handle(ProcessReady(process), 1.2) == []
    loaded.handle(ForkServerReady(2), 2.0)
    for process, pid in ((WORKER, 21), (MULE, 22)):
        loaded.handle(Exited(process, "exit code 64", expected=True), 2.1)
        loaded.handle(Started(process, pid, 2), 2.2)
    loaded.handle(ProcessReady(WORKER), 2.3)
    assert loaded.handle(ProcessReady(MULE), 3.0) == [Ready(), ReloadComplete(2, 2.0)]


def test_a_reload_while_the_last_one_drains(server):
    """Processes that still drain go on draining, and are forked from the newest fork server."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 5.0)
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 5.1) == [Fork(2, WORKER)]
    server.handle(Started(WORKER, 21, 2), 5.2)
    assert actions_of(server.handle(ReloadRequested(), 5.2)) == [StartForkServer(3)]
    assert server.handle(ForkServerReady(3), 6.0) == [Activate(3), Drain(21)]
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 6.1) == [Fork(3, MULE), StopForkServer(1)]
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 6.2) == [Fork(3, WORKER), StopForkServer(2)]


def test_a_reload_while_stopping_is_ignored(server):
    """The log says so."""
    server.handle(StopRequested(), 5.0)
    actions = server.handle(ReloadRequested(), 5.0)
    assert actions_of(actions) == []
    assert log_of(actions)[0][0] == logging.WARNING


def test_a_process_that_does_not_drain_is_killed(server):
    """After the graceful timeout, not before. Then it is replaced."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 5.0)
    server.handle(ForkServerExited(1, "exit code 0"), 5.1)
    server.handle(Exited(WORKER, "exit code 64", expected=True), 6.0)
    server.handle(Started(WORKER, 21, 2), 6.0)
    assert server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT - 0.01) == []
    actions = server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT)
    assert actions_of(actions) == [Kill(12)]
    assert "mule1 (pid 12)" in log_of(actions)[0][1]
    assert server.deadline == 5.0 + GRACEFUL_TIMEOUT + KILL_TIMEOUT
    assert server.handle(Exited(MULE, "killed by signal 9"), 35.1) == [Fork(2, MULE)]


def test_a_process_that_crashes_while_it_drains_is_replaced(server):
    """It exits on command: there is no delay and no warning."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 0.1)
    assert server.handle(Exited(MULE, "killed by signal 11"), 0.2) == [Fork(2, MULE)]


def test_a_process_that_is_forked_from_the_old_code_drains(server):
    """The fork was requested before the new code was ready."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(Exited(MULE, "killed"), 5.0)
    assert server.handle(ForkServerReady(2), 5.1) == [Activate(2), Drain(11)]
    assert actions_of(server.handle(Started(MULE, 13, 1), 5.2)) == [Drain(13)]
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 5.3) == [Fork(2, MULE)]


def test_a_crash_loop_ends_with_new_code(loaded):
    """A reload does not wait for the delay, and resets it."""
    crash(loaded, 20, 0.0)
    loaded.handle(ReloadRequested(), 0.0)
    assert Fork(2, MULE) in loaded.handle(ForkServerReady(2), 0.01)
    loaded.handle(Started(MULE, 21, 2), 0.02)
    loaded.handle(Exited(MULE, "exit code 1"), 0.03)
    assert loaded.deadline == pytest.approx(0.03 + INITIAL_BACKOFF)


def test_a_fork_server_that_is_ready_too_late_is_stopped(server):
    """Its load was given up."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerExited(2, "killed"), 5.0)
    assert server.handle(ForkServerReady(2), 5.1) == [StopForkServer(2)]


# stop


def test_a_stop(server):
    """Queued signals are handled, the processes drain, then the fork server and the master exit."""
    actions = server.handle(StopRequested(), 5.0)
    assert actions_of(actions) == []
    assert (server.stopping, server.draining_queues) == (True, True)
    assert server.deadline == 5.0 + LAST_DRAIN * GRACEFUL_TIMEOUT
    assert server.handle(Idle(), 5.0) == [Drain(11), Drain(12)]
    assert (server.draining_queues, server.deadline) == (False, 5.0 + GRACEFUL_TIMEOUT)
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 6.0) == []
    assert server.handle(Exited(MULE, "killed"), 6.1) == [StopForkServer(1), Finish(0)]


def test_idle_means_nothing_while_the_server_runs(server):
    """A server may have nothing to do."""
    assert server.handle(Idle(), 0.0) == []
    assert server.all_running


def test_a_stop_while_the_application_is_loaded_for_the_first_time(new):
    """No process runs yet: the server exits at once."""
    new.handle(StartRequested(), 0.0)
    assert actions_of(new.handle(StopRequested(), 1.0)) == [StopForkServer(1), Finish(0)]


def test_a_stop_during_a_reload(server):
    """Both fork servers exit at the end."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(StopRequested(), 5.0)
    server.handle(Idle(), 5.0)
    server.handle(Exited(WORKER, "exit code 64", expected=True), 5.1)
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 5.2) == [
        StopForkServer(1),
        StopForkServer(2),
        Finish(0),
    ]


def test_new_code_that_is_ready_while_stopping(server):
    """Processes that exit are forked from it. The others run until the queues are empty."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(StopRequested(), 5.0)
    assert server.handle(ForkServerReady(2), 5.1) == [Activate(2)]
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 5.2) == [Fork(2, MULE)]


def test_a_stop_while_forking(loaded):
    """The stop waits for the process that is being forked, which works until the queues are empty."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(StopRequested(), 0.1)
    assert loaded.handle(Started(MULE, 12, 1), 0.2) == []
    assert loaded.handle(Idle(), 0.2) == [Drain(11), Drain(12)]


def test_a_fork_server_that_dies_while_forking_and_stopping(loaded):
    """The stop does not wait for a process that will not be forked."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(StopRequested(), 0.1)
    loaded.handle(Idle(), 0.1)
    assert loaded.handle(ForkServerExited(1, "killed"), 0.2) == []
    assert Finish(0) in loaded.handle(Exited(WORKER, "exit code 64", expected=True), 0.3)


def test_a_stop_that_processes_do_not_obey(server):
    """The graceful timeout counts from the stop, also for processes that began to drain later."""
    server.handle(StopRequested(), 5.0)
    server.handle(Idle(), 5.0 + GRACEFUL_TIMEOUT - 0.01)
    assert server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT - 0.01) == []
    assert actions_of(server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT)) == [Kill(11), Kill(12)]
    assert server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT) == []
    server.handle(Exited(WORKER, "killed"), 35.1)
    assert server.handle(Exited(MULE, "killed"), 35.2)[-1] == Finish(0)


def test_two_stops_at_the_same_moment_are_one(server):
    """`timeout` sends SIGTERM twice."""
    server.handle(StopRequested(), 5.0)
    assert server.handle(StopRequested(), 5.0 + STOP_DEBOUNCE / 2) == []
    assert server.deadline == 5.0 + LAST_DRAIN * GRACEFUL_TIMEOUT


def test_processes_drain_shortly_before_the_graceful_timeout(server):
    """Signals are queued to the end. A process gets SIGTERM first, so that it can end its handler and exit."""
    server.handle(StopRequested(), 5.0)
    assert server.handle(Due(), 31.9) == []
    actions = server.handle(Due(), 32.0)
    assert actions_of(actions) == [Drain(11), Drain(12)]
    assert log_of(actions) == [
        (
            logging.WARNING,
            "Signals are still queued or running 27 s after the stop was requested, stopping all processes now",
        )
    ]
    assert (server.draining_queues, server.deadline) == (False, 5.0 + GRACEFUL_TIMEOUT)
    assert actions_of(server.handle(Exited(WORKER, "exit code 64", expected=True), 33.0)) == []
    assert actions_of(server.handle(Due(), 35.0)) == [Kill(12)]


def test_a_second_stop_kills_at_once(server):
    """There is no graceful timeout any more, so the log names no process that did not exit within it."""
    server.handle(StopRequested(), 5.0)
    assert log_of(server.handle(StopRequested(), 6.0)) == [(logging.INFO, "Stopping immediately")]
    assert server.deadline == 6.0
    actions = server.handle(Due(), 6.0)
    assert actions_of(actions) == [Kill(11), Kill(12)]
    assert log_of(actions) == [
        (logging.INFO, "Killing worker1 (pid 11)"),
        (logging.INFO, "Killing mule1 (pid 12)"),
    ]


@pytest.mark.parametrize("stopping", [False, True])
def test_a_stop_at_once(server, stopping):
    """SIGQUIT needs no second signal, and counts right after another stop."""
    if stopping:
        server.handle(StopRequested(), 5.0)
    assert log_of(server.handle(StopRequested(immediately=True), 5.01)) == [(logging.INFO, "Stopping immediately")]
    assert actions_of(server.handle(Due(), 5.01)) == [Kill(11), Kill(12)]
    server.handle(Exited(WORKER, "killed"), 5.1)
    assert server.handle(Exited(MULE, "killed"), 5.2)[-1] == Finish(0)


@pytest.mark.parametrize(
    ("graceful_timeout", "drained_after"), [(30.0, 27.0), (10.0, 9.0), (5.0, 4.0), (4.0, 3.0), (1.0, 0.75)]
)
def test_processes_have_a_second_to_exit(graceful_timeout, drained_after):
    """Otherwise idle processes on a busy machine do not exit in time after a short graceful timeout."""
    server = Supervisor(SERVER, graceful_timeout=graceful_timeout)
    server.handle(StartRequested(), 0.0)
    server.handle(ForkServerReady(1), 0.0)
    server.handle(Started(WORKER, 11, 1), 0.0)
    server.handle(Started(MULE, 12, 1), 0.0)
    server.handle(StopRequested(), 0.0)
    assert server.deadline == pytest.approx(drained_after)
    assert actions_of(server.handle(Due(), server.deadline)) == [Drain(11), Drain(12)]
    assert server.deadline == graceful_timeout


@pytest.mark.parametrize("stopping", [False, True])
def test_an_old_fork_server_that_dies_before_it_has_forked(loaded, stopping):
    """New code was ready in the meantime: the new fork server forks instead."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(ReloadRequested(), 0.0)
    assert loaded.handle(ForkServerReady(2), 1.0) == [Activate(2), Drain(11)]
    if stopping:
        loaded.handle(StopRequested(), 1.1)
    assert loaded.handle(ForkServerExited(1, "killed"), 1.2) == [Fork(2, MULE)]


def test_a_fork_server_that_hangs_while_it_forks_does_not_delay_the_end(loaded):
    """The supervisor gives it up after the graceful timeout, or at a second stop."""
    loaded.handle(StopRequested(), 1.0)
    assert loaded.handle(Due(), 1.0 + LAST_DRAIN * GRACEFUL_TIMEOUT) == []
    assert loaded.deadline == FORK_TIMEOUT
    loaded.handle(StopRequested(), 29.0)
    assert loaded.deadline == 29.0
    assert loaded.handle(Due(), 29.0)[-1] == Finish(0)


# any history


class AnyHistory(RuleBasedStateMachine):
    """A server as its master sees it. Everything that can happen does, in any order."""

    commands: ClassVar = {}

    def __init__(self):
        super().__init__()
        self.supervisor = Supervisor(Topology(workers=2, mules=1), GRACEFUL_TIMEOUT, self.commands)
        self.now, self.pid = 0.0, 100
        self.fork_servers: dict[int, str] = {}
        self.commanded: list[tuple[int, Identity]] = []
        self.processes: dict[int, Identity] = {}
        self.killed: dict[int, float] = {}
        self.finished: int | None = None
        self.requested = 0
        self.carry_out(self.supervisor.handle(StartRequested(), self.now))

    def carry_out(self, actions):  # noqa: C901 - a table of actions
        """The work of the master. It must be possible."""
        for action in actions:
            assert self.finished is None, "nothing happens after the end"
            match action:
                case StartForkServer(generation):
                    assert generation not in self.fork_servers
                    assert "loading" not in self.fork_servers.values()
                    self.fork_servers[generation] = "loading"
                case StopForkServer(generation):
                    if generation in self.fork_servers:
                        self.fork_servers[generation] = "ending"
                case Fork(generation, process):
                    assert self.fork_servers.get(generation) == "ready"
                    assert process not in self.processes.values(), "one process in each place"
                    assert process not in [other for _, other in self.commanded], "one process in each place"
                    self.commanded.append((generation, process))
                case KillForkServer(generation):
                    if generation in self.fork_servers:
                        self.fork_servers[generation] = "killed"
                        self.commanded = [(of, process) for of, process in self.commanded if of != generation]
                case StartCommand(process):
                    assert process not in self.processes.values(), "one process in each place"
                    self.start_command(process)
                case Drain(pid) | ReloadCommand(pid):
                    assert pid in self.processes
                case Kill(pid):
                    assert pid in self.processes
                    self.killed.setdefault(pid, self.now)
                case Finish(code):
                    assert all(self.now >= self.killed[pid] + KILL_TIMEOUT for pid in self.processes)
                    self.finished = code

    def fork_servers_that(self, *states):
        return [generation for generation, state in self.fork_servers.items() if state in states]

    def report_fork(self, generation, process):
        self.commanded.remove((generation, process))
        self.pid += 1
        self.processes[self.pid] = process
        self.carry_out(self.supervisor.handle(Started(process, self.pid, generation), self.now))

    def start_command(self, process):
        self.pid += 1
        self.processes[self.pid] = process
        self.carry_out(self.supervisor.handle(Started(process, self.pid, self.supervisor.generation), self.now))

    def end(self, pid, expected, code=0):
        exited = Exited(self.processes.pop(pid), "ended", expected=expected, code=code)
        self.carry_out(self.supervisor.handle(exited, self.now))

    def lose_fork_server(self, generation):
        del self.fork_servers[generation]
        self.commanded = [(of, process) for of, process in self.commanded if of != generation]
        self.carry_out(self.supervisor.handle(ForkServerExited(generation, "ended"), self.now))

    def load(self, generation):
        self.fork_servers[generation] = "ready"
        self.carry_out(self.supervisor.handle(ForkServerReady(generation), self.now))

    @precondition(lambda self: self.finished is None and self.fork_servers_that("loading"))
    @rule(data=st.data(), expected=st.booleans())
    def the_load_ends(self, data, expected):
        generation = data.draw(st.sampled_from(self.fork_servers_that("loading")))
        if expected:
            self.load(generation)
        else:
            self.fork_servers[generation] = "failed"
            self.carry_out(self.supervisor.handle(ForkServerFailed(generation, "SyntaxError"), self.now))

    @precondition(lambda self: self.finished is None and self.fork_servers)
    @rule(data=st.data())
    def a_fork_server_exits(self, data):
        """It is killed, or exits on command. It has reported everything that it has forked.

        On the command to exit it first carries out the forks that were requested before.
        """
        generation = data.draw(st.sampled_from(sorted(self.fork_servers)))
        if self.fork_servers[generation] == "ending":
            for of, process in list(self.commanded):
                if of == generation:
                    self.report_fork(of, process)
        if self.finished is None:
            self.lose_fork_server(generation)

    @precondition(lambda self: self.finished is None and self.commanded)
    @rule(data=st.data())
    def a_fork_is_reported(self, data):
        self.report_fork(*data.draw(st.sampled_from(self.commanded)))

    @precondition(lambda self: self.finished is None and self.processes)
    @rule(data=st.data(), expected=st.booleans())
    def a_process_ends(self, data, expected):
        self.end(data.draw(st.sampled_from(sorted(self.processes))), expected)

    @precondition(lambda self: self.finished is None)
    @rule(seconds=st.sampled_from([0.0, 0.01, 0.1, 2.0, 10.0, 60.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.carry_out(self.supervisor.handle(Due(), self.now))

    @precondition(lambda self: self.finished is None)
    @rule()
    def reload(self):
        loading = max(self.fork_servers_that("loading"), default=0)
        self.carry_out(self.supervisor.handle(ReloadRequested(), self.now))
        if self.finished is None and not self.supervisor.stopping:
            self.requested = self.supervisor.requested_generation
            assert self.requested > loading, "a load that began before a request does not answer it"

    @precondition(lambda self: self.finished is None)
    @rule(immediately=st.booleans())
    def stop(self, immediately):
        self.carry_out(self.supervisor.handle(StopRequested(immediately), self.now))

    @precondition(lambda self: self.finished is None and self.supervisor.draining_queues)
    @rule()
    def all_queues_are_empty(self):
        self.carry_out(self.supervisor.handle(Idle(), self.now))

    @precondition(lambda self: self.finished is not None)
    @rule()
    def it_is_over(self):
        """Nothing happens to a server that has exited."""

    @invariant()
    def knows_the_processes(self):
        """The supervisor knows exactly the processes that exist."""
        if self.finished is not None:
            return
        given_up = [pid for pid, when in self.killed.items() if self.now >= when + KILL_TIMEOUT]
        processes = {pid: process for pid, process in self.processes.items() if pid not in given_up}
        assert self.supervisor.pids().items() >= {process: pid for pid, process in processes.items()}.items()
        assert self.supervisor.pids().items() <= {process: pid for pid, process in self.processes.items()}.items()
        assert {self.supervisor.identity_of(pid) for pid in processes} == set(processes.values())

    @invariant()
    def has_nothing_to_do_before_its_deadline(self):
        """And nothing is left to do at a time that has passed."""
        if self.finished is None and self.now < self.supervisor.deadline:
            assert self.supervisor.handle(Due(), self.now) == []

    def finish_running_steps(self):
        """Let everything that is under way finish well."""
        for _ in range(200):
            if self.finished is not None:
                return
            if loading := self.fork_servers_that("loading"):
                self.load(loading[0])
            elif self.commanded:
                self.report_fork(*self.commanded[0])
            elif drained := [p for p, s in self.states().items() if s in ("draining", "killed")]:
                self.end(drained[0], expected=self.processes[drained[0]].role != "command")
            elif self.supervisor.draining_queues:
                self.carry_out(self.supervisor.handle(Idle(), self.now))
            elif self.supervisor.stopping and self.processes:
                self.end(min(self.processes), expected=True)
            elif self.supervisor.deadline < NEVER:
                self.now = max(self.now, self.supervisor.deadline)
                self.carry_out(self.supervisor.handle(Due(), self.now))
            else:
                return
        raise AssertionError("the steps never end")

    def states(self):
        return {child.pid: child.state for child in self.supervisor._children if child.pid}

    def teardown(self):
        """When nothing more goes wrong, all processes run. A stop then comes to its end."""
        if self.finished is None and not self.supervisor.stopping:
            self.finish_running_steps()
            assert self.supervisor.all_running
            assert self.supervisor.newest_generation >= self.requested
            self.carry_out(self.supervisor.handle(StopRequested(), self.now))
        self.finish_running_steps()
        assert self.finished is not None


class AnyHistoryWithCommands(AnyHistory):
    """A server that runs commands of each policy. Their programs may be missing for a while."""

    commands: ClassVar = {
        Identity("command", name=f"{restart}-{reload}".replace("_", "-")): command_policy(restart, reload)
        for restart, reload in [
            ("always", "replace"),
            ("on_failure", "replace"),
            ("on_failure", "hang_up"),
            ("never", "replace"),
            ("never", "leave"),
        ]
    }
    missing = False

    def start_command(self, process):
        if self.missing:
            self.carry_out(self.supervisor.handle(Exited(process, "cannot start it", code=127), self.now))
        else:
            super().start_command(process)

    @rule(missing=st.booleans())
    def the_programs_change(self, missing):
        self.missing = missing

    @precondition(lambda self: self.finished is None and self.commands_that_run())
    @rule(data=st.data(), code=st.sampled_from([0, 1, -9]))
    def a_command_ends(self, data, code):
        self.end(data.draw(st.sampled_from(self.commands_that_run())), expected=False, code=code)

    def commands_that_run(self):
        return sorted(pid for pid, process in self.processes.items() if process.role == "command")

    def finish_running_steps(self):
        """In the end, the commands run that have not ended."""
        self.missing = False
        super().finish_running_steps()
        if self.finished is None:
            commands = {process for process in self.supervisor.expected_processes if process.role == "command"}
            assert {self.processes[pid] for pid in self.commands_that_run()} == commands
            assert Identity("command", name="always-replace") in commands

    @invariant()
    def commands_that_have_ended_are_not_missing(self):
        """The supervisor expects all others."""
        if self.finished is None:
            assert {self.processes[pid] for pid in self.commands_that_run()} <= set(self.supervisor.expected_processes)


AnyHistoryWithCommands.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyHistoryWithCommands = AnyHistoryWithCommands.TestCase
AnyHistory.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyHistory = AnyHistory.TestCase


def test_a_second_stop_does_not_shorten_the_time_of_a_killed_process():
    """It has KILL_TIMEOUT seconds to exit after SIGKILL, and the server waits for it."""
    state = AnyHistory()
    state.load(1)
    state.carry_out(state.supervisor.handle(StopRequested(), state.now))
    state.report_fork(1, Identity("worker", 1))
    state.now += 60.0
    state.carry_out(state.supervisor.handle(Due(), state.now))
    state.carry_out(state.supervisor.handle(StopRequested(), state.now))
    state.carry_out(state.supervisor.handle(Due(), state.now))
    assert state.finished is None
    state.teardown()
