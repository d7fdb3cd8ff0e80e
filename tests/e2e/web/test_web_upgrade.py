"""Another version of heliograph is installed while a web server runs, and the web server replaces a process."""

import os
import signal

import pytest

from heliograph.testing.harness.harness import eventually

RESTART = "gets no signals: this process runs another version of heliograph than the running server"


@pytest.mark.parametrize("command", ["gunicorn-sync", "uvicorn", "granian"])
def test_a_web_worker_of_another_version_serves_requests_only(installation, make_web_server, command):
    """One log line says to restart. Its requests are answered, and the processes of the old version get the signals."""
    web_server = make_web_server(command).start()
    old = web_server.workers()
    installation.add_counter()
    killed = old["worker2"]
    os.kill(killed, signal.SIGKILL)
    web_server.server.await_log(RESTART)
    line = next(line for line in web_server.server.log.splitlines() if RESTART in line)
    assert line.endswith("restart the server, a reload is not enough")
    pid = int(line.partition("Process ")[2].split()[0])
    assert pid not in old.values()

    def new_process_answers() -> bool:
        return web_server.get().json()["pid"] == pid

    eventually("the new process answers", new_process_answers)
    assert web_server.workers() == {"worker1": old["worker1"]}
    web_server.server.send(10, 3)
    assert web_server.by(10, 3) == ["worker1"] * 3
    assert web_server.server.log.count(RESTART) == 1
    assert web_server.server.end() == 0


def test_a_process_of_another_version_that_sends_gets_an_error_that_says_why(installation, make_web_server):
    """The error names the way out, and it is not the one for a process without a server."""
    web_server = make_web_server("gunicorn-sync").start()
    installation.add_counter()
    for pid in web_server.workers().values():
        os.kill(pid, signal.SIGKILL)
    web_server.server.await_log(RESTART, 2)
    eventually("an answer", web_server.answers)
    assert web_server.get(13).status_code == 500
    web_server.server.await_log("NoEngine: signal 13 was not sent: this process runs another version of heliograph")
    assert web_server.server.end() == 0
