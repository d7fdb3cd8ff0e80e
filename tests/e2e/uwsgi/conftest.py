"""A real uWSGI server under test, with flags that the test chooses."""

import pytest

from heliograph.cli.uwsgi_server import find

REPORT_READY = """
@Signal(99).register_handler("workers")
def up(): record("up")

@uwsgi.postfork_hooks.add()
def forked():
    if uwsgi.worker_id == 1:
        Signal(99).send()
"""
"""Code for applications: each worker reports that it handles signals."""

HELPERS = """
def record_outcome(text):
    with open("outcomes", "a") as file:
        file.write(text + "\\n")

def attempt(what, *args):
    try:
        what(*args)
        record_outcome("no error")
    except Exception as error:
        record_outcome(f"{type(error).__name__}: {error}")

def fill(num, timeout):
    sent = 0
    try:
        while True:
            Signal(num).send(timeout=timeout)
            sent += 1
    except TimeoutError as error:
        Path("sent").write_text(str(sent))
        record(type(error).__name__)
"""
"""Code for applications.

`attempt` writes the outcome of a call to the file `outcomes`. `fill` sends until the queue is full, and writes the
number of accepted signals to the file `sent`.
"""

APP = "heliograph-app=tasks"


class Uwsgi:
    """A real uWSGI server."""

    def __init__(self, server):
        self.server = server

    def start(self, code, *flags, workers=2, up=True, files=()):
        """Start uWSGI and wait until all workers are ready, or as many as `up` says."""
        self.server.write(HELPERS + (REPORT_READY if up else "") + code)
        for name, text in files:
            (self.server.directory / name).write_text(text)
        installation = find()
        command = [*installation.command, *installation.flags, *flags, "--need-app", "--die-on-term", "--vacuum"]
        command += ["--processes", str(workers), "--socket", "remote.sock", "--pythonpath", str(self.server.directory)]
        self.server.process = self.server.popen(*command, "--module", "heliograph.cli.uwsgi_entry", "--set", APP)
        if up:
            self.server.expect(workers if up is True else up, "up")
        return self.server

    def outcomes(self):
        """Return the outcomes that the application has written."""
        path = self.server.directory / "outcomes"
        return path.read_text().splitlines() if path.exists() else []

    def pid_of(self, process, what="up"):
        """Return the process id of the last event of this process."""
        return next(event.pid for event in reversed(self.server.events(what)) if event.by == process)


@pytest.fixture
def uwsgi(server):
    """A uWSGI server that the test starts."""
    return Uwsgi(server)
