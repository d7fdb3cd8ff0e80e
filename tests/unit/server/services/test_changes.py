"""Changes of a server's state: which events lead from one state to the next, and who is answered when."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph._core.supervision import events
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.models import Topology
from heliograph.server.services.changes import Changes, Status, events_between
from heliograph.server.services.control import Refused

UP = Status(
    generation=1,
    newest=1,
    requested=1,
    loading=False,
    complete=True,
    stopping=False,
    failed=0,
    reason="",
    processes={"worker1": 10, "mule1": 11},
    reloaded=True,
)
LOADING = replace(UP, newest=2, requested=2, loading=True)
FAILED = replace(LOADING, loading=False, failed=2, reason="SyntaxError")
DRAINING = replace(UP, generation=2, newest=2, requested=2, complete=False, reloaded=False)
RELOADED = replace(DRAINING, complete=True, reloaded=True, processes={"worker1": 20, "mule1": 21})


def do_nothing():
    """Begin a reload or a stop of a server whose state a test sets."""


class Call:
    """A client of the control socket."""

    def __init__(self):
        self.is_open, self.held, self.told = True, 0, []

    def hold(self):
        self.held += 1

    def push(self, event):
        self.told.append(event)

    def finish(self, result):
        self.held -= 1
        self.told.append(("result", result))

    def fail(self, code, message):
        self.held -= 1
        self.told.append((code, message))


class Server:
    """A server whose state is set by the test."""

    def __init__(self):
        self.status, self.asked = UP, 0
        self.changes = Changes(self._status)

    def _status(self):
        self.asked += 1
        return self.status

    def become(self, *states):
        for state in states:
            self.status = state
            self.changes.publish()


@pytest.fixture
def server():
    return Server()


@pytest.mark.parametrize(
    ("before", "after", "events"),
    [
        (UP, UP, []),
        (UP, LOADING, [{"type": "loading", "generation": 2}]),
        (LOADING, FAILED, [{"type": "load_failed", "generation": 2, "reason": "SyntaxError"}]),
        (LOADING, DRAINING, [{"type": "generation", "generation": 2}]),
        (
            DRAINING,
            RELOADED,
            [
                {"type": "process_replaced", "process": "worker1", "pid": 20, "old_pid": 10},
                {"type": "process_replaced", "process": "mule1", "pid": 21, "old_pid": 11},
                {"type": "complete", "generation": 2},
            ],
        ),
        (UP, replace(UP, processes={"mule1": 11}), [{"type": "process_exited", "process": "worker1", "pid": 10}]),
        (
            replace(UP, processes={}),
            UP,
            [{"type": "process_started", "process": p, "pid": n} for p, n in UP.processes.items()],
        ),
        (UP, replace(UP, stopping=True), [{"type": "stopping"}]),
    ],
)
def test_events_between_two_states(before, after, events):
    """Each change is one event; a change within one turn is none."""
    assert list(events_between(before, after)) == events


def test_a_reload_does_not_wait_for_workers_that_may_never_join(server):
    """The answer names them."""
    call = Call()
    server.changes.wait_for_reload(call, lambda: server.become(LOADING))
    server.become(DRAINING, replace(DRAINING, reloaded=True, not_awaited=("worker1",)))
    assert call.told == [("result", {"generation": 2, "not_awaited": ["worker1"]})]


PIDS = st.dictionaries(st.sampled_from(["worker1", "worker2", "mule1"]), st.integers(1, 3))


@given(before=PIDS, after=PIDS)
def test_process_events_lead_to_the_next_state(before, after):
    """Whoever follows them has the processes of the server."""
    known = dict(before)
    for event in events_between(replace(UP, processes=before), replace(UP, processes=after)):
        if event["type"] == "process_exited":
            assert known.pop(event["process"]) == event["pid"]
        else:
            assert known.get(event["process"]) == event.get("old_pid")
            known[event["process"]] = event["pid"]
    assert known == after


def test_a_subscriber_gets_each_change_once(server):
    """From the moment when it subscribed."""
    early, late = Call(), Call()
    assert server.changes.subscribe(early) == UP
    server.status = LOADING  # within the turn in which the next subscribes
    assert server.changes.subscribe(late) == LOADING
    server.become(LOADING, DRAINING, DRAINING, RELOADED)
    types = [event["type"] for event in early.told]
    assert types == ["loading", "generation", "process_replaced", "process_replaced", "complete"]
    assert [event["type"] for event in late.told] == types[1:]


def test_without_waiting_clients_nothing_is_compared(server):
    """Publishing costs nothing then, and a later subscriber does not get what happened before."""
    server.become(LOADING, DRAINING, RELOADED)
    assert server.asked == 0
    call = Call()
    server.changes.subscribe(call)
    server.become(RELOADED)
    assert call.told == []


def test_subscribers_that_have_gone_are_forgotten(server):
    call = Call()
    server.changes.subscribe(call)
    call.is_open = False
    server.become(LOADING)
    asked = server.asked
    server.become(DRAINING)
    assert (call.told, server.asked) == ([], asked)


def test_a_reload_is_answered_when_the_new_code_runs_everywhere(server):
    """Not before; and once."""
    call = Call()
    server.status = LOADING
    server.changes.wait_for_reload(call, do_nothing)
    server.become(LOADING, DRAINING)
    assert (call.told, call.held) == ([], 1)
    server.become(RELOADED, RELOADED, LOADING)
    assert (call.told, call.held) == ([("result", {"generation": 2})], 0)


def test_a_reload_is_answered_when_the_load_failed(server):
    """With the reason."""
    call = Call()
    server.status = LOADING
    server.changes.wait_for_reload(call, do_nothing)
    server.become(FAILED, FAILED)
    assert (call.told, call.held) == ([("load_failed", "SyntaxError")], 0)


def test_a_reload_is_answered_when_the_web_server_does_not_start(server):
    """As soon as it has exited with the new code. An exit with the old code is not that of this reload."""
    call = Call()
    server.status = LOADING
    server.changes.wait_for_reload(call, do_nothing)
    server.become(replace(LOADING, web_server_failure="exit code 3, once", web_workers=(0, 2)))
    assert (call.told, call.held) == ([], 1)
    server.become(replace(DRAINING, web_server_failure="exit code 3, once", web_workers=(0, 2)))
    assert (call.told, call.held) == ([("web_server_failed", "exit code 3, once")], 0)


@pytest.mark.parametrize(
    ("workers", "failure", "shown"),
    [
        (None, "", None),
        ((2, 2), "", {"failure": None, "workers": 2, "expected": 2}),
        ((0, 2), "exit code 3, once", {"failure": "exit code 3, once", "workers": 0, "expected": 2}),
    ],
)
def test_the_state_describes_the_web_server(workers, failure, shown):
    """None without one."""
    assert replace(UP, web_workers=workers, web_server_failure=failure).to_json()["web_server"] == shown


def test_a_later_load_that_fails_is_another_reload(server):
    """Generation 2 runs, and 3 cannot be loaded while the last process of 1 is replaced."""
    first, second = Call(), Call()
    server.status = LOADING
    server.changes.wait_for_reload(first, do_nothing)
    server.become(DRAINING)
    server.status = replace(DRAINING, newest=3, requested=3, loading=True)
    server.changes.wait_for_reload(second, do_nothing)
    server.become(replace(DRAINING, newest=3, requested=3, failed=3, reason="NameError"))
    assert (first.told, second.told) == ([], [("load_failed", "NameError")])
    server.become(replace(RELOADED, newest=3, requested=3, failed=3, reason="NameError"))
    assert first.told == [("result", {"generation": 2})]


def test_an_earlier_failure_is_not_that_of_this_reload(server):
    call = Call()
    server.status = replace(FAILED, newest=3, requested=3, loading=True)
    server.changes.wait_for_reload(call, do_nothing)
    server.become(server.status)
    assert call.told == []
    server.become(replace(RELOADED, generation=3, newest=3, requested=3, failed=2))
    assert call.told == [("result", {"generation": 3})]


def test_a_server_that_stops_does_not_reload(server):
    """Waiting clients get an event, and new ones are refused."""
    call = Call()
    server.status = LOADING
    server.changes.wait_for_reload(call, do_nothing)
    server.become(replace(LOADING, stopping=True))
    assert [code for code, _ in call.told] == ["stopping"]
    with pytest.raises(Refused, match="the server is stopping"):
        server.changes.wait_for_reload(Call(), do_nothing)


def test_all_waiting_clients_get_the_end(server):
    """A client that waits for the stop gets the exit code."""
    stop, reload, subscriber = Call(), Call(), Call()
    server.changes.wait_for_stop(stop, do_nothing)
    server.changes.subscribe(subscriber)
    server.status = LOADING
    server.changes.wait_for_reload(reload, do_nothing)
    server.changes.publish()
    server.changes.stopped(2)
    assert stop.told == [("result", {"exit_code": 2})]
    assert reload.told[0][0] == "stopping"
    assert subscriber.told[-1] == {"type": "stopped", "exit_code": 2}


def test_a_client_learns_that_the_process_of_the_master_ends(server):
    """It can wait for that. The process of a program that called `serve()` goes on."""
    stop = Call()
    server.changes.wait_for_stop(stop, do_nothing)
    server.changes.stopped(0, ends_process=True)
    assert stop.told == [("result", {"exit_code": 0, "ends_process": True})]


def test_the_state_is_that_of_the_supervisor():
    """Loading, failed, running: subscribers get the decisions of the supervisor."""
    supervisor = Supervisor(Topology(workers=1, mules=0))
    supervisor.handle(events.StartRequested(), 0.0)
    assert Status.of(supervisor) == Status(0, 1, 1, True, False, False, 0, "", {})
    supervisor.handle(events.ForkServerReady(1), 0.0)
    (worker,) = supervisor.topology.processes()
    supervisor.handle(events.Started(worker, 10, 1), 0.0)
    assert Status.of(supervisor) == Status(1, 1, 1, False, False, False, 0, "", {"worker1": 10})
    supervisor.handle(events.ProcessReady(worker), 0.0)
    assert Status.of(supervisor) == Status(1, 1, 1, False, True, False, 0, "", {"worker1": 10}, reloaded=True)
    supervisor.handle(events.ReloadRequested(), 0.5)
    assert Status.of(supervisor) == Status(1, 2, 2, True, True, False, 0, "", {"worker1": 10}, reloaded=True)
    supervisor.handle(events.ReloadRequested(), 0.6)
    assert Status.of(supervisor).requested == 3
    supervisor.handle(events.ForkServerFailed(2, "SyntaxError"), 1.0)
    supervisor.handle(events.ForkServerFailed(3, "NameError"), 1.0)
    found = Status.of(supervisor)
    assert found == Status(1, 3, 3, False, True, False, 3, "NameError", {"worker1": 10}, reloaded=True)
    supervisor.handle(events.StopRequested(), 2.0)
    assert Status.of(supervisor).to_json() == {
        "generation": 1,
        "loading": False,
        "complete": True,
        "stopping": True,
        "processes": {"worker1": 10},
        "web_server": None,
    }
