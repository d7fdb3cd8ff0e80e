"""Rows T1-T10: what a target means."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph import Farm, Mule, uwsgi
from heliograph.exceptions import SignalTypeError, TargetError
from heliograph.testing.conformance.promises import promise
from heliograph.testing.conformance.signals import FIRST, last_received, loaded, send
from heliograph.testing.stage.acts import hold_until
from heliograph.testing.stage.plays import ServerStage, Stage, eventually

WORKERS = {"worker1", "worker2"}
MULES = {"mule1", "mule2"}


def handled(stage: Stage, num: int, count: int, sender: str = FIRST) -> list[str]:
    """Raise a signal and say who handled it; wait for as many as are due."""
    since = len(stage.events(num))
    stage.call(sender, send, num)
    return sorted(event.by for event in stage.expect(count, num, since=since))


@promise("T1")
@pytest.mark.parametrize("num", [10, 11, 12, 13])
def test_t1_worker_is_the_first_available(stage: Stage, num: int) -> None:
    """`None`, `""`, `worker` and `worker0`: one worker."""
    assert set(handled(stage, num, 1)) <= WORKERS


@promise("T2", "mules")
def test_t2_worker_n_is_that_worker(stage: Stage) -> None:
    """Whoever sends."""
    assert handled(stage, 14, 1) == ["worker1"]
    assert handled(stage, 15, 1) == ["worker2"]
    assert handled(stage, 15, 1, "mule1") == ["worker2"]


@promise("T3", "mules")
def test_t3_workers_are_each_once(stage: Stage) -> None:
    """Each worker gets its own."""
    assert handled(stage, 16, 2) == ["worker1", "worker2"]


@promise("T3", "mules", "server")
def test_t3_a_worker_that_is_down_gets_it_when_it_is_up(stage: ServerStage) -> None:
    """Killed before, and started again: its signal waited."""
    since = len(stage.events(16))
    before = stage.kill("worker2")
    stage.call(FIRST, send, 16)
    stage.await_successor("worker2", before)
    assert sorted(event.by for event in stage.expect(2, 16, since=since)) == ["worker1", "worker2"]


@promise("T4", "mules")
def test_t4_active_workers_are_each_that_runs(stage: Stage) -> None:
    """Both run."""
    assert handled(stage, 17, 2) == ["worker1", "worker2"]


@promise("T5", "mules")
def test_t5_mules(stage: Stage) -> None:
    """`mule`, `mule0`, `muleN`, `mules`, `Mule(1)` and the number 2."""
    assert set(handled(stage, 20, 1) + handled(stage, 21, 1)) <= MULES
    assert handled(stage, 22, 1) == ["mule1"]
    assert handled(stage, 23, 1) == ["mule2"]
    assert handled(stage, 24, 2) == ["mule1", "mule2"]
    assert handled(stage, 25, 1) == ["mule1"]
    assert handled(stage, 26, 1) == ["mule2"]


@promise("T6", "mules")
@pytest.mark.parametrize("num", [30, 31, 32])
def test_t6_a_farm_is_one_of_its_mules(stage: Stage, num: int) -> None:
    """By number, by name, as an object."""
    assert set(handled(stage, num, 1)) <= MULES


@promise("T7", "mules")
def test_t7_spooler(stage: Stage) -> None:
    """The first available spooler."""
    assert handled(stage, 35, 1) == ["spooler1"]


@promise("T8")
@pytest.mark.parametrize("text", ["bogus", "workerx", "worker-1", "worker01", "x" * 64])
def test_t8_what_is_no_target_is_refused_at_registration(stage: Stage, text: str) -> None:
    """The error lists what there is; nothing is registered."""
    error = stage.call(FIRST, loaded, f"target {text}")
    assert isinstance(error, TargetError) and error.target == text
    assert text in str(error)
    if len(text) < 64:
        assert "worker" in error.available


@promise("T8")
@pytest.mark.parametrize("text", ["mule9", "worker9", "farm9", "farm_none"])
def test_t8_what_this_server_does_not_have_is_refused_at_registration(stage: Stage, text: str) -> None:
    """T2 and T8: N above the count, a farm that nobody named."""
    error = stage.call(FIRST, loaded, f"target {text}")
    assert isinstance(error, TargetError)
    assert "worker1" in error.available
    assert stage.call(FIRST, loaded, "half done") == (False, False)


@promise("T8")
@pytest.mark.parametrize("text", ["True", "1.5", "b'worker'"])
def test_t8_what_cannot_be_a_target_is_a_type_error(stage: Stage, text: str) -> None:
    """Bools, floats and bytes."""
    assert isinstance(stage.call(FIRST, loaded, f"target {text}"), SignalTypeError)


def send_each(nums: list[int]) -> None:
    """Raise these signals, in this order."""
    for num in nums:
        send(num)


@promise("T9", "mules")
@pytest.mark.parametrize(("who", "first", "second"), [("mule1", 22, 42), ("worker2", 15, 41), ("spooler1", 35, 44)])
def test_t9_first_in_first_out(stage: Stage, who: str, first: int, second: int) -> None:
    """What one sender raises for one receiver arrives in order."""
    if who == "worker2" and "serial workers" not in stage.features:
        pytest.skip("two threads of the worker run them side by side")
    order = [first, second, second, first, second, first, first, second] * 25
    since = len(stage.events(first, second))
    stage.call(FIRST, send_each, order)
    events = stage.expect(len(order), first, second, since=since)
    assert [event.num for event in events] == order
    assert {event.by for event in events} == {who}


@promise("T10", "mules", "server")
def test_t10_a_busy_worker_runs_its_signals_when_it_is_free(stage: ServerStage) -> None:
    """Nothing is lost while it is busy."""
    gate = str(stage.directory / f"gate-{len(stage.events())}")
    since = len(stage.events(15))
    stage.call("worker2", send, 41)
    busy = _hold(stage, "worker2", gate)
    for _ in range(20):
        stage.call(FIRST, send, 15)
    with open(gate, "w"):  # noqa: PTH123 - it only has to be there
        pass
    busy()
    assert len(stage.expect(20, 15, since=since)) == 20


def _hold(stage: ServerStage, who: str, gate: str) -> Any:
    import threading

    thread = threading.Thread(target=stage.handle, args=(who, hold_until, gate))
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


@promise("identity")
def test_a_process_knows_who_it_is(stage: Stage) -> None:
    """Workers, mules and members of farms."""
    farms = ["crunchers: 1, 2"]
    assert stage.call("worker1", who_am_i) == (1, 0, False, farms)
    if "mules" in stage.features:
        assert stage.call("mule2", who_am_i) == (0, 2, True, farms)
        assert stage.call("spooler1", who_am_i) == (0, 0, False, farms)


@promise("D7")
def test_d7_the_signal_being_handled(stage: Stage) -> None:
    """`get_last_received()` within a handler is the signal being handled; outside, and nothing waited for, 0."""
    since = len(stage.events(11))
    stage.call(FIRST, send, 11)
    assert stage.expect(1, 11, since=since)[0].last_received == 11
    assert stage.call(FIRST, last_received) == 0
