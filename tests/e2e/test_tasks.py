"""Tasks on the heliograph server: kills, reloads and restarts lose none, and repeat none without need."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

from heliograph import engines
from heliograph._core.tasks.values import NewTask, TaskStatus
from heliograph.engines.detached import DetachedEngine
from heliograph.models import MICROSECONDS
from heliograph.tasks.results import TaskResult, get_result
from heliograph.testing.harness.harness import eventually

TASKS = """
from heliograph import task

def note(context, what="run"):
    record(f"{what}:{context.id}:{context.attempt}:{time.time():.3f}")

@task(target="mule")
def quick(context, what="run"):
    note(context, what)

@task(target="spooler")
def in_spooler(context):
    note(context)

@task(target="mule")
def blocking(context, path):
    note(context, "begin")
    block_on(path)
    note(context, "end")
"""

OPTIONS = ("--mules", "2", "--spooler", "spool")


class Client:
    """A process outside of the server: this test."""

    def __init__(self, server) -> None:
        self.server = server
        self.engine = engines.current()
        self.store = self.engine.task_store()

    def put(self, name, *args, target="mule", ring=True, count=1, **fields):
        """Enqueue tasks of a function of the application, and return their ids."""
        arguments = json.dumps([args, {}]).encode()
        new = [NewTask(f"tasks:{name}", target, arguments, **fields)] * count
        ids = [stored.id for stored in self.store.enqueue(new, now())]
        if ring:
            self.engine.wake(target)
        return ids

    def finish(self, *ids) -> list[TaskResult]:
        """Wait for the end of tasks."""
        results = [get_result(task_id) for task_id in ids]
        try:
            return [result.wait(timeout=20) for result in results]
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.server.log}") from None

    def lines(self, what="run", task_id=None):
        """Return (id, attempt, time, process, pid) of the attempts that the application recorded."""
        found = []
        for event in self.server.events():
            if event.what.startswith(f"{what}:"):
                _, key, attempt, at = event.what.split(":")
                if task_id in (None, key):
                    found.append((key, int(attempt), float(at), event.by, event.pid))
        return found

    def expect(self, count, what="run", task_id=None):
        """Wait for so many recorded attempts."""
        try:
            eventually(f"{count} of {what}", lambda: len(self.lines(what, task_id)) >= count)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.lines(what)}\n{self.server.log}") from None
        return self.lines(what, task_id)


@pytest.fixture
def client(server, monkeypatch):
    """A client of the server, which finds the tasks by the directory."""
    monkeypatch.setenv("XDG_STATE_HOME", str(server.directory / "state"))
    monkeypatch.setenv("HELIOGRAPH_SPOOLER", str(server.directory / "spool"))
    monkeypatch.setenv("HELIOGRAPH_TASK_SYNC", "process")
    with engines.using(DetachedEngine()):
        client = Client(server)
        yield client
        client.store.close()


def now() -> int:
    """The time in microseconds."""
    return int(time.time() * MICROSECONDS)


def crash(server) -> None:
    """Kill the master, and with it the whole server, and wait until no process is left."""
    os.kill(server.master(), signal.SIGKILL)
    server.wait()


def restart(server, *options) -> None:
    """Start the server again, with the application as it is now."""
    ready = server.log.lower().count("ready: ")
    server.launch(*(options or OPTIONS))
    server.await_log("(?i)ready: ", ready + 1)


def reload(server) -> None:
    """Reload the server, and wait until the new processes are ready."""
    done = server.command("reload", "--wait")
    assert done.returncode == 0, done.stderr


def test_deferred_tasks_run_once_at_their_time(server, client):
    """Kills of processes, a reload and the end of the master before that do not matter."""
    server.start(TASKS, *OPTIONS)
    due = now() + 5 * MICROSECONDS
    ids = client.put("quick", count=30, run_after=due)
    server.kill("mule1")
    reload(server)
    server.kill("mule2")
    crash(server)
    restart(server)
    latest = max(due / MICROSECONDS, time.time()) + 5
    lines = client.expect(30)
    client.finish(*ids)
    assert sorted(line[0] for line in lines) == sorted(ids)
    assert all(due / MICROSECONDS - 0.001 <= line[2] < latest for line in lines)


def test_a_stopped_process_keeps_its_task(server, client):
    """No time-out gives its task to another one. Other tasks go on meanwhile."""
    server.start(TASKS, *OPTIONS)
    (task_id,) = client.put("blocking", "gate")
    pid = client.expect(1, "begin")[0][4]
    os.kill(pid, signal.SIGSTOP)
    try:
        client.finish(*client.put("quick", count=20))
        time.sleep(2)
        assert get_result(task_id).status is TaskStatus.RUNNING
    finally:
        os.kill(pid, signal.SIGCONT)
    server.release("gate")
    (result,) = client.finish(task_id)
    assert (result.status, result.attempts, len(client.lines("begin"))) == (TaskStatus.SUCCESSFUL, 1, 1)


def test_a_reload_that_kills_a_stopped_process_does_not_count_the_attempt(server, client):
    """The process cannot note that the server ends it, so the master does. The same holds in a long call of C code."""
    server.start(TASKS, *OPTIONS, "--graceful-timeout", "1")
    (task_id,) = client.put("blocking", "gate")
    for number in 1, 2, 3:
        os.kill(client.expect(number, "begin")[-1][4], signal.SIGSTOP)
        reload(server)
    server.release("gate")
    (result,) = client.finish(task_id)
    assert (result.status, result.attempts) == (TaskStatus.SUCCESSFUL, 1)
    assert [line[1] for line in client.lines("begin")] == [1, 1, 1, 1]


WEB = """
import tasks

def application(environ, start_response):
    start_response("200 OK", [])
    return [b""]
"""


@pytest.mark.needs("gunicorn")
def test_a_stop_that_kills_the_web_server_does_not_count_the_attempts_of_its_workers(server, client):
    """The worker is stopped. So gunicorn waits for it, until the graceful timeout is over."""
    server.write(TASKS + '\nin_worker = task(target="worker", name="tasks:in_worker")(blocking.func)\n')
    (server.directory / "web.py").write_text(WEB)
    options = (*OPTIONS, "--graceful-timeout", "2", "--", "gunicorn", "-w", "1", "-b", "127.0.0.1:0", "web")
    server.launch(*options)
    (task_id,) = client.put("in_worker", "gate", target="worker")
    os.kill(client.expect(1, "begin")[0][4], signal.SIGSTOP)
    os.kill(server.master(), signal.SIGTERM)
    server.wait()
    server.release("gate")
    restart(server, *options)
    (result,) = client.finish(task_id)
    assert (result.status, result.attempts) == (TaskStatus.SUCCESSFUL, 1)
    assert [line[1] for line in client.lines("begin")] == [1, 1]


POISON = (
    TASKS
    + """
@task(target="mule")
def poison(context):
    note(context, "poison")
    if context.attempt == 2:
        block_on("never")
    os.kill(os.getpid(), 9)

@task(target="mule", retries=1, backoff=0)
def leave(context):
    note(context, "leave")
    os._exit(0)
"""
)


def test_a_task_that_kills_its_process_is_dead_after_three(server, client):
    """Its lives are counted across the end of the master. Other tasks run, and the task can be tried again."""
    server.start(POISON, *OPTIONS)
    (task_id,) = client.put("poison")
    client.expect(2, "poison")
    good = client.put("quick", count=20)
    client.finish(*good)
    crash(server)
    restart(server)
    (result,) = client.finish(task_id)
    assert (result.status, result.attempts, len(result.worker_ids)) == (TaskStatus.DEAD, 3, 3)
    server.await_log(f"ERROR .*ran task {result.id} .*The task is dead")
    assert [line[1] for line in client.lines("poison")] == [1, 2, 3]
    assert len(client.lines()) == 20
    assert client.store.retry([task_id], now()) == {}
    client.engine.wake("mule")
    client.expect(4, "poison")


def test_an_exit_without_cleaning_up_is_a_killed_process(server, client):
    """`os._exit(0)` looks like success to the kernel."""
    server.start(POISON, *OPTIONS)
    (result,) = client.finish(*client.put("leave"))
    assert result.status is TaskStatus.DEAD
    assert len({line[4] for line in client.lines("leave")}) == 3


def test_no_task_begins_after_the_whole_server_got_sigterm(server, client):
    """A service manager may send it to each process. What was queued is handled by a successor, but no task is."""
    server.start(TASKS, *OPTIONS)
    ids = client.put("blocking", "gate", target="spooler", count=5)
    client.expect(1, "begin")
    for pid in (server.master(), *server.pids().values()):
        with contextlib.suppress(ProcessLookupError):  # the master may have ended it already
            os.kill(pid, signal.SIGTERM)
    server.await_log("Stopping: ")
    server.release("gate")
    server.wait()
    assert len(client.lines("begin")) == len(client.lines("end")) == 1
    statuses = [get_result(task_id).status for task_id in ids]
    assert statuses == [TaskStatus.SUCCESSFUL] + [TaskStatus.READY] * 4


ENDINGS = (
    TASKS
    + """
import sys

@task(target="spooler", retries=1, backoff=0)
def failing(context, what):
    note(context, what)
    if what == "descriptors":
        os.close(1)
        os.close(2)
    if what == "streams":
        sys.stdout.close()
        sys.stderr.close()
    raise {"exit": SystemExit, "interrupt": KeyboardInterrupt}.get(what, ValueError)(3)

@task(target="mule")
def closing(context):
    os.close(1)
    sys.stderr.close()
"""
)


def test_what_a_task_closes_or_raises_does_not_end_its_process(server, client):
    """Each failure is one of the function, and is retried like any other."""
    server.start(ENDINGS, *OPTIONS)
    causes = ("exit", "interrupt", "descriptors", "streams")
    ids = [client.put("failing", cause, target="spooler")[0] for cause in causes]
    results = client.finish(*ids, *client.put("closing"))
    assert [result.status for result in results] == [TaskStatus.FAILED] * 4 + [TaskStatus.SUCCESSFUL]
    kinds = ["SystemExit", "KeyboardInterrupt", "ValueError", "ValueError"]
    assert [len(result.errors) for result in results] == [2, 2, 2, 2, 0]
    assert [result.errors[0].exception_class_path for result in results[:4]] == [f"builtins.{kind}" for kind in kinds]
    assert len({line[4] for cause in causes for line in client.lines(cause)}) == 1


LIMITED = (
    TASKS
    + """
@task(target="mule", limit=1)
def alone(context, path):
    note(context, "begin")
    block_on(path)
    note(context, "end")
    if path == "raise":
        raise LookupError
"""
)


def test_a_limit_is_free_again_after_each_end(server, client):
    """A killed process, a killed master, and an exception. The runs never overlap."""
    server.start(LIMITED, *OPTIONS)
    first = client.put("alone", "first")[0]
    os.kill(client.expect(1, "begin")[0][4], signal.SIGKILL)
    client.expect(2, "begin")
    second = client.put("alone", "raise")[0]
    third = client.put("alone", "third")[0]
    crash(server)
    restart(server)
    client.expect(3, "begin", first)
    assert client.lines("begin", second) == []
    for path in ("first", "raise", "third"):
        server.release(path)
    results = client.finish(first, second, third)
    assert [result.status.name for result in results] == ["SUCCESSFUL", "FAILED", "SUCCESSFUL"]
    ends = [line[2] for line in client.lines("end")]
    begins = [client.lines("begin", task_id)[-1][2] for task_id in (second, third)]
    assert all(end <= begin for end, begin in zip(ends, begins, strict=False))


OLD = (
    TASKS
    + """
@task(target="mule", name="tasks:old")
def old(context, number):
    note(context, "old")
"""
)


def test_tasks_of_a_function_that_is_gone_wait(server, client):
    """A reload to code without it, and a restart. They run when it is back, as their first attempt."""
    server.start(OLD, *OPTIONS)
    server.write(TASKS)
    reload(server)
    ids = client.put("old", 1, count=5, priority=50)
    client.finish(*client.put("quick", count=5))
    assert [get_result(task_id).status for task_id in ids] == [TaskStatus.READY] * 5
    crash(server)
    restart(server)
    client.finish(*client.put("quick", count=5))
    assert client.lines("old") == []
    server.write(OLD)
    reload(server)
    assert [result.attempts for result in client.finish(*ids)] == [1] * 5
    server.write(OLD.replace("number", "other, more"))
    reload(server)
    (failed,) = client.finish(*client.put("old", 1))
    assert failed.status is TaskStatus.FAILED
    assert "missing a required argument: 'more'" in failed.errors[0].traceback
    assert len(client.lines("old")) == 5


SLOW = (
    TASKS
    + """
@task(target="mule")
def slow(context):
    note(context, "slow")
    block_on("go")
    return "done"
"""
)


def test_a_deploy_is_no_failure(server, client):
    """Reloads and a stop kill the task, since it takes longer than the graceful timeout. None of them counts."""
    options = (*OPTIONS, "--graceful-timeout", "0.5")
    server.start(SLOW, *options)
    (task_id,) = client.put("slow")
    for run in range(1, 5):
        client.expect(run, "slow")
        time.sleep(0.2)
        reload(server)
    client.expect(5, "slow")
    assert server.end() == 0
    restart(server, *options)
    server.release("go")
    (result,) = client.finish(task_id)
    assert (result.status, result.attempts, result.errors) == (TaskStatus.SUCCESSFUL, 1, [])
    assert {line[1] for line in client.lines("slow")} == {1}
    assert client.store.get(task_id).deaths == 0


def test_a_task_without_a_ring_runs_with_the_next_one(server, client):
    """The enqueuing process was killed between the commit and the ring."""
    server.start(TASKS, *OPTIONS)
    client.finish(*client.put("quick", count=20))
    time.sleep(0.5)  # each process looks for tasks once after its start
    silent = client.put("quick", "silent", ring=False)
    time.sleep(0.3)
    assert client.lines("silent") == []
    client.finish(*client.put("quick"))
    client.finish(*silent)
    late = client.put("quick", "late", ring=False)
    crash(server)
    restart(server)
    client.finish(*late)
    assert len(client.lines("late")) == len(client.lines("silent")) == 1


def test_tasks_wait_for_the_next_server(server, client):
    """They were enqueued while none ran."""
    ids = client.put("quick", count=3) + client.put("in_spooler", target="spooler")
    server.start(TASKS, *OPTIONS)
    assert {result.attempts for result in client.finish(*ids)} == {1}


def test_a_cancelled_task_never_runs(server, client):
    """Cancelling races with two mules: each task either runs, or `cancel()` said True."""
    server.start(TASKS, *OPTIONS)
    ids = client.put("quick", count=500)
    cancelled = {task_id for task_id in reversed(ids) if get_result(task_id).cancel()}
    results = client.finish(*ids)
    ran = {line[0] for line in client.lines()}
    assert ran | cancelled == set(ids)
    assert not ran & cancelled
    assert {result.id for result in results if result.status is TaskStatus.CANCELLED} == cancelled


def test_a_cancelled_task_stays_cancelled(server, client):
    """It was cancelled while no server ran."""
    (task_id,) = client.put("quick", "never")
    assert get_result(task_id).cancel() is True
    server.start(TASKS, *OPTIONS)
    client.finish(*client.put("quick"))
    assert client.lines("never") == []


def test_a_pause_survives_everything(server, client):
    """A reload and a restart. Deferred tasks wait, too. Afterwards all run at once."""
    server.start(TASKS, *OPTIONS)
    client.store.pause("mule", "e2e", now())
    ids = client.put("quick", count=3) + client.put("quick", run_after=now() + MICROSECONDS)
    reload(server)
    crash(server)
    restart(server)
    client.finish(*client.put("in_spooler", target="spooler"))
    time.sleep(1.2)
    assert [line for line in client.lines() if line[0] in ids] == []
    assert client.store.resume("mule")
    client.engine.wake("mule")
    assert {result.status for result in client.finish(*ids)} == {TaskStatus.SUCCESSFUL}


def test_tasks_of_a_target_that_the_code_does_not_have_any_longer(server, client):
    """The task was paused when its function got another target. A shell may name a target that never was, too."""
    server.start(TASKS, *OPTIONS)
    client.finish(*client.put("quick", target="mule9"))
    client.store.pause("tasks:in_spooler", "e2e", now())
    ids = client.put("in_spooler", target="spooler", count=2)
    server.write(TASKS.replace('target="spooler"', 'target="mule"'))
    reload(server)
    client.finish(*client.put("quick"))
    assert client.store.resume("tasks:in_spooler")
    client.engine.wake("spooler")
    assert {result.status for result in client.finish(*ids)} == {TaskStatus.SUCCESSFUL}


RATED = (
    TASKS
    + """
@task(target="mule", rate="5/m")
def rated(context):
    note(context, "rated")
"""
)


def test_a_rate_holds_for_the_whole_server(server, client):
    """Others pass. Neither a second process nor a restart grants more."""
    server.start(RATED, *OPTIONS)
    client.put("rated", count=20, priority=50)
    client.finish(*client.put("quick", count=50))
    client.expect(5, "rated")
    crash(server)
    restart(server)
    client.finish(*client.put("quick", count=50))
    assert len(client.lines("rated")) == 5


PROGRESS = (
    TASKS
    + """
@task(target="mule")
def counting(context, number):
    for done in range(1, number + 1):
        context.progress(done, number)
    return number
"""
)


def test_readers_see_one_moment(server, client):
    """A task that is successful always has its value, and progress never changes a finished one."""
    server.start(PROGRESS, *OPTIONS)
    ids = client.put("counting", 5, count=100)
    open_ids, seen = set(ids), 0
    deadline = time.monotonic() + 20
    while open_ids and time.monotonic() < deadline:
        for task_id in list(open_ids):
            result = get_result(task_id)
            seen += result.progress is not None
            if result.status is TaskStatus.SUCCESSFUL:
                assert result.return_value == 5
                open_ids.discard(task_id)
    assert not open_ids
    assert seen


def test_a_time_limit_kills_the_process(server, client):
    """The attempt has failed, others run, and the attempts after it have the limit, too."""
    code = TASKS + (
        '@task(target="mule", time_limit=0.3, retries=1, backoff=0)\n'
        "def endless(context):\n"
        '    note(context, "endless")\n'
        "    while True: pass\n"
    )
    server.start(code, *OPTIONS)
    (result,) = client.finish(*client.put("endless"))
    assert (result.status, result.attempts) == (TaskStatus.FAILED, 2)
    assert all("time limit" in error.traceback for error in result.errors)
    assert "exceeded its time limit" in server.log
    client.finish(*client.put("quick"))


def test_a_process_that_a_task_forks_runs_no_tasks(server, client):
    """It returns from the function, and exits. The task has run once."""
    code = TASKS + (
        '@task(target="mule")\n'
        "def forking(context):\n"
        "    child = os.fork()\n"
        "    if child:\n"
        "        os.waitpid(child, 0)\n"
        '    note(context, "parent" if child else "child")\n'
        "    return bool(child)\n"
    )
    server.start(code, *OPTIONS)
    (result,) = client.finish(*client.put("forking"))
    assert (result.return_value, result.attempts) == (True, 1)
    assert len(client.lines("parent")) == len(client.lines("child")) == 1
    client.finish(*client.put("quick", count=20))
    assert len(client.lines()) == 20


POOL = """
import asyncio
from heliograph import task, uwsgi

pool = None

@uwsgi.postfork_hooks.add()
async def open_pool():
    global pool
    if uwsgi.worker_id == 0:
        pool = asyncio.get_running_loop()

@task(target="spooler")
async def in_spooler():
    record(f"spooler:{pool is asyncio.get_running_loop()}")

@task(target="mule")
async def in_mule():
    record(f"mule:{pool is asyncio.get_running_loop()}")
"""


def test_pool_of_a_hook_is_on_the_event_loop_of_tasks(server, client):
    """A coroutine function opens it after the fork, as docs/how-to/frameworks.md shows for FastAPI."""
    server.start(POOL, "--mules", "1", "--spooler", "spool")
    client.finish(*client.put("in_spooler", target="spooler"), *client.put("in_mule"))
    server.expect(1, "spooler:True")
    server.expect(1, "mule:True")


ASYNCPG = """
import asyncio, os
from pathlib import Path

class Pool:
    def __init__(self):
        self.made = asyncio.get_running_loop(), os.getpid()

    def acquire(self):
        return self

    async def __aenter__(self):
        assert self.made == (asyncio.get_running_loop(), os.getpid())
        return self

    async def __aexit__(self, *error):
        pass

    async def execute(self, sql, number):
        with Path("executed").open("a") as file:
            file.write(f"{number}\\n")

async def create_pool(dsn, *, min_size, max_size):
    return Pool()
"""
"""A module in the place of asyncpg. Its pool works on the event loop of the process that made it."""


def test_the_pool_of_the_page_about_fastapi_works(server, client):
    """The code for a pool of connections: a post-fork hook opens the pool, and a task uses it."""
    page = (Path(__file__).parents[2] / "docs/how-to/fastapi.md").read_text()
    (code,) = (text for text in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import asyncpg" in text)
    (server.directory / "asyncpg.py").write_text(ASYNCPG)
    server.start(code, "--mules", "1", "--spooler", "spool")
    results = client.finish(*(client.put("book", number, target="default")[0] for number in range(5)))
    assert {(result.status, result.attempts) for result in results} == {(TaskStatus.SUCCESSFUL, 1)}
    assert sorted((server.directory / "executed").read_text().split()) == list("01234")


IN_C = (
    TASKS
    + """
import ctypes

libc = ctypes.PyDLL(None)  # its functions keep the GIL

@task(target="mule")
def in_c(context, path):
    note(context, "begin")
    libc.open(path.encode(), os.O_RDONLY)  # returns when a process opens the other end of the pipe
    note(context, "end")

@task(target="mule")
def deadlock(context, path):
    note(context, "begin")
    if not Path(path).exists():
        mutex = ctypes.create_string_buffer(64)
        libc.pthread_mutex_lock(mutex)
        libc.pthread_mutex_lock(mutex)  # no signal ends that
    note(context, "end")
"""
)

LONG = 6
"""Seconds that are longer than any time after which a server could take a process for dead."""


def test_a_call_of_c_code_keeps_its_task(server, client):
    """It keeps the GIL, so no thread of the process can say that it lives. There is no lease. Other tasks go on."""
    pipe = server.directory / "pipe"
    os.mkfifo(pipe)
    server.start(IN_C, *OPTIONS)
    (task_id,) = client.put("in_c", "pipe")
    (begin,) = client.expect(1, "begin")
    until = time.monotonic() + LONG
    while time.monotonic() < until:
        client.finish(*client.put("quick", count=20))
        assert get_result(task_id).status is TaskStatus.RUNNING
    with pipe.open("wb"):
        (result,) = client.finish(task_id)
    assert (result.status, result.attempts) == (TaskStatus.SUCCESSFUL, 1)
    assert [line[1:2] + line[3:] for line in client.lines("begin")] == [begin[1:2] + begin[3:]]
    assert server.pids()[begin[3]] == begin[4]


def test_a_reload_that_kills_a_call_of_c_code_does_not_count_the_attempt(server, client):
    """SIGTERM does not end it, so the master does. That is no fault of the task."""
    server.start(IN_C, *OPTIONS, "--graceful-timeout", "1")
    (task_id,) = client.put("deadlock", "gate")
    for number in 1, 2, 3:
        client.expect(number, "begin")
        if number == 3:
            server.release("gate")
        reload(server)
    (result,) = client.finish(task_id)
    assert (result.status, result.attempts) == (TaskStatus.SUCCESSFUL, 1)
    assert {line[1] for line in client.lines("begin")} == {1}


def test_a_task_that_ended_while_the_master_was_stopped_has_ended(server, client):
    """The process of the task is killed before the master goes on. So what was true before does not decide."""
    server.start(TASKS, *OPTIONS)
    (task_id,) = client.put("blocking", "gate")
    pid = client.expect(1, "begin")[0][4]
    os.kill(server.master(), signal.SIGSTOP)
    try:
        server.release("gate")
        (result,) = client.finish(task_id)
        os.kill(pid, signal.SIGKILL)
    finally:
        os.kill(server.master(), signal.SIGCONT)
    client.finish(*client.put("quick", count=20))
    reload(server)
    result.refresh()
    assert (result.status, result.attempts) == (TaskStatus.SUCCESSFUL, 1)
    assert len(client.lines("begin")) == 1


NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")


def test_a_process_with_the_id_of_a_killed_one_does_not_have_its_task(server, client):
    """In a container the master is always process 1, and the mules have the numbers of those before them."""
    if subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system does not allow namespaces of process ids")
    server.write(TASKS)
    pids = []
    for run in 1, 2:
        command = (*NAMESPACE, sys.executable, "-m", "heliograph", "run", "tasks", "--name", "e2e", *OPTIONS)
        server.process = server.popen(*command)
        server.await_log("(?i)ready: ", run)
        if run == 1:
            (task_id,) = client.put("blocking", "gate")
        pids.append(client.expect(run, "begin")[-1][4])
        client.finish(*client.put("quick", count=20))
        if run == 1:
            server.clean()
            server.wait()
    server.release("gate")
    (result,) = client.finish(task_id)
    assert (result.status, result.attempts) == (TaskStatus.SUCCESSFUL, 2)
    assert len(client.lines("begin")) == 2
    assert all(pid < 100 for pid in pids), "the numbers are those of a namespace"


ZONES = (
    TASKS
    + """
time.tzset()

@task(target="mule")
def in_zone(context):
    note(context, time.strftime("%Z"))
"""
)

ENQUEUE_IN_TOKYO = """
import os, sys, time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo
sys.path.insert(0, os.getcwd())
import tasks
assert time.tzname[0] == "JST", time.tzname
berlin = ZoneInfo("Europe/Berlin")
soon = datetime.now(berlin) + timedelta(seconds=2)
print(soon.timestamp(), tasks.in_zone.using(run_after=soon).enqueue().id)
for text, fold in (("2040-10-28T02:30", 0), ("2040-10-28T02:30", 1), ("2041-03-31T02:30", 0), ("2041-03-31T02:30", 1)):
    due = datetime.fromisoformat(text).replace(tzinfo=berlin, fold=fold)
    print(due.timestamp(), tasks.in_zone.using(run_after=due).enqueue().id)
"""


def test_a_time_is_the_same_moment_in_every_zone(server, client, monkeypatch):
    """A program in Tokyo says a time in Berlin to a server in New York, also while Berlin changes its clocks."""
    monkeypatch.setenv("TZ", "America/New_York")
    server.start(ZONES, *OPTIONS)
    command = [sys.executable, "-c", ENQUEUE_IN_TOKYO]
    env = {**os.environ, "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        command, env=env, cwd=server.directory, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    soon, *later = [(float(due), task_id) for due, task_id in map(str.split, done.stdout.splitlines())]
    utc = ["2040-10-28T00:30", "2040-10-28T01:30", "2041-03-31T01:30", "2041-03-31T00:30"]
    moments = [datetime.fromisoformat(f"{text}+00:00") for text in utc]
    assert [get_result(task_id).run_after for _, task_id in later] == moments
    shown = server.command("tasks", "show", later[0][1])
    assert "2040-10-27 20:30:00 EDT" in shown.stdout, shown
    client.finish(soon[1])
    ((_, _, at, *_),) = client.lines("EST") + client.lines("EDT")
    assert soon[0] - 0.001 <= at < soon[0] + 30


FLOOD = (
    TASKS
    + """
import fcntl

@task(target="mule")
def echo(number):
    return number

nothing = Signal(1)
nothing.register_handler("mule")(lambda: None)

def make_pipes_small():
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 4096)
        except OSError:
            pass  # it is no pipe

@Signal(2).register_handler("worker2")
def flood():
    make_pipes_small()
    while not Path("answered").exists():
        try:
            nothing.send(timeout=0)
        except TimeoutError:
            Path("full").touch()

@Signal(3).register_handler("worker1")
def ask():
    block_on("full")
    for number in range(200):
        assert echo.enqueue(number).wait(timeout=10).return_value == number
    Path("answered").touch()
    record("answered")
"""
)


def test_a_task_gets_through_a_queue_that_is_full_of_signals(server):
    """200 times: an enqueued task runs without another event, and the process that waits for it hears of its end."""
    server.start(FLOOD, "--workers", "2", "--mules", "1", "--spooler", "spool", "--task-sync", "process")
    server.send(2)
    server.send(3)
    eventually("200 answers", lambda: server.events("answered"), 60)


def test_a_task_that_is_enqueued_while_the_master_restarts_runs(server, client):
    """200 tasks, each enqueued at some moment of a restart. Those that wait for them hear of every end."""
    server.start(TASKS, *OPTIONS)
    stop = threading.Event()
    results: list[TaskResult] = []
    failures: list[BaseException] = []

    def enqueue():
        try:
            while not stop.is_set() or len(results) < 200:
                (task_id,) = client.put("quick")
                results.append(get_result(task_id).wait(timeout=20))
                stop.wait(random.uniform(0, 0.005))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=enqueue) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            count = len(results)
            eventually("further tasks", lambda count=count: failures or len(results) >= count + 10)
            crash(server)
            restart(server)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, (failures, server.log)
    assert {result.status for result in results} == {TaskStatus.SUCCESSFUL}
