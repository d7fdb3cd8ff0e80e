"""Guarantees T1-T10: the meaning of each target. Also D7 and the identity of processes."""

from __future__ import annotations

import threading

import pytest

from heliograph import Farm, Mule, uwsgi
from heliograph.exceptions import SignalTypeError, TargetError
from heliograph.testing.conformance.actions import FIRST, attempted, last_received, send, send_each
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.harness.agent import block_until
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import Harness, eventually
from heliograph.testing.harness.server import ServerHarness
from heliograph.testing.harness.signals import ANY_WORKER, SecondTo, To

WORKERS = {"worker1", "worker2"}
MULES = {"mule1", "mule2"}


def handled(harness: Harness, num: int, count: int, sender: str = FIRST) -> list[str]:
    """Send a signal, wait until it was handled `count` times, and return the processes that handled it."""
    since = len(harness.events(num))
    harness.call(sender, send, num)
    return sorted(event.by for event in harness.expect(count, num, since=since))


@guarantee("T1")
@pytest.mark.parametrize("num", ANY_WORKER)
def test_t1_worker_is_the_first_available_worker(harness: Harness, num: int) -> None:
    """`None`, `""`, `worker` and `worker0` mean one worker."""
    assert set(handled(harness, num, 1)) <= WORKERS


@guarantee("T2", Capability.MULES)
def test_t2_worker_n_is_that_worker(harness: Harness) -> None:
    """From any sender."""
    assert handled(harness, To.WORKER_1, 1) == ["worker1"]
    assert handled(harness, To.WORKER_2, 1) == ["worker2"]
    assert handled(harness, To.WORKER_2, 1, "mule1") == ["worker2"]


@guarantee("T3", Capability.MULES)
def test_t3_workers_is_every_worker(harness: Harness) -> None:
    """Each worker handles the signal once."""
    assert handled(harness, To.ALL_WORKERS, 2) == ["worker1", "worker2"]


@guarantee("T3", Capability.MULES, Capability.SERVER)
def test_t3_a_worker_that_starts_later_gets_the_signal(harness: ServerHarness) -> None:
    """The signal stays in the queue until the successor of a killed worker is ready."""
    since = len(harness.events(To.ALL_WORKERS))
    before = harness.kill("worker2")
    harness.call(FIRST, send, To.ALL_WORKERS)
    harness.await_successor("worker2", before)
    events = harness.expect(2, To.ALL_WORKERS, since=since)
    assert sorted(event.by for event in events) == ["worker1", "worker2"]


@guarantee("T4", Capability.MULES)
def test_t4_active_workers_is_every_running_worker(harness: Harness) -> None:
    """Each running worker handles the signal once."""
    assert handled(harness, To.ACTIVE_WORKERS, 2) == ["worker1", "worker2"]


@guarantee("T5", Capability.MULES)
def test_t5_a_mule_can_be_a_target(harness: Harness) -> None:
    """`mule` and `mule0` mean one mule, `mules` every mule. `mule1`, `Mule(1)` and a number mean that mule."""
    assert set(handled(harness, To.ANY_MULE, 1) + handled(harness, To.MULE_0, 1)) <= MULES
    assert handled(harness, To.MULE_1, 1) == ["mule1"]
    assert handled(harness, To.MULE_2, 1) == ["mule2"]
    assert handled(harness, To.ALL_MULES, 2) == ["mule1", "mule2"]
    assert handled(harness, To.MULE_1_AS_OBJECT, 1) == ["mule1"]
    assert handled(harness, To.MULE_2_AS_NUMBER, 1) == ["mule2"]


@guarantee("T6", Capability.MULES)
@pytest.mark.parametrize("num", [To.FARM_1, To.FARM_BY_NAME, To.FARM_AS_OBJECT])
def test_t6_a_farm_is_one_of_its_mules(harness: Harness, num: int) -> None:
    """By number, by name or as an object."""
    assert set(handled(harness, num, 1)) <= MULES


@guarantee("T7", Capability.MULES)
def test_t7_spooler_is_the_first_available_spooler(harness: Harness) -> None:
    """Exactly one spooler handles the signal."""
    assert handled(harness, To.SPOOLER, 1) == ["spooler1"]


@guarantee("T8")
@pytest.mark.parametrize("text", ["bogus", "workerx", "worker-1", "worker01", "x" * 64])
def test_t8_an_invalid_target_is_rejected_at_registration(harness: Harness, text: str) -> None:
    """The error lists the valid targets. Nothing is registered."""
    error = harness.call(FIRST, attempted, f"target {text}")
    assert isinstance(error, TargetError) and error.target == text
    assert text in str(error)
    if len(text) < 64:
        assert "worker" in error.available


@guarantee("T8")
@pytest.mark.parametrize("text", ["mule9", "worker9", "farm9", "farm_none"])
def test_t8_a_target_that_the_server_lacks_is_rejected_at_registration(harness: Harness, text: str) -> None:
    """A number above the count, or an unknown farm."""
    error = harness.call(FIRST, attempted, f"target {text}")
    assert isinstance(error, TargetError)
    assert "worker1" in error.available
    assert harness.call(FIRST, attempted, "invalid is registered") == (False, False)


@guarantee("T8")
@pytest.mark.parametrize("text", ["True", "1.5", "b'worker'"])
def test_t8_a_target_of_another_type_is_a_type_error(harness: Harness, text: str) -> None:
    """Bools, floats and bytes."""
    assert isinstance(harness.call(FIRST, attempted, f"target {text}"), SignalTypeError)


@guarantee("T9", Capability.MULES, reduced_without=[Capability.SERIAL_WORKERS])
@pytest.mark.parametrize(
    ("process", "first", "second"),
    [
        ("mule1", To.MULE_1, SecondTo.MULE_1),
        ("worker2", To.WORKER_2, SecondTo.WORKER_2),
        ("spooler1", To.SPOOLER, SecondTo.SPOOLER),
    ],
)
def test_t9_signals_from_one_sender_keep_their_order(harness: Harness, process: str, first: int, second: int) -> None:
    """A receiver handles them first in, first out."""
    if process == "worker2" and not harness.can(Capability.SERIAL_WORKERS):
        pytest.skip("two threads of the worker run handlers at the same time")
    order = [first, second, second, first, second, first, first, second] * 25
    since = len(harness.events(first, second))
    harness.call(FIRST, send_each, order)
    events = harness.expect(len(order), first, second, since=since)
    assert [event.num for event in events] == order
    assert {event.by for event in events} == {process}


@guarantee("T10", Capability.MULES, Capability.SERVER)
def test_t10_a_busy_worker_handles_its_signals_later(harness: ServerHarness) -> None:
    """They stay in its queue until its handler returns."""
    unblock = harness.new_path("unblock")
    since = len(harness.events(To.WORKER_2))
    harness.call("worker2", send, SecondTo.WORKER_2)
    blocked = threading.Thread(target=harness.handle, args=("worker2", block_until, str(unblock)))
    blocked.start()
    eventually("the job to start", blocked.is_alive)
    for _ in range(20):
        harness.call(FIRST, send, To.WORKER_2)
    unblock.touch()
    blocked.join()
    assert len(harness.expect(20, To.WORKER_2, since=since)) == 20


def identity() -> tuple[int, int, bool, list[str]]:
    """Return what a process knows about itself."""
    return (
        uwsgi.worker_id,
        Mule.get_current_id(),
        Farm("crunchers").is_mine,
        [str(farm) for farm in Farm.get_farms()],
    )


@guarantee("identity")
def test_a_process_knows_its_identity(harness: Harness) -> None:
    """Its worker or mule number, and the farms that it belongs to."""
    farms = ["crunchers: 1, 2"]
    assert harness.call("worker1", identity) == (1, 0, False, farms)
    if harness.can(Capability.MULES):
        assert harness.call("mule2", identity) == (0, 2, True, farms)
        assert harness.call("spooler1", identity) == (0, 0, False, farms)


@guarantee("D7")
def test_d7_get_last_received_is_the_signal_of_the_handler(harness: Harness) -> None:
    """Within a handler it is the signal that the process handles. Elsewhere it is 0 before the first wait."""
    num = To.EMPTY_TEXT
    since = len(harness.events(num))
    harness.call(FIRST, send, num)
    assert harness.expect(1, num, since=since)[0].last_received == num
    assert harness.call(FIRST, last_received) == 0
