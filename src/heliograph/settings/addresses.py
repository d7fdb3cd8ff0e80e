"""The address of a listening socket: parse it, check it, listen at it, connect to it.

An address is `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or the path of a Unix socket. A text with a slash or without a colon
is a path. `:PORT` means all interfaces to a server, and 127.0.0.1 to a client.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

FORMS = "Use HOST:PORT, [IPV6]:PORT, :PORT or the path of a Unix socket"

_MAX_PATH_BYTES = 102
"""uWSGI `core/socket.c`, `bind_to_unix`, refuses longer paths. The kernel's limit is 107."""

_BACKLOG = 128
"""Connections that wait to be accepted."""

_ADVICE = {
    errno.EADDRINUSE: "Stop the program that listens there, or use another port",
    errno.EADDRNOTAVAIL: "Use an address of this machine, such as 127.0.0.1",
    errno.EACCES: "Use a port from 1024 on",
}
"""Advice if no socket can listen at an address that is written correctly."""

FileId = tuple[int, int]
"""Device and inode of a file."""


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address, or the path of a Unix socket if `path` is set. `str()` returns the text to parse."""

    host: str = ""
    """Name or address, an IPv6 address without brackets. Empty: all interfaces."""
    port: int = 0
    """0-65535. A server that listens at port 0 gets a free port."""
    path: str = ""
    """Path of the Unix socket, as the user wrote it."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address. Raises `ValueError` if the text is not one."""
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - programs pass it
            raise ValueError(f"it is not a text. {FORMS}")  # noqa: TRY004 - one type for all reasons
        if not text or text.isdigit():
            raise ValueError(f"it is not an address. {FORMS}")
        if "/" in text or ":" not in text:
            return cls(path=text)
        host, _, port = text.rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) < 65_536):
            raise ValueError(f"{port!r} is not a port, 0 to 65535. {FORMS}")
        in_brackets = host.startswith("[") and host.endswith("]")
        if (":" in host) != in_brackets:
            raise ValueError(f"only an IPv6 address stands in brackets, [::1]:3031. {FORMS}")
        return cls(host=host[1:-1] if in_brackets else host, port=int(port))

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def check_listenable(self) -> None:
        """Check that a server of this user can listen here now. Leave an existing socket file alone.

        Raises `ValueError` with the reason otherwise.
        """
        try:
            if self.path:
                _check_path(Path(self.path))
            else:
                self._probe_port()
        except OSError as error:
            raise _cannot_listen(error) from error

    def listen(self) -> socket.socket:
        """Return a listening socket, with the name of the address.

        A Unix socket gets mode 0600 whatever the umask is. It replaces the file of a server that has exited, but not
        the file of a running one. Raises `ValueError` with the reason if no socket can listen here.
        """
        try:
            if self.path:
                return _listen_at_path(Path(self.path))
            return socket.create_server((self.host, self.port), family=self._family, backlog=_BACKLOG)
        except OSError as error:
            raise _cannot_listen(error) from error

    def connect(self, timeout: float) -> socket.socket:
        """Return a socket that is connected to the server at this address, within so many seconds.

        Raises `OSError` (`TimeoutError` after the timeout), and `ValueError` for port 0.
        """
        if not self.path and not self.port:
            raise ValueError(f"no server listens at port 0. {FORMS}")
        if not self.path:
            return socket.create_connection((self.host or "127.0.0.1", self.port), timeout)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(timeout)
            sock.connect(self.path)
        except BaseException:
            sock.close()
            raise
        return sock

    def file_id(self) -> FileId | None:
        """Return device and inode of the file of a Unix socket. None for TCP, and if there is no such file."""
        try:
            found = Path(self.path).stat() if self.path else None
        except OSError:
            found = None
        return (found.st_dev, found.st_ino) if found else None

    def remove_file(self, file: FileId | None) -> None:
        """Remove the file of a Unix socket if it is still that one, and not the socket of another server."""
        if file is not None and self.file_id() == file:
            Path(self.path).unlink(missing_ok=True)

    @property
    def _family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def _probe_port(self) -> None:
        host = self.host or "0.0.0.0"  # noqa: S104 - the user asked for all interfaces
        found = socket.getaddrinfo(host, self.port, self._family, socket.SOCK_STREAM)
        with socket.socket(self._family, socket.SOCK_STREAM) as probe:
            # Servers set it too: a port that was closed a moment ago is free, one with a listener is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(found[0][4])


def _cannot_listen(error: OSError) -> ValueError:
    advice = _ADVICE.get(error.errno or 0, FORMS)
    return ValueError(f"cannot listen there: {error.strerror or error}. {advice}")


def _check_path(path: Path) -> None:
    directory = path.absolute().parent
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise ValueError(f"the path of a Unix socket has at most {_MAX_PATH_BYTES} bytes. Use a shorter path")
    if not directory.is_dir():
        raise ValueError(f"there is no directory {path.parent}. Create it with mkdir -p {path.parent}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ValueError(f"this user cannot write in {path.parent}. Use another directory")
    _check_replaceable(path)


def _check_replaceable(path: Path) -> None:
    """Raise `ValueError` unless the path is free, or has the socket of a server that has exited."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ValueError("there is a file that is not a socket. Remove it, or use another path")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
        except PermissionError as error:
            raise ValueError("the socket there belongs to another user. Use another path") from error
        except BlockingIOError:  # its queue of connections is full
            pass
    raise ValueError("another server listens there. Stop it, or use another path")


def _listen_at_path(path: Path) -> socket.socket:
    _check_path(path)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        # Linux creates the file with the mode of the socket, less the umask (net/unix/af_unix.c: unix_bind_bsd), so
        # others cannot connect before the second call either.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
