"""Guarantees D1-D4: bursts, full queues, killed processes and reloads."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest

from heliograph import Signal, engines
from heliograph.exceptions import SignalNotRegistered, SignalQueueFull
from heliograph.testing.conformance.actions import FIRST, error_of_send, send, send_many
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import ALL_PROCESSES, Harness
from heliograph.testing.harness.server import ServerHarness
from heliograph.testing.harness.signals import Handler, SecondTo, To, Triggered, Unregistered

BURST = 5_000
BURST_TARGETS: dict[int, int] = {
    To.DEFAULT: 1,
    To.ALL_WORKERS: 2,
    To.MULE_1: 1,
    To.ALL_MULES: 2,
    To.ANY_MULE: 1,
    To.FARM_1: 1,
    To.SPOOLER: 1,
}
"""Signal -> number of processes that handle it."""


def fill(num: int, timeout: float) -> tuple[int, float, str]:
    """Send a signal until the queue is full.

    Returns:
        The number of accepted signals, the seconds that the rejection took, and its message.
    """
    signal, sent = Signal(num), 0
    while True:
        started = time.monotonic()
        try:
            signal.send(timeout=timeout)
        except SignalQueueFull as error:
            assert isinstance(error, TimeoutError)
            return sent, time.monotonic() - started, str(error)
        sent += 1


def count_rejected() -> int:
    """Return how many sends the engine has rejected."""
    counters: Any = getattr(engines.current(), "counters", None)
    return int(counters.rejected())


@guarantee("D1", reduced_without=[Capability.MULES])
@pytest.mark.parametrize(("num", "copies"), BURST_TARGETS.items())
def test_d1_a_burst_loses_nothing(harness: Harness, num: int, copies: int) -> None:
    """Each receiver handles every signal of a burst exactly once. uWSGI alone would drop most of them."""
    if num != To.DEFAULT and not harness.can(Capability.MULES):
        pytest.skip("this target needs mules")
    since = len(harness.events(num))
    harness.call(FIRST, send_many, num, BURST)
    harness.expect(BURST * copies, num, since=since)
    assert len(harness.events(num)) == since + BURST * copies


@guarantee("D1", Capability.MULES, Capability.SERVER)
def test_d1_several_senders_lose_nothing(harness: ServerHarness) -> None:
    """Both workers, a mule and the spooler send to the other mule at the same time."""
    senders = ["worker1", "worker2", "mule2", "spooler1"]
    since = len(harness.events(To.MULE_1))
    threads = [threading.Thread(target=harness.call, args=(name, send_many, To.MULE_1, 2_000)) for name in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    harness.expect(8_000, To.MULE_1, since=since)
    assert len(harness.events(To.MULE_1)) == since + 8_000


@guarantee("D1", Capability.MULES, Capability.SERVER)
def test_d1_a_full_queue_blocks_the_sender_until_its_timeout(harness: ServerHarness) -> None:
    """Then the send is rejected and counted. Every accepted signal is handled."""
    since, rejected = len(harness.events(To.MULE_2)), harness.call(FIRST, count_rejected)
    with harness.busy("mule2"):
        sent, seconds, message = harness.call(FIRST, fill, To.MULE_2, 0.2)
        assert sent > 50
        assert seconds >= 0.2
        assert "'mule2' is full" in message
        assert harness.call(FIRST, count_rejected) == rejected + 1
    harness.expect(sent, To.MULE_2, since=since)
    assert len(harness.events(To.MULE_2)) == since + sent


@guarantee("D1", Capability.MULES, Capability.SERVER)
def test_d1_a_full_queue_does_not_block_signals_to_others(harness: ServerHarness) -> None:
    """If the queue of mule 2 is full, mule 1 still receives signals."""
    since, others = len(harness.events(To.MULE_1)), len(harness.events(To.MULE_2))
    with harness.busy("mule2"):
        sent, _, _ = harness.call(FIRST, fill, To.MULE_2, 0.05)
        harness.call(FIRST, send_many, To.MULE_1, 500)
        harness.expect(500, To.MULE_1, since=since)
    harness.expect(sent, To.MULE_2, since=others)


@guarantee("D1", Capability.MULES, Capability.SERVER)
def test_d1_a_process_that_fills_its_own_queue_is_rejected_at_once(harness: ServerHarness) -> None:
    """Only this process could empty the queue, so it does not wait. It handles the accepted signals afterwards."""
    since = len(harness.events(To.MULE_1))
    sent, seconds, message = harness.handle("mule1", fill, To.MULE_1, 20.0)
    assert seconds < 10
    assert "only this process could empty it" in message
    harness.expect(sent, To.MULE_1, since=since)
    assert len(harness.events(To.MULE_1)) == since + sent


@guarantee("D1", Capability.MULES, Capability.SERVER)
def test_d1_external_signals_do_not_change_the_capacity(harness: ServerHarness) -> None:
    """After more external signals than a queue holds, a sender neither stops nor sends too much."""
    since = len(harness.events(To.MULE_1))
    for sent in range(1, 401):
        Signal(To.MULE_1).send(remote=harness.remote)
        if sent % 100 == 0:  # uWSGI drops external signals if the mule does not keep up.
            harness.expect(sent, To.MULE_1, since=since)
    harness.call(FIRST, send_many, To.MULE_1, BURST)
    harness.expect(400 + BURST, To.MULE_1, since=since)
    assert len(harness.events(To.MULE_1)) == since + 400 + BURST


@guarantee("D1", Capability.MULES, Capability.SERVER)
def test_d1_a_killed_receiver_does_not_block_senders(harness: ServerHarness) -> None:
    """A mule is killed several times under load. Its unfinished signal may be lost (D3), but senders continue."""
    num = Handler.IN_KILLED_MULE
    sender = threading.Thread(target=harness.call, args=(FIRST, send_many, num, 20_000))
    sender.start()
    for _ in range(5):
        before = harness.kill("mule2")
        harness.await_successor("mule2", before)
    sender.join(30)
    assert not sender.is_alive()
    since = len(harness.events(num))
    harness.call(FIRST, send_many, num, 1_000)
    harness.expect(1_000, num, since=since)


@guarantee("D2")
@pytest.mark.parametrize("process", ["worker1", "mule1"])
def test_d2_an_unregistered_number_is_an_error_in_the_sender(harness: Harness, process: str) -> None:
    """No process receives the signal."""
    if process == "mule1" and not harness.can(Capability.MULES):
        pytest.skip("the server has no mules")
    error = harness.call(process, error_of_send, Unregistered.AWAITED)
    assert isinstance(error, SignalNotRegistered) and str(int(Unregistered.AWAITED)) in str(error)


@guarantee("D3", Capability.REDELIVERY)
def test_d3_the_unfinished_signals_of_a_killed_process_are_redelivered(harness: ServerHarness) -> None:
    """Its successor handles them first, then the queued signals in their order."""
    num, other = Handler.BLOCKING, SecondTo.MULE_2
    since, others = len(harness.events(num)), len(harness.events(other))
    harness.call(FIRST, send, num)
    harness.expect(1, num, since=since)
    harness.call(FIRST, send_many, other, 10)
    before = harness.kill("mule2")
    harness.unblock_file.touch()
    again = harness.expect(2, num, since=since)[1]
    assert again.by == "mule2"
    assert again.pid != before
    harness.expect(10, other, since=others)
    assert len(harness.events(num)) == since + 2
    assert len(harness.events(other)) == others + 10


@guarantee("D4", Capability.REDELIVERY)
def test_d4_a_reload_loses_nothing_and_fires_nothing_twice(harness: ServerHarness) -> None:
    """The successor of a busy mule handles the queued signals. A timer that has ended does not fire again."""
    assert harness.server is not None
    harness.expect(3, Triggered.THREE_TIMES)
    since = len(harness.events(To.MULE_2))
    before = {process: harness.pid(process) for process in ALL_PROCESSES}
    with harness.busy("mule2"):
        harness.call(FIRST, send_many, To.MULE_2, 2_000)
        os.kill(harness.server.pid, signal.SIGHUP)
        harness.await_successor("worker1", before["worker1"])
    for process, pid in before.items():
        harness.await_successor(process, pid)
    harness.call(FIRST, send_many, To.MULE_2, 10)
    harness.expect(2_010, To.MULE_2, since=since)
    assert len(harness.events(To.MULE_2)) == since + 2_010
    assert len(harness.events(Triggered.THREE_TIMES)) == 3
