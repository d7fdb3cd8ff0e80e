"""Someone removes the control socket of a running server, or its process may not open more descriptors."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.testing.harness.harness import eventually

DEADLINE = 20.0
WORK = """
@Signal(1).register_handler("mule1")
def work():
    record("work")
"""


def _remove_files(path: Path) -> None:
    path.unlink()
    path.with_suffix(".lock").unlink()


def _remove_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("given", [(), ("--control", "run/e2e.sock")])
@pytest.mark.parametrize("remove", [_remove_files, _remove_directory])
def test_a_removed_control_socket_is_restored(server, given, remove):
    """Commands reach the server again, and a second server cannot take its name. Its end removes the files."""
    directory = server.directory / ("run" if given else "heliograph")
    directory.mkdir(mode=0o700, exist_ok=True)
    server.start(WORK, "--mules", "1", *given)
    path = directory / "e2e.sock"
    for count in (1, 2):
        remove(path)
        server.await_log("(?m)WARNING.* restored: .*e2e.sock$", count)
        assert server.command("signals", *given).returncode == 0
        done = _second_server(server, given)
        assert done.returncode == 2, done.stderr
        taken = "another server listens there" if given else f"already running: 'e2e' (process {server.master()})"
        assert taken in done.stderr
    assert server.command("send", "1", *given).returncode == 0
    server.expect(1, "work")
    assert server.command("reload", *given).returncode == 0
    assert server.command("stop", *given).returncode == 0
    assert server.wait() == 0
    assert list(directory.iterdir()) == []


def _second_server(server, given) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "heliograph", "run", "tasks", "--name", "e2e", *given]
    return subprocess.run(command, cwd=server.directory, capture_output=True, text=True, timeout=DEADLINE, check=False)


def test_a_server_that_has_taken_the_name_keeps_it(server, tmp_path):
    """The first one logs that, goes on, and takes the name again when the other has stopped."""
    server.start(WORK, "--mules", "1")
    server.process.send_signal(signal.SIGSTOP)
    _remove_files(tmp_path / "heliograph" / "e2e.sock")
    (tmp_path / "other").mkdir()
    other = type(server)(tmp_path / "other")
    try:
        other.start(WORK, "--mules", "1")
        server.process.send_signal(signal.SIGCONT)
        server.await_log("ERROR .*Cannot restore the control socket: .* already running")
        assert server.state()["pid"] == other.master()
        server.send(1)
        server.expect(1, "work")
        assert server.command("stop").returncode == 0
        assert other.wait() == 0
        server.await_log("WARNING .*restored: ", timeout=3 * DEADLINE)
        assert server.state()["pid"] == server.master()
    finally:
        other.clean()
    assert server.end() == 0


def test_a_lack_of_descriptors_is_logged(server):
    """Commands wait meanwhile, and are carried out when the limit is raised."""
    server.start(WORK, "--mules", "1")
    pid = server.master()
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    command = [sys.executable, "-m", "heliograph", "send", "1", "--name", "e2e"]
    with subprocess.Popen(command, cwd=server.directory, stderr=subprocess.PIPE, text=True) as send:
        server.await_log("ERROR .*Cannot accept connections at .*e2e.sock: Too many open files")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        eventually("the end of the command", lambda: send.poll() is not None)
    if send.returncode == 0:  # else it has waited too long, on a busy machine
        server.expect(1, "work")
    assert server.log.count("Cannot accept connections") == 1
    assert server.command("signals").returncode == 0
    assert server.end() == 0


def test_a_removed_socket_for_external_signals_is_restored(server):
    """Programs reach the server again, as often as it happens. Its end removes the file."""
    server.start(WORK, "--mules", "1")
    for count in (1, 2):
        Path(server.remote_socket).unlink()
        server.await_log("The socket for external signals was removed, restored: .*remote.sock", count)
        server.send(1)
        server.expect(count, "work")
    assert server.command("stop").returncode == 0
    assert server.wait() == 0
    assert not Path(server.remote_socket).exists()
