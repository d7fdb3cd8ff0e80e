"""The peers to compare. A peer starts a server, and a server runs jobs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from lib import stdlib_peers
from lib.servers import Server, local_server, pipe_server, uwsgi_server


class Peer(Protocol):
    """A way to run a function in another process."""

    @property
    def name(self) -> str:
        """Name in the tables."""
        ...

    @property
    def drops(self) -> bool:
        """True if it loses signals that are sent faster than they are handled, so that the sender must be paced."""
        ...

    def start(self, mules: int) -> AbstractContextManager[Server]:
        """Start a server with `mules` receivers, and stop it with the block."""
        ...


@dataclass(frozen=True, slots=True)
class UwsgiPeer:
    """An API on uWSGI. `binding` is its name in `lib.api_adapters`."""

    name: str
    binding: str
    drops: bool

    def start(self, mules: int) -> AbstractContextManager[Server]:
        return uwsgi_server(self.binding, mules)


@dataclass(frozen=True, slots=True)
class LocalPeer:
    """The heliograph server with the same application as on uWSGI."""

    name: str
    drops: bool = False

    def start(self, mules: int) -> AbstractContextManager[Server]:
        return local_server(mules)


@dataclass(frozen=True, slots=True)
class StdlibPeer:
    """Python processes without a server. Those of `lib.stdlib_peers` run only the job `flood`."""

    name: str
    open: Callable[[int], AbstractContextManager[Server]]
    drops: bool = False

    def start(self, mules: int) -> AbstractContextManager[Server]:
        return self.open(mules)


RAW = UwsgiPeer("raw uwsgi", "raw", drops=True)
UWSGICONF = UwsgiPeer("uwsgiconf", "uwsgiconf", drops=True)
HELIOGRAPH = UwsgiPeer("heliograph on uWSGI", "heliograph", drops=False)
LOCAL = LocalPeer("heliograph local")

SIGNAL_PEERS: tuple[Peer, ...] = (RAW, UWSGICONF, HELIOGRAPH, LOCAL)
"""Peers with signals. The first one is the reference."""

PIPE = StdlibPeer("pipe, 16-byte records", stdlib_peers.pipe)
EXECUTOR = StdlibPeer("ProcessPoolExecutor", stdlib_peers.executor)

BARE = StdlibPeer("bare pipe", pipe_server)
"""Baseline for the scenarios that measure microseconds: a pipe between two processes that can be pinned."""

STDLIB_PEERS: tuple[Peer, ...] = (
    PIPE,
    StdlibPeer("multiprocessing.Queue", stdlib_peers.queue),
    EXECUTOR,
)
"""Other ways to pass work to another process in Python, for comparison of the throughput."""
