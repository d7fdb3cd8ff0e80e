"""The verb `stack`: which processes are asked, who shares an answer, and how large it is."""

import os
import time
from typing import ClassVar

import pytest

from heliograph._core.supervision.events import ForkServerReady, Started, StartRequested
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.ipc.stack_files import make_stack_file, stack_name
from heliograph.loop import NEVER
from heliograph.models import Identity, Topology
from heliograph.server.services import stacks as module
from heliograph.server.services.control import Refused
from heliograph.server.services.stacks import Stacks

TOPOLOGY = Topology(workers=1, mules=2)


class ScriptedDump:
    """A request whose outcome the test decides."""

    made: ClassVar[list] = []

    def __init__(self, name, pid, fd, _now):
        self.name, self.pid, self.fd = name, pid, fd
        self.outcome, self.threads, self.error = None, [], ""
        self.owes = False
        self.made.append(self)

    def poll(self, _now):
        pass

    def answer(self, *texts):
        """Let each of its threads answer with a text."""
        self.outcome = "answered"
        self.threads = [{"id": str(number), "name": "", "text": text} for number, text in enumerate(texts)]

    def resume(self, _now):
        if self.owes:
            self.outcome = None
        return self.owes


class ScriptedCall:
    """A request of a client."""

    def __init__(self, **arguments):
        self.arguments = arguments
        self.is_open, self.held, self.result, self.error = True, False, None, None

    def hold(self):
        self.held = True

    def finish(self, result):
        self.result = result

    def fail(self, code, message):
        self.error = (code, message)


@pytest.fixture
def stacks(monkeypatch):
    """A server with worker1 (pid 101) and mule1 (pid 102). mule2 does not run."""
    monkeypatch.setattr(ScriptedDump, "made", [])
    monkeypatch.setattr(module, "StackDump", ScriptedDump)
    supervisor = Supervisor(TOPOLOGY)
    supervisor.handle(StartRequested(), 0)
    supervisor.handle(ForkServerReady(1), 1)
    supervisor.handle(Started(Identity("worker", 1), 101, 1), 2)
    supervisor.handle(Started(Identity("mule", 1), 102, 1), 3)
    files = {stack_name(process): make_stack_file() for process in TOPOLOGY.processes()}
    yield Stacks(supervisor, files, lambda: {3: (77, 9)})
    for fd in files.values():
        os.close(fd)


def texts(row):
    return [thread["text"] for thread in row["threads"]]


def names(result):
    return [row["process"] for row in result["processes"]]


def test_all_processes_that_run_are_asked(stacks):
    """The master answers itself, the others later. A process that does not run is left out."""
    call = ScriptedCall()
    assert stacks.ask(call) is None
    assert call.held
    for dump in ScriptedDump.made:
        dump.answer(f"text of {dump.name}")
    stacks.tick(stacks.deadline)
    assert names(call.result) == ["master", "fork-server3", "worker1", "mule1"]
    rows = {row["process"]: row for row in call.result["processes"]}
    assert [rows[name]["pid"] for name in rows] == [os.getpid(), 77, 101, 102]
    assert "test_all_processes_that_run_are_asked" in texts(rows["master"])[0]
    assert texts(rows["mule1"]) == ["text of mule1"]
    assert rows["mule1"]["since"] == pytest.approx(time.time() - time.monotonic() + 3, abs=5)
    assert stacks.deadline == NEVER


@pytest.mark.parametrize(
    ("asked", "found"),
    [(["mule1"], ["mule1"]), (["fork-server"], ["fork-server3"]), (["fork-server3", "worker1"], None)],
)
def test_processes_are_named(stacks, asked, found):
    """A fork server with or without the generation of its code."""
    call = ScriptedCall(processes=asked)
    stacks.ask(call)
    for dump in ScriptedDump.made:
        dump.answer("")
    stacks.tick(stacks.deadline)
    assert names(call.result) == (found or asked)


REFUSED = {
    "unknown": (["mule3"], "no such process: 'mule3'. Processes: master, fork-server, worker1, mule1, mule2."),
    "a number": ([1], "no such process: 1. Processes: master, fork-server, worker1, mule1, mule2."),
    "the web server": (
        ["web server"],
        "the web server is a program of its own. Ask for its workers: master, fork-server, worker1, mule1, mule2.",
    ),
}


@pytest.mark.parametrize(("asked", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked(stacks, asked, text):
    """Nobody is asked then."""
    with pytest.raises(Refused, match=text):
        stacks.ask(ScriptedCall(processes=["mule1", *asked]))
    assert stacks.deadline == NEVER


def test_a_process_that_does_not_run(stacks):
    """The answer comes at once."""
    (row,) = stacks.ask(ScriptedCall(processes=["mule2"])).result["processes"]
    assert (row["pid"], row["threads"], row["error"]) == (None, [], "mule2 is not running now.")


def test_clients_that_ask_at_the_same_time_share_an_answer(stacks):
    """A later one asks anew, and does not change the earlier answer."""
    first, second, third = (ScriptedCall(processes=["mule1"]) for _ in range(3))
    slow = ScriptedCall(processes=["mule1", "worker1"])
    for call in (first, second, slow):
        stacks.ask(call)
    assert len(ScriptedDump.made) == 2
    mule = ScriptedDump.made[0]
    mule.answer("early")
    stacks.tick(stacks.deadline)
    assert [texts(call.result["processes"][0]) for call in (first, second)] == [["early"], ["early"]]
    stacks.ask(third)
    assert len(ScriptedDump.made) == 3
    for dump in ScriptedDump.made[1:]:
        dump.answer("late")
    stacks.tick(stacks.deadline)
    assert texts(third.result["processes"][0]) == ["late"]
    assert [texts(row) for row in slow.result["processes"]] == [["early"], ["late"]]


def test_a_process_that_owes_an_answer_is_not_asked_again(stacks):
    """After a request that got none in time."""
    stacks.ask(first := ScriptedCall(processes=["mule1"]))
    (dump,) = ScriptedDump.made
    dump.outcome, dump.error, dump.owes = "failed", "late", True
    stacks.tick(stacks.deadline)
    assert first.result["processes"][0]["error"] == "late"
    stacks.ask(ScriptedCall(processes=["mule1"]))
    assert ScriptedDump.made == [dump]
    dump.outcome, dump.owes = "failed", False
    stacks.ask(ScriptedCall(processes=["mule1"]))
    assert len(ScriptedDump.made) == 2


def test_a_client_that_leaves(stacks):
    """Its request is dropped."""
    stacks.ask(call := ScriptedCall(processes=["mule1"]))
    call.is_open = False
    stacks.tick(stacks.deadline)
    assert (call.result, stacks.deadline) == (None, NEVER)


def test_a_long_answer_is_cut_off(stacks, monkeypatch):
    """Each process gets an equal part, so that one cannot push the others out."""
    monkeypatch.setattr(module, "MAX_BYTES", 200)
    stacks.ask(call := ScriptedCall(processes=["mule1", "worker1"]))
    first, second = ScriptedDump.made
    first.answer("a" * 60, "x" * 1000, "y")
    second.answer("short")
    stacks.tick(stacks.deadline)
    assert [texts(row) for row in call.result["processes"]] == [
        ["a" * 60, f"{'x' * 40}...\n(cut off)\n", "...\n(cut off)\n"],
        ["short"],
    ]


def test_an_error_of_the_service(stacks):
    """Clients do not wait for nothing."""
    stacks.ask(call := ScriptedCall(processes=["mule1"]))
    stacks.restart()
    assert call.error == ("failed", "the server cannot look at its processes now. Its log says why.")
    assert stacks.deadline == NEVER
