"""The places of control sockets, and the servers that run there.

A server puts its socket below `XDG_RUNTIME_DIR`, or in a directory of its user in the temporary directory. A service
manager or cron often does not set that variable, and a login shell does. So a command looks in all these places, for
root in those of all users. `platformdirs` would name the first place only, for this user only.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from heliograph.exceptions import ConfigError
from heliograph.ipc.private_files import make_private_directory

_RUN_USER = Path("/run/user")
"""The runtime directories of all users, on a system with systemd or elogind."""
_TEMPORARY = Path("/tmp")  # noqa: S108 - the directories there are checked
_ROOT = 0

_LINGER = " systemd removes XDG_RUNTIME_DIR when its user logs out, unless you run `loginctl enable-linger`."


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts connections."""

    path: Path
    """Its control socket."""
    uid: int
    """Its user."""

    @property
    def name(self) -> str:
        """Name of the server."""
        return self.path.stem


def own_directory() -> Path:
    """Return the directory in which a server of this user puts its socket. Create it if it does not exist.

    Raises:
        ConfigError: It cannot be created, or is not safe.
    """
    path = _primary()
    try:
        make_private_directory(path)
        found = path.lstat()
    except OSError as error:
        raise ConfigError(
            f"cannot create the directory of control sockets: {path} ({error.strerror or error}). Set "
            "XDG_RUNTIME_DIR to a directory that you can write to, for example a tmpfs."
        ) from error
    if not _is_private(found, os.getuid()):
        raise ConfigError(f"unsafe directory of control sockets: {path}. Make it yours, and use chmod 700.")
    return path


def create_again(path: Path) -> None:
    """Create a directory of control sockets that was removed, with mode 0700, and `XDG_RUNTIME_DIR` if it is in there.

    Leave other missing parents alone, since a file system may not be mounted there.

    Raises:
        ConfigError: It cannot be created.
    """
    base = path.parent
    is_runtime = str(base) == os.environ.get("XDG_RUNTIME_DIR")
    try:
        (base.parent if is_runtime else base).stat()
        make_private_directory(path)
    except OSError as error:
        reason = error.strerror or error
        advice = _LINGER if is_runtime and base.parent == _RUN_USER else ""
        raise ConfigError(f"cannot create the directory of control sockets: {path} ({reason}).{advice}") from error


def running() -> tuple[RunningServer, ...]:
    """Return the servers of this user that run, for root those of all users. Servers of this user come first."""
    return tuple(
        RunningServer(path, uid)
        for directory, uid in _directories().items()
        for path in sorted(directory.glob("*.sock"))
        if _belongs_to(path, uid) and is_served(path)
    )


def find(name: str) -> tuple[RunningServer, ...]:
    """Return the running servers with a name, as `running` does."""
    paths = {directory / f"{name}.sock": uid for directory, uid in _directories().items()}
    return tuple(RunningServer(path, uid) for path, uid in paths.items() if _belongs_to(path, uid) and is_served(path))


def _belongs_to(path: Path, uid: int) -> bool:
    """Return True if that user owns the socket. A link may lead to that of another user, which root must not use."""
    try:
        return not path.is_symlink() or path.stat().st_uid == uid
    except OSError:
        return False


def is_served(path: Path) -> bool:
    """Return True if a server accepts connections at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # Its queue of connections is full.
        except OSError:
            return False
    return True


def _primary() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and not _belongs_to_another_user(Path(base)):
        return Path(base) / "heliograph"
    return _temporary_directory() / f"heliograph-{os.getuid()}"


def _temporary_directory() -> Path:
    from tempfile import gettempdir  # noqa: PLC0415 - it takes a megabyte

    try:
        return Path(gettempdir())
    except FileNotFoundError:  # none can be written to, as with a read-only root file system
        return _TEMPORARY


def _belongs_to_another_user(base: Path) -> bool:
    """Return True if root has the variable of the user who ran `sudo -E`, whose directory it must not use."""
    try:
        return os.getuid() == _ROOT != base.stat().st_uid
    except OSError:
        return False


def _directories() -> dict[Path, int]:
    """Return the directories that exist and are private to a user whose servers this user may use, with that user."""
    uid = os.getuid()
    temporary = dict.fromkeys((_temporary_directory(), _TEMPORARY))
    own = (_primary(), _RUN_USER / str(uid) / "heliograph", *(base / f"heliograph-{uid}" for base in temporary))
    found = _private(own, uid)
    if uid == _ROOT:
        base = os.environ.get("XDG_RUNTIME_DIR")
        others = [Path(base) / "heliograph"] if base else []
        others += _RUN_USER.glob("*/heliograph")
        found |= {path: owner for path, owner in _private(others, None).items() if path not in found}
        for path in (path for base in temporary for path in base.glob("heliograph-*")):
            owner = path.name.partition("-")[2]
            if owner.isdecimal() and path not in found:
                found |= _private([path], int(owner))
    return found


def _private(paths: Iterable[Path], uid: int | None) -> dict[Path, int]:
    """Return those of these directories that only that user can enter. None: whoever owns them."""
    found: dict[Path, int] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.lstat()
            if _is_private(status, status.st_uid if uid is None else uid):
                found[path] = status.st_uid
    return found


def _is_private(found: os.stat_result, uid: int) -> bool:
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077
