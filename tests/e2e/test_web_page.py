"""The status page of a real server: its process, its answers, and what it costs."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

from .page_client import Connection, Page

TOKEN = "0123456789abcdef"
APP = """
from heliograph import task

@Signal(name="work").register_handler("mule")
def work():
    record("done")

@task(target="mule")
def mail(to: str) -> str:
    if not Path("mended").exists():
        raise RuntimeError(f"no route to {to}")
    return to
"""


@pytest.fixture
def page(server):
    return Page(server)


def ticks(pid: int) -> int:
    """Return the processor time of a process, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_the_page_and_the_metrics_show_the_server(page):
    """All processes, from the first request on."""
    page.start(APP)
    assert stat.S_IMODE(page.path.stat().st_mode) == 0o600
    page.server.command("send", "work")
    page.server.expect(1, "done")
    eventually("the metric", lambda: page.metric('heliograph_signal_handled_total{signal="work",target="mule"}') == 1)
    assert page.metric("heliograph_up") == 1
    assert page.metric('heliograph_process_up{process="mule1",role="mule"}') == 1
    status, text = page.ask("/")
    assert status == 200
    assert "mule1" in text
    assert "tasks.work" in text
    assert {process["name"] for process in page.state()["processes"]} >= {"master", "worker1", "mule1"}
    assert page.state().keys() == json.loads(page.server.command("status", "--json").stdout).keys()
    assert "mule1" in page.ask("/api/stack/mule1")[1]


def test_the_page_survives_a_reload(page):
    """Its process goes on, and shows the new generation."""
    page.start(APP)
    before = page.pid
    assert page.server.command("reload").returncode == 0
    eventually("generation 2", lambda: page.state()["generation"] == 2)
    assert page.pid == before


def test_the_page_ends_with_the_server(page):
    """At a stop, and when the master is killed. The socket can be used again."""
    page.start(APP)
    assert page.server.end() == 0
    assert not page.path.exists()
    page.start(APP)
    pid = page.pid
    os.kill(page.server.master(), signal.SIGKILL)
    eventually("the end of the page", lambda: not Path(f"/proc/{pid}").exists() or page.ask("/healthz")[0] == 0)
    page.server.clean()
    page.start(APP)
    assert page.server.end() == 0


def test_a_page_that_is_killed_is_started_again(page):
    """The socket of the killed one is replaced."""
    page.start(APP)
    before = page.pid
    os.kill(before, signal.SIGKILL)
    eventually("a successor", lambda: page.pid not in {0, before} and page.ask("/healthz")[0] == 200)


def test_a_new_server_is_shown_by_the_page_that_outlived_the_old_one(page):
    """A page that was started by hand, as for a server of an older configuration."""
    server = page.server
    server.start(APP, "--mules", "1")
    control = server.directory / "heliograph" / "e2e.sock"
    command = (sys.executable, "-P", "-m", "heliograph.web", "--listen", str(page.path), "--control", str(control))
    process = server.popen(*command)
    try:
        assert json.loads(page.await_status("/healthz", 200))["name"] == "e2e"
        assert server.end() == 0
        page.await_status("/healthz", 503)
        assert page.metric("heliograph_up") == 0
        server.launch("--mules", "2")
        eventually("the new server", lambda: len(page_processes(page)) == 4)
    finally:
        process.terminate()
        assert process.wait(20) == 0


def page_processes(page: Page) -> list[str]:
    status, text = page.ask("/api/state")
    return [process["name"] for process in json.loads(text)["processes"]] if status == 200 else []


def test_a_taken_address_ends_the_start(page):
    """One line with the address, before the application is loaded."""
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(page.path))
        taken.listen()
        page.server.write(APP)
        page.server.launch("--http-status", str(page.path))
        assert page.server.wait() == 2
    assert f"--http-status {page.path}: another server listens there. Stop it, or use another path" in page.server.log


def test_a_page_that_nobody_looks_at_costs_nothing(page):
    """It does not even ask the master."""
    page.start(APP)
    pid, before = page.pid, 0
    page.state()
    before = ticks(pid)
    time.sleep(4)
    assert ticks(pid) - before <= 4


def test_a_task_is_retried_with_the_token(page):
    """Not without it."""
    token = page.server.directory / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    page.start(APP, "--http-token-file", str(token))
    assert page.server.command("enqueue", "tasks:mail", '["you"]').returncode == 0
    eventually(
        "a failed task", lambda: page.metric('heliograph_tasks{status="failed",target="mule",task="tasks:mail"}') == 1
    )
    text = page.ask("/")[1]
    task_id = text.partition('data-task="')[2].partition('"')[0]
    assert "no route to you" in text
    page.server.release("mended")
    path = f"/api/tasks/{task_id}/retry"
    assert page.ask(path, "POST")[0] == 401
    assert page.ask(path, "POST", Authorization="Bearer wrong-token-0123")[0] == 401
    status, answer = page.ask(path, "POST", Authorization=f"Bearer {TOKEN}")
    assert status == 200, answer
    done = 'heliograph_tasks{status="successful",target="mule",task="tasks:mail"}'
    eventually("the task's end", lambda: page.metric(done) == 1)


def test_many_clients_cost_the_master_as_much_as_one(page):
    """Ten streams of events share one reading a second."""
    page.start(APP)
    opened = []
    for _ in range(10):
        connection = Connection(page.path)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.readline().startswith(b"retry:")
        opened.append((connection, answer))
    versions = [set[int]() for _ in opened]
    began = time.monotonic()
    for (_, answer), seen in zip(opened, versions, strict=True):
        while len(seen) < 3:
            line = answer.readline()
            if line.startswith(b"data: "):
                seen.add(json.loads(line[6:])["version"])
    elapsed = time.monotonic() - began
    highest = max(max(seen) for seen in versions)
    assert highest <= elapsed + 5  # each reading has one more
    for connection, _ in opened:
        connection.close()
