"""A server in a terminal, with a web server: the debugger, Ctrl-C, and Ctrl-Z with `fg`."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import socket
import sys
import threading
import time
import urllib.request

import pytest

from heliograph.ipc.control_client import request
from heliograph.ipc.instance import control_socket

pytestmark = pytest.mark.needs("gunicorn")

TASKS = """
from heliograph import Signal

@Signal(1).register_handler("mule1", remote=True)
def handler():
    breakpoint()
    print("mule continues", flush=True)
"""
WEB = """
import tasks

def app(environ, start_response):
    breakpoint()
    start_response("200 OK", [])
    return [b"page continues"]
"""
DEADLINE = 20.0


class Terminal:
    """A pseudo terminal whose session runs one command in the foreground."""

    def __init__(self, directory, *command):
        self.seen = b""
        self.port = 0
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.chdir(directory)
            os.execv(sys.executable, [sys.executable, *command])

    def expect(self, text):
        """Wait until the terminal has shown a text, and forget everything up to it."""
        end = time.monotonic() + DEADLINE
        while text not in self.seen:
            assert time.monotonic() < end, self.seen.decode(errors="replace")
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65536)
        self.seen = self.seen.partition(text)[2]

    def type(self, keys):
        os.write(self.fd, keys)

    def exit_code(self):
        """Read until all processes have closed the terminal. Return the exit code of the command."""
        with contextlib.suppress(OSError):
            while chunk := os.read(self.fd, 65536):
                self.seen += chunk
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


# A shell with job control for one job, as far as this test needs it.
SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
job = subprocess.Popen(sys.argv[1:], process_group=0)
os.tcsetpgrp(0, job.pid)
_, status = os.waitpid(job.pid, os.WUNTRACED)
while os.WIFSTOPPED(status):
    os.tcsetpgrp(0, os.getpgrp())
    input("stopped> ")
    os.tcsetpgrp(0, job.pid)
    os.killpg(job.pid, signal.SIGCONT)
    print("continued", flush=True)
    _, status = os.waitpid(job.pid, os.WUNTRACED)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    """A server with gunicorn in a terminal, under a shell, and its port."""
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "web.py").write_text(WEB)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    gunicorn = ["gunicorn", "-w", "2", "-t", "60", "-b", f"127.0.0.1:{port}", "web:app"]
    server = [sys.executable, "-m", "heliograph", "run", "tasks", "--mules", "1", "--name", "tty", "--", *gunicorn]
    terminal = Terminal(tmp_path, "-c", SHELL, *server)
    terminal.port = port
    try:
        terminal.expect(b"Server ready: ")
        yield terminal
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getsid(terminal.pid), signal.SIGKILL)
        os.close(terminal.fd)


def pages(terminal):
    answers = []

    def ask():
        with urllib.request.urlopen(f"http://127.0.0.1:{terminal.port}/", timeout=DEADLINE) as answer:
            answers.append(answer.read())

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, answers


def test_the_debugger_works_in_a_page_and_in_a_mule(terminal):
    """All processes of the server may read from the terminal, also after Ctrl-Z and `fg`."""
    for _ in range(2):
        thread, answers = pages(terminal)
        terminal.expect(b"(Pdb)")
        terminal.type(b"c\n")
        thread.join(DEADLINE)
        assert answers == [b"page continues"]
        request(control_socket("tty"), "send", signal="1")
        terminal.expect(b"(Pdb)")
        terminal.type(b"c\n")
        terminal.expect(b"mule continues")
        terminal.type(b"\x1a")
        terminal.expect(b"stopped> ")
        terminal.type(b"\n")
        terminal.expect(b"continued")
    request(control_socket("tty"), "stop")  # pdb takes Ctrl-C for itself after `c`
    assert terminal.exit_code() == 0


def test_ctrl_c_stops_the_server_and_all_that_the_web_server_started(terminal):
    """No process keeps the port or the terminal."""
    terminal.type(b"\x03")
    assert terminal.exit_code() == 0
    assert b"Stopped (exit code 0" in terminal.seen
    assert b"restart" not in terminal.seen.lower()
