"""The harness of the conformance suite on real uWSGI."""

from __future__ import annotations

import os
import signal

import pytest

from heliograph.testing.harness.servers import uwsgi_harness

pytestmark = pytest.mark.needs("uwsgi")


def test_a_worker_that_does_not_exit_is_killed(tmp_path):
    """uWSGI's own deadlock at the exit of a worker does not keep the server from stopping in time."""
    with uwsgi_harness(tmp_path, "plain") as harness:
        os.kill(harness.pid("worker1"), signal.SIGSTOP)
    assert harness.server is not None
    assert harness.server.returncode == 0
    assert "NO MERCY" in harness.output_text()
