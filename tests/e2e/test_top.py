"""`heliograph top` with a real server: in Textual's pilot, and once in a real terminal."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

pytest.importorskip("textual")

from heliograph.insights import ServerReader
from heliograph.ipc.instance import find_control_socket
from heliograph.testing.harness.harness import eventually
from heliograph.top.actions import Actions
from heliograph.top.app import TopApp

DEADLINE = 60.0

APP = """
from heliograph import task

@Signal(7).register_handler("mule1", remote=True)
def wait_for_file():
    record("begun")
    block_on("release")

@Signal(8).register_handler("mule2", remote=True)
def quick():
    record("quick")

@task(target="spooler")
def fail_until(path: str):
    record("attempt")
    if not os.path.exists(path):
        raise ValueError("the file is missing")
    record("success")

@task(target="spooler")
def later():
    record("later")
"""
OPTIONS = ("--mules", "2", "--spooler", "spool")


@dataclass
class Top:
    app: TopApp
    pilot: object

    @property
    def text(self):
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    async def press(self, *keys):
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, what):
        """Wait until a text is on the screen, or a function returns true."""
        deadline = time.monotonic() + DEADLINE
        while not (what in self.text if isinstance(what, str) else what()):
            assert time.monotonic() < deadline, f"{what}\n{self.text}"
            await asyncio.sleep(0.05)
            await self.pilot.pause()


@pytest.fixture
def top(server, monkeypatch):
    """`heliograph top` for the server of the test."""
    monkeypatch.delenv("NO_COLOR", raising=False)

    def find():
        return find_control_socket(server.name)

    @asynccontextmanager
    async def start(size=(100, 30)):
        app = TopApp(lambda: ServerReader(find()), Actions(find), 0.2)
        async with app.run_test(size=size, notifications=True) as pilot:
            page = Top(app, pilot)
            await page.until("mule1")
            yield page

    return start


def enqueue(server, *arguments):
    done = server.command("enqueue", *arguments, "--spooler", "spool")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def count(server, what):
    return len(server.events(what))


@pytest.mark.asyncio
async def test_it_shows_a_server_and_where_a_process_hangs(server, top):
    server.start(APP, *OPTIONS, remote="7,8")
    server.send(7)
    server.expect(1, "begun")
    async with top() as page:
        await page.until("spooler1")
        await page.until("e2e")
        await page.press("down")
        table = page.app.screen.table
        await page.until(lambda: table.rows)
        names = [row.key for row in table.rows]
        await page.press("home", *["down"] * names.index("mule1"), "enter")
        await page.until("  wait_for_file  ")
        await page.until("  block_on  ")
        await page.press("escape", "2")
        await page.until("tasks.quick")
        server.send(8, times=3)
        await page.until(lambda: page.app.look.state.signals[-1].done == 3)
    server.release("release")


@pytest.mark.asyncio
async def test_a_reload_is_carried_out_after_the_question(server, top):
    server.start(APP, *OPTIONS)
    async with top() as page:
        await page.press("r")
        await page.until("Reload e2e?")
        await page.press("n")
        await page.until(lambda: "Reload e2e?" not in page.text)
        assert server.state()["generation"] == 1
        await page.press("r")
        await page.until("Reload e2e?")
        await page.press("y")
        await page.until("Reload complete (generation 2)")
        await page.until(lambda: page.app.look.state.generation == 2)


@pytest.mark.asyncio
async def test_a_reload_that_fails_shows_the_error(server, top):
    server.start(APP, *OPTIONS)
    (server.directory / "tasks.py").write_text("raise RuntimeError('broken code')\n")
    async with top() as page:
        await page.press("r")
        await page.until("Reload e2e?")
        await page.press("y")
        await page.until("RuntimeError: broken code")


@pytest.mark.asyncio
async def test_failed_tasks_are_retried_one_by_one_or_all(server, top):
    server.start(APP, *OPTIONS)
    for _ in range(3):
        enqueue(server, "tasks:fail_until", '["present"]')
    server.expect(3, "attempt")
    async with top() as page:
        await page.press("3")
        await page.until("tasks:fail_until")
        await page.until(lambda: failed(page) == 3)
        await page.press("enter")
        await page.until("ValueError: the file is missing")
        await page.until("FAILED")
        (server.directory / "present").touch()
        await page.press("t")
        await page.until("gets its attempts again")
        assert count(server, "attempt") == 3
        await page.press("y")
        await page.until("Retried 1 task")
        await page.until(lambda: count(server, "success") == 1)
        await page.press("escape")
        await page.until(lambda: failed(page) == 2)
        await page.press("t")
        await page.until("2 FAILED tasks of tasks:fail_until")
        await page.press("y")
        await page.until(lambda: count(server, "success") == 3)
        await page.until(lambda: failed(page) == 0)


def failed(page):
    store = page.app.look.state.store
    return 0 if store is None else sum(task.counts.get("FAILED", 0) for task in store.tasks)


@pytest.mark.asyncio
async def test_a_target_is_paused_and_resumed_and_waiting_tasks_are_cancelled(server, top):
    server.start(APP, *OPTIONS)
    enqueue(server, "tasks:later")
    server.expect(1, "later")
    async with top() as page:
        await page.press("3")
        await page.until("tasks:later")
        table = page.app.screen.table
        await page.press("end")
        await page.until(lambda: table.selected is not None and table.selected.item.name == "tasks:later")
        await page.press("p")
        await page.until("Pause target spooler (2)")
        await page.press("2")
        await page.until("target paused")
        enqueue(server, "tasks:later")
        enqueue(server, "tasks:later")
        await page.until(lambda: ready(page) == 2)
        await page.press("x")
        await page.until("2 READY tasks of tasks:later will never run")
        await page.press("n")
        await page.until(lambda: "will never run" not in page.text)
        assert ready(page) == 2
        await page.press("x")
        await page.until("2 READY tasks of tasks:later will never run")
        await page.press("y")
        await page.until(lambda: ready(page) == 0)
        enqueue(server, "tasks:later")
        await page.until(lambda: ready(page) == 1)
        await page.press("p")
        await page.until("Resume target spooler (2)")
        await page.press("2")
        await page.until(lambda: count(server, "later") == 2)


def ready(page):
    store = page.app.look.state.store
    return 0 if store is None else sum(task.counts.get("READY", 0) for task in store.tasks)


@pytest.mark.asyncio
async def test_it_survives_the_end_and_the_restart_of_the_server(server, top):
    server.start(APP, *OPTIONS)
    async with top() as page:
        first = server.master()
        assert server.end() == 0
        await page.until("not connected")
        await page.until("Trying again: no server answers at")
        server.launch(*OPTIONS)
        await page.until(lambda: page.app.fault is None and page.app.look.state.pid != first)
        await page.until("The server was restarted")


@pytest.mark.asyncio
async def test_a_stopped_master_does_not_freeze_the_screen(server, top):
    """SIGSTOP: the master accepts no request. Keys are answered nevertheless."""
    server.start(APP, *OPTIONS)
    async with top() as page:
        os.kill(server.master(), signal.SIGSTOP)
        try:
            await page.press("2")
            await page.until("HANDLER")
            await page.press("question_mark")
            await page.until("pause or resume a task or target")
        finally:
            os.kill(server.master(), signal.SIGCONT)


class Terminal:
    """A terminal in tmux, with a server of tmux of its own."""

    def __init__(self, directory, size):
        self._tmux = ["tmux", "-S", str(directory / "tmux.sock"), "-f", "/dev/null"]
        self._directory = directory
        self._size = size

    def run(self, *command):
        width, height = map(str, self._size)
        subprocess.run(
            [*self._tmux, "new-session", "-d", "-x", width, "-y", height, "-c", str(self._directory), *command],
            check=True,
            timeout=DEADLINE,
        )

    def type(self, *keys):
        subprocess.run([*self._tmux, "send-keys", *keys], check=True, timeout=DEADLINE)

    def screen(self, *options):
        done = subprocess.run(
            [*self._tmux, "capture-pane", "-p", *options], capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        return done.stdout

    def until(self, text):
        try:
            eventually(text, lambda: text in self.screen(), DEADLINE)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def close(self):
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True, timeout=DEADLINE)


@pytest.fixture
def terminal(server):
    if shutil.which("tmux") is None:
        pytest.skip("not installed: tmux")
    terminal = Terminal(server.directory, (80, 24))
    yield terminal
    terminal.close()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_in_a_real_terminal(server, terminal, no_color):
    """The command itself: every view, a question, and the terminal as it was before, after q."""
    server.start(APP, *OPTIONS)
    environ = f"NO_COLOR={no_color} " if no_color else ""
    command = f"{sys.executable} -m heliograph top --name {server.name}"
    terminal.run("sh", "-c", f"{environ}{command}; echo ended with $?; exec cat")
    terminal.until("1 Processes")
    terminal.until("spooler1")
    for key, text in {"2": "tasks.quick", "3": "TASK", "4": "has no timers", "5": "PROBLEM"}.items():
        terminal.type(key)
        terminal.until(text)
    coloured = terminal.screen("-e")
    if no_color:
        assert "\x1b[3" not in coloured.replace("\x1b[39m", "")
    else:
        assert "\x1b[3" in coloured.replace("\x1b[39m", "")
    terminal.type("r")
    terminal.until("Reload e2e?")
    terminal.type("y")
    terminal.until("Reload complete")
    terminal.type("q")
    terminal.until("ended with 0")
    assert "Processes" not in terminal.screen()


def test_without_a_terminal_it_points_to_status(server):
    server.start(APP, *OPTIONS)
    done = server.command("top")
    assert done.returncode == 2
    assert done.stderr == "Error: heliograph top needs a terminal. Use `heliograph status` in scripts and pipes.\n"
