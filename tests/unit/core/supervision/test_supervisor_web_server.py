"""How a server runs beside another one, whose processes join: scripted histories, then any history at all."""

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
from heliograph._core.supervision.children import INITIAL_BACKOFF, MIN_UPTIME, WEB_SERVER
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkServerFailed,
    ForkServerReady,
    Idle,
    Joined,
    ReloadRequested,
    Started,
    StartRequested,
    StopRequested,
)
from heliograph._core.supervision.supervisor import JOIN_WARNING_AFTER, Supervisor
from heliograph.models import Identity, Topology

FIRST, SECOND, MULE = Identity("worker", 1), Identity("worker", 2), Identity("mule", 1)
GRACEFUL_TIMEOUT = 30.0


def deeds(actions):
    """The actions without what is only told."""
    return [action for action in actions if not isinstance(action, Log)]


def told(actions):
    """What is only told."""
    return [action.text for action in actions if isinstance(action, Log)]


def join(server, pid, now):
    """Let a process join, and return the worker that it becomes. None if it becomes none."""
    actions = server.handle(Joined(pid), now)
    process = server.worker_of(pid)
    assert [action for action in actions if isinstance(action, Watch)] in ([], [Watch(process, pid)])
    return process


@pytest.fixture
def new():
    return Supervisor(Topology(workers=2, mules=1), graceful_timeout=GRACEFUL_TIMEOUT, with_web_server=True)


@pytest.fixture
def started(new):
    """The mule (12) and the other server (10) run; nobody has joined."""
    new.handle(StartRequested(), 0.0)
    new.handle(ForkServerReady(1), 0.0)
    new.handle(Started(WEB_SERVER, 10, 1), 0.0)
    new.handle(Started(MULE, 12, 1), 0.0)
    return new


@pytest.fixture
def server(started):
    """Two have joined: 21 and 22."""
    join(started, 21, 1.0)
    join(started, 22, 1.0)
    return started


def test_the_other_server_is_started_when_the_application_is_loaded(new):
    """Workers are not forked."""
    assert new.handle(StartRequested(), 0.0) == [StartForkServer(1)]
    assert new.handle(ForkServerReady(1), 0.0) == [Activate(1), Fork(1, MULE), StartCommand(WEB_SERVER)]


def test_an_application_that_does_not_load_starts_no_server(new):
    """As without one."""
    new.handle(StartRequested(), 0.0)
    assert deeds(new.handle(ForkServerFailed(1, "SyntaxError"), 0.0)) == [Finish(2)]


def test_who_joins_takes_the_first_free_seat(started):
    """Complete when all are taken; who asks again has it already; one too many gets none."""
    assert join(started, 21, 1.0) == FIRST
    assert not started.all_running
    assert join(started, 22, 1.0) == SECOND
    assert started.all_running
    assert join(started, 21, 2.0) == FIRST
    assert join(started, 23, 2.0) is None
    assert started.pids() == {WEB_SERVER: 10, MULE: 12, FIRST: 21, SECOND: 22}


def test_a_new_one_takes_the_number_of_who_left(server):
    """Nobody is forked or started for it."""
    assert server.handle(Exited(FIRST, "it left", expected=True), 5.0) == []
    assert not server.all_running
    assert join(server, 23, 6.0) == FIRST
    assert server.all_running


def test_who_has_not_joined_in_time_is_named_once(started):
    """With the ways out."""
    join(started, 21, 1.0)
    assert started.deadline == JOIN_WARNING_AFTER
    text = told(started.handle(Due(), JOIN_WARNING_AFTER))[0]
    assert "worker2" in text
    assert "worker1" not in text
    assert "heliograph.join_server()" in text
    assert "--workers" in text
    assert started.handle(Due(), JOIN_WARNING_AFTER * 2) == []


def test_nothing_is_said_when_all_have_joined(server):
    """The moment passes."""
    assert server.handle(Due(), JOIN_WARNING_AFTER) == []
    assert server.deadline == math.inf


def test_who_has_joined_and_is_being_replaced_is_not_late(server):
    """Its successor is on its way."""
    server.handle(Exited(FIRST, "it left", expected=True), JOIN_WARNING_AFTER)
    assert server.handle(Due(), JOIN_WARNING_AFTER) == []


def test_a_reload_hangs_the_server_up(server):
    """Once the new code has loaded; complete when its new processes have joined."""
    assert deeds(server.handle(ReloadRequested(), 0.0)) == [StartForkServer(2)]
    assert server.handle(ForkServerReady(2), 10.0) == [Activate(2), StopForkServer(1), Drain(12), ReloadCommand(10)]
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 10.1) == [Fork(2, MULE)]
    server.handle(Started(MULE, 13, 2), 10.2)
    assert not server.all_running
    for seat, pid in ((FIRST, 31), (SECOND, 32)):
        server.handle(Exited(seat, "it left", expected=True), 11.0)
        assert join(server, pid, 11.1) == seat
    assert server.all_running


def test_a_reload_that_fails_leaves_the_server_alone(server):
    """No hang-up."""
    server.handle(ReloadRequested(), 0.0)
    assert deeds(server.handle(ForkServerFailed(2, "SyntaxError"), 10.0)) == [ReloadFailed(2, "SyntaxError")]
    assert server.all_running


@pytest.mark.parametrize("code", [0, 1, 3, -9])
def test_a_server_that_ends_before_anybody_joined_ends_all(started, code):
    """With its own exit code."""
    actions = started.handle(Exited(WEB_SERVER, f"exit code {code}", code=code), 2.0)
    assert "before any worker joined" in told(actions)[0]
    assert started.stopping
    assert deeds(started.handle(Idle(), 2.0)) == [Drain(12)]
    assert deeds(started.handle(Exited(MULE, "exit code 64", expected=True), 2.1)) == [
        StopForkServer(1),
        Finish(abs(code)),
    ]


def test_a_server_that_was_told_to_end_ends_all(server):
    """By somebody else; nothing failed."""
    actions = server.handle(Exited(WEB_SERVER, "exit code 0", code=0), 9.0)
    assert [action.level for action in actions if isinstance(action, Log)] == [logging.INFO, logging.INFO]
    assert server.stopping


def test_a_server_that_dies_is_replaced(server):
    """At once; with a pause if it had just started."""
    assert deeds(server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), MIN_UPTIME)) == [
        StartCommand(WEB_SERVER)
    ]
    server.handle(Started(WEB_SERVER, 11, 1), 20.0)
    assert deeds(server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), 20.1)) == []
    assert deeds(server.handle(Due(), 20.1 + INITIAL_BACKOFF)) == [StartCommand(WEB_SERVER)]


def test_a_server_that_dies_of_a_reload_before_it_listens_is_started_again(started):
    """It had not come so far as to handle SIGHUP; what then ends by itself ends all, as ever."""
    started.handle(ReloadRequested(), 0.0)
    assert ReloadCommand(10) in started.handle(ForkServerReady(2), 0.1)
    assert deeds(started.handle(Exited(WEB_SERVER, "killed by signal 1", code=-1), 0.2)) == []
    assert deeds(started.handle(Due(), 0.2 + INITIAL_BACKOFF)) == [StartCommand(WEB_SERVER)]
    started.handle(Started(WEB_SERVER, 11, 2), 0.3)
    started.handle(Exited(WEB_SERVER, "exit code 3", code=3), 2.0)
    assert started.stopping


def test_a_server_that_nobody_joins_before_it_dies_is_replaced_ever_more_slowly(server):
    """However long it takes to find out that its application does not load."""
    assert deeds(server.handle(Exited(WEB_SERVER, "exit code 3", code=3), 9.0)) == [StartCommand(WEB_SERVER)]
    for pause in (INITIAL_BACKOFF, 2 * INITIAL_BACKOFF):
        server.handle(Started(WEB_SERVER, 11, 1), 20.0)
        assert deeds(server.handle(Exited(WEB_SERVER, "exit code 3", code=3), 25.0)) == []
        assert server.deadline == 25.0 + pause
        assert deeds(server.handle(Due(), 25.0 + pause)) == [StartCommand(WEB_SERVER)]


def test_a_stop_ends_the_server_first(server):
    """When all is quiet, the others when its workers are gone too. Until then who ends is replaced."""
    assert deeds(server.handle(StopRequested(), 5.0)) == []
    server.handle(Exited(SECOND, "it left", expected=True), 5.0)
    assert join(server, 23, 5.0) == SECOND
    assert server.vacant_workers == frozenset()
    assert server.handle(Idle(), 5.0) == [Drain(10)]
    assert join(server, 24, 5.1) is None
    assert server.handle(Idle(), 5.1) == []
    for seat in (FIRST, SECOND):
        assert server.handle(Exited(seat, "it left", expected=True), 6.0) == []
    assert server.handle(Idle(), 6.0) == []
    assert deeds(server.handle(Exited(WEB_SERVER, "exit code 0", code=0), 6.0)) == []
    assert server.vacant_workers == {FIRST, SECOND}
    assert server.handle(Idle(), 6.0) == [Drain(12)]
    assert deeds(server.handle(Exited(MULE, "exit code 64", expected=True), 6.1)) == [StopForkServer(1), Finish(0)]


def test_who_outlives_the_mercy_is_killed(server):
    """The other server and its processes too."""
    server.handle(StopRequested(), 5.0)
    server.handle(Idle(), 5.0)
    assert {action.pid for action in deeds(server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT))} == {10, 12, 21, 22}
    assert {type(action) for action in deeds(server.handle(Due(), 5.0 + GRACEFUL_TIMEOUT))} <= {Kill}
    for seat in (FIRST, SECOND, MULE):
        server.handle(Exited(seat, "killed"), 36.0)
    assert deeds(server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), 36.0)) == [
        StopForkServer(1),
        Finish(0),
    ]


def test_nobody_is_waited_for_who_never_was(started):
    """Before the server is late everybody may still join; then only who was there may come back."""
    join(started, 21, 1.0)
    assert started.vacant_workers == frozenset()
    started.handle(Due(), JOIN_WARNING_AFTER)
    assert started.vacant_workers == {SECOND}
    started.handle(Exited(FIRST, "it left", expected=True), 20.0)
    assert started.vacant_workers == {SECOND}
    join(started, 31, 20.1)
    join(started, 32, 20.1)
    assert started.vacant_workers == frozenset()


def test_a_stop_goes_on_being_late(started):
    """Nothing is said any more, and nobody waited for."""
    started.handle(StopRequested(), 5.0)
    assert started.vacant_workers == frozenset()
    assert started.handle(Due(), JOIN_WARNING_AFTER) == []
    assert started.vacant_workers == {FIRST, SECOND}
    assert started.handle(Idle(), JOIN_WARNING_AFTER) == [Drain(10)]


def test_who_was_a_worker_is_not_waited_for_when_the_server_is_gone(server):
    """Its requests and its processes are over."""
    server.handle(Due(), JOIN_WARNING_AFTER)
    server.handle(StopRequested(), 20.0)
    assert server.vacant_workers == frozenset()
    for seat in (FIRST, SECOND):
        server.handle(Exited(seat, "it left", expected=True), 20.0)
    server.handle(Exited(WEB_SERVER, "exit code 0", code=0), 20.0)
    assert server.vacant_workers == {FIRST, SECOND}


def test_a_server_that_pauses_is_not_started_during_a_stop(server):
    """Without it there are no requests."""
    server.handle(Started(WEB_SERVER, 11, 1), 20.0)
    server.handle(Exited(WEB_SERVER, "killed by signal 9", code=-9), 20.1)
    for seat in (FIRST, SECOND):
        server.handle(Exited(seat, "it left", expected=True), 20.1)
    server.handle(StopRequested(), 20.11)
    assert deeds(server.handle(Due(), 25.0)) == []
    assert server.handle(Idle(), 25.0) == [Drain(12)]


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens in whatever order: seats are held by one process each, and a stop comes to its end."""

    def __init__(self):
        super().__init__()
        self.now, self.pid, self.template = 0.0, 100, 0
        self.supervisor = Supervisor(
            Topology(workers=2, mules=1), graceful_timeout=GRACEFUL_TIMEOUT, with_web_server=True
        )
        self.finished = False
        self.do(self.supervisor.handle(StartRequested(), self.now))

    def do(self, actions):
        for action in actions:
            assert not self.finished, actions
            match action:
                case StartForkServer(generation):
                    self.template = generation
                case Fork(generation, who):
                    self.pid += 1
                    self.do(self.supervisor.handle(Started(who, self.pid, generation), self.now))
                case StartCommand(process):
                    assert process == WEB_SERVER
                    assert WEB_SERVER not in self.supervisor.pids()
                    self.pid += 1
                    self.do(self.supervisor.handle(Started(WEB_SERVER, self.pid, self.supervisor.generation), self.now))
                case ReloadCommand(pid):
                    assert self.supervisor.pids()[WEB_SERVER] == pid
                case Finish():
                    self.finished = True

    @rule(seconds=st.sampled_from([0.01, 1.0, 20.0]))
    def time_passes(self, seconds):
        self.now += seconds
        if not self.finished:
            self.do(self.supervisor.handle(Due(), self.now))

    @rule(expected=st.booleans())
    def template_answers(self, expected):
        if self.supervisor.loading and not self.finished:
            if expected:
                self.do(self.supervisor.handle(ForkServerReady(self.template), self.now))
            elif self.supervisor.generation:
                self.do(self.supervisor.handle(ForkServerFailed(self.template, "it does not load"), self.now))

    @rule()
    def somebody_joins(self):
        if WEB_SERVER in self.supervisor.pids():
            self.pid += 1
            before = self.supervisor.pids()
            who = join(self.supervisor, self.pid, self.now)
            assert who is None or who not in before

    @rule(which=st.integers(0, 2))
    def somebody_ends(self, which):
        here = [who for who in self.supervisor.pids() if who != WEB_SERVER]
        if which < len(here) and not self.finished:
            self.do(self.supervisor.handle(Exited(here[which], "exit code 1"), self.now))

    @rule(code=st.sampled_from([0, 1, -9]))
    def the_server_ends(self, code):
        if WEB_SERVER in self.supervisor.pids() and not self.finished:
            self.do(self.supervisor.handle(Exited(WEB_SERVER, f"exit code {code}", code=code), self.now))

    @rule()
    def reload(self):
        if not self.finished:
            self.do(self.supervisor.handle(ReloadRequested(), self.now))

    @rule()
    def stop(self):
        if not self.finished:
            self.do(self.supervisor.handle(StopRequested(), self.now))

    @rule()
    def all_is_quiet(self):
        if self.supervisor.draining_queues and not self.finished:
            self.do(self.supervisor.handle(Idle(), self.now))

    @invariant()
    def a_process_has_one_seat(self):
        pids = list(self.supervisor.pids().values())
        assert len(pids) == len(set(pids))

    def teardown(self):
        if self.finished:
            return
        if self.supervisor.loading:
            self.do(self.supervisor.handle(ForkServerReady(self.template), self.now))
        self.do(self.supervisor.handle(StopRequested(), self.now))
        for _ in range(20):
            if self.finished:
                return
            if self.supervisor.draining_queues:
                self.do(self.supervisor.handle(Idle(), self.now))
            self.the_server_ends(0)
            for _ in range(3):
                self.somebody_ends(0)
        assert self.finished, self.supervisor


AnyHistory.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAnyHistory = AnyHistory.TestCase
