"""`heliograph tasks` and `enqueue` while a server runs, and after its end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from heliograph.testing.harness.harness import eventually

TASKS = """
from heliograph import task

@task(target="mule")
def greet(name: str, times: int = 1):
    record(f"greet:{name}:{times}")

@task(target="mule")
def fail_once(path: str):
    import os
    if not os.path.exists(path):
        open(path, "x").close()
        raise ValueError("the first time")
    record("failed-once")
"""

OPTIONS = ("--mules", "2", "--spooler", "spool")


@pytest.fixture
def command(server):
    """Run `heliograph ARGUMENTS` in the directory of the server."""

    def run(*arguments, code=0):
        environ = {**os.environ, "XDG_STATE_HOME": str(server.directory)}
        environ |= {"HELIOGRAPH_SPOOLER": "spool", "HELIOGRAPH_NAME": server.name}
        line = [sys.executable, "-m", "heliograph", *arguments]
        done = subprocess.run(
            line, cwd=server.directory, env=environ, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def recorded(server, what):
    return [event.what for event in server.events() if event.what == what]


def wait_for(server, what, count=1):
    eventually(what, lambda: len(recorded(server, what)) >= count)


def stop(server):
    os.kill(server.master(), signal.SIGTERM)
    server.wait()


def statuses(command):
    return [task["status"] for task in json.loads(command("tasks", "--json").stdout)["tasks"]]


def test_enqueued_from_a_shell_it_runs_at_once_and_the_list_shows_it(server, command):
    server.start(TASKS, *OPTIONS)
    done = command("enqueue", "tasks:greet", '["Ann"]', '{"times": 2}')
    wait_for(server, "greet:Ann:2")
    task_id = done.stdout.strip()
    eventually("the end", lambda: json.loads(command("tasks", "show", task_id, "--json").stdout)[0]["finished_at"])
    assert "1 SUCCESSFUL" in command("tasks").stdout
    shown = command("status").stdout
    assert shown.startswith("e2e is well: tasks, generation 1, up ")
    assert "tasks: 1 SUCCESSFUL, in" in shown
    assert command("status", "--name", "nobody", code=2).stderr


def test_by_its_name_alone_it_goes_to_the_target_of_the_function(server, command):
    server.start(TASKS, *OPTIONS)
    command("enqueue", "tasks:greet", '["Ann"]')
    wait_for(server, "greet:Ann:1")
    command("enqueue", "tasks:greet", '["Bob"]', "--unchecked")
    wait_for(server, "greet:Bob:1")


def test_a_failed_task_that_is_retried_runs_at_once(server, command):
    server.start(TASKS, *OPTIONS)
    command("enqueue", "tasks:fail_once", '["mark"]')
    eventually("a failure", lambda: statuses(command) == ["FAILED"])
    command("tasks", "retry", "--failed")
    wait_for(server, "failed-once")


def test_a_pause_survives_a_kill_of_the_server_and_resume_runs_the_tasks(server, command):
    server.start(TASKS, *OPTIONS)
    command("enqueue", "tasks:greet", '["Ann"]')
    wait_for(server, "greet:Ann:1")
    command("tasks", "pause", "tasks:greet")
    os.kill(server.master(), signal.SIGKILL)
    server.wait()
    command("enqueue", "tasks:greet", '["Bob"]')
    ready = server.log.lower().count("ready: ")
    server.launch(*OPTIONS)
    server.await_log("(?i)ready: ", ready + 1)
    assert json.loads(command("tasks", "--json").stdout)["tasks"][0]["waits_for"] == "paused"
    command("tasks", "resume", "tasks:greet")
    wait_for(server, "greet:Bob:1")


def test_a_backup_of_a_busy_server_has_no_faults(server, command):
    server.start(TASKS, *OPTIONS)
    for name in "abc":
        command("enqueue", "tasks:greet", f'["{name}"]')
    command("tasks", "backup", "copy.db")
    command("tasks", "check")
    command("tasks", "restore", "copy.db", code=2)
    command("tasks", "restore", "copy.db", "--spooler", "elsewhere")
    assert len(json.loads(command("tasks", "--json", "--spooler", "elsewhere").stdout)["tasks"]) == 3


def test_a_directory_of_tasks_that_is_removed_is_noticed_at_once(server, command):
    """The log says so once, and `status`. Put back, it is used again. Left away, a reload begins without tasks."""
    server.start(TASKS, *OPTIONS)
    command("enqueue", "tasks:greet", '["Ann"]')
    wait_for(server, "greet:Ann:1")
    spool, text = server.directory / "spool", "The directory of tasks was removed or replaced: .*spool"
    spool.rename(server.directory / "away")
    server.await_log(text)
    assert "was removed or replaced" in command("status", code=1).stdout
    (server.directory / "away").rename(spool)
    command("status")
    command("enqueue", "tasks:greet", '["Bob"]')
    wait_for(server, "greet:Bob:1")
    command("tasks", "--summary")
    spool.rename(server.directory / "away")
    server.await_log(text, 2)
    assert "its directory was removed" in command("enqueue", "tasks:greet", '["Dan"]', code=2).stderr
    assert not spool.exists(), "a second store was made"
    (server.directory / "away").rename(spool)
    command("status")
    while spool.exists():  # a process may make a file meanwhile
        shutil.rmtree(spool, ignore_errors=True)
    server.await_log(text, 3)
    assert json.loads(command("status", "--json", code=1).stdout)["problems"][0]["code"] == "tasks_lost"
    assert command("reload", "--wait").returncode == 0
    command("status")
    command("enqueue", "tasks:greet", '["Cid"]')
    wait_for(server, "greet:Cid:1")
    assert server.log.count("was removed or replaced") == 3


def test_a_start_that_fails_leaves_the_place_of_the_tasks(server):
    """A task that is enqueued afterwards runs when the server is started as before."""
    server.start(TASKS, *OPTIONS)
    stop(server)
    server.write("1 / 0")
    assert server.launch().wait(30) == 2
    server.write(TASKS)
    assert server.command("enqueue", "tasks:greet", '["Ann"]').returncode == 0
    server.launch(*OPTIONS)
    wait_for(server, "greet:Ann:1")


def test_a_start_warns_of_tasks_that_wait_in_the_store_without_spooler(server):
    server.start(TASKS, "--mules", "2")
    stop(server)
    assert server.command("enqueue", "tasks:greet", '["Ann"]').returncode == 0
    server.launch(*OPTIONS)
    server.await_log(r"Tasks wait in \S+\.tasks, from a start without --spooler \(number: 1\)")
    assert "(number: 1)" in server.command("status").stdout
    stop(server)
    server.launch("--mules", "2")
    wait_for(server, "greet:Ann:1")
