"""The name of a server, the path of its control socket, and the lock that allows one master per name.

A server is found by its name, or by the directory in which it was started. Only the owner can enter the directory of
the sockets. The master holds a kernel lock as long as it runs, so the name of a master that was killed is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import socket
import stat
import tempfile
from pathlib import Path

from heliograph.exceptions import ConfigError

_NAME = re.compile(r"[\w][\w.-]{0,63}")


def server_name(name: str | None, directory: Path) -> str:
    """Return `name`, or a name derived from the directory. Raises: ConfigError: the name is not valid."""
    if name is not None:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"invalid --name: {name!r}. Use letters, digits, dots and dashes, at most 64.")
        return name
    path = Path(os.path.abspath(directory))  # noqa: PTH100 - `resolve` follows links, and a link may change
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:10]
    slug = re.sub(r"[^\w.-]+", "-", path.name)[:40].lstrip(".-") or "root"
    return f"{slug}-{digest}"


def working_directory() -> Path:
    """Return the working directory as the shell names it, with the links in its path."""
    given = os.environ.get("PWD", "")
    with contextlib.suppress(OSError):
        if os.path.isabs(given) and os.path.samefile(given, "."):  # noqa: PTH117, PTH121 - as `os.path.abspath`
            return Path(given)
    return Path.cwd()


def control_socket(name: str) -> Path:
    """Return the path of the control socket of a server."""
    return _directory() / f"{name}.sock"


def running_servers() -> tuple[str, ...]:
    """Return the names of the servers of this user that are running."""
    return tuple(path.stem for path in sorted(_directory().glob("*.sock")) if _is_served(path))


class InstanceLock:
    """Holds the name of a server for this process."""

    def __init__(self, name: str) -> None:
        """Take the lock. Raises: ConfigError: another master holds it."""
        self._path = _directory() / f"{name}.lock"
        self._fd = self._locked(name)
        try:
            os.ftruncate(self._fd, 0)
            os.write(self._fd, f"{os.getpid()}\n".encode())
        except OSError:
            self.release()
            raise

    def _locked(self, name: str) -> int:
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pid = os.read(fd, 32).decode().strip() or "?"
                os.close(fd)
                raise ConfigError(
                    f"server already running: {name!r} (process {pid}). Stop it, or give this one another --name."
                ) from None
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == os.fstat(fd).st_ino:
                    return fd
            os.close(fd)  # Its last holder has removed the file in the meantime.

    def release(self) -> None:
        """Release the name. Releasing it again does nothing."""
        if self._fd < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            if self._path.stat().st_ino == os.fstat(self._fd).st_ino:  # else it is the lock of another master by now
                self._path.unlink()
        os.close(self._fd)
        self._fd = -1


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # Its queue of connections is full.
        except OSError:
            return False
    return True


def _directory() -> Path:
    """Return the directory of this user's sockets. Create it if it does not exist."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(base) / "heliograph" if base else Path(tempfile.gettempdir()) / f"heliograph-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot create the directory of control sockets: {path} ({error.strerror or error}). Set XDG_RUNTIME_DIR."
        ) from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ConfigError(f"unsafe directory of control sockets: {path}. Make it yours, and use chmod 700.")
    return path
