"""A server and its commands in surroundings that differ: other variables, a deleted directory, few descriptors."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from heliograph.exceptions import RemoteRejected

HELIOGRAPH = [sys.executable, "-m", "heliograph"]
APP = """
@Signal(name="refresh").register_handler("worker")
def work():
    record("done")
"""


def run(*command, cwd, **options):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=20, check=False, **options)


@pytest.fixture
def runtime(monkeypatch):
    """A runtime directory with a short path, since a Unix socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="hg-") as path:
        monkeypatch.setenv("XDG_RUNTIME_DIR", path)
        yield Path(path)


def test_a_path_that_is_too_long_for_a_socket_is_one_line(tmp_path, monkeypatch):
    """The error names the path and the way out."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * 100)))
    done = run(*HELIOGRAPH, "run", "tasks", "--log-level", "error", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "(AF_UNIX path too long). Use --control with another path." in done.stderr


def test_the_control_socket_can_be_anywhere(server, tmp_path, monkeypatch):
    """The commands, `send_to` and the environment variable take its path, and it is private."""
    (tmp_path / "run").mkdir()
    path, elsewhere = tmp_path / "run" / "ctl", tmp_path / "other"
    elsewhere.mkdir()
    before = os.umask(0)
    try:
        server.start(APP, "--control", "run/ctl")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "run" / "ctl.lock").stat().st_mode) == 0o600
    done = run(*HELIOGRAPH, "signals", "--json", "--control", str(path), cwd=elsewhere)
    assert json.loads(done.stdout)["pid"] == server.process.pid
    assert run(*HELIOGRAPH, "send", "refresh", "--control", str(path), cwd=elsewhere).returncode == 0
    monkeypatch.setenv("HELIOGRAPH_CONTROL", str(path))
    assert run(*HELIOGRAPH, "reload", cwd=elsewhere).returncode == 0
    monkeypatch.delenv("HELIOGRAPH_CONTROL")
    assert run(*HELIOGRAPH, "reload", "--name", "e2e", cwd=elsewhere).returncode == 0
    monkeypatch.setenv("HELIOGRAPH_CONTROL", str(path))
    code = "from heliograph.remote import send_to; send_to('refresh')"
    assert run(sys.executable, "-c", code, cwd=elsewhere).returncode == 0
    assert server.expect(2, "done")
    assert (
        "no heliograph server is running with the name 'x'" in run(*HELIOGRAPH, "stop", "--name", "x", cwd="/").stderr
    )
    second = run(*HELIOGRAPH, "run", "tasks", cwd=tmp_path)
    assert (second.returncode, second.stderr.count("\n")) == (2, 1)
    assert "another server listens there" in second.stderr
    assert run(*HELIOGRAPH, "stop", cwd=elsewhere).returncode == 0
    assert server.process.wait(20) == 0
    assert not list((tmp_path / "run").iterdir())


def test_a_file_that_is_no_socket_is_kept(tmp_path):
    """`--control` names it by mistake."""
    (tmp_path / "notes").write_text("precious")
    done = run(*HELIOGRAPH, "run", "tasks", "--control", "notes", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert (tmp_path / "notes").read_text() == "precious"


@pytest.mark.parametrize(
    "command",
    [["-m", "heliograph", "run", "tasks"], ["-m", "heliograph", "signals"], ["-m", "heliograph", "reload"]],
    ids=lambda command: command[2],
)
def test_a_deleted_working_directory_is_one_line(tmp_path, command):
    """The error says what to do."""
    (tmp_path / "gone").mkdir()
    program = f"import os; os.rmdir(os.getcwd()); os.execv({sys.executable!r}, {[sys.executable, *command]!r})"
    done = run(sys.executable, "-c", program, cwd=tmp_path / "gone")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "Error: the working directory does not exist any more. Change to a directory that exists (cd)."
    ]


@pytest.mark.parametrize("limit", [7, 9, 12, 16, 18, 20, 22, 24])
def test_too_few_descriptors_are_one_line(tmp_path, limit, runtime):
    """It says what is missing, and nothing is left behind."""
    (tmp_path / "tasks.py").write_text("")
    shell = f"ulimit -n {limit}; exec {sys.executable} -m heliograph run tasks --mules 1 --log-level warning"
    done = run("sh", "-c", shell, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Too many open files" in done.stderr
    assert f"The limit is {limit} files: raise it (ulimit -n)" in done.stderr or "fork server" in done.stderr
    assert not list((runtime / "heliograph").iterdir())


def test_a_limit_for_the_size_of_files_is_one_line(tmp_path, runtime):
    """It holds for shared memory too."""
    (tmp_path / "tasks.py").write_text("")
    shell = f"ulimit -f 16; exec {sys.executable} -m heliograph run tasks --log-level warning"
    done = run("bash", "-c", shell, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "Error: the server cannot run: File too large. The limit is 16384 bytes, also for shared memory: raise it "
        "(ulimit -f).\n"
    )
    assert not list((runtime / "heliograph").iterdir())


@pytest.mark.parametrize("name", [b"caf\xe9", "あ".encode() * 80])
@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}], ids=["", "C"])
def test_a_directory_with_any_name_works(tmp_path, name, locale, runtime):
    """It may be long, and not be UTF-8. A shell with another locale finds the server."""
    assert runtime.is_dir()
    directory = tmp_path / os.fsdecode(name)
    directory.mkdir()
    (directory / "tasks.py").write_text("from heliograph import Signal\nSignal(1).register_handler('worker')(print)\n")
    environment = {**os.environ, **locale}
    command = [*HELIOGRAPH, "run", "./tasks.py"]
    with subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE, text=True, env=environment) as server:
        lines = []
        for line in server.stderr:
            lines.append(line)
            if "Server ready" in line:
                break
        else:
            raise AssertionError("".join(lines))
        assert run(*HELIOGRAPH, "reload", cwd=directory).stderr == "Reload complete (generation 2)\n"
        done = run(*HELIOGRAPH, "stop", cwd=directory)
        assert (done.returncode, done.stderr) == (0, "")
        server.stderr.read()


def test_a_server_that_loads_says_soon(server):
    """The command waits for the application, and the socket of external signals logs the reason."""
    server.write("record('loads')\nblock_on('gate')\n" + APP.replace('name="refresh"', "1"))
    server.launch("--socket", server.remote_socket, "--allow-remote", "1")
    server.expect(1, "loads")
    with pytest.raises(RemoteRejected, match="is still loading"):
        server.send(1)
    server.await_log(r"Rejected external signal: signal 1: the application is still loading. Send it again soon")
    done = server.command("send", "1", "--timeout", "0.1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the application is still loading. Send it again soon" in done.stderr
    waits = subprocess.Popen([*HELIOGRAPH, "send", "1", "--name", server.name], cwd=server.directory)
    server.release("gate")
    assert waits.wait(20) == 0
    server.expect(1, "done")
