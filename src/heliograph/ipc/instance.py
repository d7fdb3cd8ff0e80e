"""The name of a server, the path of its control socket, and the lock that allows one master per name.

A server is found by its name, or by the directory in which it was started, or by the path of its socket. If it has a
path of its own (`--control`), a link leads from the name to the path. Only the owner can enter the directory of the
sockets. The master holds a kernel lock as long as it runs, so the name of a master that was killed is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path

from heliograph.application import current_directory
from heliograph.exceptions import ConfigError
from heliograph.ipc import control_sockets
from heliograph.ipc.name_links import NameLink
from heliograph.ipc.private_files import open_private_file

_NAME = re.compile(r"[\w][\w.-]{0,63}")
_MAX_SLUG_BYTES = 40
"""Bytes of the directory's own name in a server's name. The path of a Unix socket has at most 107 bytes."""


def server_name(name: str | None, directory: Path) -> str:
    """Return `name`, or a name derived from the directory. Raises: ConfigError: the name is not valid."""
    if name is not None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"invalid --name: {name!r}. Use letters, digits, dots and dashes, at most 64.")
        return name
    path = Path(os.path.abspath(directory))  # noqa: PTH100 - `resolve` follows links, and a link may change
    from hashlib import sha256  # noqa: PLC0415 - it loads OpenSSL

    digest = sha256(os.fsencode(path)).hexdigest()[:10]
    readable = os.fsencode(path.name).decode(errors="replace")  # the bytes are the same in every locale
    slug = re.sub(r"[^\w.-]+", "-", readable).encode()[:_MAX_SLUG_BYTES].decode(errors="ignore").lstrip(".-")
    return f"{os.fsdecode((slug or 'root').encode())}-{digest}"


def working_directory() -> Path:
    """Return the working directory as the shell names it, with the links in its path.

    Raises:
        ConfigError: It has been deleted.
    """
    given = os.environ.get("PWD", "")
    with contextlib.suppress(OSError):
        if os.path.isabs(given) and os.path.samefile(given, "."):  # noqa: PTH117, PTH121 - as `os.path.abspath`
            return Path(given)
    return current_directory()


def control_socket(name: str) -> Path:
    """Return the path at which a server of this user with that name listens."""
    return control_sockets.own_directory() / f"{name}.sock"


def find_control_socket(name: str | None) -> Path:
    """Return the control socket of the server with that name, or of the server that was started in this directory.

    If none runs, return the path at which it would listen.

    Raises:
        ConfigError: The name is not valid, or this is root and servers of several other users have it.
    """
    if name is not None:
        names = [server_name(name, Path("/"))]
    else:
        here = working_directory()
        names = list(dict.fromkeys((server_name(None, here), server_name(None, here.resolve()))))
    for candidate in names:
        found = control_sockets.find(candidate)
        own = [server for server in found if server.uid == os.getuid()] or found
        if len({server.uid for server in own}) > 1:
            paths = ", ".join(str(server.path) for server in own)
            raise ConfigError(f"several users run a server with the name {candidate!r}. Pass --control: {paths}.")
        if own:
            return own[0].path
    return control_socket(names[0])


def running_servers() -> tuple[str, ...]:
    """Return the names of the servers of this user that are running, for root of all users."""
    return tuple(sorted({server.name for server in control_sockets.running()}))


class InstanceLock:
    """Holds the name of a server for this process."""

    def __init__(self, name: str, control: Path | None = None) -> None:
        """Take the lock of a name, or that of a path. Raises: ConfigError: another master holds it."""
        own = control or control_socket(name)
        self._name = name
        self._path = _lock_of(own)
        self._control = control
        self._link: NameLink | None = None
        self._fd = self._locked()
        is_link = control is None and own.is_symlink()  # to a server with --control and the same name
        if control_sockets.is_served(own) and not is_link:
            # A program that cleans up /tmp has removed the lock of a running master.
            self.release()
            raise _already_running(name, "?")
        for other in control_sockets.find(name) if control is None else ():
            is_elsewhere = other.path.parent != self._path.parent and not other.path.is_symlink()
            if other.uid == os.getuid() and is_elsewhere:
                self.release()
                raise _already_running(name, _read_pid(_lock_of(other.path)))
        try:
            self._write_pid()
        except OSError:
            self.release()
            raise
        self._make_link()

    @property
    def path(self) -> Path:
        """The locked file."""
        return self._path

    def is_in_place(self) -> bool:
        """Return True if the locked file is still where another server looks for it."""
        with contextlib.suppress(OSError):
            return os.path.samestat(self._path.stat(), os.fstat(self._fd))
        return False

    def take_again(self) -> None:
        """Lock the name again if the file was removed. Create its directory if that was removed too.

        Raises:
            ConfigError: Another server has the name by now, or the file cannot be created.
            OSError: The disk is full.
        """
        if not self.is_in_place():
            control_sockets.create_again(self._path.parent)
            lost, self._fd = self._fd, self._locked()
            os.close(lost)
            self._write_pid()
        self._make_link()

    def _make_link(self) -> None:
        if self._control is not None:
            self._link = NameLink(self._name, self._control)

    def _write_pid(self) -> None:
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def _locked(self) -> int:
        while True:
            try:
                fd = open_private_file(self._path, os.O_RDWR)
            except OSError as error:
                reason = error.strerror or error
                advice = "Use --control with another path, or set XDG_RUNTIME_DIR to a directory that you can write to"
                raise ConfigError(f"cannot create {self._path} ({reason}). {advice}.") from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                raise _already_running(self._name, _read_pid(self._path)) from None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(self._path.stat(), os.fstat(fd)):
                    return fd
            os.close(fd)  # Its last holder has removed the file in the meantime.

    def release(self) -> None:
        """Release the name. Releasing it again does nothing."""
        if self._fd < 0:
            return
        if self._link is not None:
            self._link.remove()
        if self.is_in_place():  # else it is the lock of another master by now
            self._path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = -1


def _already_running(name: str, pid: str) -> ConfigError:
    return ConfigError(f"server already running: {name!r} (process {pid}). Stop it, or give this one another --name.")


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock") if path.suffix == ".sock" else path.with_name(f"{path.name}.lock")


def _read_pid(path: Path) -> str:
    """Return the process id that a master wrote into its lock."""
    try:
        return path.read_text(encoding="ascii", errors="replace")[:32].strip() or "?"
    except OSError:
        return "?"
