"""A server that starts from its configuration file alone."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from heliograph.ipc.instance import control_socket

HELIOGRAPH = (sys.executable, "-m", "heliograph")

APP = """
@Signal(1).register_handler("mule")
def work():
    record("done")
"""

TOML = """
app = "tasks"
command = [{python!r}, "-c", "import heliograph, signal; heliograph.join_server(); signal.pause()"]
name = "e2e"
mules = 1
workers = 1
"""


def test_the_file_alone_starts_the_server_and_its_commands_find_it(server):
    """A variable and a flag change a value. The commands read the name from the file."""
    server.write(APP)
    (server.directory / "heliograph.toml").write_text(TOML.format(python=sys.executable))

    def heliograph(*command: str) -> str:
        return subprocess.run(
            [*HELIOGRAPH, *command], cwd=server.directory, capture_output=True, text=True, timeout=120, check=True
        ).stdout

    for count, (start, mules) in enumerate(
        [(HELIOGRAPH, 1), (("env", "HELIOGRAPH_MULES=2", *HELIOGRAPH), 2), (HELIOGRAPH, 3)], 1
    ):
        flags = ("--mules", "3") if mules == 3 else ()
        server.process = server.popen(*start, "run", *flags)
        server.await_log(r"Server ready: ", count, 60)
        state = json.loads(heliograph("signals", "--json"))
        assert state["pid"] == server.process.pid
        assert [name for name in state["processes"] if name.startswith("mule")] == [
            f"mule{n + 1}" for n in range(mules)
        ]
        assert "webserver" in state["processes"]
        heliograph("send", "1")
        server.expect(count, "done")
        heliograph("stop")
        assert server.wait() == 0
    assert not control_socket("e2e").exists()


@pytest.mark.needs("dotenv")
def test_the_variables_of_a_file_reach_the_application_and_the_web_server(server):
    """And count as variables of the command."""
    server.write(f"{APP}\nrecord(os.environ['WORD'])\n")
    command = f'{sys.executable} -c \'import heliograph, os, signal; open(os.environ["WORD"], "w"); '
    command += "heliograph.join_server(); signal.pause()'"
    (server.directory / ".env").write_text("export WORD=hello\nHELIOGRAPH_MULES=2\n")
    server.launch("--env-file", ".env", "--mules", "1", "--", *shlex.split(command))
    server.await_log("Server ready: ", timeout=60)
    assert "mule2" not in server.pids()
    assert server.end() == 0
    server.launch("--env-file", ".env", "--", *shlex.split(command))
    server.await_log("Server ready: ", 2, 60)
    assert "mule2" in server.pids()
    assert server.events("hello")
    assert (server.directory / "hello").exists()
    assert server.end() == 0
