"""Restores the control socket and its lock when something removes them: see `socket_watch`.

Without them no command and no process of a web server would reach the master any more, and a second server could take
the name.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from heliograph.ipc.instance import InstanceLock
from heliograph.loop import Loop, Selector
from heliograph.server.dispatcher import Dispatcher
from heliograph.server.services.control import ControlServer
from heliograph.server.services.socket_watch import SocketWatch, Texts, WatchedFile

_RESTORED = "The control socket or its lock was removed, restored: {}"
_FAILED = (
    "Cannot restore the control socket: %s Commands, and processes that join, do not reach this server. It tries "
    "again. To stop it: kill {}"
)


def open_control_socket(
    loop: Loop, dispatcher: Dispatcher, lock: InstanceLock, make: Callable[[Selector], ControlServer]
) -> ControlServer:
    """Add the server that `make` returns to the loop, and restore its socket when the file is removed."""
    server = loop.open("control socket", make)
    files, texts = watched_files(lock, server), texts_for(server)
    watch = loop.open("watch of the control socket", lambda selector: SocketWatch(selector, files, texts))
    dispatcher.observe(watch.observe)
    return server


def watched_files(lock: InstanceLock, server: ControlServer) -> tuple[WatchedFile, ...]:
    """Return the files. The lock comes first: another server has the name if it has the lock."""
    return (
        WatchedFile(lock.path, lock.is_in_place, lock.take_again),
        WatchedFile(server.path, server.is_in_place, server.listen_again),
    )


def texts_for(server: ControlServer) -> Texts:
    """Return the lines of the log."""
    return Texts(_RESTORED.format(server.path), _FAILED.format(os.getpid()))
