"""Send a signal to a server from outside: by address in the uwsgi protocol, or to a heliograph server by its name."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from heliograph._core.durations import check_seconds
from heliograph._core.signals.packet import PACKET_SIZE, NotUwsgi, decode_answer, encode_signal
from heliograph._core.signals.registry import check_num
from heliograph.exceptions import RemoteRejected, RemoteUnreachable
from heliograph.ipc.control_client import RequestFailed, request
from heliograph.ipc.instance import find_control_socket
from heliograph.models import MAX_WAIT
from heliograph.settings.addresses import Address

CONTROL_ENV = "HELIOGRAPH_CONTROL"
"""Environment variable with the path of the control socket of a server that was started with `--control`."""

_RETRY_INTERVAL = 0.02
"""Seconds until a signal is sent again if its queue was full."""


def send_signal(num: int, remote: str, timeout: float = 5.0) -> None:
    """Send a signal to the server at an address.

    If the server does not answer in time, it is not known whether it accepted the signal.

    Args:
        num: Number of the signal, 0-255.
        remote: `"host:port"`, `"[::1]:3031"` for IPv6, or the path of a Unix socket (it has a slash, or no colon).
        timeout: Seconds for the whole exchange.

    Raises:
        SignalNumberError: The number is out of range.
        SignalTypeError: The number is not an int.
        ValueError: The timeout is not a positive number.
        RemoteRejected: The server rejected the signal.
        RemoteUnreachable: There was no connection, no answer in time, or an answer of another protocol.
    """
    check_num(num)
    _check_timeout(timeout)
    deadline = time.monotonic() + timeout
    try:
        with Address.parse(remote).connect(_left(deadline)) as sock:
            sock.settimeout(_left(deadline))
            sock.sendall(encode_signal(num))
            taken = decode_answer(_receive(sock, deadline))
    except TimeoutError as error:
        raise RemoteUnreachable(num, remote, f"no answer within {timeout:g} s") from error
    except NotUwsgi as error:
        raise RemoteUnreachable(
            num, remote, f"its answer {error} is not of the uwsgi protocol. Use the server's --socket"
        ) from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise RemoteUnreachable(
            num, remote, f"{error.strerror}. Check the address, and that the server runs with --socket {remote}."
        ) from error
    except OSError as error:
        raise RemoteUnreachable(num, remote, error.strerror or str(error)) from error
    except ValueError as error:
        raise RemoteUnreachable(num, remote, str(error)) from error
    if not taken:
        raise RemoteRejected(num, remote)


def send_to(
    signal: int | str, server: str | None = None, timeout: float = 5.0, *, control: str | Path | None = None
) -> int:
    """Send a signal to a heliograph server of this user on this machine, from any process.

        heliograph.remote.send_to("refresh-prices")

    If its queue is full, this waits for space.

    Args:
        signal: Number or name of the signal, or its handler as `module:function`.
        server: Name of the server. By default the one whose control socket `HELIOGRAPH_CONTROL` names, or the one that
            was started in this directory.
        timeout: Seconds for the whole exchange.
        control: Path of the server's control socket, if it was started with `--control`.

    Returns:
        The number of the signal.

    Raises:
        ConfigError: No such server runs, it has no handler for the signal, or the queue stayed full.
        SignalNumberError: The number is out of range.
        SignalTypeError: The signal is neither a number nor a text.
        ValueError: The timeout is negative, or not a number.
    """
    text = signal if isinstance(signal, str) else str(check_num(signal))
    _check_timeout(timeout or _RETRY_INTERVAL)
    path = _control_of(server, control)
    deadline = time.monotonic() + timeout
    while True:
        left = max(_RETRY_INTERVAL, deadline - time.monotonic())
        try:
            return int(request(path, "send", signal=text, timeout=left)["signal"])
        except RequestFailed as error:
            if error.code != "busy" or time.monotonic() + _RETRY_INTERVAL > deadline:
                raise
        time.sleep(_RETRY_INTERVAL)


def _check_timeout(timeout: float) -> None:
    if not check_seconds("timeout", timeout, sys.float_info.max):
        raise ValueError(f"invalid timeout: {timeout!r}. Pass seconds, more than 0.")


def _control_of(server: str | None, control: str | Path | None) -> Path:
    if control is None and server is None:
        control = os.environ.get(CONTROL_ENV) or None
    return find_control_socket(server) if control is None else Path(control)


def _receive(sock: socket.socket, deadline: float) -> bytes:
    answer = b""
    while len(answer) < PACKET_SIZE:
        sock.settimeout(_left(deadline))
        try:
            chunk = sock.recv(PACKET_SIZE - len(answer))
        except TimeoutError:  # the deadline, or the end of a part of a long wait
            continue
        if not chunk:
            raise ConnectionResetError(
                0, "the server closed the connection without an answer. Use the server's --socket"
            )
        answer += chunk
    return answer


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(left, MAX_WAIT)
