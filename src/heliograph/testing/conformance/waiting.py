"""Guarantees D2, D5 and D6: `Signal.wait()` and `Signal.wait_any()`."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from heliograph import Signal
from heliograph.exceptions import NotSupported, SignalNotRegistered, WaitTimeout
from heliograph.testing.conformance.actions import FIRST, error_of, send, touch
from heliograph.testing.conformance.requirements import guarantee
from heliograph.testing.harness.capabilities import Capability
from heliograph.testing.harness.harness import Harness, eventually
from heliograph.testing.harness.server import ServerHarness
from heliograph.testing.harness.signals import SecondTo, To, Unregistered


def wait_for(num: int, started: str) -> int:
    """Wait for a signal and return its number."""
    touch(started)
    Signal(num).wait()
    return num


def wait_any(started: str) -> int:
    """Wait for any signal and return its number."""
    touch(started)
    return int(Signal.wait_any())


def error_of_wait(num: int, timeout: float | None = None) -> Any:
    """Return the exception that `wait()` raises, or None."""
    return error_of(Signal(num).wait, timeout=timeout)


@contextmanager
def waiting(harness: Harness, process: str, func: Any, *args: Any) -> Generator[list[Any]]:
    """Let a process wait within a handler. The list contains the result when the block has ended."""
    result: list[Any] = []
    started = harness.new_path("waits")
    thread = threading.Thread(target=lambda: result.append(harness.handle(process, func, *args, str(started))))
    thread.start()
    try:
        eventually(f"{process} to wait", started.exists)
        yield result
        thread.join(20)
        assert not thread.is_alive()
    finally:
        thread.join(1)


@guarantee("D2", Capability.SERVER, Capability.SERIAL_WORKERS)
def test_d2_an_unregistered_number_is_delivered_to_a_waiting_process(harness: ServerHarness) -> None:
    """The sender may be another worker."""
    with waiting(harness, "worker1", wait_for, Unregistered.AWAITED) as result:
        harness.call("worker2", send_when_awaited, Unregistered.AWAITED)
    assert result == [Unregistered.AWAITED]


def send_when_awaited(num: int) -> None:
    """Send a signal as soon as a process waits for it. Until then the send raises an exception."""
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


@guarantee("D5", Capability.MULES, Capability.SERVER, reduced_without=[Capability.SERIAL_WORKERS])
@pytest.mark.parametrize(
    ("process", "num", "other"), [("worker2", To.WORKER_2, SecondTo.WORKER_2), ("mule1", To.MULE_1, SecondTo.MULE_1)]
)
def test_d5_wait_returns_when_the_signal_arrives(harness: ServerHarness, process: str, num: int, other: int) -> None:
    """The handler of the signal runs first. Handlers of other signals run during the wait."""
    if process == "worker2" and not harness.can(Capability.SERIAL_WORKERS):
        pytest.skip("another thread of the worker may take the signal")
    others, own = len(harness.events(other)), len(harness.events(num))
    with waiting(harness, process, wait_for, num) as result:
        harness.call(FIRST, send, other)
        harness.expect(1, other, since=others)
        assert not result
        harness.call(FIRST, send, num)
    assert result == [num]
    assert len(harness.events(num)) == own + 1


@guarantee("D5", Capability.MULES, Capability.SERVER, Capability.LIMITED_WAIT)
def test_d5_a_wait_may_have_a_timeout(harness: ServerHarness) -> None:
    """In seconds. The wait then raises a `TimeoutError`."""
    assert isinstance(harness.call("mule1", error_of_wait, To.MULE_1, 0.2), WaitTimeout)


@guarantee("D5", Capability.UWSGI)
def test_d5_a_timeout_is_rejected_on_uwsgi(harness: ServerHarness) -> None:
    """`wait()` raises `NotSupported` immediately."""
    assert isinstance(harness.call(FIRST, error_of_wait, To.MULE_1, 0.2), NotSupported)


@guarantee("D5", Capability.THREADS)
def test_d5_a_wait_is_rejected_if_another_thread_can_take_the_signal(harness: ServerHarness) -> None:
    """With `--threads` every thread of a uWSGI worker takes signals."""
    assert isinstance(harness.call("worker1", error_of_wait, To.MULE_1), NotSupported)


@guarantee("D5", Capability.MULES, Capability.UWSGI)
def test_d5_a_wait_for_the_signal_of_another_process_is_rejected(harness: ServerHarness) -> None:
    """A signal to worker 2 cannot arrive in mule 1, so the wait would never end."""
    assert isinstance(harness.call("mule1", error_of_wait, To.WORKER_2), NotSupported)


@guarantee("D6", Capability.MULES, Capability.SERVER)
def test_d6_wait_any_returns_the_signal(harness: ServerHarness) -> None:
    """`Signal.wait_any()` returns the first signal that arrives."""
    with waiting(harness, "mule1", wait_any) as result:
        harness.call(FIRST, send, SecondTo.MULE_1)
    assert result == [SecondTo.MULE_1]
