"""Commands that a server runs besides its own processes: scripted histories. `test_supervisor.py` has any history."""

from __future__ import annotations

import logging

import pytest

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
    StartCommand,
    StartForkServer,
    StopForkServer,
)
from heliograph._core.supervision.children import (
    INITIAL_BACKOFF,
    MAX_BACKOFF,
    NEVER,
    RELOADING_WEB_COMMAND,
    WEB_COMMAND,
    WEB_SERVER,
    command_policy,
)
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkServerExited,
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
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.models import Identity, Topology

MULE, BOT, ONCE = Identity("mule", 1), Identity("command", name="bot"), Identity("command", name="once")
GRACEFUL_TIMEOUT = 20.0


def actions_of(actions):
    return [action for action in actions if not isinstance(action, Log)]


def log_of(actions):
    return [(action.level, action.text) for action in actions if isinstance(action, Log)]


@pytest.fixture
def make():
    """Start a server with a mule (12) and commands, the first of which is 30."""

    def make(*policies, names=("bot", "once"), others=None):
        commands = {Identity("command", name=name): policy for name, policy in zip(names, policies, strict=False)}
        server = Supervisor(Topology(workers=0, mules=1), GRACEFUL_TIMEOUT, {**(others or {}), **commands})
        server.handle(StartRequested(), 0.0)
        server.handle(ForkServerReady(1), 0.0)
        server.handle(Started(MULE, 12, 1), 0.0)
        for number, process in enumerate(commands):
            server.handle(Started(process, 30 + number, 1), 0.0)
        return server

    return make


@pytest.fixture
def server(make):
    return make(command_policy("always", "replace"))


def test_commands_start_when_the_application_is_loaded():
    """The server is ready without them."""
    server = Supervisor(Topology(workers=0, mules=1), GRACEFUL_TIMEOUT, {BOT: command_policy("always", "replace")})
    assert server.handle(StartRequested(), 0.0) == [StartForkServer(1)]
    assert server.handle(ForkServerReady(1), 0.0) == [Activate(1), Fork(1, MULE), StartCommand(BOT)]
    server.handle(Started(MULE, 12, 1), 0.0)
    assert server.handle(ProcessReady(MULE), 0.0) == [Ready()]


def test_an_application_that_does_not_load_starts_no_command():
    """The server exits with code 2."""
    server = Supervisor(Topology(workers=0, mules=1), GRACEFUL_TIMEOUT, {BOT: command_policy("always", "replace")})
    server.handle(StartRequested(), 0.0)
    assert actions_of(server.handle(ForkServerFailed(1, "SyntaxError"), 0.0)) == [Finish(2)]


def test_a_command_is_no_worker(server):
    """No process joins, and nothing waits for one."""
    assert server.handle(Joined(40), 1.0) == []
    assert server.web_workers is None
    assert server.pids() == {MULE: 12, BOT: 30}
    assert server.present_processes == (MULE,)


@pytest.mark.parametrize("code", [0, 1, -9])
def test_a_command_that_exits_is_restarted_at_once(server, code):
    """After any exit code. The server goes on."""
    actions = server.handle(Exited(BOT, "it ended", code=code), 100.0)
    assert actions_of(actions) == [StartCommand(BOT)]
    assert log_of(actions) == [(logging.WARNING, "Command bot exited (it ended), restarting")]


def test_a_command_that_crashes_in_a_loop_is_restarted_with_growing_delays(server):
    """Up to ten seconds. The server neither stops nor reports a web server that fails."""
    now, delays = 0.0, []
    for _ in range(12):
        actions = server.handle(Exited(BOT, "exit code 1", code=1), now)
        assert actions_of(actions) == []
        delays.append(server.deadline - now)
        now = server.deadline
        assert server.handle(Due(), now) == [StartCommand(BOT)]
        server.handle(Started(BOT, 31, 1), now)
    assert delays == pytest.approx([min(INITIAL_BACKOFF * 2**n, MAX_BACKOFF) for n in range(12)])
    assert (server.stopping, server.web_server_failure) == (False, "")


def test_a_command_that_cannot_be_started_is_tried_again(server):
    """Its program may have been removed since the server was started."""
    server.handle(Exited(BOT, "exit code 1", code=1), 100.0)
    for delay in (INITIAL_BACKOFF, 2 * INITIAL_BACKOFF):
        actions = server.handle(Exited(BOT, "cannot start bot: No such file", code=127), 100.0)
        text = f"Command bot did not start (cannot start bot: No such file), trying again in {delay:g} s"
        assert actions == [Log(logging.WARNING, text)]
        assert server.deadline == pytest.approx(100.0 + delay)


@pytest.mark.parametrize(
    ("restart", "code", "ends"),
    [
        ("always", 0, False),
        ("on_failure", 0, True),
        ("on_failure", 1, False),
        ("on_failure", -9, False),
        ("never", 0, True),
        ("never", 1, True),
    ],
)
def test_the_restart_policy(make, restart, code, ends):
    """A command that has ended is not missing."""
    server = make(command_policy(restart, "replace"))
    actions = server.handle(Exited(BOT, "it ended", code=code), 100.0)
    assert actions_of(actions) == ([] if ends else [StartCommand(BOT)])
    assert (BOT in server.expected_processes) is not ends
    assert server.deadline == NEVER
    if ends:
        level = logging.WARNING if code else logging.INFO
        assert log_of(actions) == [(level, "Command bot exited (it ended), not restarting it")]


def test_a_reload_restarts_hangs_up_or_leaves(make):
    """By the policy of each command. It is complete without them."""
    policies = [command_policy("always", reload) for reload in ("replace", "hang_up", "leave")]
    server = make(*policies, names=("bot", "page", "assets"))
    server.handle(ReloadRequested(), 5.0)
    assert server.handle(ForkServerReady(2), 6.0) == [Activate(2), Drain(12), Drain(30), ReloadCommand(31)]
    server.handle(Exited(MULE, "exit code 64", expected=True), 6.1)
    server.handle(Started(MULE, 13, 2), 6.1)
    assert ReloadComplete(2, pytest.approx(1.2)) in server.handle(ProcessReady(MULE), 6.2)
    assert server.handle(Exited(BOT, "killed by signal 15", code=-15), 6.3) == [StartCommand(BOT)]


def test_a_command_that_does_not_stop_at_a_reload_is_killed(server):
    """After the graceful timeout. Then it is started again."""
    server.handle(ReloadRequested(), 5.0)
    server.handle(ForkServerReady(2), 6.0)
    server.handle(Exited(MULE, "exit code 64", expected=True), 6.1)
    server.handle(Started(MULE, 13, 2), 6.1)
    assert server.deadline == 6.0 + GRACEFUL_TIMEOUT
    assert actions_of(server.handle(Due(), server.deadline)) == [Kill(30)]
    assert server.handle(Exited(BOT, "killed by signal 9", code=-9), 30.0) == [StartCommand(BOT)]


@pytest.mark.parametrize("restart", ["always", "on_failure", "never"])
def test_a_reload_restarts_a_command_of_any_restart_policy(make, restart):
    """It did not exit by itself."""
    server = make(command_policy(restart, "replace"))
    server.handle(ReloadRequested(), 5.0)
    server.handle(ForkServerReady(2), 6.0)
    assert server.handle(Exited(BOT, "exit code 0"), 6.3) == [StartCommand(BOT)]


@pytest.mark.parametrize(("reload", "again"), [("replace", True), ("hang_up", False), ("leave", False)])
def test_a_reload_starts_a_command_that_has_ended_only_if_it_restarts_it(make, reload, again):
    """Else it has ended for good."""
    server = make(command_policy("never", reload))
    server.handle(Exited(BOT, "exit code 0"), 3.0)
    server.handle(ReloadRequested(), 5.0)
    assert (StartCommand(BOT) in server.handle(ForkServerReady(2), 6.0)) is again


def test_a_reload_that_fails_leaves_the_commands_alone(server):
    """The old code goes on."""
    server.handle(ReloadRequested(), 5.0)
    actions = server.handle(ForkServerFailed(2, "SyntaxError"), 6.0)
    assert not [action for action in actions if isinstance(action, Drain | StartCommand)]


def test_a_command_is_restarted_while_no_fork_server_runs(server):
    """It needs none. The command that asks for a reload when the code is mended must run, above all."""
    server.handle(ForkServerExited(1, "killed"), 5.0)
    server.handle(ForkServerFailed(2, "SyntaxError"), 6.0)
    assert StartCommand(BOT) in server.handle(Exited(BOT, "exit code 1", code=1), 7.0)


def test_a_stop_drains_commands_before_the_other_processes(server):
    """When nothing is queued. They may have sent signals."""
    server.handle(StopRequested(), 10.0)
    assert server.handle(Idle(), 11.0) == [Drain(30)]
    assert server.handle(Exited(BOT, "killed by signal 15", code=-15), 11.1) == []
    assert server.handle(Idle(), 11.2) == [Drain(12)]
    assert server.handle(Exited(MULE, "exit code 64", expected=True), 11.3) == [StopForkServer(1), Finish(0)]


def test_commands_stop_together_with_the_web_server():
    """They get SIGTERM at the same time."""
    commands = {WEB_SERVER: WEB_COMMAND, BOT: command_policy("always", "replace")}
    server = Supervisor(Topology(workers=1, mules=1), GRACEFUL_TIMEOUT, commands)
    server.handle(StartRequested(), 0.0)
    server.handle(ForkServerReady(1), 0.0)
    server.handle(Started(MULE, 12, 1), 0.0)
    server.handle(Started(WEB_SERVER, 10, 1), 0.0)
    server.handle(Started(BOT, 30, 1), 0.0)
    server.handle(Joined(21), 1.0)
    server.handle(StopRequested(), 10.0)
    assert server.handle(Idle(), 11.0) == [Drain(10), Drain(30)]


def test_a_command_is_not_taken_for_the_web_server():
    """Processes join only while the web server runs. A command that exits early does not stop the server."""
    commands = {WEB_SERVER: WEB_COMMAND, BOT: command_policy("always", "replace")}
    server = Supervisor(Topology(workers=1), GRACEFUL_TIMEOUT, commands)
    server.handle(StartRequested(), 0.0)
    server.handle(ForkServerReady(1), 0.0)
    server.handle(Started(BOT, 30, 1), 0.0)
    assert server.handle(Joined(21), 0.1) == []
    assert actions_of(server.handle(Exited(BOT, "exit code 1", code=1), 0.2)) == []
    assert not server.stopping


def test_a_command_that_ignores_sigterm_is_killed(server):
    """Before the graceful timeout is over, so that the other processes have the rest for what it has sent."""
    server.handle(StopRequested(), 10.0)
    server.handle(Idle(), 10.1)
    assert server.handle(Due(), 10.0 + 0.5 * GRACEFUL_TIMEOUT) == []
    assert server.deadline == 10.0 + 0.75 * GRACEFUL_TIMEOUT
    actions = server.handle(Due(), server.deadline)
    assert actions_of(actions) == [Kill(30)]
    assert "Command bot (pid 30) did not exit within 15 s" in log_of(actions)[0][1]


def test_queued_signals_do_not_keep_commands_from_being_stopped(server):
    """They get SIGTERM after half of the graceful timeout."""
    server.handle(StopRequested(), 10.0)
    assert server.deadline == 10.0 + 0.5 * GRACEFUL_TIMEOUT
    actions = server.handle(Due(), server.deadline)
    assert actions_of(actions) == [Drain(30)]
    assert log_of(actions)[0][1].endswith("stopping the commands now")


def test_a_command_that_exits_during_a_stop_stays_so(server):
    """SIGTERM to the whole service reaches it as well, which is no fault."""
    server.handle(StopRequested(), 10.0)
    assert server.handle(Exited(BOT, "killed by signal 15", code=-15), 10.1) == []
    assert server.handle(Idle(), 11.2) == [Drain(12)]


def test_a_stop_does_not_wait_for_a_command_that_waits_for_its_restart(server):
    """It is not started again."""
    server.handle(Exited(BOT, "exit code 1", code=1), 0.1)
    server.handle(StopRequested(), 0.12)
    assert server.handle(Idle(), 0.2) == [Drain(12)]
    assert actions_of(server.handle(Exited(MULE, "exit code 64", expected=True), 0.3)) == [
        StopForkServer(1),
        Finish(0),
    ]


def test_each_command_has_its_own_policy(make):
    """The end of one is no event for the others."""
    server = make(command_policy("always", "replace"), command_policy("never", "leave"))
    server.handle(Exited(ONCE, "exit code 0"), 0.1)
    assert server.pids() == {MULE: 12, BOT: 30}
    assert server.expected_processes == (MULE, BOT)


def test_a_web_server_that_reloads_itself_is_left_alone():
    """It and its processes count as reloaded, since it replaces them when it likes."""
    server = Supervisor(Topology(workers=1, mules=1), GRACEFUL_TIMEOUT, {WEB_SERVER: RELOADING_WEB_COMMAND})
    server.handle(StartRequested(), 0.0)
    server.handle(ForkServerReady(1), 0.0)
    server.handle(Started(MULE, 12, 1), 0.0)
    server.handle(Started(WEB_SERVER, 10, 1), 0.0)
    server.handle(Joined(21), 1.0)
    server.handle(ProcessReady(Identity("worker", 1)), 1.0)
    server.handle(ProcessReady(MULE), 1.0)
    server.handle(ReloadRequested("a.py changed"), 5.0)
    assert server.handle(ForkServerReady(2), 6.0) == [Activate(2), Drain(12)]
    server.handle(Exited(MULE, "exit code 64", expected=True), 6.1)
    server.handle(Started(MULE, 13, 2), 6.1)
    assert ReloadComplete(2, pytest.approx(1.2)) in server.handle(ProcessReady(MULE), 6.2)


def test_the_log_has_the_reason_of_a_reload(server):
    """In the line that says that it begins, or that it comes next."""
    (line,) = log_of(server.handle(ReloadRequested("a.py changed"), 5.0))
    assert line == (logging.INFO, "Reloading (generation 2): a.py changed")
    (line,) = log_of(server.handle(ReloadRequested("b.py changed"), 5.1))
    assert line[1].endswith("loading it once more: b.py changed")
    (line,) = log_of(server.handle(ForkServerReady(2), 6.0))
    assert line[1] == "Reloading (generation 3)"
