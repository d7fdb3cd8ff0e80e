"""A command of the server: its session, its standard input, its environment, and its end with all that it started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.engines import MASTER_ENV
from heliograph.ipc.inherited import COMMAND_ENV
from heliograph.server.processes.command import CommandProcess
from heliograph.server.processes.command_guard import CommandGuard
from heliograph.settings.commands import Command
from heliograph.testing.harness.harness import eventually

CONTROL = Path("/run/x.sock")


def await_exit(process: CommandProcess) -> int:
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.kill()
    return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])


@pytest.fixture
def make():
    """Make a command from a program of Python."""
    made = []

    def make(program, guard=None, **attributes):
        command = Command("bot", (sys.executable, "-c", program), **attributes)
        made.append(CommandProcess(command, CONTROL, environment={"TASKS": "there"}, guard=guard))
        return made[-1]

    yield make
    for process in made:
        process.forget()


def test_a_command_has_the_variables_of_the_server_and_its_own(make, capfd, monkeypatch, tmp_path):
    """Its name, the place of the master, and its directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    names = (MASTER_ENV, COMMAND_ENV, "TASKS", "LEVEL", "PWD")
    program = f"import os; print(*(os.environ[name] for name in {names!r}), os.getcwd(), flush=True)"
    process = make(program, directory=Path("there"), environment={"LEVEL": "debug"})
    process.start()
    assert await_exit(process) == 0
    there = tmp_path / "there"
    assert capfd.readouterr().out == f"/run/x.sock bot there debug {there} {there}\n"


def test_a_command_has_a_session_without_a_terminal(make, capfd):
    """And an open standard input without content."""
    process = make(
        "import os, select; print(os.getsid(0) == os.getpid(), select.select([0], [], [], 0.1)[0], flush=True)"
    )
    process.start()
    assert await_exit(process) == 0
    assert capfd.readouterr().out == "True []\n"


def test_its_standard_input_ends_with_the_command(make):
    """The master keeps no descriptor of a command that has exited."""
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - numbers
    process = make("pass")
    process.start()
    assert await_exit(process) == 0
    process.forget()
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
    assert process.pid == 0


def test_a_command_inherits_the_descriptors_that_it_names(make, capfd):
    """And no others."""
    read, write = os.pipe()
    process = make(
        f"import os; os.write({write}, b'x')\ntry: os.fstat({read})\nexcept OSError: print('closed')",
        descriptors=(write,),
    )
    process.start()
    assert await_exit(process) == 0
    assert os.read(read, 10) == b"x"
    os.close(read)
    os.close(write)
    assert capfd.readouterr().out == "closed\n"


def test_sigterm_reaches_the_whole_process_group(make):
    """A shell need not pass it on."""
    read, write = os.pipe()
    fork = f"import os, signal; os.fork(); os.write({write}, b'x'); signal.pause()"
    process = make(fork, descriptors=(write,))
    process.start()
    os.close(write)
    for _ in range(2):
        assert os.read(read, 1) == b"x"
    process.drain()
    assert os.read(read, 1) == b""  # both have exited
    os.close(read)
    assert await_exit(process) == -signal.SIGTERM


def test_a_program_that_does_not_exist(make):
    """The master logs the error."""
    with pytest.raises(FileNotFoundError):
        CommandProcess(Command("bot", ("/no/such/command",)), CONTROL).start()


MASTER = """
import os, sys, time
from pathlib import Path
from heliograph.server.processes.command import CommandProcess
from heliograph.server.processes.command_guard import CommandGuard
from heliograph.settings.commands import Command

program = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); signal.pause()"
guard = CommandGuard()
commands = [CommandProcess(Command("bot", (sys.executable, "-c", program)), Path("x"), guard=guard) for _ in range(2)]
for command in commands:
    command.start()
    os.setpgid(0, 0)
first, second = commands
first.kill()
os.waitpid(first.pid, 0)
first.forget()
print(second.pid, guard._process.pid, flush=True)
time.sleep(600)
"""


def exists(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_master_takes_its_commands_with_it():
    """With the processes that they have started, also if these ignore SIGTERM. The guard exits as well."""
    with subprocess.Popen([sys.executable, "-c", MASTER], stdout=subprocess.PIPE, text=True) as master:
        group, guard = map(int, master.stdout.readline().split())
        assert exists(group)
        master.kill()
    eventually("the end of the command and of its guard", lambda: not exists(group) and not exists(guard))


def test_a_guard_leaves_alone_what_it_has_forgotten():
    """The number of the group may belong to another one by then."""
    guard = CommandGuard()
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        guard.watch(process.pid)
        guard.watch(os.getpid() + 10**7)
        guard.forget(os.getpid() + 10**7)
        guard.forget(process.pid)
        shell = guard._process
        guard.close()
        assert shell.returncode == 0
        assert process.poll() is None
        process.kill()


def test_a_guard_that_was_killed_is_replaced():
    """The new one knows all groups."""
    guard = CommandGuard()
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        guard.watch(process.pid)
        first = guard._process
        first.kill()
        first.wait()
        guard.watch(10**8)
        guard.forget(10**8)
        shell = guard._process
        assert shell is not first
        shell.stdin.close()  # as if the master had been killed
        assert process.wait() == -signal.SIGTERM
        assert shell.wait() == 0


def test_a_machine_without_a_shell(caplog, monkeypatch):
    """The commands run without a guard, and the log says so."""

    def fail(*_args, **_options):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(subprocess, "Popen", fail)
    guard = CommandGuard()
    guard.watch(10**8)
    assert "Cannot guard the commands" in caplog.text
    guard.close()
