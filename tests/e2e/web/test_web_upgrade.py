"""Another version of heliograph is installed while a web server runs, and the web server replaces a process."""

import os
import signal

import pytest

from heliograph.testing.harness.harness import eventually

RESTART = "gets no signals: this process runs another version of heliograph than the running server"


@pytest.mark.parametrize("command", ["gunicorn-sync", "uvicorn", "granian"])
def test_a_web_worker_of_another_version_serves_requests_only(installation, beside, command):
    """One log line says to restart. Its requests are answered, and the processes of the old version get the signals."""
    web = beside(command).start()
    old = web.workers()
    installation.add_counter()
    killed = old["worker2"]
    os.kill(killed, signal.SIGKILL)
    web.server.await_log(RESTART)
    line = next(line for line in web.server.log.splitlines() if RESTART in line)
    assert line.endswith("restart the server, a reload is not enough")
    pid = int(line.partition("Process ")[2].split()[0])
    assert pid not in old.values()

    def new_process_answers() -> bool:
        return web.get().json()["pid"] == pid

    eventually("the new process answers", new_process_answers)
    assert web.workers() == {"worker1": old["worker1"]}
    web.server.send(10, 3)
    assert web.by(10, 3) == ["worker1"] * 3
    assert web.server.log.count(RESTART) == 1
    assert web.server.end() == 0


def test_a_process_of_another_version_that_sends_gets_an_error_that_says_why(installation, beside):
    """The error names the way out, and it is not the one for a process without a server."""
    web = beside("gunicorn-sync").start()
    installation.add_counter()
    for pid in web.workers().values():
        os.kill(pid, signal.SIGKILL)
    web.server.await_log(RESTART, 2)
    eventually("an answer", web.answers)
    assert web.get(13).status_code == 500
    web.server.await_log("NoEngine: signal 13 was not sent: this process runs another version of heliograph")
    assert web.server.end() == 0
