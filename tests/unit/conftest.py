"""Fixtures for tests of services: a short directory, and a loop that runs when a test tells it to."""

import gc
import selectors
import socket
import tempfile
from pathlib import Path

import pytest

DEADLINE = 5.0
"""Seconds after which what a socket should bring counts as lost."""


class ManualLoop:
    """A loop that handles what is ready and never waits. Its clock is a number."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.selector = selectors.DefaultSelector()
        self.now = 100.0
        self.listeners = []
        self.peers = []

    def clock(self):
        return self.now

    def run_ready(self, listener):
        """Handle everything that is ready."""
        while ready := self.selector.select(0):
            for key, _ in ready:
                key.data(self.now)
            listener.tick(self.now)

    def connect(self, path):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(DEADLINE)
        peer.connect(str(path))
        self.peers.append(peer)
        return peer

    def close(self):
        for listener in self.listeners:
            listener.close()
        for peer in self.peers:
            peer.close()
        self.selector.close()


@pytest.fixture
def descriptors():
    """Return a function that counts the descriptors of this process, without those that only await collection."""

    def count():
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    return count


@pytest.fixture
def directory(tmp_path_factory):
    """Return a directory with a short path, since the path of a unix socket is limited."""
    tmp_path_factory.getbasetemp()  # a test may set another temporary directory, which pytest must not use
    with tempfile.TemporaryDirectory(prefix="hg-") as name:
        yield Path(name)


@pytest.fixture
def loop(directory):
    loop = ManualLoop(directory)
    yield loop
    loop.close()
