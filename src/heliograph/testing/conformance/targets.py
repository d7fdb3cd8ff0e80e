"""Rows T1-T10: what a target means."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph import Farm, Mule, uwsgi
from heliograph.exceptions import SignalTypeError, TargetError
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.conformance.signals import FIRST, last_received, loaded, send
from heliograph.testing.harness.agent import block_until
from heliograph.testing.harness.harness import Harness, ServerHarness, eventually

WORKERS = {"worker1", "worker2"}
MULES = {"mule1", "mule2"}


def handled(harness: Harness, num: int, count: int, sender: str = FIRST) -> list[str]:
    """Raise a signal and say who handled it; wait for as many as are due."""
    since = len(harness.events(num))
    harness.call(sender, send, num)
    return sorted(event.by for event in harness.expect(count, num, since=since))


@guarantee("T1")
@pytest.mark.parametrize("num", [10, 11, 12, 13])
def test_t1_worker_is_the_first_available(harness: Harness, num: int) -> None:
    """`None`, `""`, `worker` and `worker0`: one worker."""
    assert set(handled(harness, num, 1)) <= WORKERS


@guarantee("T2", "mules")
def test_t2_worker_n_is_that_worker(harness: Harness) -> None:
    """Whoever sends."""
    assert handled(harness, 14, 1) == ["worker1"]
    assert handled(harness, 15, 1) == ["worker2"]
    assert handled(harness, 15, 1, "mule1") == ["worker2"]


@guarantee("T3", "mules")
def test_t3_workers_are_each_once(harness: Harness) -> None:
    """Each worker gets its own."""
    assert handled(harness, 16, 2) == ["worker1", "worker2"]


@guarantee("T3", "mules", "server")
def test_t3_a_worker_that_is_down_gets_it_when_it_is_up(harness: ServerHarness) -> None:
    """Killed before, and started again: its signal waited."""
    since = len(harness.events(16))
    before = harness.kill("worker2")
    harness.call(FIRST, send, 16)
    harness.await_successor("worker2", before)
    assert sorted(event.by for event in harness.expect(2, 16, since=since)) == ["worker1", "worker2"]


@guarantee("T4", "mules")
def test_t4_active_workers_are_each_that_runs(harness: Harness) -> None:
    """Both run."""
    assert handled(harness, 17, 2) == ["worker1", "worker2"]


@guarantee("T5", "mules")
def test_t5_mules(harness: Harness) -> None:
    """`mule`, `mule0`, `muleN`, `mules`, `Mule(1)` and the number 2."""
    assert set(handled(harness, 20, 1) + handled(harness, 21, 1)) <= MULES
    assert handled(harness, 22, 1) == ["mule1"]
    assert handled(harness, 23, 1) == ["mule2"]
    assert handled(harness, 24, 2) == ["mule1", "mule2"]
    assert handled(harness, 25, 1) == ["mule1"]
    assert handled(harness, 26, 1) == ["mule2"]


@guarantee("T6", "mules")
@pytest.mark.parametrize("num", [30, 31, 32])
def test_t6_a_farm_is_one_of_its_mules(harness: Harness, num: int) -> None:
    """By number, by name, as an object."""
    assert set(handled(harness, num, 1)) <= MULES


@guarantee("T7", "mules")
def test_t7_spooler(harness: Harness) -> None:
    """The first available spooler."""
    assert handled(harness, 35, 1) == ["spooler1"]


@guarantee("T8")
@pytest.mark.parametrize("text", ["bogus", "workerx", "worker-1", "worker01", "x" * 64])
def test_t8_what_is_no_target_is_refused_at_registration(harness: Harness, text: str) -> None:
    """The error lists what there is; nothing is registered."""
    error = harness.call(FIRST, loaded, f"target {text}")
    assert isinstance(error, TargetError) and error.target == text
    assert text in str(error)
    if len(text) < 64:
        assert "worker" in error.available


@guarantee("T8")
@pytest.mark.parametrize("text", ["mule9", "worker9", "farm9", "farm_none"])
def test_t8_what_this_server_does_not_have_is_refused_at_registration(harness: Harness, text: str) -> None:
    """T2 and T8: N above the count, a farm that nobody named."""
    error = harness.call(FIRST, loaded, f"target {text}")
    assert isinstance(error, TargetError)
    assert "worker1" in error.available
    assert harness.call(FIRST, loaded, "half done") == (False, False)


@guarantee("T8")
@pytest.mark.parametrize("text", ["True", "1.5", "b'worker'"])
def test_t8_what_cannot_be_a_target_is_a_type_error(harness: Harness, text: str) -> None:
    """Bools, floats and bytes."""
    assert isinstance(harness.call(FIRST, loaded, f"target {text}"), SignalTypeError)


def send_each(nums: list[int]) -> None:
    """Raise these signals, in this order."""
    for num in nums:
        send(num)


@guarantee("T9", "mules")
@pytest.mark.parametrize(("process", "first", "second"), [("mule1", 22, 42), ("worker2", 15, 41), ("spooler1", 35, 44)])
def test_t9_first_in_first_out(harness: Harness, process: str, first: int, second: int) -> None:
    """What one sender raises for one receiver arrives in order."""
    if process == "worker2" and "serial workers" not in harness.features:
        pytest.skip("two threads of the worker run them side by side")
    order = [first, second, second, first, second, first, first, second] * 25
    since = len(harness.events(first, second))
    harness.call(FIRST, send_each, order)
    events = harness.expect(len(order), first, second, since=since)
    assert [event.num for event in events] == order
    assert {event.by for event in events} == {process}


@guarantee("T10", "mules", "server")
def test_t10_a_busy_worker_runs_its_signals_when_it_is_free(harness: ServerHarness) -> None:
    """Nothing is lost while it is busy."""
    target_credit = str(harness.directory / f"gate-{len(harness.events())}")
    since = len(harness.events(15))
    harness.call("worker2", send, 41)
    busy = _hold(harness, "worker2", target_credit)
    for _ in range(20):
        harness.call(FIRST, send, 15)
    with open(target_credit, "w"):  # noqa: PTH123 - it only has to be there
        pass
    busy()
    assert len(harness.expect(20, 15, since=since)) == 20


def _hold(harness: ServerHarness, process: str, target_credit: str) -> Any:
    import threading

    thread = threading.Thread(target=harness.handle, args=(process, block_until, target_credit))
    thread.start()
    eventually("the job to be under way", thread.is_alive)
    return thread.join


def who_am_i() -> tuple[int, int, bool, list[str]]:
    """What a process is told of itself."""
    return (
        uwsgi.worker_id,
        Mule.get_current_id(),
        Farm("crunchers").is_mine,
        [str(farm) for farm in Farm.get_farms()],
    )


@guarantee("identity")
def test_a_process_knows_who_it_is(harness: Harness) -> None:
    """Workers, mules and members of farms."""
    farms = ["crunchers: 1, 2"]
    assert harness.call("worker1", who_am_i) == (1, 0, False, farms)
    if "mules" in harness.features:
        assert harness.call("mule2", who_am_i) == (0, 2, True, farms)
        assert harness.call("spooler1", who_am_i) == (0, 0, False, farms)


@guarantee("D7")
def test_d7_the_signal_being_handled(harness: Harness) -> None:
    """`get_last_received()` within a handler is the signal being handled; outside, and nothing waited for, 0."""
    since = len(harness.events(11))
    harness.call(FIRST, send, 11)
    assert harness.expect(1, 11, since=since)[0].last_received == 11
    assert harness.call(FIRST, last_received) == 0
