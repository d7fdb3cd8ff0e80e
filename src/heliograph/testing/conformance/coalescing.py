"""Guarantee D10: handlers that run once for all queued signals of their number."""

from __future__ import annotations

from typing import Any

from heliograph import Signal, engines
from heliograph.testing.conformance.actions import FIRST, send, send_many
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import Harness, eventually
from heliograph.testing.harness.signals import Handler, SecondTo

_SENT = 50
"""Signals that fit into a queue of uWSGI, with some others."""


def count_coalesced(num: int) -> int:
    """Return how many signals of a number were included in a run for another one."""
    engine: Any = engines.current()
    counters = getattr(engine, "counters", None)
    return int(engine.coalesced[num] if counters is None else counters.total("coalesced", num))


def send_for(num: int, seconds: float) -> tuple[int, float]:
    """Send a signal about 500 times a second. Return how many were sent, and the time of the last one."""
    clock, sent = engines.current().clock, 0
    end = clock.monotonic() + seconds
    while True:
        last = clock.monotonic()
        Signal(num).send(timeout=30.0)
        sent += 1
        if last >= end:
            return sent, last
        clock.sleep(0.002)


@guarantee("D10", Capability.MULES, Capability.COALESCED_HANDLERS)
def test_d10_a_coalescing_handler_runs_once_for_all_that_are_queued(harness: Harness) -> None:
    """With `coalesce=True`. The others are counted as coalesced. Handlers of other signals run once for each."""
    num = Handler.COALESCED
    since, others = len(harness.events(num)), len(harness.events(SecondTo.MULE_1))
    coalesced = harness.call(FIRST, count_coalesced, num)
    with harness.busy("mule1"):
        harness.call(FIRST, send_many, num, _SENT)
        harness.call(FIRST, send_many, SecondTo.MULE_1, 10)
        if harness.can(Capability.SERVER):  # uWSGI has passed on everything when it passes on this
            marker = len(harness.events(SecondTo.MULE_2))
            harness.call(FIRST, send, SecondTo.MULE_2)
            harness.expect(1, SecondTo.MULE_2, since=marker)
    harness.expect(10, SecondTo.MULE_1, since=others)
    harness.expect(1, num, since=since)
    eventually("the counter", lambda: harness.call(FIRST, count_coalesced, num) == coalesced + _SENT - 1)
    assert len(harness.events(num)) == since + 1
    assert len(harness.events(SecondTo.MULE_1)) == others + 10


@guarantee("D10", Capability.MULES, Capability.COALESCED_HANDLERS)
def test_d10_a_run_starts_after_the_last_signal_was_sent(harness: Harness) -> None:
    """In each receiver. Every signal is handled or counted as coalesced."""
    num = Handler.COALESCED_BY_ALL
    since, coalesced = len(harness.events(num)), harness.call(FIRST, count_coalesced, num)
    sent, last = harness.call("mule2", send_for, num, 0.3)

    def latest() -> set[str]:
        return {event.by for event in harness.events(num)[since:] if event.time >= last}

    eventually("a run in each worker after the last signal", lambda: latest() == {"worker1", "worker2"})
    runs = len(harness.events(num)) - since
    assert runs + harness.call(FIRST, count_coalesced, num) - coalesced == 2 * sent


@guarantee("D10", Capability.MULES, Capability.COALESCED_HANDLERS)
def test_d10_a_process_of_a_pool_runs_it_once_for_those_it_takes(harness: Harness) -> None:
    """Every signal to the pool is handled or counted as coalesced."""
    num = Handler.COALESCED_BY_ONE
    since, coalesced = len(harness.events(num)), harness.call(FIRST, count_coalesced, num)
    sent, last = harness.call(FIRST, send_for, num, 0.1)
    eventually("a run after the last signal", lambda: any(e.time >= last for e in harness.events(num)[since:]))

    def all_counted() -> bool:
        runs = len(harness.events(num)) - since
        return bool(runs + harness.call(FIRST, count_coalesced, num) - coalesced == sent)

    eventually("all to be counted", all_counted)
