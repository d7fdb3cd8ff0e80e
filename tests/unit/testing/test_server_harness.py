"""The harness for a real server, with agents that the test plays itself."""

from __future__ import annotations

import subprocess
import threading
from multiprocessing.connection import Client

import pytest

from heliograph.testing.harness.agent import KEY
from heliograph.testing.harness.server import ServerHarness


@pytest.fixture
def harness(tmp_path):
    """A harness without a server."""
    harness = ServerHarness("local plain", tmp_path)
    yield harness
    harness._listener.close()


@pytest.fixture
def process():
    """A process that a test can kill."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def report(harness, pid):
    """Connect as the agent of mule 2, as `Agent` does."""
    connection = Client(harness._listener.address, "AF_UNIX", authkey=KEY)
    connection.send(("mule2", pid))
    return connection


def test_a_job_after_a_kill_waits_for_the_agent_of_the_successor(harness, process):
    """The successor can handle signals before its agent reports. No job goes to the agent of the killed process."""
    first = report(harness, process.pid)
    assert harness.pid("mule2") == process.pid

    def serve():
        with report(harness, process.pid + 1) as second:
            second.recv()
            second.send((True, "done by the successor"))

    assert harness.kill("mule2") == process.pid
    thread = threading.Timer(0.1, serve)
    thread.start()
    assert harness.call("mule2", len, "") == "done by the successor"
    assert harness.pid("mule2") == process.pid + 1
    thread.join()
    first.close()
