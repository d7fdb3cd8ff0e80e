"""Commands that the server runs besides its own processes, from `[commands]` in the configuration file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from heliograph.ipc.instance import control_socket
from heliograph.testing.harness.harness import eventually

APP = """
@Signal(1).register_handler("mule")
def work():
    record("done")
"""

BOT = """
import os, sys, time
from pathlib import Path
import tasks
print("bot says", os.environ.get("LEVEL"), os.getcwd(), flush=True)
tasks.Signal(1).send()
Path("bot.pid").write_text(str(os.getpid()))
{end}
"""

STUBBORN = """
import os, signal, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if not (child := os.fork()):
    Path("grandchild.pid").write_text(str(os.getpid()))
time.sleep(600)
"""


class Commands:
    """A server with commands."""

    def __init__(self, server) -> None:
        self.server = server
        self.directory: Path = server.directory

    def start(self, toml: str, *arguments: str, app: str = APP) -> None:
        self.configure(toml)
        self.server.start(app, "--mules", "1", *arguments)

    def configure(self, toml: str) -> None:
        text = toml.replace("@PYTHON@", json.dumps(sys.executable))
        (self.directory / "heliograph.toml").write_text(f"[commands]\n{text}\n")

    def pid(self, name: str) -> int:
        return self.server.pids().get(name, 0)

    def await_pid(self, name: str, old: int = 0) -> int:
        """Wait until a command runs, in another process than the old one."""
        return eventually(f"{name} runs", lambda: (pid := self.pid(name)) != old and pid)

    def family(self) -> list[int]:
        """Return the processes that the commands have started, wherever they went."""
        wanted = f"HELIOGRAPH_MASTER={control_socket(self.server.name)}\0".encode()
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in pids if wanted in _environment(pid)]

    def await_end(self) -> None:
        eventually("no process of a command is left", lambda: not self.family())

    def read(self, name: str) -> int:
        """Wait until a process has written its process id into a file."""
        path = self.directory / name
        return int(eventually(name, lambda: path.exists() and path.read_text()))


def _environment(pid: int) -> bytes:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        return b"" if state in "ZX" else Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
    except OSError:
        return b""


@pytest.fixture
def commands(server):
    commands = Commands(server)
    yield commands
    server.clean()
    for pid in commands.family():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_server_runs_commands_besides_its_processes(commands):
    """They can send signals, have their variables and directories, write to the log, and stop with the server."""
    (commands.directory / "there").mkdir()
    (commands.directory / "bot.py").write_text(BOT.format(end="time.sleep(600)"))
    commands.start(
        'idle = "sleep 600"\n'
        'bot = { command = [@PYTHON@, "../bot.py"], directory = "there", environment = '
        '{ LEVEL = "debug", PYTHONPATH = ".." } }'
    )
    commands.server.await_log(f"bot says debug {commands.directory}/there")
    commands.server.expect(1, "done")
    assert commands.read("there/bot.pid") == commands.pid("bot")
    assert commands.pid("idle") in commands.family()
    assert "idle" in commands.server.command("signals").stdout
    assert commands.server.end() == 0
    commands.await_end()
    assert "Started command idle: sleep 600 (pid " in commands.server.log
    assert "exited" not in commands.server.log


def test_a_command_is_restarted_by_its_policy(commands):
    """Always, on failure, or never. The server goes on."""
    commands.start(
        'always = "sleep 600"\n'
        'failing = { command = ["sh", "-c", "sleep 0.2; exit 3"], restart = "on-failure" }\n'
        'succeeding = { command = ["sh", "-c", "exit 0"], restart = "on-failure" }\n'
        'once = { command = ["sh", "-c", "exit 3"], restart = "never" }\n'
    )
    commands.server.await_log("Command succeeding exited .exit code 0., not restarting it")
    commands.server.await_log("Command once exited .exit code 3., not restarting it")
    commands.server.await_log("Command failing exited .exit code 3. .* after its start, restarting in", 3)
    old = commands.await_pid("always")
    os.kill(old, signal.SIGKILL)
    commands.await_pid("always", old)
    assert (commands.pid("once"), commands.pid("succeeding")) == (0, 0)
    assert commands.server.log.count("Started command once") == 1
    commands.server.send(1)
    commands.server.expect(1, "done")
    assert commands.server.end() == 0


def test_a_reload_restarts_hangs_up_or_leaves_a_command(commands):
    """It does not wait for them."""
    (commands.directory / "hup.py").write_text(
        "import signal, time\nfrom pathlib import Path\n"
        "signal.signal(signal.SIGHUP, lambda *_: Path('hup').touch())\nPath('hup.pid').write_text('1')\n"
        "while True: time.sleep(1)\n"
    )
    (commands.directory / "stubborn.py").write_text(STUBBORN)
    commands.start(
        'bot = "sleep 600"\n'
        'assets = { command = "sleep 600", reload = "leave" }\n'
        'page = { command = [@PYTHON@, "hup.py"], reload = "hang-up" }\n'
        'stubborn = { command = [@PYTHON@, "stubborn.py"] }\n'
        'once = { command = "true", restart = "never" }\n'
    )
    commands.read("hup.pid")
    commands.read("grandchild.pid")
    before = {name: commands.await_pid(name) for name in ("bot", "assets", "page")}
    began = time.monotonic()
    done = commands.server.command("reload")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 15  # the graceful timeout, which the stubborn command uses up, is 30
    commands.await_pid("bot", before["bot"])
    eventually("a SIGHUP", (commands.directory / "hup").exists)
    assert (commands.pid("assets"), commands.pid("page")) == (before["assets"], before["page"])
    commands.server.await_log("Started command once", 2)
    commands.server.process.send_signal(signal.SIGQUIT)
    assert commands.server.wait() == 0
    commands.await_end()


def test_a_stop_leaves_no_process_of_a_command_behind(commands):
    """Also if they ignore SIGTERM: they are killed in the graceful timeout."""
    (commands.directory / "stubborn.py").write_text(STUBBORN)
    commands.start('stubborn = [@PYTHON@, "stubborn.py"]', "--graceful-timeout", "4")
    child = commands.read("grandchild.pid")
    assert child in commands.family()
    assert commands.server.end() == 0
    assert commands.family() == []
    assert "did not exit within 3 s" in commands.server.log


def test_a_command_stops_with_all_that_it_has_started(commands):
    """SIGTERM reaches its whole process group, so that a shell need not pass it on."""
    (commands.directory / "child.py").write_text(
        "import signal, time\nfrom pathlib import Path\n"
        "def stop(*_):\n    Path('stopped').touch()\n    raise SystemExit\n"
        "signal.signal(signal.SIGTERM, stop)\nPath('child.pid').write_text('1')\n"
        "while True: time.sleep(1)\n"
    )
    commands.start(f'shell = ["sh", "-c", "trap : TERM; {sys.executable} child.py & wait; wait"]')
    commands.read("child.pid")
    assert commands.server.end() == 0
    assert commands.family() == []
    assert (commands.directory / "stopped").exists()


def test_commands_end_with_a_master_that_is_killed(commands):
    """With everything that they have started, also if it ignores SIGTERM."""
    (commands.directory / "stubborn.py").write_text(STUBBORN)
    commands.start('bot = "sleep 600"\nstubborn = [@PYTHON@, "stubborn.py"]')
    commands.read("grandchild.pid")
    commands.await_pid("bot")
    os.kill(commands.server.master(), signal.SIGKILL)
    commands.await_end()


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('bot = "no-such-program --flag"', "heliograph.toml: commands.bot: command not found: 'no-such-program'"),
        ('bot = { command = "true", directory = "no" }', "heliograph.toml: commands.bot: not a directory: 'no'"),
        ('bot = { command = "true", restrat = "never" }', "unknown key. Did you mean restart?"),
    ],
)
def test_a_mistake_is_an_error_at_the_start(commands, toml, says):
    """The exit code is 2, and nothing has been started."""
    commands.configure(toml)
    commands.server.write(APP)
    commands.server.launch()
    assert commands.server.wait() == 2
    assert says in commands.server.log
    assert "Starting" not in commands.server.log


def test_a_program_that_vanishes_is_tried_again(commands):
    """With growing delays. The server goes on."""
    program = commands.directory / "program"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    commands.start('bot = "./program"')
    old = commands.await_pid("bot")
    program.rename(commands.directory / "moved")
    os.kill(old, signal.SIGKILL)
    commands.server.await_log(
        "Command bot did not start .cannot start ./program: No such file or directory., trying", 3
    )
    commands.server.send(1)
    commands.server.expect(1, "done")
    (commands.directory / "moved").rename(program)
    commands.await_pid("bot", old)
    assert commands.server.end() == 0


@pytest.mark.needs("uvicorn")
def test_a_web_server_that_is_a_command_does_not_join(commands):
    """Only processes of the web server after -- become workers. Its application can send."""
    (commands.directory / "admin.py").write_text("""
import tasks

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        tasks.Signal(1).send()
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})
""")
    commands.start('admin = "uvicorn --uds admin.sock admin:app"', "--workers", "1")
    commands.server.expect(1, "done")
    worker = commands.server.pids()["worker1"]
    assert commands.server.end() == 0
    assert worker not in commands.family()
    assert "gets no signals" not in commands.server.log


def test_standard_input_is_open_and_empty(commands):
    """Watchers of source files exit when it ends."""
    commands.start('reader = ["sh", "-c", "read line; echo read >> reader"]')
    reader = commands.await_pid("reader")
    commands.server.send(1)
    commands.server.expect(1, "done")
    assert commands.pid("reader") == reader
    assert commands.server.end() == 0
    assert not (commands.directory / "reader").exists()
