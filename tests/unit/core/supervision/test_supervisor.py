"""How a server starts, replaces, reloads and stops: scripted histories, then any history at all. No process, no clock.

How it ends when templates are lost is in `test_supervise_losses.py`.
"""

import logging
import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliograph._core.supervision.actions import Drain, Finish, Fork, Kill, Log, StartForkServer, StopForkServer
from heliograph._core.supervision.supervisor import INITIAL_BACKOFF, MAX_BACKOFF, MIN_UPTIME, STOP_DEBOUNCE, Supervisor
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
    new.start()
    new.fork_server_ready(1, 0.0)
    return new


@pytest.fixture
def server(loaded):
    """One whose worker (pid 11) and mule (pid 12) have run since 0."""
    loaded.forked(WORKER, 11, 1, 0.0)
    loaded.forked(MULE, 12, 1, 0.0)
    assert loaded.all_running
    return loaded


# start


def test_a_start(new):
    """The application is loaded, then everybody is forked, in the topology's order; then there is nothing to do."""
    assert new.start() == [StartForkServer(1)]
    assert (new.loading, new.all_running, new.deadline) == (True, False, NEVER)
    assert new.fork_server_ready(1, 5.0) == [Fork(1, WORKER), Fork(1, MULE)]
    assert (new.loading, new.forking, new.generation) == (False, True, 1)
    assert new.forked(WORKER, 11, 1, 5.1) == []
    assert (new.all_running, new.pids(), new.identity_of(11), new.identity_of(12)) == (
        False,
        {WORKER: 11},
        WORKER,
        None,
    )
    assert new.forked(MULE, 12, 1, 5.2) == []
    assert (new.all_running, new.forking, new.deadline) == (True, False, NEVER)
    assert new.tick(1e9) == []


@pytest.mark.parametrize("reported", [True, False])
def test_an_application_that_does_not_load_ends_the_start(new, reported):
    """With exit code 2, and the reason in the log; whether it said so or just ended."""
    new.start()
    actions = new.fork_server_failed(1, "SyntaxError" if reported else "exit code 1", 1.0)
    assert deeds(actions) == [Finish(2)]
    assert told(actions)[0][0] == logging.ERROR
    assert ("SyntaxError" if reported else "exit code 1") in told(actions)[0][1]


def test_a_server_without_processes_ends_when_it_is_told(new):
    """It has nothing to wait for."""
    empty = Supervisor(Topology())
    empty.start()
    assert empty.fork_server_ready(1, 0.0) == []
    assert empty.all_running
    assert deeds(empty.stop(1.0)) == [StopForkServer(1), Finish(0)]


# crashes


def test_who_ends_is_replaced_at_once(server):
    """It had started well: a line in the log says how it ended."""
    actions = server.exited(MULE, "killed by signal 9", expected=False, now=MIN_UPTIME)
    assert deeds(actions) == [Fork(1, MULE)]
    assert told(actions) == [(logging.WARNING, "mule1 ended (killed by signal 9) and is replaced")]
    assert server.pids() == {WORKER: 11}


@pytest.mark.parametrize("lived", [0.0, 0.5, 100.0])
def test_who_asked_to_be_replaced_is_no_failure(server, lived):
    """Without a pause and without a word, however early."""
    assert server.exited(MULE, "exit code 64", expected=True, now=lived) == [Fork(1, MULE)]


def crash(server, pid, now):
    """The mule is forked, and ends at once; the pause until it is forked again."""
    server.forked(MULE, pid, 1, now)
    actions = server.exited(MULE, "exit code 1", expected=False, now=now)
    assert deeds(actions) == []
    assert told(actions)[0][0] == logging.WARNING
    return server.deadline - now


def test_a_crash_loop_is_slowed_down(loaded):
    """The pause doubles up to ten seconds; the others go on; a start that goes well begins anew."""
    now, pauses = 0.0, []
    for pid in range(20, 32):
        pauses.append(crash(loaded, pid, now))
        assert loaded.tick(now + pauses[-1] / 2) == []
        now = loaded.deadline
        assert loaded.tick(now) == [Fork(1, MULE)]
        assert loaded.deadline == NEVER
    doubled = [min(INITIAL_BACKOFF * 2**n, MAX_BACKOFF) for n in range(12)]
    assert pauses == pytest.approx(doubled)
    loaded.forked(MULE, 40, 1, now)
    assert deeds(loaded.exited(MULE, "exit code 1", expected=False, now=now + MIN_UPTIME)) == [Fork(1, MULE)]
    assert crash(loaded, 41, now + 2) == pytest.approx(INITIAL_BACKOFF)


def test_each_process_has_pauses_of_its_own(loaded):
    """The one that is due first is forked first."""
    loaded.forked(WORKER, 10, 1, 0.0)
    crash(loaded, 20, 0.0)
    loaded.tick(INITIAL_BACKOFF)
    crash(loaded, 21, INITIAL_BACKOFF)
    loaded.exited(WORKER, "exit code 1", expected=False, now=INITIAL_BACKOFF)
    assert loaded.tick(2 * INITIAL_BACKOFF) == [Fork(1, WORKER)]
    assert loaded.tick(3 * INITIAL_BACKOFF) == [Fork(1, MULE)]


# reload


def test_a_reload(server):
    """A new template beside the old; when it is ready who runs drains, and is replaced one by one."""
    assert deeds(server.reload()) == [StartForkServer(2)]
    assert server.loading
    assert deeds(server.exited(MULE, "killed", expected=False, now=5.0)) == [Fork(1, MULE)]
    server.forked(MULE, 13, 1, 5.1)
    assert server.fork_server_ready(2, 6.0) == [StopForkServer(1), Drain(11), Drain(13)]
    assert (server.generation, server.all_running, server.deadline) == (2, False, 6.0 + GRACEFUL_TIMEOUT)
    assert server.exited(WORKER, "exit code 64", expected=True, now=7.0) == [Fork(2, WORKER)]
    server.forked(WORKER, 21, 2, 7.1)
    assert not server.all_running
    assert server.exited(MULE, "exit code 64", expected=True, now=8.0) == [Fork(2, MULE)]
    server.forked(MULE, 22, 2, 8.1)
    assert (server.all_running, server.deadline) == (True, NEVER)
    assert server.fork_server_failed(1, "exit code 0", 8.2) == []


def test_a_reload_that_fails_changes_nothing(server):
    """The old processes serve, the log says why, and the next may be better. That its process ends is no news."""
    server.reload()
    actions = server.fork_server_failed(2, "SyntaxError: line 5", 5.0)
    assert deeds(actions) == []
    assert told(actions)[0][0] == logging.ERROR
    assert "SyntaxError: line 5" in told(actions)[0][1]
    assert server.fork_server_failed(2, "exit code 1", 5.1) == []
    assert (server.all_running, server.loading, server.deadline) == (True, False, NEVER)
    assert deeds(server.reload()) == [StartForkServer(3)]
    assert server.fork_server_ready(3, 9.0)[0] == StopForkServer(1)


def test_a_reload_during_a_reload_is_refused(server):
    """One is being loaded already."""
    server.reload()
    assert [level for level, _ in told(server.reload())] == [logging.WARNING]
    assert deeds(server.reload()) == []


def test_a_reload_while_the_last_one_drains(server):
    """It is loaded beside; who still drains goes on draining, and is forked from the newest."""
    server.reload()
    server.fork_server_ready(2, 5.0)
    assert server.exited(WORKER, "exit code 64", expected=True, now=5.1) == [Fork(2, WORKER)]
    server.forked(WORKER, 21, 2, 5.2)
    assert deeds(server.reload()) == [StartForkServer(3)]
    assert server.fork_server_ready(3, 6.0) == [StopForkServer(2), Drain(21)]
    assert server.exited(MULE, "exit code 64", expected=True, now=6.1) == [Fork(3, MULE)]
    assert server.exited(WORKER, "exit code 64", expected=True, now=6.2) == [Fork(3, WORKER)]


def test_a_reload_while_stopping_is_refused(server):
    """There is nothing to be had from it."""
    server.stop(5.0)
    actions = server.reload()
    assert deeds(actions) == []
    assert told(actions)[0][0] == logging.WARNING


def test_one_that_does_not_drain_is_killed(server):
    """When its mercy is over, not before; and is replaced."""
    server.reload()
    server.fork_server_ready(2, 5.0)
    server.exited(WORKER, "exit code 64", expected=True, now=6.0)
    assert server.tick(5.0 + GRACEFUL_TIMEOUT - 0.01) == []
    actions = server.tick(5.0 + GRACEFUL_TIMEOUT)
    assert deeds(actions) == [Kill(12)]
    assert "mule1" in told(actions)[0][1]
    assert server.deadline == NEVER
    assert server.exited(MULE, "killed by signal 9", expected=False, now=35.1) == [Fork(2, MULE)]


def test_one_that_crashes_while_it_drains_is_replaced(server):
    """It was to end anyway: no pause, no complaint."""
    server.reload()
    server.fork_server_ready(2, 0.1)
    assert server.exited(MULE, "killed by signal 11", expected=False, now=0.2) == [Fork(2, MULE)]


def test_one_that_is_forked_from_the_old_code_drains(server):
    """It was commanded before the new one was ready."""
    server.reload()
    server.exited(MULE, "killed", expected=False, now=5.0)
    assert server.fork_server_ready(2, 5.1) == [StopForkServer(1), Drain(11)]
    assert server.forked(MULE, 13, 1, 5.2) == [Drain(13)]
    assert server.exited(MULE, "exit code 64", expected=True, now=5.3) == [Fork(2, MULE)]


def test_a_crash_loop_ends_with_new_code(loaded):
    """A reload does not wait for the pause, and forgets it."""
    crash(loaded, 20, 0.0)
    loaded.reload()
    assert Fork(2, MULE) in loaded.fork_server_ready(2, 0.01)
    loaded.forked(MULE, 21, 2, 0.02)
    loaded.exited(MULE, "exit code 1", expected=False, now=0.03)
    assert loaded.deadline == pytest.approx(0.03 + INITIAL_BACKOFF)


def test_a_template_that_nobody_waits_for_is_ended(server):
    """It is late: its reload was given up."""
    server.reload()
    server.fork_server_failed(2, "killed", 5.0)
    assert server.fork_server_ready(2, 5.1) == [StopForkServer(2)]


# stop


def test_a_stop(server):
    """What waits is handled, then who runs drains, then the template ends and the master."""
    actions = server.stop(5.0)
    assert deeds(actions) == []
    assert (server.stopping, server.draining_queues, server.deadline) == (True, True, 5.0 + GRACEFUL_TIMEOUT)
    assert server.on_idle() == [Drain(11), Drain(12)]
    assert (server.draining_queues, server.deadline) == (False, 5.0 + GRACEFUL_TIMEOUT)
    assert server.exited(WORKER, "exit code 64", expected=True, now=6.0) == []
    assert server.exited(MULE, "killed", expected=False, now=6.1) == [StopForkServer(1), Finish(0)]


def test_quiet_means_nothing_while_nobody_stops(server):
    """A server may have nothing to do."""
    assert server.on_idle() == []
    assert server.all_running


def test_a_stop_while_the_application_is_loaded_for_the_first_time(new):
    """Nobody runs yet: the end, at once."""
    new.start()
    assert deeds(new.stop(1.0)) == [StopForkServer(1), Finish(0)]


def test_a_stop_while_it_is_loaded_again(server):
    """The old template and the new one end with the rest."""
    server.reload()
    server.stop(5.0)
    server.on_idle()
    server.exited(WORKER, "exit code 64", expected=True, now=5.1)
    assert server.exited(MULE, "exit code 64", expected=True, now=5.2) == [
        StopForkServer(1),
        StopForkServer(2),
        Finish(0),
    ]


def test_new_code_that_is_ready_while_stopping(server):
    """It is what successors are forked from; who runs goes on until all is quiet."""
    server.reload()
    server.stop(5.0)
    assert server.fork_server_ready(2, 5.1) == [StopForkServer(1)]
    assert server.exited(MULE, "exit code 64", expected=True, now=5.2) == [Fork(2, MULE)]


def test_a_stop_while_forking(loaded):
    """Who is being forked is waited for, and serves until all is quiet."""
    loaded.forked(WORKER, 11, 1, 0.0)
    loaded.stop(0.1)
    assert loaded.forked(MULE, 12, 1, 0.2) == []
    assert loaded.on_idle() == [Drain(11), Drain(12)]


def test_a_template_that_dies_while_forking_and_stopping(loaded):
    """Who was being forked will not be: it is not waited for."""
    loaded.forked(WORKER, 11, 1, 0.0)
    loaded.stop(0.1)
    loaded.on_idle()
    assert loaded.fork_server_failed(1, "killed", 0.2) == []
    assert Finish(0) in loaded.exited(WORKER, "exit code 64", expected=True, now=0.3)


def test_a_stop_that_is_not_obeyed(server):
    """The mercy counts from the stop, also for who drains since later; the last to be killed ends it all."""
    server.stop(5.0)
    assert server.tick(5.0 + GRACEFUL_TIMEOUT - 0.01) == []
    server.on_idle()
    assert deeds(server.tick(5.0 + GRACEFUL_TIMEOUT)) == [Kill(11), Kill(12)]
    assert server.tick(5.0 + GRACEFUL_TIMEOUT) == []
    server.exited(WORKER, "killed", expected=False, now=35.1)
    assert server.exited(MULE, "killed", expected=False, now=35.2)[-1] == Finish(0)


def test_a_stop_that_is_said_twice_is_one(server):
    """In one breath."""
    server.stop(5.0)
    assert server.stop(5.0 + STOP_DEBOUNCE / 2) == []
    assert server.deadline == 5.0 + GRACEFUL_TIMEOUT


def test_a_second_stop_is_at_once(server):
    """No mercy."""
    server.stop(5.0)
    server.stop(6.0)
    assert server.deadline == 6.0
    assert deeds(server.tick(6.0)) == [Kill(11), Kill(12)]


@pytest.mark.parametrize("stopping", [False, True])
def test_an_old_template_that_dies_before_it_has_forked(loaded, stopping):
    """It was told to fork, then new code was ready: the new template forks instead."""
    loaded.forked(WORKER, 11, 1, 0.0)
    loaded.reload()
    assert loaded.fork_server_ready(2, 1.0) == [StopForkServer(1), Drain(11)]
    if stopping:
        loaded.stop(1.1)
    assert loaded.fork_server_failed(1, "killed", 1.2) == [Fork(2, MULE)]


def test_a_template_that_hangs_while_it_forks_does_not_hold_up_the_end(loaded):
    """It is given up when the mercy is over, or at a second stop."""
    loaded.stop(1.0)
    assert loaded.deadline == 1.0 + GRACEFUL_TIMEOUT
    loaded.stop(2.0)
    assert loaded.deadline == 2.0
    assert loaded.tick(2.0)[-1] == Finish(0)


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
        self.finished: int | None = None
        self.do(self.supervisor.start())

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
                case Drain(pid) | Kill(pid):
                    assert pid in self.processes
                case Finish(code):
                    assert not self.processes
                    self.finished = code

    def templates_that(self, *states):
        return [generation for generation, state in self.templates.items() if state in states]

    def report_fork(self, generation, who):
        self.commanded.remove((generation, who))
        self.pid += 1
        self.processes[self.pid] = who
        self.do(self.supervisor.forked(who, self.pid, generation, self.now))

    def end(self, pid, expected):
        self.do(self.supervisor.exited(self.processes.pop(pid), "ended", expected=expected, now=self.now))

    def template_ends(self, generation):
        del self.templates[generation]
        self.commanded = [(of, who) for of, who in self.commanded if of != generation]
        self.do(self.supervisor.fork_server_failed(generation, "ended", self.now))

    def load(self, generation):
        self.templates[generation] = "ready"
        self.do(self.supervisor.fork_server_ready(generation, self.now))

    @precondition(lambda self: self.finished is None and self.templates_that("loading"))
    @rule(data=st.data(), expected=st.booleans())
    def it_loads_or_not(self, data, expected):
        generation = data.draw(st.sampled_from(self.templates_that("loading")))
        if expected:
            self.load(generation)
        else:
            self.templates[generation] = "failed"
            self.do(self.supervisor.fork_server_failed(generation, "SyntaxError", self.now))

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
        self.do(self.supervisor.tick(self.now))

    @precondition(lambda self: self.finished is None)
    @rule()
    def reload(self):
        self.do(self.supervisor.reload())

    @precondition(lambda self: self.finished is None)
    @rule()
    def stop(self):
        self.do(self.supervisor.stop(self.now))

    @precondition(lambda self: self.finished is None and self.supervisor.draining_queues)
    @rule()
    def all_is_quiet(self):
        self.do(self.supervisor.on_idle())

    @precondition(lambda self: self.finished is not None)
    @rule()
    def it_is_over(self):
        """Nothing happens to a server that has ended."""

    @invariant()
    def knows_who_there_is(self):
        """Exactly the processes that there are."""
        assert self.supervisor.pids() == {who: pid for pid, who in self.processes.items()}
        assert {self.supervisor.identity_of(pid) for pid in self.processes} == set(self.processes.values())

    @invariant()
    def has_nothing_to_do_before_its_deadline(self):
        """Neither is there anything left to do at a time that was passed."""
        if self.finished is None and self.now < self.supervisor.deadline:
            assert self.supervisor.tick(self.now) == []

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
                self.do(self.supervisor.on_idle())
            elif self.supervisor.stopping and self.processes:
                self.end(min(self.processes), expected=True)
            elif drained := [p for p, s in self.states().items() if s in ("draining", "killed")]:
                self.end(drained[0], expected=True)
            elif self.supervisor.deadline < NEVER:
                self.now = max(self.now, self.supervisor.deadline)
                self.do(self.supervisor.tick(self.now))
            else:
                return
        raise AssertionError("it goes on for ever")

    def states(self):
        return {seat.pid: seat.state for seat in self.supervisor._children.values() if seat.pid}

    def teardown(self):
        """When nothing more goes wrong, the server is complete; then it is told to stop, and ends."""
        if self.finished is None and not self.supervisor.stopping:
            self.settle()
            assert self.supervisor.all_running
            self.do(self.supervisor.stop(self.now))
        self.settle()
        assert self.finished is not None


Anything.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnything = Anything.TestCase
