"""`heliograph stack`: where the threads of the server's processes are, also while they hang."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from heliograph.insights import read_stacks
from heliograph.ipc.instance import control_socket
from heliograph.ipc.proc_signals import signal_state
from heliograph.ipc.stack_files import STACK_SIGNAL
from heliograph.server.services.stack_dump import TIMEOUT
from heliograph.testing.harness.harness import eventually

HANGS = """
import ctypes

PAUSE, PAUSE_WITH_LOCK = ctypes.CDLL(None).pause, ctypes.PyDLL(None).pause

@Signal(1).register_handler("mule1")
def hangs_in_c():
    record("hangs")
    while True:
        PAUSE()

@Signal(2).register_handler("mule2")
def hangs_with_lock():
    record("hangs")
    while True:
        PAUSE_WITH_LOCK()

@Signal(3).register_handler("mule3")
def closes():
    os.closerange(3, 200)
    Path("closed").touch()
    block_on("gate")

@Signal(4).register_handler("mule3")
def works():
    record("works")
"""


@pytest.fixture
def hung(server):
    """A server with two mules whose handlers hang."""
    server.start(HANGS, "--mules", "3", "--graceful-timeout", "0.2")
    server.send(1)
    server.send(2)
    server.expect(2, "hangs")
    return server


def innermost(server, *processes):
    """The functions of the innermost frames of each process, by its name."""
    return {
        stacks.process: [frame.function for frame in stacks.threads[0].frames[-2:]]
        for stacks in read_stacks(control_socket(server.name), processes)
        if stacks.error is None
    }


def ask(server, *arguments):
    return server.command("stack", *arguments)


def test_handlers_that_hang(hung):
    """In C, with and without the interpreter's lock. The processes keep their ids, and the frames are in order."""
    before = hung.pids()
    done = ask(hung, "mule1", "mule2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0].startswith(f"mule1 (pid {before['mule1']}, started ")
    assert any(line.endswith(", in hangs_with_lock") for line in lines)
    own = next(line for line in lines if line.endswith(", in hangs_in_c"))
    assert own.startswith(f'File "{hung.directory}/tasks.py", line ')
    assert lines.index(own) > lines.index(next(line for line in lines if line.endswith(", in run")))
    assert hung.pids() == before


def test_all_processes_answer(hung):
    """Also the fork server and the master. The master goes on with its work."""
    done = ask(hung, "--all", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = {each["process"]: each for each in json.loads(done.stdout)}
    assert list(found) == ["master", "fork-server1", "worker1", "mule1", "mule2", "mule3"]
    pids = {"master": hung.master(), "fork-server1": hung.fork_server(), **hung.pids()}
    assert {name: each["pid"] for name, each in found.items()} == pids
    assert all(each["error"] is None and each["threads"][0]["frames"] for each in found.values())
    assert all(0 <= time.time() - each["since"] < 60 for name, each in found.items() if name != "fork-server1")
    assert "_fork_on_command" in innermost(hung, "fork-server")["fork-server1"]
    hung.send(4)
    hung.expect(1, "works")


def test_many_ask_at_once(hung):
    """Each answer is whole, and has the frames of one moment only."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: read_stacks(control_socket(hung.name), ["mule1", "mule2"]), range(200)))
    for first, second in answers:
        for stacks, function in ((first, "hangs_in_c"), (second, "hangs_with_lock")):
            assert stacks.error is None
            assert len(stacks.threads) == 1
            names = [frame.function for frame in stacks.threads[0].frames]
            assert (names.count(function), names.count("_serve"), names[0]) == (1, 1, "<module>")


def test_a_stopped_process(hung):
    """After the deadline the error names the state. The answer of the others is there, and the next one is right."""
    pid = hung.pids()["mule1"]
    os.kill(pid, signal.SIGSTOP)
    before = time.monotonic()
    done = ask(hung, "mule1", "mule2")
    assert time.monotonic() - before >= TIMEOUT
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: mule1 did not answer within 5 s: it is stopped (state T). To continue it: kill -CONT {pid}.\n"
    )
    assert "hangs_with_lock" in done.stdout
    os.kill(pid, signal.SIGCONT)
    assert "hangs_in_c" in innermost(hung, "mule1")["mule1"]


def test_a_process_that_exits_while_it_is_asked(hung):
    """The request is answered at once, and the successor answers the next one."""
    pid = hung.pids()["mule1"]
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(read_stacks, control_socket(hung.name), ["mule1"])
        eventually("the request has begun", lambda: signal_state(pid, STACK_SIGNAL).is_pending)
        os.kill(pid, signal.SIGKILL)
        assert answer.result(20)[0].error == "mule1 exited before it answered."
    hung.await_successor("mule1", pid)
    hung.expect(3, "hangs")
    assert "hangs_in_c" in innermost(hung, "mule1")["mule1"]


def test_closed_descriptors(hung):
    """The error says so. Nothing is written into a file that the application opened instead."""
    hung.send(3)
    eventually("the descriptors are closed", (hung.directory / "closed").exists)
    done = ask(hung, "mule3")
    assert done.returncode == 1
    assert done.stderr == (
        "Error: mule3 cannot answer: it has closed a descriptor of heliograph, as os.closerange() does. Close only "
        "what your code has opened.\n"
    )


def test_a_signal_that_the_application_took(server):
    """At the import or in a handler. The application's handler is left alone, and the log says so once."""
    took = """
seen = []
signal.signal({signal}, lambda *_: record("taken"))
@Signal(1).register_handler("mule1")
def works():
    record("works")
"""
    server.start(took.format(signal=STACK_SIGNAL), "--mules", "2")
    done = ask(server, "mule1", "mule2")
    text = f"cannot answer: the application handles Unix signal {STACK_SIGNAL} itself. Use another number there."
    assert done.stderr == f"Error: mule1 {text}\nError: mule2 {text}\n"
    assert done.returncode == 1
    assert "`heliograph stack` does not work in process" in server.log
    server.send(1)
    server.expect(1, "works")
    assert not server.events("taken")
    assert innermost(server, "master")


def test_a_fork_server_that_hangs_while_it_loads(server):
    """Its stack names the module that it imports."""
    server.write("def hangs():\n    block_on('gate')\nhangs()\n")
    server.launch()
    eventually("the fork server has the signal", lambda: _loads(server))
    server.release("gate")
    server.await_log("ready: ")


def _loads(server):
    if not control_socket(server.name).exists():
        return False
    answers = read_stacks(control_socket(server.name))
    frames = [frame.function for each in answers for thread in each.threads for frame in thread.frames]
    return "fork-server1" in [each.process for each in answers] and "hangs" in frames


def test_after_a_reload(hung):
    """The successors answer in place of the old processes, and so does the new fork server."""
    hung.write(HANGS.replace("hangs_in_c", "hangs_anew"))
    assert hung.command("reload").returncode == 0
    hung.expect(4, "hangs")
    assert "hangs_anew" in innermost(hung, "mule1")["mule1"]
    assert "fork-server2" in innermost(hung, "fork-server")
    eventually("the old fork server exits", lambda: "fork-server1" not in innermost(hung))


NO_ANSWER = {
    "no server": (["mule1", "--name", "other"], "no heliograph server is running with the name 'other'"),
    "unknown": (["mule9"], "no such process: 'mule9'. Processes: master, fork-server, worker1, mule1, mule2, mule3."),
    "none": ([], "no process was named. Name some, for example `heliograph stack mule1`, or pass --all."),
}


@pytest.mark.parametrize(("arguments", "text"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_wrong_usage(hung, arguments, text):
    """Exit code 2, and one line that says what to do."""
    done = hung.command("stack", *arguments) if "--name" not in arguments else _other(hung, arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {text}")


def _other(server, arguments):
    name, server.name = server.name, arguments.pop()
    try:
        return server.command("stack", arguments[0])
    finally:
        server.name = name
