"""The hooks of the application's life on the heliograph server, and the exit functions in each of its processes."""

import os
import signal

import pytest

from heliograph.testing.harness.harness import eventually

PROCESSES = ["mule1", "spooler1", "worker1"]
OPTIONS = ("--mules", "1", "--spooler", "spool")

LIFE = """
import asyncio, atexit
from heliograph import Failure, on_failure, on_start, on_stop, task

atexit.register(record, "exit")

@uwsgi.postfork_hooks.add()
def forked():
    record("forked")

@on_start
async def start(process):
    await asyncio.sleep(0)
    record(f"start-{process}")
    atexit.register(record, "own")

@on_start(roles="mule")
def start_mule():
    record("mule")

@on_stop
def stop():
    record("stop")

@on_stop
async def fail_first(process):
    raise LookupError("a stop hook that fails on purpose")

@on_failure
def failed(failure: Failure):
    what = failure.task or failure.signal
    record(f"failed-{failure.name}-{type(failure.error).__name__}-{failure.is_final}")

@Signal(1).register_handler("mule1")
def work():
    record("begun")
    block_on("gate")
    record("done")

@Signal(2).register_handler("mule1")
def broken():
    raise KeyError(2)

@task(target="spooler", retries=1, backoff=0)
def job():
    raise ValueError

@task(target="spooler", time_limit=0.2)
def slow():
    time.sleep(60)

@Signal(3).register_handler("worker1")
def enqueue():
    job.enqueue()

@Signal(4).register_handler("worker1")
def enqueue_slow():
    slow.enqueue()

@Signal(5).register_handler("mule1")
def fork():
    if not os.fork():
        return  # the child goes on in heliograph, which ends it
    os.wait()
    record("waited")
"""


def by(events):
    return sorted(event.by for event in events)


def test_each_process_runs_the_hooks_for_its_start_and_its_end_once(server):
    """After the post-fork hooks, and after the last handler. A failing stop hook does not stop the others."""
    server.start(LIFE, *OPTIONS)
    for process in PROCESSES:
        (start,) = server.expect(1, f"start-{process}")
        (forked,) = [event for event in server.events("forked") if event.pid == start.pid]
        assert server.events().index(forked) < server.events().index(start)
        assert start.by == process
    assert by(server.expect(1, "mule")) == ["mule1"]
    server.send(1)
    server.expect(1, "begun")
    os.kill(server.master(), signal.SIGTERM)
    server.await_log("Stopping")
    server.release("gate")
    assert server.wait() == 0
    assert by(server.events("stop")) == PROCESSES
    mule = [event.what for event in server.events() if event.by == "mule1"]
    assert mule[mule.index("done") :] == ["done", "stop", "own", "exit"]
    assert server.log.count("LookupError: a stop hook that fails on purpose") == len(PROCESSES)


def test_a_function_of_atexit_runs_once_in_each_process_and_last_in_the_fork_server(server):
    """It sees the process as it was: its role, and its signals."""
    server.start(LIFE, *OPTIONS)
    fork_server = server.fork_server()
    assert server.end() == 0
    assert by(server.events("own")) == PROCESSES
    assert by(server.events("exit")) == ["master", *PROCESSES]
    assert server.events("exit")[-1].pid == fork_server


def test_a_process_that_a_handler_forks_runs_neither_hooks_nor_exit_functions(server):
    """Not even if it returns from the handler."""
    server.start(LIFE, *OPTIONS)
    server.send(5)
    server.expect(1, "waited")
    assert server.events("stop") == server.events("exit") == []
    assert server.end() == 0
    assert by(server.events("stop")) == PROCESSES


@pytest.mark.parametrize("reason", ["reload", "recycling"])
def test_a_process_that_is_replaced_runs_its_stop_hooks(server, reason):
    """At a reload, and after --max-signals."""
    server.start(LIFE, *OPTIONS, *(("--max-signals", "1") if reason == "recycling" else ()))
    mule = server.pids()["mule1"]
    if reason == "reload":
        assert server.command("reload").returncode == 0
    else:
        server.release("gate")
        server.send(1)
    eventually("the stop hook of the mule", lambda: [e for e in server.events("stop") if e.pid == mule])
    server.await_successor("mule1", mule)
    assert [event.pid for event in server.events("exit") if event.pid == mule] == [mule]


def test_failures_of_handlers_and_tasks_are_told_in_their_process(server):
    """An attempt that has a successor is not final."""
    server.start(LIFE, *OPTIONS)
    server.send(2)
    assert by(server.expect(1, "failed-tasks.broken-KeyError-True")) == ["mule1"]
    server.send(3)
    assert by(server.expect(1, "failed-tasks:job-ValueError-False")) == ["spooler1"]
    assert by(server.expect(1, "failed-tasks:job-ValueError-True")) == ["spooler1"]
    server.send(4)
    assert by(server.expect(1, "failed-tasks:slow-TimeLimitExceeded-True")) == ["spooler1"]


FAILING = """
from heliograph import on_start, on_stop

@on_start(roles="mule")
def connect():
    record("start")
    if not Path("gate").exists():
        raise ConnectionError("no connection")

@on_stop
def disconnect():
    record("stop")

@Signal(1).register_handler("mule1")
def work():
    record("work")
"""


def test_a_process_whose_start_hook_fails_starts_again(server):
    """It takes no signal before, does not run its stop hooks, and the log has the exception."""
    server.write(FAILING)
    server.launch("--mules", "1", "--socket", server.remote_socket, "--allow-remote", "1")
    server.await_log("Cannot start mule1")
    server.expect(2, "start")
    assert "ConnectionError: no connection" in server.log
    assert server.events("stop") == []
    server.release("gate")
    server.await_log("(?i)ready: ")
    server.send(1)
    server.expect(1, "work")
    assert server.end() == 0
    assert by(server.events("stop")) == ["mule1", "worker1"]


def test_a_stop_hook_that_hangs_is_ended_by_the_graceful_timeout(server):
    """Also where the master does not ask the process to exit. The log names the process."""
    server.start(
        """
from heliograph import on_stop

@on_stop(roles="mule")
def hang():
    record("stop")
    time.sleep(600)

@Signal(1).register_handler("mule1")
def work():
    record("work")
""",
        *("--mules", "1", "--max-signals", "1", "--graceful-timeout", "1"),
    )
    mule = server.pids()["mule1"]
    server.send(1)
    server.expect(1, "stop")
    server.await_log(f"Ending process {mule}: its functions for the end took longer than 1 s")
    server.await_successor("mule1", mule)
