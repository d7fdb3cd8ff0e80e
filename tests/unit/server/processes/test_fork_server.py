"""A fork server that cannot fork: it reports that, leaks nothing, and lives on."""

import ctypes
import errno
import json
import os
from types import SimpleNamespace

import pytest

from heliograph.models import Identity
from heliograph.server.processes import double_fork, fork_server


@pytest.fixture
def reports():
    """Return a pipe for reports, and an engine that has inherited it."""
    read, write = os.pipe()
    yield read, SimpleNamespace(inherited=SimpleNamespace(generation=3, reports=write))
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("part", ["pipe", "fork"])
@pytest.mark.parametrize("code", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_a_fork_that_fails_is_reported(reports, monkeypatch, descriptors, part, code):
    """With the process and the reason. The master tries again later."""
    read, engine = reports

    def fail():
        raise OSError(code, os.strerror(code))

    def fail_in_c():
        ctypes.set_errno(code)
        return -1

    monkeypatch.setattr(os, part, fail)
    monkeypatch.setattr(double_fork, "_fork", fail_in_c)
    before = descriptors()
    fork_server._fork(engine, Identity("mule", 2))
    assert descriptors() == before
    assert json.loads(os.read(read, 4096)) == {"generation": 3, "fork_failed": ["mule", 2], "reason": os.strerror(code)}


def test_a_second_fork_that_fails_is_reported(reports, monkeypatch, descriptors):
    """A process is forked twice. The first child exits, and is reaped."""
    read, engine = reports
    fork, parent = os.fork, os.getpid()

    def fail_in_child():
        if os.getpid() != parent:
            raise BlockingIOError(errno.EAGAIN, "no more processes")
        return fork()

    monkeypatch.setattr(os, "fork", fail_in_child)
    fork_in_c = double_fork._fork
    monkeypatch.setattr(double_fork, "_fork", lambda: fork_in_c() if os.getpid() == parent else -1)
    before = descriptors()
    fork_server._fork(engine, Identity("mule", 2))
    assert descriptors() == before
    assert json.loads(os.read(read, 4096))["reason"] == "too many processes, or not enough memory"
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
