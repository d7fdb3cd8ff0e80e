"""Send a signal to any server that speaks the uwsgi protocol: uWSGI, or another heliograph."""

from __future__ import annotations

import math
import socket
import time

from heliograph._core.signals.packet import PACKET_SIZE, NotUwsgi, decode_answer, encode_signal
from heliograph._core.signals.registry import check_num
from heliograph.exceptions import RemoteRejected, RemoteUnreachable


def send_signal(num: int, remote: str, timeout: float = 5.0) -> None:
    """Raise signal `num` (0-255) on the server at `remote`, within `timeout` seconds in all.

    `remote` is `"host:port"` (`"[::1]:3031"` for IPv6), or the path of a unix socket (it has a slash, or no colon).
    Raises `SignalNumberError` or `SignalTypeError` for the number, `ValueError` for the timeout, `RemoteRejected`
    where the server answers no, and `RemoteUnreachable` where there is no connection, no answer in time, or the
    answer of another protocol. Whether a signal without an answer was taken is not known.
    """
    check_num(num)
    if not (math.isfinite(timeout) and timeout > 0):
        raise ValueError(f"timeout is in seconds, more than 0, not {timeout!r}")
    deadline = time.monotonic() + timeout
    try:
        with _connect(num, remote, timeout) as sock:
            sock.settimeout(_left(deadline))
            sock.sendall(encode_signal(num))
            taken = decode_answer(_receive(sock, deadline))
    except TimeoutError as error:
        raise RemoteUnreachable(num, remote, f"no answer within {timeout:g} s") from error
    except NotUwsgi as error:
        raise RemoteUnreachable(
            num, remote, f"its answer {error} is not of the uwsgi protocol; is this the server's --socket?"
        ) from error
    except RemoteUnreachable:
        raise
    except OSError as error:
        raise RemoteUnreachable(num, remote, error.strerror or str(error)) from error
    if not taken:
        raise RemoteRejected(num, remote)


def _connect(num: int, remote: str, timeout: float) -> socket.socket:
    if "/" in remote or ":" not in remote:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(timeout)
            sock.connect(remote)
        except BaseException:
            sock.close()
            raise
        return sock
    host, _, port = remote.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise RemoteUnreachable(num, remote, "an address is HOST:PORT, or the path of a unix socket")
    return socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), timeout)


def _receive(sock: socket.socket, deadline: float) -> bytes:
    answer = b""
    while len(answer) < PACKET_SIZE:
        sock.settimeout(_left(deadline))
        chunk = sock.recv(PACKET_SIZE - len(answer))
        if not chunk:
            raise ConnectionResetError(
                0, "the server closed the connection without an answer; is this the server's --socket?"
            )
        answer += chunk
    return answer


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
