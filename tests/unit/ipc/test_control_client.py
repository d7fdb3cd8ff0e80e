"""Asking a master: what an answer brings that does not fit."""

import os
import resource
import socket
import threading
from pathlib import Path

import pytest

from heliograph.exceptions import ConfigError
from heliograph.ipc.control_client import request_with_fds


@pytest.fixture
def few_files():
    """This process may open five files more, or not even those."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 5, hard))
    yield free + 5
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def opened():
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def answer(listener, descriptors):
    """Serve one client."""
    peer, _ = listener.accept()
    with peer:
        peer.recv(100)
        socket.send_fds(peer, [b"{}\n"], descriptors)


def test_more_descriptors_than_this_process_may_have(tmp_path, request):
    """The kernel hands over what fits, and says so: the error names the limit, and nothing stays open."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "master"))
        listener.listen()
        most = request.getfixturevalue("few_files")
        before = opened()
        serving = threading.Thread(target=answer, args=(listener, [listener.fileno()] * 20))
        serving.start()
        with pytest.raises(ConfigError, match=f"may open {most} files, .*ulimit -n"):
            request_with_fds(tmp_path / "master", {"do": "attach"})
        serving.join()
        assert opened() == before
