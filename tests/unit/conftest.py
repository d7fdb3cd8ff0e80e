"""What the tests of the master's parts share: a short directory, and a loop that turns when it is told to."""

import selectors
import socket
import tempfile
from pathlib import Path

import pytest

DEADLINE = 5.0
"""Seconds after which what a socket should bring counts as lost."""


class Loop:
    """A master's loop: what is ready is handled, and nothing is waited for. Its clock is a number."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.selector = selectors.DefaultSelector()
        self.now = 100.0
        self.fronts = []
        self.peers = []

    def turn(self, front):
        """Until nothing is ready any more."""
        while ready := self.selector.select(0):
            for key, _ in ready:
                key.data(self.now)
            front.tick(self.now)

    def connect(self, path):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(DEADLINE)
        peer.connect(str(path))
        self.peers.append(peer)
        return peer

    def close(self):
        for front in self.fronts:
            front.close()
        for peer in self.peers:
            peer.close()
        self.selector.close()


@pytest.fixture
def descriptors():
    """How many are open in this process, each time it is called."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def directory():
    """One whose path is short: that of a unix socket has little room."""
    with tempfile.TemporaryDirectory(prefix="hg-") as name:
        yield Path(name)


@pytest.fixture
def loop(directory):
    loop = Loop(directory)
    yield loop
    loop.close()
