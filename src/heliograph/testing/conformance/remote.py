"""Guarantee D8: signals to and from other servers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from heliograph import Signal
from heliograph.exceptions import RemoteRejected, RemoteUnreachable
from heliograph.testing.conformance.actions import FIRST, error_of_send, send
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import Harness
from heliograph.testing.harness.server import ServerHarness
from heliograph.testing.harness.signals import SecondTo, To, Unregistered


def send_remote(num: int, remote: str, timeout: float) -> Any:
    """Send a signal to another server. Return the exception that this raises, or None."""
    return error_of_send(num, remote=remote, timeout=timeout)


@contextmanager
def answering(answer: bytes | None) -> Generator[tuple[str, list[bytes]]]:
    """Run a server that receives one packet and sends this answer, or none. Give its address and the packets."""
    packets: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_once, args=(server, answer, packets), daemon=True)
        thread.start()
        host, port = server.getsockname()
        yield f"{host}:{port}", packets
        thread.join(10)


def _answer_once(server: socket.socket, answer: bytes | None, packets: list[bytes]) -> None:
    peer, _ = server.accept()
    with peer:
        packets.append(peer.recv(16))
        if answer is None:
            peer.recv(1)
        else:
            peer.sendall(answer)


@guarantee("D8")
def test_d8_the_answer_of_a_server_decides_the_result(harness: Harness) -> None:
    """The packet is `6e 00 00 NN`. The answer 01 means accepted, 00 a `ValueError`, anything else an `OSError`."""
    with answering(b"\xff\0\0\1") as (remote, packets):
        assert harness.call(FIRST, send_remote, 17, remote, 10.0) is None
    assert packets == [b"\x6e\0\0\x11"]
    with answering(b"\xff\0\0\0") as (remote, _):
        error = harness.call(FIRST, send_remote, 17, remote, 10.0)
    assert isinstance(error, RemoteRejected) and isinstance(error, ValueError)
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (remote, _):
        error = harness.call(FIRST, send_remote, 17, remote, 10.0)
    assert isinstance(error, RemoteUnreachable) and isinstance(error, OSError)


@guarantee("D8")
def test_d8_a_server_that_does_not_answer_is_an_error(harness: Harness) -> None:
    """An `OSError`: if nobody listens, if no answer arrives within the timeout, or if the socket does not exist."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = "{}:{}".format(*server.getsockname())
    assert isinstance(harness.call(FIRST, send_remote, 17, closed, 10.0), OSError)
    with answering(None) as (remote, _):
        assert isinstance(harness.call(FIRST, send_remote, 17, remote, 0.2), OSError)
    assert isinstance(harness.call(FIRST, send_remote, 17, str(harness.directory / "nowhere"), 10.0), OSError)


@guarantee("D8", Capability.LOCAL)
@pytest.mark.parametrize("num", [To.MULE_2, Unregistered.AWAITED])
def test_d8_an_external_signal_that_is_not_allowed_is_rejected(harness: ServerHarness, num: int) -> None:
    """The heliograph server answers 00 for numbers that are unregistered or not allowed from outside."""
    _handle_all_of_mule_2(harness)  # also what earlier tests have sent
    since = len(harness.events(num))
    with pytest.raises(RemoteRejected):
        Signal(num).send(remote=harness.remote)
    _handle_all_of_mule_2(harness)
    assert len(harness.events(num)) == since


def _handle_all_of_mule_2(harness: Harness) -> None:
    """Wait until mule 2 has handled everything that is in its queue now."""
    since = len(harness.events(SecondTo.MULE_2))
    harness.call(FIRST, send, SecondTo.MULE_2)
    harness.expect(1, SecondTo.MULE_2, since=since)


@guarantee("D8", Capability.MULES, Capability.SERVER)
def test_d8_a_real_server_accepts_external_signals(harness: ServerHarness) -> None:
    """From a process that does not belong to the server, over the socket."""
    since = len(harness.events(To.MULE_1))
    Signal(To.MULE_1).send(remote=harness.remote)
    assert harness.expect(1, To.MULE_1, since=since)[0].by == "mule1"
