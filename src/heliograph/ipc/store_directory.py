"""The directory of a store of tasks, and the kernel lock that allows one server per directory.

This module does not import `sqlite3`: the master uses it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
from dataclasses import asdict
from pathlib import Path

from heliograph._core.layout import IncompatibleServer
from heliograph.exceptions import StoreError
from heliograph.ipc.filesystem import check_filesystem
from heliograph.ipc.private_files import make_private_directory
from heliograph.models import Topology

DATABASE = "tasks.db"
OWNERS = "owners"
IDENTITY = "identity"
SERVER = "server"
WAITERS = "waiters"
DOORBELL = "doorbell"

_FLOCK = struct.Struct("@hhqqi")

_MAX_NOTE = 1 << 20
"""Bytes of the file of a server's lock, at most: a line with its name, and a line of JSON with its processes."""


def make_directory(path: str, *, allow_any: bool = False) -> str | None:
    """Create the directory of a store with mode 0700 if it does not exist, and check it.

    Return a warning for people, or None.

    Raises:
        StoreError: The directory cannot be made, belongs to another user, or is on a file system that cannot lock.
    """
    try:
        make_private_directory(Path(path))
        found = os.stat(path)  # noqa: PTH116
    except OSError as error:
        raise StoreError(
            f"cannot create the directory of tasks: {path} ({error.strerror}). Use another --spooler.", path
        ) from error
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        raise StoreError(
            f"cannot use the directory of tasks: {path} (it belongs to user {found.st_uid}). Run as that user.", path
        )
    if found.st_mode & 0o077 and found.st_uid == os.geteuid():
        os.chmod(path, 0o700)  # noqa: PTH101 - arguments of tasks may be secrets
    return check_filesystem(path, allow_any=allow_any)


def has_store(directory: Path) -> bool:
    """Return True if the directory has a store, or what is left of one."""
    return any(os.path.lexists(directory / name) for name in (DATABASE, IDENTITY))


def lock_holder(fd: int, start: int, length: int = 1) -> int | None:
    """Return the process that holds a record lock on these bytes, None if there is none.

    Locks of this process do not count. The number is 0 or less for a process that this container cannot see.
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


class ServerLock:
    """Holds a store's directory for the master of one server. The kernel frees it as soon as that process is gone."""

    def __init__(self, directory: str, name: str, topology: Topology | None = None) -> None:
        """Take the lock, and note the processes of the server there.

        Raises:
            StoreError: Another server has the directory.
        """
        # A record lock, since children do not inherit it: a `flock` would stay as long as any of them. No other code
        # of the master may open the file, because closing any descriptor of it frees the lock.
        self._path = os.path.join(directory, SERVER)  # noqa: PTH118
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pid = os.getpid()
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = _read_note(self._fd)[0] or "?"
            pid = lock_holder(self._fd, 0, 0)
            os.close(self._fd)
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            raise StoreError(
                f"tasks in {directory} belong to a running server: {other!r} (process {pid or '?'}). "
                "Stop it, or use another --spooler.",
                directory,
            ) from None
        os.ftruncate(self._fd, 0)
        processes = "" if topology is None else json.dumps(asdict(topology)) + "\n"
        os.pwrite(self._fd, f"{name}\n{processes}".encode(), 0)

    def is_in_place(self) -> bool:
        """Return True if the locked file is still where another server looks for it."""
        try:
            found = os.stat(self._path)  # noqa: PTH116
        except OSError:
            return False
        own = os.fstat(self._fd)
        return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)

    def release(self) -> None:
        """Free the directory. A child of the master only closes its copy of the descriptor."""
        if self._fd < 0:
            return
        if os.getpid() == self._pid:
            os.ftruncate(self._fd, 0)
        os.close(self._fd)
        self._fd = -1


def running_server(directory: str) -> str | None:
    """Return the name of the server that has this directory now, None if none has it. Not for the master itself."""
    note = _note_of_server(directory)
    return None if note is None else note[0]


def running_topology(directory: str) -> Topology | None:
    """Return the processes of the server that has this directory now. Not for the master itself.

    None: no server has it, or its processes are not known here, since it is of another version or another user.
    """
    from heliograph.ipc.inherited import topology_from_json  # noqa: PLC0415 - few processes need it

    try:
        note = _note_of_server(directory)
        return topology_from_json(json.loads(note[1])) if note is not None and note[1] else None
    except (OSError, IncompatibleServer, ValueError, LookupError, TypeError):
        return None


def _note_of_server(directory: str) -> tuple[str, str] | None:
    try:
        fd = os.open(os.path.join(directory, SERVER), os.O_RDWR | os.O_CLOEXEC)  # noqa: PTH118
    except FileNotFoundError:
        return None
    try:
        return None if lock_holder(fd, 0, 0) is None else _read_note(fd)
    finally:
        os.close(fd)


def _read_note(fd: int) -> tuple[str, str]:
    """Return the name and the processes that a server has noted."""
    name, _, processes = os.pread(fd, _MAX_NOTE, 0).decode(errors="replace").partition("\n")
    return name.strip(), processes.strip()
