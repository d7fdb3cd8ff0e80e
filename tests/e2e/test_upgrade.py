"""A server runs, another version of heliograph is installed, and the user reloads instead of restarting."""

import pytest

CODE = """
@Signal(1).register_handler("mule1")
def work():
    record("VERSION")
"""
RESTART = "restart the server, a reload is not enough"


@pytest.mark.parametrize("mode", [(), ("--lazy-apps",)], ids=["plain", "lazy"])
@pytest.mark.parametrize(
    ("edit", "difference"),
    [
        (
            ("_core/stats/counters.py", '    "skipped",\n', '    "delayed",\n    "skipped",\n'),
            "another layout of the shared memory: counters",
        ),
        (("ipc/inherited.py", "PROTOCOL_VERSION = 1", "PROTOCOL_VERSION = 2"), "protocol 1 instead of 2"),
        (("_core/signals/records.py", "FORMAT_VERSION = 3", "FORMAT_VERSION = 4"), "shared memory: in_flight"),
    ],
    ids=["counter", "protocol", "record"],
)
def test_a_reload_into_another_layout_is_refused(installation, server, edit, difference, mode):
    """The command fails, one log line says to restart, and the old code and its counters go on. A restart works."""
    server.start(CODE.replace("VERSION", "old"), "--mules", "1", *mode)
    server.send(1, 20)
    server.expect(20, "old")
    server.await_row(1, done=20)
    before, pids = server.state()["signals"], server.pids()
    installation.edit(*edit)
    server.write(CODE.replace("VERSION", "new"))
    done = server.command("reload")
    assert done.returncode == 1, server.log
    server.await_log(RESTART)
    assert server.log.count(RESTART) == 1
    assert difference in next(line for line in server.log.splitlines() if RESTART in line)
    assert "Traceback" not in server.log
    assert server.state()["signals"] == before
    shown = server.command("signals")  # by the new code, which must not read one figure as another
    assert (RESTART in shown.stderr, shown.returncode) == ((True, 2) if "memory" in difference else (False, 0))
    assert (before[0]["failed"], before[0]["done"]) == (0, 20)
    server.send(1)
    server.expect(21, "old")
    assert server.pids() == pids
    assert server.end() == 0
    server.launch("--socket", server.remote_socket, "--allow-remote", "1", "--mules", "1", *mode)
    server.await_log("Server ready: ", 2)
    server.send(1)
    server.expect(1, "new")
    assert server.end() == 0


def test_a_reload_into_code_with_the_same_layout_works(installation, server):
    """The installation under test is used, and a version that differs elsewhere is not refused."""
    server.start(CODE.replace("VERSION", "old"), "--mules", "1")
    marker = server.directory / "marker"
    installation.edit(
        "server/processes/fork_server.py", "def main() -> None:", f"open({str(marker)!r}, 'w')\n\n\ndef main() -> None:"
    )
    server.write(CODE.replace("VERSION", "new"))
    assert server.command("reload").returncode == 0, server.log
    assert marker.exists()
    server.send(1)
    server.expect(1, "new")
    assert server.end() == 0
