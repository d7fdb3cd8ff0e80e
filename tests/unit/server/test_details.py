"""The facts that only the master knows: processes and their exits, loads of the application, queues and triggers."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from heliograph._core.supervision.children import MIN_UPTIME, WEB_COMMAND, WEB_SERVER, command_policy
from heliograph._core.supervision.events import (
    Due,
    Exited,
    ForkServerFailed,
    ForkServerReady,
    Joined,
    ProcessReady,
    ReloadRequested,
    Started,
    StartRequested,
    StopRequested,
)
from heliograph._core.supervision.supervisor import JOIN_WARNING_AFTER, Supervisor
from heliograph.models import Identity, Topology
from heliograph.server import details
from heliograph.server.details import Details

WALL = 1_800_000_000.0
WORKER, MULE = Identity("worker", 1), Identity("mule", 1)
BOT = Identity("command", name="bot")


class Server:
    """A supervisor at a time that the test sets, and the facts about it."""

    def __init__(self, monkeypatch, commands=None):
        self.now = 0.0
        clock = SimpleNamespace(time=lambda: WALL + self.now, monotonic=lambda: self.now)
        monkeypatch.setattr(details, "time", clock)
        self.supervisor = Supervisor(Topology(workers=1, mules=1), 30.0, commands or {})
        settings = SimpleNamespace(
            name="shop", app="shop.tasks", spooler=Path("/spool"), graceful_timeout=30.0, overdue=5.0, task_sync="disk"
        )
        self.fault = ""
        queues = SimpleNamespace(details=lambda: ["queues"])
        scheduler = SimpleNamespace(details=lambda: ["triggers"])
        doorbell = SimpleNamespace(fault=lambda: self.fault)
        self._details = Details(settings, self.supervisor, queues, scheduler, doorbell)

    def handle(self, *events, at=None):
        self.now = self.now if at is None else at
        for event in events:
            self.supervisor.handle(event, self.now)

    def facts(self, at=None):
        self.now = self.now if at is None else at
        return self._details.collect()

    def process(self, name, at=None):
        return next(found for found in self.facts(at)["processes"] if found["name"] == name)

    def brief(self, name, *keys, at=None):
        found = self.process(name, at)
        return tuple(found[key] for key in keys)


@pytest.fixture
def new(monkeypatch):
    return Server(monkeypatch)


@pytest.fixture
def server(new):
    """A server that was started at 0, and is ready since 2."""
    new.handle(StartRequested(), at=0.0)
    new.handle(ForkServerReady(1), Started(WORKER, 11, 1), Started(MULE, 12, 1), at=1.0)
    new.handle(ProcessReady(WORKER), ProcessReady(MULE), at=2.0)
    return new


def test_the_server(server):
    found = server.facts(at=5.0)
    assert {key: found[key] for key in ("name", "app", "pid", "started_at", "generation", "loaded_at")} == {
        "name": "shop",
        "app": "shop.tasks",
        "pid": os.getpid(),
        "started_at": WALL,
        "generation": 1,
        "loaded_at": WALL + 1,
    }
    assert (found["is_loading"], found["is_ready"], found["is_stopping"]) == (False, True, False)
    assert (found["queues"], found["triggers"]) == (["queues"], ["triggers"])
    assert (found["tasks"], found["tasks_fault"], found["task_sync"]) == ("/spool", None, "disk")
    assert (found["reload_failure"], found["reload_failed_at"]) == (None, None)
    server.fault = "gone"
    assert server.facts()["tasks_fault"] == "gone"


def test_a_server_that_loads_has_places_without_processes(new):
    """Which are not missing yet."""
    new.handle(StartRequested(), at=0.0)
    found = new.facts(at=100.0)
    assert (found["is_loading"], found["is_ready"], found["generation"], found["loaded_at"]) == (True, False, 0, None)
    assert new.brief("mule1", "status", "pid", "since", "generation", "missing_since") == ("missing", *[None] * 4)


def test_a_process_starts_runs_and_stops(new):
    new.handle(StartRequested(), ForkServerReady(1), at=1.0)
    assert new.brief("mule1", "role", "status", "pid") == ("mule", "starting", None)
    new.handle(Started(MULE, 12, 1), at=2.0)
    assert new.brief("mule1", "status", "pid", "since", "generation") == ("starting", 12, WALL + 2, 1)
    new.handle(ProcessReady(MULE), at=3.0)
    assert new.brief("mule1", "status", "since", "restarts") == ("running", WALL + 2, 0)
    assert new.brief("master", "role", "status", "pid", "since") == ("master", "running", os.getpid(), WALL)
    new.handle(Started(WORKER, 11, 1), ProcessReady(WORKER), ReloadRequested(), ForkServerReady(2), at=4.0)
    assert new.brief("mule1", "status") == ("stopping",)
    new.handle(Due(), at=34.0)
    assert new.brief("mule1", "status") == ("killed",)


def test_the_last_exit_of_a_process(server):
    """With its reason, and whether it was expected."""
    server.handle(Exited(MULE, "killed by signal 9"), at=60.0)
    exit_60 = {"pid": 12, "at": WALL + 60, "reason": "killed by signal 9", "was_expected": False}
    assert server.brief("mule1", "last_exit", "restarts", "pid") == (exit_60, 0, None)
    server.handle(Started(MULE, 13, 1), ProcessReady(MULE), at=61.0)
    assert server.brief("mule1", "last_exit", "restarts", "pid") == (exit_60, 1, 13)
    server.handle(Exited(MULE, "recycled", expected=True), at=70.0)
    assert server.process("mule1")["last_exit"]["was_expected"]
    server.handle(ReloadRequested(), ForkServerReady(2), Exited(WORKER, "exit code 64"), at=80.0)
    assert server.process("worker1")["last_exit"] == {
        "pid": 11,
        "at": WALL + 80,
        "reason": "exit code 64",
        "was_expected": True,
    }


def test_a_process_that_exits_early_again_and_again(server):
    for number in range(3):
        server.handle(Started(MULE, 20 + number, 1), Exited(MULE, "exit code 3"), Due(), at=10.0 + number)
    assert server.process("mule1")["early_exits"] >= 2


def test_a_process_that_has_started_well_exits_early_no_more(server):
    """The loop is over, although nothing has happened since."""
    for number in range(3):
        server.handle(Started(MULE, 20 + number, 1), Exited(MULE, "exit code 3"), Due(), at=10.0 + number)
    server.handle(Started(MULE, 30, 1), at=20.0)
    assert server.process("mule1", at=20.0 + MIN_UPTIME - 0.1)["early_exits"] >= 2
    assert server.process("mule1", at=20.0 + MIN_UPTIME)["early_exits"] == 0


def test_a_place_without_its_process_is_missing_since_the_exit(server):
    server.handle(Exited(MULE, "exit code 3"), at=60.0)
    assert server.brief("mule1", "missing_since", at=70.0) == (WALL + 60,)
    server.handle(Started(MULE, 13, 1))
    assert server.brief("mule1", "missing_since") == (None,)


def test_a_process_that_was_never_started_is_missing_since_the_load(new):
    new.handle(StartRequested(), ForkServerReady(1), at=7.0)
    assert new.brief("mule1", "missing_since", at=9.0) == (WALL + 7,)


def test_nothing_is_missing_while_the_server_stops(server):
    server.handle(StopRequested(), Exited(MULE, "exit code 3"), at=60.0)
    assert server.brief("mule1", "missing_since", at=70.0) == (None,)
    assert (server.facts()["is_stopping"], server.facts()["is_ready"]) == (True, False)
    assert server.brief("master", "status") == ("stopping",)


def test_a_reload_that_failed_is_told_until_one_succeeds(server):
    server.handle(ReloadRequested(), ForkServerFailed(2, "SyntaxError"), at=9.0)
    found = server.facts(at=20.0)
    assert (found["reload_failure"], found["reload_failed_at"], found["is_ready"]) == ("SyntaxError", WALL + 9, True)
    server.handle(ReloadRequested(), at=21.0)
    assert server.facts()["reload_failure"] == "SyntaxError"
    server.handle(ForkServerReady(3), at=22.0)
    found = server.facts()
    assert (found["reload_failure"], found["reload_failed_at"], found["loaded_at"]) == (None, None, WALL + 22)


@pytest.fixture
def web(monkeypatch):
    """A server whose web server was started at 1."""
    server = Server(monkeypatch, {WEB_SERVER: WEB_COMMAND})
    server.handle(StartRequested(), ForkServerReady(1), at=1.0)
    server.handle(Started(MULE, 12, 1), ProcessReady(MULE), Started(WEB_SERVER, 30, 1))
    return server


def test_a_web_worker_is_missing_since_the_start_of_the_web_server(web):
    assert web.brief("web server", "role", "status", "pid") == ("webserver", "running", 30)
    assert web.brief("worker1", "missing_since", at=JOIN_WARNING_AFTER + 5) == (WALL + 1,)
    web.handle(Joined(31))
    assert web.brief("worker1", "missing_since", "pid") == (None, 31)
    web.handle(Exited(WORKER, "left"), at=50.0)
    assert web.brief("worker1", "missing_since", at=55.0) == (WALL + 50,)


def test_a_worker_that_joins_at_a_request_is_not_missing(web):
    """Its successor will join at a request, too."""
    web.handle(Joined(31, at_request=True), Exited(WORKER, "left"), at=50.0)
    assert web.brief("worker1", "missing_since", at=99.0) == (None,)


def test_a_web_server_that_does_not_start(web):
    """Until one of its processes joins."""
    web.handle(Joined(31), Exited(WORKER, "left"), at=50.0)
    web.handle(Exited(WEB_SERVER, "exit code 3", code=3), at=51.0)
    assert web.brief("web server", "failure", "status") == ("exit code 3, once", "missing")
    web.handle(Started(WEB_SERVER, 40, 1), Exited(WEB_SERVER, "exit code 1", code=1), at=52.0)
    assert web.brief("web server", "failure") == ("exit code 1, 2 times",)
    web.handle(Started(WEB_SERVER, 41, 1), at=53.0)
    web.handle(Joined(42), at=54.0)
    assert web.brief("web server", "failure") == (None,)


def test_a_command_that_ended_is_not_shown(monkeypatch):
    """If its policy does not start it again. Its exits are no failure of a web server."""
    server = Server(monkeypatch, {BOT: command_policy("on_failure", "leave")})
    server.handle(StartRequested(), ForkServerReady(1), Started(BOT, 50, 1), at=1.0)
    assert server.brief("bot", "role", "status") == ("command", "running")
    server.handle(Exited(BOT, "exit code 1", code=1), at=1.5)
    assert server.brief("bot", "status", "failure", "early_exits") == ("missing", None, 1)
    server.handle(Started(BOT, 51, 1), Exited(BOT, "exit code 0", code=0), at=9.0)
    assert "bot" not in [found["name"] for found in server.facts()["processes"]]
