"""A server whose web workers come and go: which worker number a process gets, and when one is vacated."""

import pytest

from heliograph._core.supervision.actions import Admit, Fork, Log, Ready, ReloadComplete, Vacate, Watch
from heliograph._core.supervision.capacity import JOIN_DELAY, TOO_MANY_AFTER
from heliograph._core.supervision.children import WEB_COMMAND, WEB_SERVER
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkServerReady,
    Joined,
    ProcessReady,
    ReloadRequested,
    Started,
    StartRequested,
    StopRequested,
)
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.models import Identity, Topology

GRACEFUL_TIMEOUT = 30.0
WORKERS = [Identity("worker", number) for number in range(1, 6)]
W1, W2, W3, W4, W5 = WORKERS


def ask(server, pid, now):
    """Let a process ask for a worker number. Return what it becomes, and the actions without log lines."""
    actions = server.handle(Joined(pid), now)
    return server.worker_of(pid), [action for action in actions if not isinstance(action, Log | Watch)]


def ask_on(server, pid, since, until):
    """Let a process ask every second, and return the first answer."""
    now = since
    while now <= until:
        found, _ = ask(server, pid, now)
        if found:
            return found, now
        now += 1.0
    return None, now


def leave(server, worker, now):
    return server.handle(Exited(worker, "it left", expected=True), now)


def due(server, now):
    """Return the numbers that are vacated until then."""
    found = []
    while server.deadline <= now:
        found += server.handle(Due(), server.deadline)
    return [action.process for action in found if isinstance(action, Vacate)]


def make(least=1, most=5, expected=2):
    """A server whose web server has started, and starts `expected` processes."""
    topology = Topology(workers=most, min_workers=least)
    server = Supervisor(topology, GRACEFUL_TIMEOUT, commands={WEB_SERVER: WEB_COMMAND}, expected_workers=expected)
    server.handle(StartRequested(), 0.0)
    server.handle(ForkServerReady(1), 0.0)
    server.handle(Started(WEB_SERVER, 10, 1), 0.0)
    return server


@pytest.fixture
def two():
    """Workers 1 and 2, of 1 to 5."""
    server = make()
    assert [ask(server, pid, 0.1)[0] for pid in (101, 102)] == [W1, W2]
    return server


def test_the_server_is_ready_with_the_processes_that_the_command_starts():
    """Not with all that there may be."""
    server = make()
    assert server.present_processes == (W1, W2)
    ask(server, 101, 0.1)
    assert Ready() not in server.handle(ProcessReady(W1), 0.1)
    ask(server, 102, 0.1)
    assert Ready() in server.handle(ProcessReady(W2), 0.1)


def test_an_additional_process_gets_a_number_after_a_moment(two):
    """It is admitted to `workers`."""
    assert ask(two, 103, 20.0) == (None, [])
    assert ask(two, 103, 20.0 + JOIN_DELAY - 0.1) == (None, [])
    assert ask(two, 103, 20.0 + JOIN_DELAY) == (W3, [Admit(W3)])
    assert two.present_processes == (W1, W2, W3)


def test_a_process_takes_the_number_of_one_that_leaves_meanwhile(two):
    """A web server starts the successor first. Its queue is not given up."""
    assert ask(two, 103, 20.0)[0] is None
    leave(two, W1, 20.5)
    assert ask(two, 103, 20.6) == (W1, [])
    assert due(two, 100.0) == []


def test_a_reload_keeps_the_numbers(two):
    """The new processes wait for the old ones, however long those take."""
    two.handle(ReloadRequested(), 20.0)
    two.handle(ForkServerReady(2), 20.0)
    assert ask_on(two, 201, 20.0, 35.0)[0] is None
    leave(two, W2, 35.5)
    assert ask(two, 201, 36.0) == (W2, [])
    leave(two, W1, 36.0)
    ask(two, 202, 36.1)
    two.handle(ProcessReady(W2), 36.2)
    assert any(isinstance(action, ReloadComplete) for action in two.handle(ProcessReady(W1), 36.2))


def test_a_number_is_vacated_after_the_graceful_timeout(two):
    """Not before: a successor could come."""
    leave(two, W1, 20.0)
    assert due(two, 20.0 + GRACEFUL_TIMEOUT - 0.1) == []
    assert two.present_processes == (W1, W2)
    assert due(two, 20.0 + GRACEFUL_TIMEOUT) == [W1]
    assert two.present_processes == (W2,)


def test_the_least_number_of_workers_stays(two):
    """The last one is expected to come back."""
    leave(two, W1, 20.0)
    leave(two, W2, 21.0)
    assert due(two, 1000.0) == [W1]
    assert ask(two, 103, 1001.0) == (W2, [])


def test_a_number_with_queued_signals_is_assigned_first(two):
    """A vacated one comes later, even if it is lower."""
    leave(two, W1, 20.0)
    due(two, 60.0)
    assert ask_on(two, 103, 60.0, 70.0)[0] == W1
    leave(two, W1, 71.0)
    assert due(two, 110.0) == [W1]
    assert ask_on(two, 104, 110.0, 120.0)[0] == W1
    assert ask_on(two, 105, 120.0, 130.0)[0] == W3
    leave(two, W1, 131.0)
    due(two, 170.0)
    leave(two, W3, 171.0)
    assert ask(two, 106, 172.0) == (W3, [])


def test_numbers_are_kept_while_the_web_server_is_down(two):
    """No process can take them until it is started again."""
    for worker in (W1, W2):
        leave(two, worker, 20.0)
    two.handle(Exited(WEB_SERVER, "exit code 1", code=1), 20.0)
    assert due(two, 200.0) == []
    two.handle(Started(WEB_SERVER, 11, 1), 200.0)
    assert [ask(two, pid, 201.0)[0] for pid in (201, 202)] == [W1, W2]


def test_a_process_that_the_command_should_start_and_does_not_is_not_waited_for_long():
    """Its number is vacated, and the server is ready."""
    server = make(expected=3)
    for pid, worker in ((101, W1), (102, W2)):
        ask(server, pid, 0.1)
        server.handle(ProcessReady(worker), 0.1)
    actions = []
    while server.deadline <= GRACEFUL_TIMEOUT + 1:
        actions += server.handle(Due(), server.deadline)
    assert Vacate(W3) in actions
    assert Ready() in actions


def test_more_processes_than_numbers_are_logged_once():
    """With the setting that admits them. They ask on."""
    server = make(most=2)
    for pid in (101, 102):
        ask(server, pid, 0.1)
    lines = []
    for second in range(100):
        for pid in (103, 104):
            lines += [a.text for a in server.handle(Joined(pid), float(second)) if isinstance(a, Log)]
            assert server.worker_of(pid) is None
    (line,) = lines
    assert "more than 2 processes" in line
    assert "--workers 1..4" in line


def test_too_many_processes_are_logged_long_before_the_graceful_timeout():
    """No worker leaves, so the reason is plain."""
    server = make(most=2)
    for pid in (101, 102):
        ask(server, pid, 0.1)
    assert server.handle(Joined(103), 1.0) == []
    assert [server.handle(Joined(103), 1.0 + tick) for tick in range(1, int(TOO_MANY_AFTER))][-1] == []
    assert "more than 2 processes" in server.handle(Joined(103), 1.0 + TOO_MANY_AFTER)[0].text


def test_a_reload_that_takes_long_is_not_taken_for_too_many_processes():
    """The old processes have the graceful timeout to leave."""
    server = make(most=2)
    for pid in (101, 102):
        ask(server, pid, 0.1)
    server.handle(ReloadRequested(), 0.2)
    server.handle(ForkServerReady(2), 0.2)
    for tick in range(int(GRACEFUL_TIMEOUT)):
        assert server.handle(Joined(103), float(tick)) == []


def reload_of_three(two):
    """Reload a server with an additional worker. All its processes leave."""
    worker, _ = ask_on(two, 103, 20.0, 30.0)
    assert worker == W3
    for worker in (W1, W2, W3):
        two.handle(ProcessReady(worker), 30.0)
    two.handle(ReloadRequested(), 40.0)
    two.handle(ForkServerReady(2), 40.0)


def test_a_reload_does_not_wait_for_workers_that_the_command_does_not_start(two):
    """gunicorn forgets SIGTTIN at a reload. The number is vacated later, since a process could still take it."""
    reload_of_three(two)
    for worker in (W1, W2, W3):
        leave(two, worker, 41.0)
    assert [ask(two, pid, 41.0)[0] for pid in (201, 202)] == [W1, W2]
    assert not two.reloaded
    actions = [action for worker in (W1, W2) for action in two.handle(ProcessReady(worker), 42.0)]
    assert [type(action) for action in actions] == [ReloadComplete]
    assert two.present_processes == (W1, W2, W3)
    assert due(two, 100.0) == [W3]


def test_a_reload_waits_for_an_additional_worker_that_runs_the_old_code(two):
    """It is about to leave."""
    reload_of_three(two)
    for number, worker in enumerate((W1, W2)):
        leave(two, worker, 41.0)
        ask(two, 201 + number, 41.0)
        two.handle(ProcessReady(worker), 42.0)
    assert not two.reloaded
    leave(two, W3, 43.0)
    assert two.reloaded


def test_a_stop_does_not_wait_for_numbers_that_are_not_in_use(two):
    """Nobody would handle what is queued there."""
    leave(two, W1, 20.0)
    due(two, 60.0)
    two.handle(StopRequested(), 61.0)
    assert {W1, W3, W4, W5} <= two.vacant_workers
    assert W2 not in two.vacant_workers


def test_without_a_web_server_the_least_number_is_started():
    """The others never are."""
    server = Supervisor(Topology(workers=5, min_workers=2), GRACEFUL_TIMEOUT)
    server.handle(StartRequested(), 0.0)
    forks = [action.process for action in server.handle(ForkServerReady(1), 0.0) if isinstance(action, Fork)]
    assert forks == [W1, W2]
    for number, worker in enumerate(forks):
        server.handle(Started(worker, 100 + number, 1), 0.0)
        actions = server.handle(ProcessReady(worker), 0.0)
    assert Ready() in actions
    again = [action.process for action in server.handle(Exited(W1, "exit code 1"), 10.0) if isinstance(action, Fork)]
    assert again == [W1]


def test_with_a_fixed_number_nothing_is_vacated():
    """A worker that has left is expected for ever."""
    server = Supervisor(Topology(workers=2), GRACEFUL_TIMEOUT, commands={WEB_SERVER: WEB_COMMAND})
    server.handle(StartRequested(), 0.0)
    server.handle(ForkServerReady(1), 0.0)
    server.handle(Started(WEB_SERVER, 10, 1), 0.0)
    ask(server, 101, 0.1)
    leave(server, W1, 20.0)
    assert due(server, 1000.0) == []
    assert server.present_processes == (W1, W2)


def reload(server, now):
    """Reload, let the web server exit because of it, and start it again. Return whether the reload is complete."""
    server.handle(ReloadRequested(), now)
    server.handle(ForkServerReady(2), now)
    leave(server, W1, now)
    server.handle(Exited(WEB_SERVER, "killed by signal 1", code=-1), now)
    server.handle(Started(WEB_SERVER, 11, 2), now)
    return server.reloaded


@pytest.mark.parametrize("at_request", [True, False])
def test_a_reload_does_not_wait_for_a_process_that_joins_at_a_request(at_request):
    """Nobody knows when the next request comes. It waits for processes that join when they start."""
    server = make(most=1, expected=1)
    server.handle(Joined(101, at_request), 0.1)
    server.handle(ProcessReady(W1), 0.1)
    assert server.not_awaited == ()
    assert reload(server, 20.0) == at_request
    assert server.not_awaited == ((W1,) if at_request else ())
    assert not server.complete


def test_a_reload_does_not_wait_for_processes_that_have_not_joined_in_time():
    """The log has named them. A process that joins nonetheless counts again."""
    server = make(most=1, expected=1)
    assert not server.reloaded
    server.handle(Due(), 15.0)
    assert server.reloaded
    assert reload(server, 20.0)
    assert ask(server, 201, 30.0)[0] == W1
    assert not server.reloaded
    server.handle(ProcessReady(W1), 30.1)
    assert server.reloaded
