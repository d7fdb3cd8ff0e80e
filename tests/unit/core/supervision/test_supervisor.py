"""How a server starts, replaces, reloads and stops: scripted histories, then any history at all. No process, no clock.

How it ends when templates are lost is in `test_supervise_losses.py`.
"""

import logging
import math

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
    ReloadComplete,
    ReloadFailed,
    StartForkServer,
    StopForkServer,
)
from heliograph._core.supervision.children import FORK_TIMEOUT, INITIAL_BACKOFF, KILL_TIMEOUT, MAX_BACKOFF, MIN_UPTIME
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
from heliograph._core.supervision.loads import LOAD_TIMEOUT
from heliograph._core.supervision.stopping import STOP_DEBOUNCE
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.models import Identity, Topology

WORKER, MULE = Identity("worker", 1), Identity("mule", 1)
SERVER = Topology(workers=1, mules=1)
GRACEFUL_TIMEOUT = 30.0
NEVER = math.inf


def deeds(actions):
    """The actions without what is only told."""
    return [action for action in actions if not isinstance(action, Log)]


def told(actions):
    """What is only told, and how loud."""
    return [(action.level, action.text) for action in actions if isinstance(action, Log)]


@pytest.fixture
def new():
    """A supervisor to which nothing has happened."""
    return Supervisor(SERVER, graceful_timeout=GRACEFUL_TIMEOUT)


@pytest.fixture
def loaded(new):
    """One whose first template is ready, at 0, and forks."""
    new.handle(StartRequested(), 0.0)
    new.handle(ForkServerReady(1), 0.0)
    return new


@pytest.fixture
def server(loaded):
    """One whose worker (pid 11) and mule (pid 12) have run since 0."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(Started(MULE, 12, 1), 0.0)
    assert loaded.all_running
    return loaded


# start


def test_a_start(new):
    """The application is loaded, then everybody is forked, in the topology's order; then there is nothing to do."""
    assert new.handle(StartRequested(), 0.0) == [StartForkServer(1)]
    assert (new.loading, new.all_running, new.deadline) == (True, False, LOAD_TIMEOUT)
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
    """With exit code 2, and the reason in the log; whether it said so or just ended."""
    new.handle(StartRequested(), 0.0)
    actions = new.handle(ForkServerFailed(1, "SyntaxError" if reported else "exit code 1"), 1.0)
    assert deeds(actions) == [Finish(2)]
    assert told(actions)[0][0] == logging.ERROR
    assert ("SyntaxError" if reported else "exit code 1") in told(actions)[0][1]


def test_a_server_without_processes_ends_when_it_is_told(new):
    """It has nothing to wait for."""
    empty = Supervisor(Topology())
    empty.handle(StartRequested(), 0.0)
    assert empty.handle(ForkServerReady(1), 0.0) == [Activate(1), Ready()]
    assert empty.all_running
    assert deeds(empty.handle(StopRequested(), 1.0)) == [StopForkServer(1), Finish(0)]


# crashes


def test_who_ends_is_replaced_at_once(server):
    """It had started well: a line in the log says how it ended."""
    actions = server.handle(Exited(MULE, "killed by signal 9"), MIN_UPTIME)
    assert deeds(actions) == [Fork(1, MULE)]
    assert told(actions) == [(logging.WARNING, "mule1 exited (killed by signal 9), restarting")]
    assert server.pids() == {WORKER: 11}


@pytest.mark.parametrize("lived", [0.0, 0.5, 100.0])
def test_who_asked_to_be_replaced_is_no_failure(server, lived):
    """Without a pause and without a word, however early."""
    assert server.handle(Exited(MULE, "exit code 64", expected=True), lived) == [Fork(1, MULE)]


def crash(server, pid, now):
    """The mule is forked, and ends at once; the pause until it is forked again."""
    server.handle(Started(MULE, pid, 1), now)
    actions = server.handle(Exited(MULE, "exit code 1"), now)
    assert deeds(actions) == []
    assert told(actions)[0][0] == logging.WARNING
    return server.deadline - now


def test_a_crash_loop_is_slowed_down(loaded):
    """The pause doubles up to ten seconds; the others go on; a start that goes well begins anew."""
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
    assert deeds(loaded.handle(Exited(MULE, "exit code 1"), now + MIN_UPTIME)) == [Fork(1, MULE)]
    assert crash(loaded, 41, now + 2) == pytest.approx(INITIAL_BACKOFF)


def test_each_process_has_pauses_of_its_own(loaded):
    """The one that is due first is forked first."""
    loaded.handle(Started(WORKER, 10, 1), 0.0)
    crash(loaded, 20, 0.0)
    loaded.handle(Due(), INITIAL_BACKOFF)
    crash(loaded, 21, INITIAL_BACKOFF)
    loaded.handle(Exited(WORKER, "exit code 1"), INITIAL_BACKOFF)
    assert loaded.handle(Due(), 2 * INITIAL_BACKOFF) == [Fork(1, WORKER)]
    assert loaded.handle(Due(), 3 * INITIAL_BACKOFF) == [Fork(1, MULE)]


# reload


def test_a_reload(server):
    """A new template beside the old; when it is ready who runs drains, and is replaced one by one."""
    assert deeds(server.handle(ReloadRequested(), 0.0)) == [StartForkServer(2)]
    assert server.loading
    assert deeds(server.handle(Exited(MULE, "killed"), 5.0)) == [Fork(1, MULE)]
    server.handle(Started(MULE, 13, 1), 5.1)
    assert server.handle(ForkServerReady(2), 6.0) == [Activate(2), StopForkServer(1), Drain(11), Drain(13)]
    assert (server.generation, server.all_running, server.deadline) == (2, False, 6.0 + GRACEFUL_TIMEOUT)
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 7.0) == [Fork(2, WORKER)]
    server.handle(Started(WORKER, 21, 2), 7.1)
    assert not server.all_running
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 8.0) == [Fork(2, MULE)]
    server.handle(Started(MULE, 22, 2), 8.1)
    assert (server.all_running, server.deadline) == (True, 6.0 + GRACEFUL_TIMEOUT)
    assert server.handle(ForkServerExited(1, "exit code 0"), 8.2) == []
    assert server.deadline == NEVER


def test_a_reload_that_fails_changes_nothing(server):
    """The old processes serve, the log says why, and the next may be better. That its process ends is no news."""
    server.handle(ReloadRequested(), 0.0)
    actions = server.handle(ForkServerFailed(2, "SyntaxError: line 5"), 5.0)
    assert deeds(actions) == [ReloadFailed(2, "SyntaxError: line 5")]
    assert told(actions) == [(logging.ERROR, "Reload failed, keeping the old code: SyntaxError: line 5")]
    assert server.handle(ForkServerExited(2, "exit code 1"), 5.1) == []
    assert (server.all_running, server.loading, server.deadline) == (True, False, NEVER)
    assert deeds(server.handle(ReloadRequested(), 5.1)) == [StartForkServer(3)]
    assert server.handle(ForkServerReady(3), 9.0)[1] == StopForkServer(1)


def test_a_reload_while_the_application_is_being_loaded_loads_it_once_more(server):
    """However many reloads are requested in the meantime. The code that is being loaded is used until then."""
    server.handle(ReloadRequested(), 0.0)
    for now in (0.1, 0.2):
        actions = server.handle(ReloadRequested(), now)
        assert deeds(actions) == []
        assert "loading it once more" in told(actions)[0][1]
    actions = server.handle(ForkServerReady(2), 1.0)
    assert deeds(actions) == [Activate(2), StopForkServer(1), Drain(11), Drain(12), StartForkServer(3)]
    assert told(actions) == [(logging.INFO, "Reloading (generation 3)")]
    actions = server.handle(ForkServerReady(3), 2.0)
    assert actions == [Activate(3), StopForkServer(2)]
    assert not server.loading


def test_a_reload_that_fails_is_tried_once_more_if_another_was_requested(server):
    """The code may have been repaired since the load began."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ReloadRequested(), 0.1)
    actions = server.handle(ForkServerFailed(2, "SyntaxError"), 1.0)
    assert deeds(actions) == [ReloadFailed(2, "SyntaxError"), StartForkServer(3)]
    assert deeds(server.handle(ForkServerFailed(3, "SyntaxError"), 2.0)) == [ReloadFailed(3, "SyntaxError")]
    assert not server.loading


def test_a_stop_cancels_the_second_load(server):
    """The server loads no code that it will not run."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ReloadRequested(), 0.1)
    server.handle(StopRequested(), 0.2)
    assert deeds(server.handle(ForkServerReady(2), 1.0)) == [Activate(2), StopForkServer(1)]


def test_the_reports_of_a_start_and_a_reload(server):
    """The server is ready, and a reload complete, when every process has reported that it receives signals."""
    assert server.handle(ProcessReady(WORKER), 0.5) == []
    assert server.handle(ProcessReady(MULE), 0.6) == [Ready()]
    assert server.handle(ProcessReady(MULE), 0.7) == []
    assert told(server.handle(ReloadRequested(), 1.0)) == [(logging.INFO, "Reloading (generation 2)")]
    server.handle(ForkServerReady(2), 2.0)
    for process, pid in ((WORKER, 21), (MULE, 22)):
        server.handle(Exited(process, "exit code 64", expected=True), 2.1)
        assert server.handle(ProcessReady(process), 2.1) == []
        assert "old pid" in told(server.handle(Started(process, pid, 2), 2.2))[0][1]
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
    """It is loaded beside; who still drains goes on draining, and is forked from the newest."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 5.0)
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 5.1) == [Fork(2, WORKER)]
    server.handle(Started(WORKER, 21, 2), 5.2)
    assert deeds(server.handle(ReloadRequested(), 5.2)) == [StartForkServer(3)]
    assert server.handle(ForkServerReady(3), 6.0) == [Activate(3), StopForkServer(2), Drain(21)]
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 6.1) == [Fork(3, MULE)]
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 6.2) == [Fork(3, WORKER)]


def test_a_reload_while_stopping_is_refused(server):
    """There is nothing to be had from it."""
    server.handle(StopRequested(), 5.0)
    actions = server.handle(ReloadRequested(), 5.0)
    assert deeds(actions) == []
    assert told(actions)[0][0] == logging.WARNING


def test_a_process_that_does_not_drain_is_killed(server):
    """After the graceful timeout, not before. Then it is replaced."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 5.0)
    server.handle(ForkServerExited(1, "exit code 0"), 5.1)
    server.handle(Exited(WORKER, "exit code 64", expected=True), 6.0)
    server.handle(Started(WORKER, 21, 2), 6.0)
    assert server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT - 0.01) == []
    actions = server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT)
    assert deeds(actions) == [Kill(12)]
    assert "mule1 (pid 12)" in told(actions)[0][1]
    assert server.deadline == 5.0 + GRACEFUL_TIMEOUT + KILL_TIMEOUT
    assert server.handle(Exited(MULE, "killed by signal 9"), 35.1) == [Fork(2, MULE)]


def test_one_that_crashes_while_it_drains_is_replaced(server):
    """It was to end anyway: no pause, no complaint."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerReady(2), 0.1)
    assert server.handle(Exited(MULE, "killed by signal 11"), 0.2) == [Fork(2, MULE)]


def test_one_that_is_forked_from_the_old_code_drains(server):
    """It was commanded before the new one was ready."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(Exited(MULE, "killed"), 5.0)
    assert server.handle(ForkServerReady(2), 5.1) == [Activate(2), StopForkServer(1), Drain(11)]
    assert deeds(server.handle(Started(MULE, 13, 1), 5.2)) == [Drain(13)]
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 5.3) == [Fork(2, MULE)]


def test_a_crash_loop_ends_with_new_code(loaded):
    """A reload does not wait for the pause, and forgets it."""
    crash(loaded, 20, 0.0)
    loaded.handle(ReloadRequested(), 0.0)
    assert Fork(2, MULE) in loaded.handle(ForkServerReady(2), 0.01)
    loaded.handle(Started(MULE, 21, 2), 0.02)
    loaded.handle(Exited(MULE, "exit code 1"), 0.03)
    assert loaded.deadline == pytest.approx(0.03 + INITIAL_BACKOFF)


def test_a_template_that_nobody_waits_for_is_ended(server):
    """It is late: its reload was given up."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(ForkServerExited(2, "killed"), 5.0)
    assert server.handle(ForkServerReady(2), 5.1) == [StopForkServer(2)]


# stop


def test_a_stop(server):
    """What waits is handled, then who runs drains, then the template ends and the master."""
    actions = server.handle(StopRequested(), 5.0)
    assert deeds(actions) == []
    assert (server.stopping, server.draining_queues, server.deadline) == (True, True, 5.0 + GRACEFUL_TIMEOUT)
    assert server.handle(Idle(), 5.0) == [Drain(11), Drain(12)]
    assert (server.draining_queues, server.deadline) == (False, 5.0 + GRACEFUL_TIMEOUT)
    assert server.handle(Exited(WORKER, "exit code 64", expected=True), 6.0) == []
    assert server.handle(Exited(MULE, "killed"), 6.1) == [StopForkServer(1), Finish(0)]


def test_quiet_means_nothing_while_nobody_stops(server):
    """A server may have nothing to do."""
    assert server.handle(Idle(), 0.0) == []
    assert server.all_running


def test_a_stop_while_the_application_is_loaded_for_the_first_time(new):
    """Nobody runs yet: the end, at once."""
    new.handle(StartRequested(), 0.0)
    assert deeds(new.handle(StopRequested(), 1.0)) == [StopForkServer(1), Finish(0)]


def test_a_stop_while_it_is_loaded_again(server):
    """The old template and the new one end with the rest."""
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
    """It is what successors are forked from; who runs goes on until all is quiet."""
    server.handle(ReloadRequested(), 0.0)
    server.handle(StopRequested(), 5.0)
    assert server.handle(ForkServerReady(2), 5.1) == [Activate(2), StopForkServer(1)]
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 5.2) == [Fork(2, MULE)]


def test_a_stop_while_forking(loaded):
    """Who is being forked is waited for, and serves until all is quiet."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(StopRequested(), 0.1)
    assert loaded.handle(Started(MULE, 12, 1), 0.2) == []
    assert loaded.handle(Idle(), 0.2) == [Drain(11), Drain(12)]


def test_a_template_that_dies_while_forking_and_stopping(loaded):
    """Who was being forked will not be: it is not waited for."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(StopRequested(), 0.1)
    loaded.handle(Idle(), 0.1)
    assert loaded.handle(ForkServerExited(1, "killed"), 0.2) == []
    assert Finish(0) in loaded.handle(Exited(WORKER, "exit code 64", expected=True), 0.3)


def test_a_stop_that_is_not_obeyed(server):
    """The mercy counts from the stop, also for who drains since later; the last to be killed ends it all."""
    server.handle(StopRequested(), 5.0)
    assert server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT - 0.01) == []
    server.handle(Idle(), 5.0 + GRACEFUL_TIMEOUT - 0.01)
    assert deeds(server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT)) == [Kill(11), Kill(12)]
    assert server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT) == []
    server.handle(Exited(WORKER, "killed"), 35.1)
    assert server.handle(Exited(MULE, "killed"), 35.2)[-1] == Finish(0)


def test_a_stop_that_is_said_twice_is_one(server):
    """In one breath."""
    server.handle(StopRequested(), 5.0)
    assert server.handle(StopRequested(), 5.0 + STOP_DEBOUNCE / 2) == []
    assert server.deadline == 5.0 + GRACEFUL_TIMEOUT


def test_a_second_stop_is_at_once(server):
    """No mercy."""
    server.handle(StopRequested(), 5.0)
    server.handle(StopRequested(), 6.0)
    assert server.deadline == 6.0
    assert deeds(server.handle(Due(), 6.0)) == [Kill(11), Kill(12)]


@pytest.mark.parametrize("stopping", [False, True])
def test_an_old_template_that_dies_before_it_has_forked(loaded, stopping):
    """It was told to fork, then new code was ready: the new template forks instead."""
    loaded.handle(Started(WORKER, 11, 1), 0.0)
    loaded.handle(ReloadRequested(), 0.0)
    assert loaded.handle(ForkServerReady(2), 1.0) == [Activate(2), StopForkServer(1), Drain(11)]
    if stopping:
        loaded.handle(StopRequested(), 1.1)
    assert loaded.handle(ForkServerExited(1, "killed"), 1.2) == [Fork(2, MULE)]


def test_a_fork_server_that_hangs_while_it_forks_does_not_delay_the_end(loaded):
    """The supervisor gives it up after the graceful timeout, or at a second stop."""
    loaded.handle(StopRequested(), 1.0)
    assert loaded.deadline == FORK_TIMEOUT
    loaded.handle(StopRequested(), 2.0)
    assert loaded.deadline == 2.0
    assert loaded.handle(Due(), 2.0)[-1] == Finish(0)


# any history


class Anything(RuleBasedStateMachine):
    """A server as its master sees it, in which whatever can happen does, in any order."""

    def __init__(self):
        super().__init__()
        self.supervisor = Supervisor(Topology(workers=2, mules=1), graceful_timeout=GRACEFUL_TIMEOUT)
        self.now, self.pid = 0.0, 100
        self.templates: dict[int, str] = {}
        self.commanded: list[tuple[int, Identity]] = []
        self.processes: dict[int, Identity] = {}
        self.killed: dict[int, float] = {}
        self.finished: int | None = None
        self.do(self.supervisor.handle(StartRequested(), self.now))

    def do(self, actions):
        """What the master does; it must be possible."""
        for action in actions:
            assert self.finished is None, "nothing is done after the end"
            match action:
                case StartForkServer(generation):
                    assert generation not in self.templates
                    assert "loading" not in self.templates.values()
                    self.templates[generation] = "loading"
                case StopForkServer(generation):
                    if generation in self.templates:
                        self.templates[generation] = "ending"
                case Fork(generation, who):
                    assert self.templates.get(generation) == "ready"
                    assert who not in self.processes.values(), "one process a seat"
                    assert who not in [other for _, other in self.commanded], "one process a seat"
                    self.commanded.append((generation, who))
                case KillForkServer(generation):
                    if generation in self.templates:
                        self.templates[generation] = "killed"
                        self.commanded = [(of, who) for of, who in self.commanded if of != generation]
                case Drain(pid):
                    assert pid in self.processes
                case Kill(pid):
                    assert pid in self.processes
                    self.killed.setdefault(pid, self.now)
                case Finish(code):
                    assert all(self.now >= self.killed[pid] + KILL_TIMEOUT for pid in self.processes)
                    self.finished = code

    def templates_that(self, *states):
        return [generation for generation, state in self.templates.items() if state in states]

    def report_fork(self, generation, who):
        self.commanded.remove((generation, who))
        self.pid += 1
        self.processes[self.pid] = who
        self.do(self.supervisor.handle(Started(who, self.pid, generation), self.now))

    def end(self, pid, expected):
        self.do(self.supervisor.handle(Exited(self.processes.pop(pid), "ended", expected=expected), self.now))

    def template_ends(self, generation):
        del self.templates[generation]
        self.commanded = [(of, who) for of, who in self.commanded if of != generation]
        self.do(self.supervisor.handle(ForkServerExited(generation, "ended"), self.now))

    def load(self, generation):
        self.templates[generation] = "ready"
        self.do(self.supervisor.handle(ForkServerReady(generation), self.now))

    @precondition(lambda self: self.finished is None and self.templates_that("loading"))
    @rule(data=st.data(), expected=st.booleans())
    def it_loads_or_not(self, data, expected):
        generation = data.draw(st.sampled_from(self.templates_that("loading")))
        if expected:
            self.load(generation)
        else:
            self.templates[generation] = "failed"
            self.do(self.supervisor.handle(ForkServerFailed(generation, "SyntaxError"), self.now))

    @precondition(lambda self: self.finished is None and self.templates)
    @rule(data=st.data())
    def a_template_ends(self, data):
        """Killed, or as it was told; what it had forked it has reported, what not it never will.

        One that was told to end does what it was told before: see the tests that are expected to fail above.
        """
        generation = data.draw(st.sampled_from(sorted(self.templates)))
        if self.templates[generation] == "ending":
            for of, who in list(self.commanded):
                if of == generation:
                    self.report_fork(of, who)
        if self.finished is None:
            self.template_ends(generation)

    @precondition(lambda self: self.finished is None and self.commanded)
    @rule(data=st.data())
    def a_fork_is_reported(self, data):
        self.report_fork(*data.draw(st.sampled_from(self.commanded)))

    @precondition(lambda self: self.finished is None and self.processes)
    @rule(data=st.data(), expected=st.booleans())
    def a_process_ends(self, data, expected):
        self.end(data.draw(st.sampled_from(sorted(self.processes))), expected)

    @precondition(lambda self: self.finished is None)
    @rule(seconds=st.sampled_from([0.0, 0.01, 0.1, 2.0, 60.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.do(self.supervisor.handle(Due(), self.now))

    @precondition(lambda self: self.finished is None)
    @rule()
    def reload(self):
        self.do(self.supervisor.handle(ReloadRequested(), self.now))

    @precondition(lambda self: self.finished is None)
    @rule()
    def stop(self):
        self.do(self.supervisor.handle(StopRequested(), self.now))

    @precondition(lambda self: self.finished is None and self.supervisor.draining_queues)
    @rule()
    def all_is_quiet(self):
        self.do(self.supervisor.handle(Idle(), self.now))

    @precondition(lambda self: self.finished is not None)
    @rule()
    def it_is_over(self):
        """Nothing happens to a server that has ended."""

    @invariant()
    def knows_who_there_is(self):
        """Exactly the processes that there are."""
        if self.finished is not None:
            return
        assert self.supervisor.pids() == {who: pid for pid, who in self.processes.items()}
        assert {self.supervisor.identity_of(pid) for pid in self.processes} == set(self.processes.values())

    @invariant()
    def has_nothing_to_do_before_its_deadline(self):
        """Neither is there anything left to do at a time that was passed."""
        if self.finished is None and self.now < self.supervisor.deadline:
            assert self.supervisor.handle(Due(), self.now) == []

    def settle(self):
        """Let happen what is under way, until nothing is: all goes well from now on."""
        for _ in range(200):
            if self.finished is not None:
                return
            if loading := self.templates_that("loading"):
                self.load(loading[0])
            elif self.commanded:
                self.report_fork(*self.commanded[0])
            elif self.supervisor.draining_queues:
                self.do(self.supervisor.handle(Idle(), self.now))
            elif self.supervisor.stopping and self.processes:
                self.end(min(self.processes), expected=True)
            elif drained := [p for p, s in self.states().items() if s in ("draining", "killed")]:
                self.end(drained[0], expected=True)
            elif self.supervisor.deadline < NEVER:
                self.now = max(self.now, self.supervisor.deadline)
                self.do(self.supervisor.handle(Due(), self.now))
            else:
                return
        raise AssertionError("it goes on for ever")

    def states(self):
        return {seat.pid: seat.state for seat in self.supervisor._children if seat.pid}

    def teardown(self):
        """When nothing more goes wrong, the server is complete; then it is told to stop, and ends."""
        if self.finished is None and not self.supervisor.stopping:
            self.settle()
            assert self.supervisor.all_running
            self.do(self.supervisor.handle(StopRequested(), self.now))
        self.settle()
        assert self.finished is not None


Anything.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnything = Anything.TestCase
