"""Guarantees of the hooks of the application's life."""

from __future__ import annotations

from typing import Any

from heliograph.testing.conformance.actions import FIRST, send
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import ALL_PROCESSES, Harness
from heliograph.testing.harness.signals import Handler, Life


def failures() -> list[tuple[Any, ...]]:
    """Return the failures that the hook of this process was told of."""
    from heliograph.testing.harness import app

    return app.FAILURES


@guarantee("L1", reduced_without=[Capability.SERVER])
def test_l1_start_hooks_run_before_the_first_signal(harness: Harness) -> None:
    """A function of `on_start` runs once in each worker, mule and spooler, before its first signal or task."""
    processes = ALL_PROCESSES if harness.can(Capability.MULES) else ["worker1", "worker2"]
    started = harness.expect(len(processes), Life.STARTED)
    assert {event.by for event in started} >= set(processes)
    assert len({(event.by, event.pid) for event in started}) == len(started)
    events = harness.events()
    for start in started if harness.can(Capability.SERVER) else ():
        assert next(event for event in events if (event.by, event.pid) == (start.by, start.pid)) == start


@guarantee("L2", Capability.MULES)
def test_l2_stop_hooks_run_before_the_exit(harness: Harness) -> None:
    """A function of `on_stop` runs once, after the last handler. Its process is replaced, and runs `on_start`."""
    starts, stops = len(harness.events(Life.STARTED)), len(harness.events(Life.STOPPED))
    harness.end_process("mule2")
    assert [event.by for event in harness.expect(1, Life.STOPPED, since=stops)] == ["mule2"]
    assert [event.by for event in harness.expect(1, Life.STARTED, since=starts)] == ["mule2"]


@guarantee("L3")
def test_l3_failure_hooks_get_the_exception_of_a_handler(harness: Harness) -> None:
    """A function of `on_failure` runs in the process of the handler. If it fails, that is logged and no more."""
    since = len(harness.events(Life.FAILED))
    harness.call(FIRST, send, Handler.FAILING)
    (failed,) = harness.expect(1, Life.FAILED, since=since)
    assert failed.last_received == Handler.FAILING
    last = harness.call(failed.by, failures)[-1]
    assert last == (Handler.FAILING, "heliograph.testing.harness.app._failing", "LookupError")
