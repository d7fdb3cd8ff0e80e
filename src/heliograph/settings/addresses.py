"""Whether a server can listen at an address: asked before it starts, so that the answer is one line."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from heliograph.exceptions import ConfigError

_MAX_UNIX_BYTES = 102
"""uWSGI `core/socket.c`, `bind_to_unix`: longer names are refused (the kernel would take 107)."""

_FORMS = "use HOST:PORT, :PORT (all interfaces), or the path of a unix socket"


def check_address(option: str, address: str) -> None:
    """Raise `ConfigError`, naming the option, unless a server can listen at `HOST:PORT`, `:PORT` or a unix path."""
    try:
        if "/" in address or ":" not in address:
            _check_path(address)
        else:
            _check_port(address)
    except OSError as error:
        raise ConfigError(f"{option} {address}: cannot listen there: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"{option} {address}: {error}") from error


def _check_port(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65_536):
        raise ValueError(f"{port!r} is not a port, 0 to 65535; {_FORMS}")
    in_brackets = host.startswith("[") and host.endswith("]")
    if ":" in host and not in_brackets:
        raise ValueError("an IPv6 address stands in brackets: [::1]:3031")
    family = socket.AF_INET6 if in_brackets else socket.AF_INET
    found = socket.getaddrinfo(host.strip("[]") or "0.0.0.0", int(port), family, socket.SOCK_STREAM)  # noqa: S104
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do it: a port that was left a moment ago is free, one that is listened on is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(found[0][4])


def _check_path(address: str) -> None:
    path = Path(address)
    if not address or address.isdigit():
        raise ValueError(_FORMS)
    if len(os.fsencode(address)) > _MAX_UNIX_BYTES:
        raise ValueError(f"longer than the {_MAX_UNIX_BYTES} bytes that a unix socket's path may have")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"there is no directory {path.parent}")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise ValueError(f"this user may not write in {path.parent}")
    if path.exists():
        _check_replaceable(path)


def _check_replaceable(path: Path) -> None:
    """uWSGI removes whatever lies at the path: not a file of somebody else, nor the socket of a living server."""
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise ValueError("that is a file, not a socket; remove it or use another path")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, PermissionError):
            return
        except BlockingIOError:
            pass
    raise ValueError("another server listens there")
