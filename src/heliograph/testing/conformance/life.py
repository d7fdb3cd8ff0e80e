"""Guarantees of the hooks of the application's life."""

from __future__ import annotations

from typing import Any

from heliograph.testing.conformance.actions import FIRST, send
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.conformance.task_actions import finish, put, text_of
from heliograph.testing.harness.agent import Event
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import ALL_PROCESSES, Harness, eventually
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
    harness.handle("mule2", failures)  # it runs, also if an earlier test has killed it
    before = _events_of("mule2", harness)
    harness.end_process("mule2")
    eventually("the successor of mule 2", lambda: len(_events_of("mule2", harness)) >= len(before) + 2)
    stopped, started = _events_of("mule2", harness)[len(before) :][:2]
    assert (stopped.num, started.num) == (Life.STOPPED, Life.STARTED)
    assert stopped.pid == before[-1].pid


def _events_of(process: str, harness: Harness) -> list[Event]:
    """Return the starts and ends of a process."""
    return [event for event in harness.events(Life.STARTED, Life.STOPPED) if event.by == process]


@guarantee("L3")
def test_l3_failure_hooks_get_the_exception_of_a_handler(harness: Harness) -> None:
    """A function of `on_failure` runs in the process of the handler. If it fails, that is logged and no more."""
    since = len(harness.events(Life.FAILED))
    harness.call(FIRST, send, Handler.FAILING)
    (failed,) = harness.expect(1, Life.FAILED, since=since)
    assert failed.last_received == Handler.FAILING
    last = harness.call(failed.by, failures)[-1]
    assert last == (Handler.FAILING, "heliograph.testing.harness.app._failing", "LookupError", True)


@guarantee("L3", Capability.MULES)
def test_l3_failure_hooks_get_each_failed_attempt_of_a_task(harness: Harness) -> None:
    """They know if the task has another attempt."""
    task_id = put(harness, "fail_until", 9, text_of("told"))
    finish(harness, task_id)

    def told() -> list[tuple[Any, ...]]:
        found = harness.call("mule1", failures)
        return [facts for facts in found if isinstance(facts[0], tuple) and facts[0][0] == task_id]

    eventually("three failures", lambda: len(told()) == 3)
    name, error = "heliograph.testing.harness.tasks:fail_until", "LookupError"
    assert told() == [((task_id, attempt), name, error, attempt == 3) for attempt in (1, 2, 3)]
