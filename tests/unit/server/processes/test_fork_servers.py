"""Fork servers as the master has them: what fails to start leaves nothing open."""

import errno
import os
import subprocess

import pytest

from heliograph.ipc.inherited import ProcessSettings
from heliograph.models import Identity, Topology
from heliograph.server.processes.fork_servers import ForkServers


class Inherited:
    """The inherited state, as far as the start of a fork server needs it."""

    settings = ProcessSettings(Topology(), "app")

    def __init__(self, _generation, commands, triggers, stack):
        self.descriptors = {"commands": commands, "triggers": triggers, "stack": stack}

    def to_json(self):
        return "{}"


@pytest.fixture
def servers():
    return ForkServers(Inherited)


@pytest.mark.parametrize("part", ["pipe", "memfd", "process"])
@pytest.mark.parametrize("code", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_start_that_fails_leaves_no_descriptor(servers, monkeypatch, descriptors, part, code):
    """The error goes to the caller, and nothing is known of that generation."""

    def fail(*_args, **_options):
        raise OSError(code, os.strerror(code))

    module, name = {"pipe": (os, "pipe2"), "memfd": (os, "memfd_create"), "process": (subprocess, "Popen")}[part]
    monkeypatch.setattr(module, name, fail)
    before = descriptors()
    for _ in range(3):
        with pytest.raises(OSError, match=os.strerror(code)):
            servers.start(2)
    assert descriptors() == before
    servers.stop(2)
    servers.kill(2)
    assert servers.forget(4711, 0) is None


def test_close_kills_and_reaps(servers, descriptors, monkeypatch):
    """Also a fork server that ignores the end of its commands."""
    started = []

    def popen(_command, **options):
        started.append(subprocess_popen(["sleep", "1000"], pass_fds=options["pass_fds"]))
        return started[-1]

    subprocess_popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", popen)
    before = descriptors()
    servers.start(1)
    servers.fork(1, Identity("mule", 1))
    servers.close()
    assert descriptors() == before
    assert started[0].returncode == -9


def test_a_slow_load_is_logged_with_the_process(servers, monkeypatch, caplog):
    """One can look at it, or kill it. A fork server that has exited in the meantime is not named."""
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda _, **options: popen(["sleep", "1000"], pass_fds=options["pass_fds"])
    )
    servers.start(3)
    pid = servers.pids()[0]
    servers.log_slow(3, 15.04)
    servers.close()
    servers.log_slow(3, 16.0)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"Still loading the application after 15 s (generation 3, fork server pid {pid}).")
