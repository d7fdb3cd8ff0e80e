"""Rows D1-D8: sending and waiting."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from heliograph import Signal, UwsgiconfException, engines
from heliograph.exceptions import (
    NotSupported,
    RemoteRejected,
    RemoteUnreachable,
    SignalNotRegistered,
    SignalQueueFull,
    WaitTimeout,
)
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.conformance.signals import FIRST, send
from heliograph.testing.harness.agent import block_until
from heliograph.testing.harness.harness import Harness, ServerHarness, eventually

BURST = 5_000


def send_many(num: int, count: int, timeout: float = 30.0) -> None:
    """Raise a signal many times, as fast as it goes."""
    signal = Signal(num)
    for _ in range(count):
        signal.send(timeout=timeout)


def fill(num: int, timeout: float) -> tuple[int, float, str]:
    """Raise a signal until it is refused: how many went through, how long the last took, and the error."""
    signal, sent = Signal(num), 0
    while True:
        started = time.monotonic()
        try:
            signal.send(timeout=timeout)
        except SignalQueueFull as error:
            assert isinstance(error, TimeoutError)
            return sent, time.monotonic() - started, str(error)
        sent += 1


def counted(row: str, num: int) -> int:
    """What the engine's counters say."""
    counters: Any = getattr(engines.current(), "counters", None)
    return int(counters.rejected() if row == "rejected" else counters.total(row, num))


@guarantee("D1")
@pytest.mark.parametrize(("num", "copies"), [(10, 1), (16, 2), (22, 1), (24, 2), (20, 1), (30, 1), (35, 1)])
def test_d1_a_burst_loses_nothing(harness: Harness, num: int, copies: int) -> None:
    """Where uWSGI would drop most of it: every signal of a burst is handled, exactly once a receiver."""
    if num != 10 and "mules" not in harness.features:
        pytest.skip("workers only")
    since = len(harness.events(num))
    harness.call(FIRST, send_many, num, BURST)
    harness.expect(BURST * copies, num, since=since)
    assert len(harness.events(num)) == since + BURST * copies


@guarantee("D1", "mules", "server")
def test_d1_several_senders_lose_nothing(harness: ServerHarness) -> None:
    """Workers, the other mule and the spooler at once, to one mule."""
    senders = ["worker1", "worker2", "mule2", "spooler1"]
    since = len(harness.events(22))
    threads = [threading.Thread(target=harness.call, args=(process, send_many, 22, 2_000)) for process in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    harness.expect(8_000, 22, since=since)
    assert len(harness.events(22)) == since + 8_000


@guarantee("D1", "mules", "server")
def test_d1_a_full_queue_holds_the_sender_back_then_refuses(harness: ServerHarness) -> None:
    """The refusal takes the timeout, is counted, and what was accepted before is handled."""
    target_credit = str(harness.directory / f"gate-{time.monotonic_ns()}")
    since, refused = len(harness.events(23)), harness.call(FIRST, counted, "rejected", 0)
    with busy(harness, "mule2", target_credit):
        sent, waited, error = harness.call(FIRST, fill, 23, 0.2)
        assert sent > 50
        assert waited >= 0.2
        assert "'mule2' is full" in error
        assert harness.call(FIRST, counted, "rejected", 0) == refused + 1
    harness.expect(sent, 23, since=since)
    assert len(harness.events(23)) == since + sent


@guarantee("D1", "mules", "server")
def test_d1_a_full_queue_does_not_hold_back_others(harness: ServerHarness) -> None:
    """With mule 2 full, mule 1 still gets its signals."""
    target_credit = str(harness.directory / f"gate-{time.monotonic_ns()}")
    since = len(harness.events(22))
    with busy(harness, "mule2", target_credit):
        harness.call(FIRST, fill, 23, 0.05)
        harness.call(FIRST, send_many, 22, 500)
        harness.expect(500, 22, since=since)


@guarantee("D1", "mules", "server")
def test_d1_who_could_only_wait_for_itself_is_told_at_once(harness: ServerHarness) -> None:
    """A handler of mule 1 fills the queue that only it reads; what it sent is handled afterwards."""
    since = len(harness.events(22))
    sent, waited, error = harness.handle("mule1", fill, 22, 20.0)
    assert waited < 10
    assert "only this process reads that queue" in error
    harness.expect(sent, 22, since=since)
    assert len(harness.events(22)) == since + sent


@guarantee("D1", "mules", "server")
def test_d1_signals_that_others_raise_do_not_upset_the_count(harness: ServerHarness) -> None:
    """Hundreds from outside, more than a buffer holds in all, and the sender is neither blocked nor let loose."""
    since = len(harness.events(22))
    for sent in range(1, 401):
        Signal(22).send(remote=harness.remote)
        if sent % 100 == 0:  # nobody holds these back: more at once would be lost where the mule comes to nothing
            harness.expect(sent, 22, since=since)
    harness.call(FIRST, send_many, 22, BURST)
    harness.expect(400 + BURST, 22, since=since)
    assert len(harness.events(22)) == since + 400 + BURST


@guarantee("D1", "mules", "server")
def test_d1_a_receiver_that_is_killed_does_not_block_senders(harness: ServerHarness) -> None:
    """Killed again and again under load: what it had in hand may go (D3), senders never stop for good."""
    done = threading.Thread(target=harness.call, args=(FIRST, send_many, 64, 20_000))
    done.start()
    for _ in range(5):
        before = harness.kill("mule2")
        harness.await_successor("mule2", before)
    done.join(30)
    assert not done.is_alive()
    since = len(harness.events(64))
    harness.call(FIRST, send_many, 64, 1_000)
    harness.expect(1_000, 64, since=since)


@contextmanager
def busy(harness: Harness, process: str, target_credit: str) -> Generator[None]:
    """Keep a process busy within a handler while the block runs."""
    started = f"{target_credit}-started"
    thread = threading.Thread(target=_hold, args=(harness, process, started, target_credit))
    thread.start()
    try:
        eventually(f"{process} to be busy", Path(started).exists)
        yield
    finally:
        Path(target_credit).touch()
        thread.join()


def _hold(harness: Harness, process: str, started: str, target_credit: str) -> None:
    with contextlib.suppress(EOFError, OSError):  # it may be replaced before it answers
        harness.handle(process, signal_and_hold, started, target_credit)


def signal_and_hold(started: str, target_credit: str) -> None:
    """Say that the handler runs, and keep it running."""
    Path(started).touch()
    block_until(target_credit)


def error_of_send(num: int) -> str:
    """What `send()` raises."""
    try:
        Signal(num).send()
    except UwsgiconfException as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


@guarantee("D2")
@pytest.mark.parametrize("process", ["worker1", "mule1"])
def test_d2_an_unregistered_number_is_an_error_in_the_sender(harness: Harness, process: str) -> None:
    """And costs no receiver anything."""
    if process == "mule1" and "mules" not in harness.features:
        pytest.skip("workers only")
    said = harness.call(process, error_of_send, 250)
    assert said.startswith(SignalNotRegistered.__name__) and "250" in said


def wait_for(num: int, started: str) -> int:
    """Wait for a signal, and return its number when it has come."""
    Path(started).touch()
    Signal(num).wait()
    return num


def wait_any(started: str) -> int:
    """Wait for any signal: which it was."""
    Path(started).touch()
    return int(Signal.wait_any())


@contextmanager
def waiting(harness: Harness, process: str, func: Any, *args: Any) -> Generator[list[Any]]:
    """Let a process wait within a handler; gives the list that its result goes to when the block ends."""
    result: list[Any] = []
    started = str(harness.directory / f"waits-{time.monotonic_ns()}")
    thread = threading.Thread(target=lambda: result.append(harness.handle(process, func, *args, started)))
    thread.start()
    try:
        eventually(f"{process} to wait", Path(started).exists)
        yield result
        thread.join(20)
        assert not thread.is_alive()
    finally:
        thread.join(1)


@guarantee("D2", "server", "serial workers")
def test_d2_an_unregistered_number_is_delivered_to_who_waits(harness: ServerHarness) -> None:
    """From another worker, although either worker could have got it."""
    with waiting(harness, "worker1", wait_for, 250) as result:
        harness.call("worker2", _send_when_awaited, 250)
    assert result == [250]


def _send_when_awaited(num: int) -> None:
    """Send as soon as somebody waits: a wait that has not begun is no wait."""
    deadline = time.monotonic() + 10
    while True:
        try:
            Signal(num).send()
        except SignalNotRegistered:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.002)
        else:
            return


@guarantee("D3", "redelivery")
def test_d3_what_a_killed_process_had_in_hand_is_given_out_again(harness: ServerHarness) -> None:
    """To its successor; what waited behind it follows in its order."""
    since, others = len(harness.events(65)), len(harness.events(43))
    harness.call(FIRST, send, 65)
    harness.expect(1, 65, since=since)
    harness.call(FIRST, send_many, 43, 10)
    before = harness.kill("mule2")
    (harness.directory / "let-go").touch()
    again = harness.expect(2, 65, since=since)[1]
    assert again.by == "mule2"
    assert again.pid != before
    harness.expect(10, 43, since=others)
    assert len(harness.events(65)) == since + 2
    assert len(harness.events(43)) == others + 10


@guarantee("D4", "redelivery")
def test_d4_a_reload_loses_nothing_and_fires_nothing_twice(harness: ServerHarness) -> None:
    """Signals that wait in a busy mule's queue outlive it, and a one-shot timer has fired once and for all."""
    assert harness.server is not None
    harness.expect(3, 71)
    target_credit = str(harness.directory / f"gate-{time.monotonic_ns()}")
    since = len(harness.events(23))
    before = {process: harness.pid(process) for process in ("worker1", "worker2", "mule1", "mule2", "spooler1")}
    with busy(harness, "mule2", target_credit):
        harness.call(FIRST, send_many, 23, 2_000)
        os.kill(harness.server.pid, signal.SIGHUP)
        harness.await_successor("worker1", before["worker1"])
    for process, pid in before.items():
        harness.await_successor(process, pid)
    harness.call(FIRST, send_many, 23, 10)
    harness.expect(2_010, 23, since=since)
    assert len(harness.events(23)) == since + 2_010
    assert len(harness.events(71)) == 3


@guarantee("D5", "mules", "server")
@pytest.mark.parametrize(("process", "num", "other"), [("worker2", 15, 41), ("mule1", 22, 42)])
def test_d5_wait_returns_when_it_arrives(harness: ServerHarness, process: str, num: int, other: int) -> None:
    """Other handlers run meanwhile, its own runs first."""
    if process == "worker2" and "serial workers" not in harness.features:
        pytest.skip("another thread of the worker may take it")
    others, own = len(harness.events(other)), len(harness.events(num))
    with waiting(harness, process, wait_for, num) as result:
        harness.call(FIRST, send, other)
        harness.expect(1, other, since=others)
        assert not result
        harness.call(FIRST, send, num)
    assert result == [num]
    assert len(harness.events(num)) == own + 1


@guarantee("D5", "mules", "server", "limited wait")
def test_d5_a_wait_can_be_limited(harness: ServerHarness) -> None:
    """In seconds; then a `TimeoutError`."""
    error = harness.call("mule1", wait_limited, 0.2)
    assert isinstance(error, WaitTimeout)


def wait_limited(timeout: float | None) -> Any:
    """What a limited wait raises."""
    try:
        Signal(22).wait(timeout=timeout)
    except UwsgiconfException as error:
        return error
    return None


@guarantee("D5", "uwsgi")
def test_d5_uwsgi_cannot_limit_a_wait_and_says_so(harness: ServerHarness) -> None:
    """`NotSupported`, at once."""
    assert isinstance(harness.call(FIRST, wait_limited, 0.2), NotSupported)


@guarantee("D5", "threads")
def test_d5_a_wait_that_another_thread_would_miss_is_refused(harness: ServerHarness) -> None:
    """On uWSGI with `--threads` every thread of a worker takes signals."""
    assert isinstance(harness.call("worker1", wait_limited, None), NotSupported)


@guarantee("D5", "mules", "uwsgi")
def test_d5_waiting_where_it_never_arrives_is_refused(harness: ServerHarness) -> None:
    """A signal for worker 2 cannot arrive in mule 1: no wait for ever."""
    assert isinstance(harness.call("mule1", wait_for_elsewhere), NotSupported)


def wait_for_elsewhere() -> Any:
    """What waiting for another process's signal raises."""
    try:
        Signal(15).wait()
    except UwsgiconfException as error:
        return error
    return None


@guarantee("D6", "mules", "server")
def test_d6_wait_any_returns_the_signal(harness: ServerHarness) -> None:
    """Whichever it is."""
    with waiting(harness, "mule1", wait_any) as result:
        harness.call(FIRST, send, 42)
    assert result == [42]


@contextmanager
def answering(answer: bytes | None) -> Generator[tuple[str, list[bytes]]]:
    """A server that reads one packet and answers so; None: it never does."""
    got: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer_once, args=(server, answer, got), daemon=True)
        thread.start()
        host, port = server.getsockname()
        yield f"{host}:{port}", got
        thread.join(10)


def _answer_once(server: socket.socket, answer: bytes | None, got: list[bytes]) -> None:
    peer, _ = server.accept()
    with peer:
        got.append(peer.recv(16))
        if answer is None:
            peer.recv(1)
        else:
            peer.sendall(answer)


def send_remote(num: int, remote: str, timeout: float) -> Any:
    """What sending to another server raises; None if nothing."""
    try:
        Signal(num).send(remote=remote, timeout=timeout)
    except UwsgiconfException as error:
        return error
    return None


@guarantee("D8")
def test_d8_the_packet_and_its_answers(harness: Harness) -> None:
    """`6e 00 00 NN`; 01 is taken, 00 is a `ValueError`, anything else an `OSError`."""
    with answering(b"\xff\0\0\1") as (remote, got):
        assert harness.call(FIRST, send_remote, 17, remote, 10.0) is None
    assert got == [b"\x6e\0\0\x11"]
    with answering(b"\xff\0\0\0") as (remote, _):
        error = harness.call(FIRST, send_remote, 17, remote, 10.0)
    assert isinstance(error, RemoteRejected) and isinstance(error, ValueError)
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (remote, _):
        error = harness.call(FIRST, send_remote, 17, remote, 10.0)
    assert isinstance(error, RemoteUnreachable) and isinstance(error, OSError)


@guarantee("D8")
def test_d8_no_server_or_no_answer_is_an_os_error(harness: Harness) -> None:
    """Nobody there, nobody answering in time, no such socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = "{}:{}".format(*server.getsockname())
    assert isinstance(harness.call(FIRST, send_remote, 17, gone, 10.0), OSError)
    with answering(None) as (remote, _):
        assert isinstance(harness.call(FIRST, send_remote, 17, remote, 0.2), OSError)
    assert isinstance(harness.call(FIRST, send_remote, 17, str(harness.directory / "nowhere"), 10.0), OSError)


@guarantee("D8", "local")
@pytest.mark.parametrize("num", [23, 250])
def test_d8_our_own_listener_refuses_what_is_not_allowed(harness: ServerHarness, num: int) -> None:
    """A number that is not registered, and one that may not be raised from outside, are answered 00."""
    since = len(harness.events(num))
    with pytest.raises(RemoteRejected):
        Signal(num).send(remote=harness.remote)
    assert len(harness.events(num)) == since


@guarantee("D8", "mules", "server")
def test_d8_a_real_server_takes_it(harness: ServerHarness) -> None:
    """From a process of another kind, over the socket."""
    since = len(harness.events(22))
    Signal(22).send(remote=harness.remote)
    assert harness.expect(1, 22, since=since)[0].by == "mule1"
