"""A server with a web server whose processes join: scripted histories, then any history at all."""

import logging
import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from heliograph._core.supervision.actions import (
    Activate,
    Drain,
    Finish,
    Fork,
    Kill,
    Log,
    Ready,
    ReloadCommand,
    ReloadComplete,
    ReloadFailed,
    StartCommand,
    StartForkServer,
    StopForkServer,
    Watch,
)
from heliograph._core.supervision.children import INITIAL_BACKOFF, MIN_UPTIME, WEB_COMMAND, WEB_SERVER
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkServerFailed,
    ForkServerReady,
    Idle,
    Joined,
    ProcessReady,
    ReloadRequested,
    Started,
    StartRequested,
    StopRequested,
)
from heliograph._core.supervision.supervisor import JOIN_WARNING_AFTER, Supervisor
from heliograph.models import Identity, Topology

FIRST, SECOND, MULE = Identity("worker", 1), Identity("worker", 2), Identity("mule", 1)
GRACEFUL_TIMEOUT = 30.0


def actions_of(actions):
    """Return the actions without log lines."""
    return [action for action in actions if not isinstance(action, Log)]


def log_of(actions):
    """Return the texts of the log lines."""
    return [action.text for action in actions if isinstance(action, Log)]


def join(server, pid, now):
    """Let a process join, and return the worker that it becomes. None if it becomes none."""
    actions = server.handle(Joined(pid), now)
    process = server.worker_of(pid)
    assert [action for action in actions if isinstance(action, Watch)] in ([], [Watch(process, pid)])
    return process


@pytest.fixture
def new():
    return Supervisor(Topology(workers=2, mules=1), GRACEFUL_TIMEOUT, commands={WEB_SERVER: WEB_COMMAND})


@pytest.fixture
def started(new):
    """Return a supervisor whose mule (12) and web server (10) run. No process has joined."""
    new.handle(StartRequested(), 0.0)
    new.handle(ForkServerReady(1), 0.0)
    new.handle(Started(WEB_SERVER, 10, 1), 0.0)
    new.handle(Started(MULE, 12, 1), 0.0)
    return new


@pytest.fixture
def server(started):
    """Return one which two processes have joined: 21 and 22."""
    join(started, 21, 1.0)
    join(started, 22, 1.0)
    return started


def test_the_web_server_is_started_when_the_application_is_loaded(new):
    """Workers are not forked."""
    assert new.handle(StartRequested(), 0.0) == [StartForkServer(1)]
    assert new.handle(ForkServerReady(1), 0.0) == [Activate(1), Fork(1, MULE), StartCommand(WEB_SERVER)]


def test_an_application_that_does_not_load_starts_no_web_server(new):
    """The exit code is 2, as without a web server."""
    new.handle(StartRequested(), 0.0)
    assert actions_of(new.handle(ForkServerFailed(1, "SyntaxError"), 0.0)) == [Finish(2)]


def test_a_process_that_joins_gets_the_first_free_worker_number(started):
    """It keeps the number when it asks again. One process too many gets none."""
    assert join(started, 21, 1.0) == FIRST
    assert not started.all_running
    assert join(started, 22, 1.0) == SECOND
    assert started.all_running
    assert join(started, 21, 2.0) == FIRST
    assert join(started, 23, 2.0) is None
    assert started.pids() == {WEB_SERVER: 10, MULE: 12, FIRST: 21, SECOND: 22}


def test_a_new_process_takes_the_worker_number_of_one_that_left(server):
    """The master forks and starts nothing."""
    assert server.handle(Exited(FIRST, "it left", expected=True), 5.0) == []
    assert not server.all_running
    assert join(server, 23, 6.0) == FIRST
    assert server.all_running


def test_workers_that_no_process_has_become_are_logged_once(started):
    """With the ways out."""
    join(started, 21, 1.0)
    assert started.deadline == JOIN_WARNING_AFTER
    text = log_of(started.handle(Due(), JOIN_WARNING_AFTER))[0]
    assert "worker2" in text
    assert "worker1" not in text
    assert "heliograph.join_server()" in text
    assert "--workers" in text
    assert started.handle(Due(), JOIN_WARNING_AFTER * 2) == []


def test_nothing_is_logged_when_all_have_joined(server):
    """The deadline passes."""
    assert server.handle(Due(), JOIN_WARNING_AFTER) == []
    assert server.deadline == math.inf


def test_a_worker_that_is_being_replaced_is_not_overdue(server):
    """Its successor is about to join."""
    server.handle(Exited(FIRST, "it left", expected=True), JOIN_WARNING_AFTER)
    assert server.handle(Due(), JOIN_WARNING_AFTER) == []


def test_a_reload_sends_sighup_to_the_web_server(server):
    """When the new code has loaded. The reload is complete when the new processes have joined."""
    assert actions_of(server.handle(ReloadRequested(), 0.0)) == [StartForkServer(2)]
    assert server.handle(ForkServerReady(2), 10.0) == [Activate(2), Drain(12), ReloadCommand(10)]
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 10.1) == [Fork(2, MULE), StopForkServer(1)]
    server.handle(Started(MULE, 13, 2), 10.2)
    assert not server.all_running
    for process, pid in ((FIRST, 31), (SECOND, 32)):
        server.handle(Exited(process, "it left", expected=True), 11.0)
        assert join(server, pid, 11.1) == process
    assert server.all_running


def test_a_reload_that_fails_does_not_touch_the_web_server(server):
    """It gets no SIGHUP."""
    server.handle(ReloadRequested(), 0.0)
    assert actions_of(server.handle(ForkServerFailed(2, "SyntaxError"), 10.0)) == [ReloadFailed(2, "SyntaxError")]
    assert server.all_running


@pytest.mark.parametrize("code", [0, 1, 3, -9])
def test_a_web_server_that_exits_before_any_process_joined_stops_the_server(started, code):
    """The server exits with the same code."""
    actions = started.handle(Exited(WEB_SERVER, f"exit code {code}", code=code), 2.0)
    assert "before any worker joined" in log_of(actions)[0]
    assert started.stopping
    assert actions_of(started.handle(Idle(), 2.0)) == [Drain(12)]
    assert actions_of(started.handle(Exited(MULE, "exit code 64", expected=True), 2.1)) == [
        StopForkServer(1),
        Finish(abs(code)),
    ]


def test_a_web_server_that_exits_with_code_0_is_restarted(server):
    """`uvicorn --limit-max-requests` exits so, and expects to be restarted. Processes had joined."""
    actions = server.handle(Exited(WEB_SERVER, "exit code 0", code=0), 9.0)
    assert actions_of(actions) == [StartCommand(WEB_SERVER)]
    assert log_of(actions) == ["Web server exited (exit code 0), restarting"]
    assert not server.stopping


def test_a_web_server_that_ends_with_code_0_before_a_process_joins_again_stops_the_server(server):
    """It has no failure to recover from, and serves nothing."""
    server.handle(Exited(WEB_SERVER, "exit code 0", code=0), 9.0)
    server.handle(Started(WEB_SERVER, 11, 1), 20.0)
    actions = server.handle(Exited(WEB_SERVER, "exit code 0", code=0), 25.0)
    assert [action.level for action in actions if isinstance(action, Log)] == [logging.INFO, logging.INFO]
    assert server.stopping


def test_a_web_server_that_crashes_is_restarted(server):
    """At once, or after a delay if it had just started."""
    assert actions_of(server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), MIN_UPTIME)) == [
        StartCommand(WEB_SERVER)
    ]
    server.handle(Started(WEB_SERVER, 11, 1), 20.0)
    assert actions_of(server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), 20.1)) == []
    assert actions_of(server.handle(Due(), 20.1 + INITIAL_BACKOFF)) == [StartCommand(WEB_SERVER)]


def test_a_web_server_that_our_sighup_kills_is_restarted(started):
    """It had not installed its handler yet. If it then exits by itself, the server stops."""
    started.handle(ReloadRequested(), 0.0)
    assert ReloadCommand(10) in started.handle(ForkServerReady(2), 0.1)
    assert actions_of(started.handle(Exited(WEB_SERVER, "killed by signal 1", code=-1), 0.2)) == []
    assert actions_of(started.handle(Due(), 0.2 + INITIAL_BACKOFF)) == [StartCommand(WEB_SERVER)]
    started.handle(Started(WEB_SERVER, 11, 2), 0.3)
    started.handle(Exited(WEB_SERVER, "exit code 3", code=3), 2.0)
    assert started.stopping


def test_the_delay_doubles_while_no_process_joins(server):
    """However long the web server takes to find that its application does not load."""
    assert actions_of(server.handle(Exited(WEB_SERVER, "exit code 3", code=3), 9.0)) == [StartCommand(WEB_SERVER)]
    for pause in (INITIAL_BACKOFF, 2 * INITIAL_BACKOFF):
        server.handle(Started(WEB_SERVER, 11, 1), 20.0)
        assert actions_of(server.handle(Exited(WEB_SERVER, "exit code 3", code=3), 25.0)) == []
        assert server.deadline == 25.0 + pause
        assert actions_of(server.handle(Due(), 25.0 + pause)) == [StartCommand(WEB_SERVER)]


def reload_with_broken_code(server):
    """Reload, and let the web server exit because its application does not load."""
    server.handle(ReloadRequested(), 10.0)
    server.handle(ForkServerReady(2), 10.1)
    server.handle(Exited(WEB_SERVER, "exit code 3", code=3), 10.5)
    for process in (FIRST, SECOND):
        server.handle(Exited(process, "it left", expected=True), 10.6)


def test_a_web_server_that_does_not_start_with_the_new_code_is_reported(server):
    """Until one of its processes joins. Each further exit counts."""
    assert (server.web_server_failure, server.web_workers) == ("", (2, 2))
    reload_with_broken_code(server)
    assert (server.web_server_failure, server.web_workers) == ("exit code 3, once", (0, 2))
    server.handle(Started(WEB_SERVER, 11, 2), 10.7)
    assert server.web_server_failure == "exit code 3, once"
    server.handle(Exited(WEB_SERVER, "exit code 1", code=1), 11.0)
    assert server.web_server_failure == "exit code 1, 2 times"
    server.handle(Started(WEB_SERVER, 12, 2), 12.0)
    join(server, 31, 13.0)
    assert (server.web_server_failure, server.web_workers) == ("", (1, 2))
    server.handle(Exited(WEB_SERVER, "exit code 3", code=3), 20.0)
    assert server.web_server_failure == "exit code 3, once"


@pytest.mark.parametrize("is_running", [True, False])
def test_a_reload_with_corrected_code_begins_anew(server, is_running):
    """Also if the web server still starts with the broken code: its exit says nothing about the new code."""
    reload_with_broken_code(server)
    if is_running:
        server.handle(Started(WEB_SERVER, 11, 2), 10.7)
    else:
        server.handle(Started(WEB_SERVER, 11, 2), 10.7)
        server.handle(Exited(WEB_SERVER, "exit code 3", code=3), 11.0)
    server.handle(ReloadRequested(), 12.0)
    server.handle(ForkServerReady(3), 12.1)
    assert server.web_server_failure == ""
    if is_running:
        server.handle(Exited(WEB_SERVER, "exit code 3", code=3), 12.2)
        assert server.web_server_failure == ""
    server.handle(Started(WEB_SERVER, 12, 3), 12.3)
    server.handle(Exited(WEB_SERVER, "exit code 4", code=4), 13.0)
    assert server.web_server_failure == "exit code 4, once"


@pytest.mark.parametrize("code", [0, -1, -9])
def test_a_web_server_that_is_restarted_for_another_reason_has_not_failed(server, code):
    """It exits to be restarted, our SIGHUP ends it, or someone kills it."""
    server.handle(ReloadRequested(), 10.0)
    server.handle(ForkServerReady(2), 10.1)
    server.handle(Exited(WEB_SERVER, "its exit", code=code), 10.5)
    server.handle(Started(WEB_SERVER, 11, 2), 10.7)
    assert server.web_server_failure == ""


def test_a_web_server_that_is_being_stopped_has_not_failed(server):
    reload_with_broken_code(server)
    server.handle(StopRequested(), 11.0)
    assert server.web_server_failure == ""


def test_a_server_without_a_web_server_has_no_web_workers():
    assert Supervisor(Topology(workers=2)).web_workers is None


def test_a_stop_drains_the_web_server_first(server):
    """When the queues are empty. The others drain when the workers have exited too."""
    assert actions_of(server.handle(StopRequested(), 5.0)) == []
    server.handle(Exited(SECOND, "it left", expected=True), 5.0)
    assert join(server, 23, 5.0) == SECOND
    assert server.vacant_workers == frozenset()
    assert server.handle(Idle(), 5.0) == [Drain(10)]
    assert join(server, 24, 5.1) is None
    assert server.handle(Idle(), 5.1) == []
    for process in (FIRST, SECOND):
        assert server.handle(Exited(process, "it left", expected=True), 6.0) == []
    assert server.handle(Idle(), 6.0) == []
    assert actions_of(server.handle(Exited(WEB_SERVER, "exit code 0", code=0), 6.0)) == []
    assert server.vacant_workers == {FIRST, SECOND}
    assert server.handle(Idle(), 6.0) == [Drain(12)]
    assert actions_of(server.handle(Exited(MULE, "exit code 64", expected=True), 6.1)) == [StopForkServer(1), Finish(0)]


def test_processes_that_outlive_the_graceful_timeout_are_killed(server):
    """The web server and its processes too."""
    server.handle(StopRequested(), 5.0)
    server.handle(Idle(), 5.0)
    assert actions_of(server.handle(Due(), 32.0)) == [Kill(21), Kill(22), Kill(10), Drain(12)]
    assert actions_of(server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT)) == [Kill(12)]
    for process in (FIRST, SECOND, MULE):
        server.handle(Exited(process, "killed"), 36.0)
    assert actions_of(server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), 36.0)) == [
        StopForkServer(1),
        Finish(0),
    ]


def test_a_web_server_that_does_not_exit_leaves_time_for_the_mules(server):
    """A client keeps a stream open. The log names the web server, and the mule handles what it has sent."""
    server.handle(StopRequested(), 5.0)
    assert actions_of(server.handle(Idle(), 5.0)) == [Drain(10)]
    assert actions_of(server.handle(Due(), 27.4)) == []
    actions = server.handle(Due(), 27.5)
    assert actions_of(actions) == [Kill(21), Kill(22), Kill(10)]
    assert [line.partition(" did not")[0] for line in log_of(actions)] == [
        "worker1 (pid 21)",
        "worker2 (pid 22)",
        "Web server (pid 10)",
    ]
    assert "did not exit within 22.5 s, its part of the graceful timeout, killing it. To let it" in log_of(actions)[2]
    for process in (FIRST, SECOND):
        server.handle(Exited(process, "killed"), 27.6)
    assert actions_of(server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), 27.6)) == []
    assert server.draining_queues
    assert actions_of(server.handle(Idle(), 28.0)) == [Drain(12)]


def test_a_web_server_whose_requests_never_end_is_stopped_although_signals_are_queued(server):
    """Each request sends a signal, so the queues are never empty. It drains after half of the graceful timeout."""
    server.handle(StopRequested(), 5.0)
    assert server.handle(Due(), 19.9) == []
    actions = server.handle(Due(), 20.0)
    assert actions_of(actions) == [Drain(10)]
    assert log_of(actions) == [
        "Signals are still queued or running 15 s after the stop was requested, stopping the web server now"
    ]
    assert server.draining_queues


def test_a_second_stop_kills_the_web_server_at_once(server):
    """It has no part of the graceful timeout any more."""
    server.handle(StopRequested(), 5.0)
    server.handle(StopRequested(), 6.0)
    actions = server.handle(Due(), 6.0)
    assert {action.pid for action in actions_of(actions)} == {10, 12, 21, 22}
    assert sum(line.startswith("Killing ") for line in log_of(actions)) == 4


def test_a_stop_does_not_wait_for_workers_that_never_joined(started):
    """Before the deadline every worker may still join. Later, only workers that had joined may come back."""
    join(started, 21, 1.0)
    assert started.vacant_workers == frozenset()
    started.handle(Due(), JOIN_WARNING_AFTER)
    assert started.vacant_workers == {SECOND}
    started.handle(Exited(FIRST, "it left", expected=True), 20.0)
    assert started.vacant_workers == {SECOND}
    join(started, 31, 20.1)
    join(started, 32, 20.1)
    assert started.vacant_workers == frozenset()


def test_workers_become_overdue_during_a_stop(started):
    """Nothing is logged then, and the stop does not wait for them."""
    started.handle(StopRequested(), 5.0)
    assert started.vacant_workers == frozenset()
    assert started.handle(Due(), JOIN_WARNING_AFTER) == []
    assert started.vacant_workers == {FIRST, SECOND}
    assert started.handle(Idle(), JOIN_WARNING_AFTER) == [Drain(10)]


def test_a_stop_does_not_wait_for_workers_of_a_web_server_that_has_exited(server):
    """Its requests and its processes have ended."""
    server.handle(Due(), JOIN_WARNING_AFTER)
    server.handle(StopRequested(), 20.0)
    assert server.vacant_workers == frozenset()
    for process in (FIRST, SECOND):
        server.handle(Exited(process, "it left", expected=True), 20.0)
    server.handle(Exited(WEB_SERVER, "exit code 0", code=0), 20.0)
    assert server.vacant_workers == {FIRST, SECOND}


def test_a_web_server_that_waits_for_its_restart_is_not_started_during_a_stop(server):
    """Without it there are no requests."""
    server.handle(Started(WEB_SERVER, 11, 1), 20.0)
    server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), 20.1)
    for process in (FIRST, SECOND):
        server.handle(Exited(process, "it left", expected=True), 20.1)
    server.handle(StopRequested(), 20.11)
    assert actions_of(server.handle(Due(), 25.0)) == []
    assert server.handle(Idle(), 25.0) == [Drain(12)]


def test_the_log_calls_a_replaced_web_server_by_its_title(server):
    """The log has the words of the glossary, not the name of the role."""
    server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), 20.0)
    replaced = server.handle(Started(WEB_SERVER, 11, 1), 20.1)
    assert log_of(replaced) == ["Replaced web server (old pid 10, new pid 11)"]


def test_the_server_is_ready_when_all_workers_have_joined_and_reported(server):
    """The web server itself reports nothing. A reload is complete when its new processes have joined and reported."""
    for process in (MULE, FIRST):
        assert server.handle(ProcessReady(process), 2.0) == []
    assert server.handle(ProcessReady(SECOND), 2.1) == [Ready()]
    server.handle(ReloadRequested(), 3.0)
    server.handle(ForkServerReady(2), 4.0)
    server.handle(Exited(MULE, "exit code 64", expected=True), 4.1)
    server.handle(Started(MULE, 13, 2), 4.1)
    server.handle(ProcessReady(MULE), 4.2)
    for process, pid in ((FIRST, 31), (SECOND, 32)):
        server.handle(Exited(process, "it left", expected=True), 4.3)
        assert join(server, pid, 4.4) == process
    assert server.handle(ProcessReady(SECOND), 4.5) == []
    assert server.handle(ProcessReady(FIRST), 5.5) == [ReloadComplete(2, 2.5)]


def test_a_web_server_whose_program_has_vanished_is_tried_again_later(server):
    """With growing delays, although processes have joined since its last start."""
    server.handle(Due(), JOIN_WARNING_AFTER)
    server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), 100.0)
    for delay in (INITIAL_BACKOFF, 2 * INITIAL_BACKOFF):
        actions = server.handle(Exited(WEB_SERVER, "cannot start gunicorn: No such file", code=127), 100.0)
        assert actions_of(actions) == []
        assert server.deadline == pytest.approx(100.0 + delay)


def test_a_web_server_that_is_its_own_worker(started):
    """Such as uvicorn with one process: the same process id is the web server and a worker."""
    assert started.worker_of(10) is None
    assert join(started, 10, 1.0) == FIRST
    assert (started.worker_of(10), started.pids()[WEB_SERVER]) == (FIRST, 10)


class AnyHistory(RuleBasedStateMachine):
    """Events in any order: each place is filled by one process, and a stop comes to its end."""

    topology = Topology(workers=2, mules=1)

    def __init__(self):
        super().__init__()
        self.now, self.pid, self.fork_server = 0.0, 100, 0
        self.supervisor = Supervisor(
            self.topology, graceful_timeout=GRACEFUL_TIMEOUT, commands={WEB_SERVER: WEB_COMMAND}
        )
        self.finished = False
        self.carry_out(self.supervisor.handle(StartRequested(), self.now))

    def carry_out(self, actions):
        for action in actions:
            assert not self.finished, actions
            match action:
                case StartForkServer(generation):
                    self.fork_server = generation
                case Fork(generation, process):
                    self.pid += 1
                    self.carry_out(self.supervisor.handle(Started(process, self.pid, generation), self.now))
                case StartCommand(process):
                    assert process == WEB_SERVER
                    assert WEB_SERVER not in self.supervisor.pids()
                    self.pid += 1
                    self.carry_out(
                        self.supervisor.handle(Started(WEB_SERVER, self.pid, self.supervisor.generation), self.now)
                    )
                case ReloadCommand(pid):
                    assert self.supervisor.pids()[WEB_SERVER] == pid
                case Finish():
                    self.finished = True

    @rule(seconds=st.sampled_from([0.01, 1.0, 20.0]))
    def time_passes(self, seconds):
        self.now += seconds
        if not self.finished:
            self.carry_out(self.supervisor.handle(Due(), self.now))

    @rule(expected=st.booleans())
    def the_load_ends(self, expected):
        if self.supervisor.loading and not self.finished:
            if expected:
                self.carry_out(self.supervisor.handle(ForkServerReady(self.fork_server), self.now))
            elif self.supervisor.generation:
                self.carry_out(self.supervisor.handle(ForkServerFailed(self.fork_server, "it does not load"), self.now))

    @rule()
    def a_process_joins(self):
        if WEB_SERVER in self.supervisor.pids():
            self.pid += 1
            before = self.supervisor.pids()
            process = join(self.supervisor, self.pid, self.now)
            assert process is None or process not in before

    @rule(which=st.integers(0, 2))
    def a_process_exits(self, which):
        here = [process for process in self.supervisor.pids() if process != WEB_SERVER]
        if which < len(here) and not self.finished:
            self.carry_out(self.supervisor.handle(Exited(here[which], "exit code 1"), self.now))

    @rule(code=st.sampled_from([0, 1, -9]))
    def the_web_server_exits(self, code):
        if WEB_SERVER in self.supervisor.pids() and not self.finished:
            self.carry_out(self.supervisor.handle(Exited(WEB_SERVER, f"exit code {code}", code=code), self.now))

    @rule()
    def reload(self):
        if not self.finished:
            self.carry_out(self.supervisor.handle(ReloadRequested(), self.now))

    @rule()
    def stop(self):
        if not self.finished:
            self.carry_out(self.supervisor.handle(StopRequested(), self.now))

    @rule()
    def all_queues_are_empty(self):
        if self.supervisor.draining_queues and not self.finished:
            self.carry_out(self.supervisor.handle(Idle(), self.now))

    @invariant()
    def a_process_has_one_place(self):
        pids = list(self.supervisor.pids().values())
        assert len(pids) == len(set(pids))

    def teardown(self):
        if self.finished:
            return
        if self.supervisor.loading:
            self.carry_out(self.supervisor.handle(ForkServerReady(self.fork_server), self.now))
        self.carry_out(self.supervisor.handle(StopRequested(), self.now))
        for _ in range(20):
            if self.finished:
                return
            if self.supervisor.draining_queues:
                self.carry_out(self.supervisor.handle(Idle(), self.now))
            self.the_web_server_exits(0)
            for _ in range(3):
                self.a_process_exits(0)
        assert self.finished, self.supervisor


class AnyHistoryOfProcessesThatComeAndGo(AnyHistory):
    """Besides, at least the least number of workers is expected, and all that run are."""

    topology = Topology(workers=4, mules=1, min_workers=2)

    @rule(pid=st.integers(1, 4))
    def a_process_asks_on(self, pid):
        if WEB_SERVER in self.supervisor.pids():
            join(self.supervisor, pid, self.now)

    @invariant()
    def those_that_run_are_expected(self):
        workers = {process for process in self.supervisor.present_processes if process.role == "worker"}
        assert len(workers) >= 2
        assert {process for process in self.supervisor.pids() if process.role == "worker"} <= workers


AnyHistoryOfProcessesThatComeAndGo.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAnyHistoryOfProcessesThatComeAndGo = AnyHistoryOfProcessesThatComeAndGo.TestCase
AnyHistory.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAnyHistory = AnyHistory.TestCase


@pytest.mark.parametrize(("expected", "lines"), [(False, 1), (True, 0)])
def test_a_web_server_that_exits_before_the_stop_drains_it_is_explained(started, expected, lines):
    """SIGTERM has reached its processes too. The log names the setting of systemd that avoids this."""
    started.handle(StopRequested(), 10.0)
    log = log_of(started.handle(Exited(WEB_SERVER, "exit code 0", expected=expected), 10.5))
    assert [("KillMode=mixed" in text) for text in log] == [True] * lines
