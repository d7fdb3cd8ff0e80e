"""Who is compared. A peer knows how to start a server; a server knows how to run a job."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from lib import stdlib_peers
from lib.servers import Server, bare_server, local_server, uwsgi_server


class Peer(Protocol):
    """One way to get a function run in another process."""

    @property
    def name(self) -> str:
        """As it stands in the tables."""
        ...

    @property
    def drops(self) -> bool:
        """Whether it loses signals when sent faster than they are handled, so that the sender must pace itself."""
        ...

    def start(self, mules: int) -> AbstractContextManager[Server]:
        """A server with so many receivers, ended with the block."""
        ...


@dataclass(frozen=True, slots=True)
class UwsgiPeer:
    """An API on real uWSGI; `binding` is its name in `lib.api_adapters`."""

    name: str
    binding: str
    drops: bool

    def start(self, mules: int) -> AbstractContextManager[Server]:
        return uwsgi_server(self.binding, mules)


@dataclass(frozen=True, slots=True)
class LocalPeer:
    """heliograph's own server; the application is the same as on uWSGI."""

    name: str
    drops: bool = False

    def start(self, mules: int) -> AbstractContextManager[Server]:
        return local_server(mules)


@dataclass(frozen=True, slots=True)
class ChannelPeer:
    """Plain Python processes; those of `lib.stdlib_peers` take the job `flood` only."""

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
"""All that have signals; the first is what the others are measured by."""

PIPE = ChannelPeer("pipe, 16-byte records", stdlib_peers.pipe)
EXECUTOR = ChannelPeer("ProcessPoolExecutor", stdlib_peers.executor)

BARE = ChannelPeer("bare pipe", bare_server)
"""For what is measured in microseconds: a pipe between two processes that can be placed."""

CHANNEL_PEERS: tuple[Peer, ...] = (
    PIPE,
    ChannelPeer("multiprocessing.Queue", stdlib_peers.queue),
    EXECUTOR,
)
"""What else Python has to get work to another process: a yardstick for throughput."""
