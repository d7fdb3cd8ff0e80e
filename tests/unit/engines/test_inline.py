"""The inline engine: order, copies, identities, queues, waits, and unchanged state after errors."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from heliograph.engines.inline import InlineEngine, Sent
from heliograph.exceptions import (
    ConfigError,
    NotSupported,
    SignalNotRegistered,
    SignalQueueFull,
    TargetError,
    WaitTimeout,
)
from heliograph.models import FarmSpec, HandlerOptions, Identity, Queue, Topology
from heliograph.timing.clocks import FakeClock, SystemClock

SERVER = Topology(workers=2, mules=3, farms=(FarmSpec("crunchers", (2, 3)), FarmSpec("mail", (1,))), spoolers=2)
TIMEOUT = 10.0
"""Seconds after which a thread that has not ended counts as stuck."""


@pytest.fixture
def engine() -> InlineEngine:
    return InlineEngine(SERVER)


def register(engine: InlineEngine, num: int, target: str, func: Callable[[int], Any] = lambda _num: None) -> None:
    """Register as the runtime does: exceptions of the handler are returned."""

    def handler(number: int) -> Exception | None:
        try:
            func(number)
        except Exception as failure:
            return failure
        return None

    engine.register_signal(num, target, handler)


def runs(engine: InlineEngine) -> list[tuple[int, str]]:
    """Return number and process of each run, in order."""
    return [(run.num, str(run.by)) for run in engine.handled]


@pytest.mark.parametrize(
    ("target", "takers"),
    [
        *(("worker", ["worker1"]), ("worker2", ["worker2"]), ("workers", ["worker1", "worker2"])),
        *(("active-workers", ["worker1", "worker2"]), ("mule", ["mule1"]), ("mule3", ["mule3"])),
        *(("mules", ["mule1", "mule2", "mule3"]), ("farm_crunchers", ["mule2"]), ("farm2", ["mule1"])),
        ("spooler", ["spooler1"]),
    ],
)
def test_each_receiver_runs_its_copy(engine: InlineEngine, target: str, takers: list[str]) -> None:
    """The handler runs immediately, with the identity of the receiver."""
    was: list[str] = []
    register(engine, 9, target, lambda _num: was.append(str(engine.identity)))
    engine.signal(9, 0)
    assert was == takers == [process for _, process in runs(engine)]
    assert engine.identity == Identity("worker", 1)


def test_sent_signals_are_recorded(engine: InlineEngine) -> None:
    """The record has the sender and the queues."""
    register(engine, 9, "workers")
    with engine.as_process("mule2"):
        engine.signal(9, 0)
    assert engine.sent == [Sent(9, Identity("mule", 2), (Queue("worker", 1), Queue("worker", 2)))]


def test_signals_run_in_sending_order(engine: InlineEngine) -> None:
    """The order holds across queues."""
    register(engine, 1, "mule1")
    register(engine, 2, "workers")
    register(engine, 3, "mule1")
    with engine.paused():
        for num in (1, 2, 3, 1):
            engine.signal(num, 0)
        assert engine.queued("mule1") == (1, 3, 1)
    assert runs(engine) == [(1, "mule1"), (2, "worker1"), (2, "worker2"), (3, "mule1"), (1, "mule1")]


def test_signal_of_a_handler_runs_after_it(engine: InlineEngine) -> None:
    """It runs after the signals that were queued before, and the sender has its own identity again."""
    order: list[str] = []

    def first(num: int) -> None:
        order.append(f"{num} begins in {engine.identity}")
        engine.signal(2, 0)
        order.append(f"{num} ends")

    register(engine, 1, "workers", first)
    register(engine, 2, "mule1", lambda num: order.append(f"{num} in {engine.identity}"))
    engine.signal(1, 0)
    assert order == [
        *("1 begins in worker1", "1 ends", "1 begins in worker2", "1 ends", "2 in mule1", "2 in mule1"),
    ]
    assert [str(sent.by) for sent in engine.sent] == ["worker1", "worker1", "worker2"]


def test_handler_that_sends_its_own_signal_does_not_nest(engine: InlineEngine) -> None:
    """A thousand runs in a row need no deeper stack than one."""
    left = [1000]

    def again(num: int) -> None:
        left[0] -= 1
        if left[0]:
            engine.signal(num, 0)

    register(engine, 1, "mule1", again)
    engine.signal(1, 0)
    assert len(engine.handled) == 1000


def test_as_process_restores_the_identity(engine: InlineEngine) -> None:
    """Also when nested, and after an exception."""
    with pytest.raises(LookupError), engine.as_process("mule1"), engine.as_process(Identity("spooler", 2)):  # noqa: PT012
        assert str(engine.identity) == "spooler2"
        raise LookupError
    assert str(engine.identity) == "worker1"


@pytest.mark.parametrize("process", ["worker3", "mule0", "worker", "bogus", Identity("mule", 4)], ids=str)
def test_as_process_rejects_unknown_processes(engine: InlineEngine, process: Any) -> None:
    """The message lists the processes, including the master and an external process."""
    with pytest.raises(TargetError) as caught, engine.as_process(process):
        pass
    assert {"master", "worker2", "mule3", "spooler2", "external"} <= set(caught.value.available)
    assert str(engine.identity) == "worker1"


def test_each_thread_has_its_own_identity(engine: InlineEngine) -> None:
    """A thread that acts as mule 1 does not change the identity of other threads."""
    seen: list[str] = []
    with engine.as_process("mule1"):
        in_thread(lambda: seen.append(str(engine.identity))).join(TIMEOUT)
        assert [*seen, str(engine.identity)] == ["worker1", "mule1"]


def test_default_identity_without_workers() -> None:
    """It is the first process of the topology, or external without any process."""
    assert str(InlineEngine(Topology(mules=1)).identity) == "mule1"
    assert str(InlineEngine(Topology()).identity) == "external"


@pytest.mark.parametrize("mules", [(), (0,), (4,), (1, 4)])
def test_farm_with_missing_mules_is_rejected(mules: tuple[int, ...]) -> None:
    """No server could start with such a topology."""
    with pytest.raises(ConfigError, match="'crunchers'"):
        InlineEngine(Topology(mules=3, farms=(FarmSpec("crunchers", mules),)))


def test_failures_are_kept_until_taken(engine: InlineEngine) -> None:
    """`take_failures` returns each failure once. `handled` keeps them."""
    failure = LookupError("no such price")

    def broken(_num: int) -> None:
        raise failure

    register(engine, 1, "mule1", broken)
    register(engine, 2, "mule1")
    engine.signal(1, 0)
    engine.signal(2, 0)
    [failed] = engine.take_failures()
    assert (failed.num, str(failed.by), failed.failure) == (1, "mule1", failure)
    assert engine.take_failures() == ()
    assert [run.failure for run in engine.handled] == [failure, None]


@pytest.mark.parametrize("leaving", [SystemExit, KeyboardInterrupt])
def test_system_exit_propagates(engine: InlineEngine, leaving: type[BaseException]) -> None:
    """The sender gets it, the identity is restored, and the remaining signals run with the next one."""

    def leave(_num: int) -> None:
        raise leaving

    register(engine, 1, "workers", leave)
    register(engine, 2, "mule1")
    with engine.as_process("mule3"):
        with pytest.raises(leaving):
            engine.signal(1, 0)
        assert str(engine.identity) == "mule3"
    assert engine.queued("worker2") == (1,)
    engine.register_signal(1, "workers", lambda _num: None)
    engine.signal(2, 0)
    assert runs(engine) == [(1, "worker1"), (1, "worker2"), (2, "mule1")]
    assert isinstance(engine.handled[0].failure, leaving)
    assert engine.take_failures() == ()


# queues


def test_paused_signals_run_at_the_end_of_the_block(engine: InlineEngine) -> None:
    """At the end of the outermost block, also after an exception."""
    register(engine, 1, "mule1")
    with pytest.raises(LookupError), engine.paused():  # noqa: PT012 - how the block ends is what is tested
        with engine.paused():
            engine.signal(1, 0)
        assert engine.queued("mule1") == engine.queued(Queue("mule", 1)) == (1,)
        raise LookupError
    assert runs(engine) == [(1, "mule1")]
    assert engine.queued("mule1") == ()


def test_queued_accepts_a_queue_or_a_target(engine: InlineEngine) -> None:
    """A target of several queues shows all their signals in sending order."""
    register(engine, 1, "workers")
    register(engine, 2, "worker2")
    register(engine, 3, "worker")
    with engine.paused():
        for num in (1, 2, 3):
            engine.signal(num, 0)
        assert engine.queued("workers") == (1, 1, 2)
        assert engine.queued("worker2") == (1, 2)
        assert engine.queued("worker") == engine.queued(Queue("worker", 0)) == (3,)
        assert engine.queued("mule") == ()
        with pytest.raises(TargetError):
            engine.queued("mule9")


def test_full_queue_raises_immediately() -> None:
    """No time passes, since no other process could empty the queue. Earlier signals stay queued."""
    engine = InlineEngine(SERVER, capacity=2)
    register(engine, 1, "mule1")
    with engine.paused():
        engine.signal(1, 5)
        engine.signal(1, 5)
        with pytest.raises(SignalQueueFull, match="only this process could empty it") as caught:
            engine.signal(1, 5)
        assert (caught.value.num, caught.value.target, caught.value.timeout) == (1, "mule1", 5)
        assert engine.queued("mule1") == (1, 1)
    assert (len(engine.sent), len(engine.handled), engine.rejected) == (2, 2, 1)
    assert engine.clock.monotonic() == 0
    engine.signal(1, 5)
    assert engine.rejected == 1


def test_broadcast_with_a_full_queue_sends_nothing() -> None:
    """One full queue rejects the signal for all receivers."""
    engine = InlineEngine(SERVER, capacity=1)
    register(engine, 1, "mule2")
    register(engine, 2, "mules")
    with engine.paused():
        engine.signal(1, 0)
        with pytest.raises(SignalQueueFull):
            engine.signal(2, 0)
        assert engine.queued("mules") == (1,)
    assert runs(engine) == [(1, "mule2")]
    assert (len(engine.sent), engine.rejected) == (1, 1)


def test_handler_that_fills_its_own_queue_fails() -> None:
    """The exception prevents a wait without end."""
    engine = InlineEngine(SERVER, capacity=2)

    def flood(_num: int) -> None:
        for _ in range(3):
            engine.signal(2, 5)

    register(engine, 1, "mule1", flood)
    register(engine, 2, "mule1")
    engine.signal(1, 0)
    [failed] = engine.take_failures()
    assert isinstance(failed.failure, SignalQueueFull)
    assert runs(engine) == [(1, "mule1"), (2, "mule1"), (2, "mule1")]
    assert engine.rejected == 1


def test_registering_again_changes_the_target(engine: InlineEngine) -> None:
    """Queued signals stay in their queue and run the new handler."""
    ran: list[str] = []
    register(engine, 1, "mule1", lambda _num: ran.append("old"))
    with engine.paused():
        engine.signal(1, 0)
        register(engine, 1, "mule2", lambda _num: ran.append(f"new in {engine.identity}"))
        engine.signal(1, 0)
    assert ran == ["new in mule1", "new in mule2"]


def test_invalid_target_changes_nothing(engine: InlineEngine) -> None:
    """The engine checks targets itself."""
    register(engine, 1, "mule1")
    with pytest.raises(TargetError):
        register(engine, 1, "mule9")
    with pytest.raises(TargetError):
        register(engine, 2, "mule9")
    assert (engine.signal_registered(1), engine.signal_registered(2)) == (True, False)
    engine.signal(1, 0)
    assert runs(engine) == [(1, "mule1")]


def test_unregistered_signal_is_not_sent(engine: InlineEngine) -> None:
    """Nothing is recorded or queued."""
    with pytest.raises(SignalNotRegistered), engine.paused():
        engine.signal(1, 0)
    assert (engine.sent, engine.handled, engine.rejected) == ([], [], 0)


# waits


def test_wait_with_a_timeout_advances_the_clock(engine: InlineEngine) -> None:
    """The exception names the signal."""
    register(engine, 1, "worker1")
    for num, message in ((1, "signal 1 did not arrive within 30 s"), (None, "no signal arrived within 30 s")):
        with pytest.raises(WaitTimeout, match=message):
            engine.signal_wait(num, 30)
    assert engine.clock.monotonic() == 60


class BusyClock(FakeClock):
    """Runs a function while time passes."""

    def __init__(self, event: Callable[[], None]) -> None:
        super().__init__()
        self._event = event

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._event()


@pytest.mark.parametrize("num", [1, None])
def test_signal_during_the_wait_ends_it(num: int | None) -> None:
    """Its handler has run before."""
    engine = InlineEngine(SERVER, clock=BusyClock(lambda: engine.signal(1, 0)))
    register(engine, 1, "worker1")
    assert engine.signal_wait(num, 30) == 1
    assert runs(engine) == [(1, "worker1")]


def test_wait_takes_queued_signals(engine: InlineEngine) -> None:
    """Handlers of other signals run in the meantime. Later signals stay queued."""
    for num, target in ((1, "worker1"), (2, "workers"), (3, "mule1"), (4, "worker")):
        register(engine, num, target)
    with engine.paused():
        for num in (2, 3, 4, 1, 1):
            engine.signal(num, 0)
        assert engine.signal_wait(1, None) == 1
        assert runs(engine) == [(2, "worker1"), (4, "worker1"), (1, "worker1")]
        assert (engine.queued("worker1"), engine.queued("worker2"), engine.queued("mule1")) == ((1,), (2,), (3,))
        with engine.as_process("mule1"):
            assert engine.signal_wait(None, None) == 3
    assert len(engine.handled) == 6


def test_wait_any_returns_the_first_signal(engine: InlineEngine) -> None:
    """Only signals to this process count."""
    register(engine, 1, "mule1")
    register(engine, 2, "worker")
    with engine.paused():
        engine.signal(1, 0)
        engine.signal(2, 0)
        assert engine.signal_wait(None, 5) == 2
        assert engine.clock.monotonic() == 0


def test_handler_can_wait(engine: InlineEngine) -> None:
    """It waits for a signal that another process has sent before."""
    got: list[int] = []
    register(engine, 1, "mule1")
    register(engine, 2, "mule1", lambda _num: got.append(engine.signal_wait(1, None)))
    with engine.paused():
        engine.signal(2, 0)
        engine.signal(1, 0)
    assert got == [1]
    assert runs(engine) == [(1, "mule1"), (2, "mule1")]


def test_signals_sent_during_a_wait_are_delivered(engine: InlineEngine) -> None:
    """Signals to other processes run after the wait."""

    def leave(_num: int) -> None:
        raise SystemExit

    register(engine, 1, "workers", leave)
    register(engine, 3, "mule1")
    with pytest.raises(SystemExit):
        engine.signal(1, 0)
    register(engine, 1, "workers", lambda _num: engine.signal(3, 0))
    with engine.as_process("worker2"):
        assert engine.signal_wait(1, None) == 1
    assert runs(engine)[1:] == [(1, "worker2"), (3, "mule1")]


def test_wait_for_a_signal_to_other_processes_is_rejected(engine: InlineEngine) -> None:
    """The message names the target and the waiting process."""
    register(engine, 1, "worker2")
    with (
        engine.as_process("mule1"),
        pytest.raises(NotSupported, match=r"never arrives in mule1. Wait in its target: worker2"),
    ):
        engine.signal_wait(1, 5)


@pytest.mark.parametrize("process", ["master", "external"])
def test_wait_in_the_master_is_rejected(engine: InlineEngine, process: str) -> None:
    """No signal arrives in the master or in an external process."""
    with engine.as_process(process), pytest.raises(NotSupported, match=f"cannot wait in this process: {process}"):
        engine.signal_wait(None, None)


def test_wait_without_end_needs_another_thread(engine: InlineEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to test such code."""
    register(engine, 1, "worker1")
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with pytest.raises(NotSupported, match=r"engine\.paused\(\)"):
        engine.signal_wait(1, None)
    with pytest.raises(SignalNotRegistered):
        engine.signal(7, 0)


# threads


def in_thread(func: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=func, daemon=True)
    thread.start()
    return thread


class Waiting:
    """A thread that waits as one process while the test acts as another."""

    def __init__(self, engine: InlineEngine, process: str, num: int | None, timeout: float | None = None) -> None:
        self.received: list[int] = []
        self._engine = engine
        self._arguments = process, num, timeout
        self._thread = in_thread(self._run)
        self._until_it_waits()

    def _run(self) -> None:
        process, num, timeout = self._arguments
        with self._engine.as_process(process):
            self.received.append(self._engine.signal_wait(num, timeout))

    def _until_it_waits(self) -> None:
        process, num, _ = self._arguments
        condition = threading.Event()
        while not any(str(w.process) == process and w.num == num for w in tuple(self._engine._waiters)):
            assert not condition.wait(0.0001)
            assert self._thread.is_alive()

    def result(self) -> list[int]:
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive(), "still waiting"
        return self.received


@pytest.mark.parametrize("num", [1, None])
def test_signal_of_another_thread_ends_the_wait(engine: InlineEngine, num: int | None) -> None:
    """The handler has run before, as the waiting process."""
    register(engine, 1, "mule2")
    waiting = Waiting(engine, "mule2", num)
    engine.signal(1, 0)
    assert waiting.result() == [1]
    assert runs(engine) == [(1, "mule2")]


def test_wait_on_real_time_ends_with_the_signal() -> None:
    """It does not last until its timeout."""
    engine = InlineEngine(SERVER, clock=SystemClock())
    register(engine, 1, "mule2")
    waiting = Waiting(engine, "mule2", 1, 10 * TIMEOUT)
    engine.signal(1, 0)
    assert waiting.result() == [1]
    with engine.as_process("mule2"), pytest.raises(WaitTimeout):
        engine.signal_wait(1, 0)


def test_unregistered_signal_goes_to_the_waiting_process(engine: InlineEngine) -> None:
    """One wait takes one signal."""
    waiting = Waiting(engine, "mule2", 250)
    engine.signal(250, 0)
    assert waiting.result() == [250]
    assert engine.sent[0].queues == (Queue("mule", 2),)
    assert engine.handled == []
    with pytest.raises(SignalNotRegistered):
        engine.signal(250, 0)


def test_wait_any_ignores_unregistered_signals(engine: InlineEngine) -> None:
    """A registered signal ends the wait."""
    register(engine, 1, "mule2")
    waiting = Waiting(engine, "mule2", None)
    with pytest.raises(SignalNotRegistered):
        engine.signal(250, 0)
    engine.signal(1, 0)
    assert waiting.result() == [1]


def test_waiting_process_takes_the_signal_of_a_pool(engine: InlineEngine) -> None:
    """Otherwise the first process of the pool takes it."""
    register(engine, 1, "worker")
    waiting = Waiting(engine, "worker2", 1)
    engine.signal(1, 0)
    assert waiting.result() == [1]
    assert runs(engine) == [(1, "worker2")]


def test_one_signal_to_a_pool_ends_one_wait(engine: InlineEngine) -> None:
    """Two waiting workers need two signals."""
    register(engine, 1, "worker")
    first, second = Waiting(engine, "worker1", 1), Waiting(engine, "worker2", 1)
    engine.signal(1, 0)
    assert first.result() == [1]
    assert second.received == []
    engine.signal(1, 0)
    assert second.result() == [1]


def test_threads_lose_no_signals(engine: InlineEngine) -> None:
    """With many senders, each signal runs once, and those of one sender run in order."""
    got: list[int] = []
    for num in range(8):
        register(engine, num, "mule1", got.append)

    def send(num: int) -> None:
        for _ in range(200):
            engine.signal(num, 0)

    threads = [in_thread(lambda num=num: send(num)) for num in range(8)]  # type: ignore[misc]
    for thread in threads:
        thread.join(TIMEOUT)
    assert sorted(got) == sorted(list(range(8)) * 200)
    assert len(engine.sent) == len(engine.handled) == 1600
    assert engine.queued("mule1") == ()


# facts about the server


def test_hooks_run_once_for_each_process(engine: InlineEngine) -> None:
    """The engine simulates all processes that a server would fork."""
    ran: list[Identity] = []
    engine.on_fork(lambda: ran.append(engine.identity))
    assert tuple(ran) == SERVER.processes()


def test_mule_is_in_its_farms(engine: InlineEngine) -> None:
    """Workers are in no farm, and an unknown farm has no mules."""
    with engine.as_process("mule2"):
        assert [engine.in_farm(name) for name in ("crunchers", "mail", "none")] == [True, False, False]
    with engine.as_process("worker2"):
        assert engine.in_farm("crunchers") is False


def test_server_facts_are_simulated(engine: InlineEngine) -> None:
    """No master, a directory of the spooler, and workers with numbers."""
    assert (engine.masterpid(), dict(engine.opt()), engine.version()) == (0, {"spooler": "spooler"}, "inline")
    assert [worker["id"] for worker in engine.workers()] == [1, 2]
    assert engine.topology is SERVER


def test_a_coalescing_handler_runs_once_for_all_that_are_queued_in_a_process() -> None:
    """Each receiver runs it once. The others are counted, and signals of other numbers run each."""
    engine = InlineEngine(Topology(workers=2, mules=1))
    runs: list[tuple[int, str]] = []

    def handle(num: int) -> None:
        runs.append((num, str(engine.identity)))

    engine.register_signal(1, "workers", handle, HandlerOptions(coalesce=True))
    engine.register_signal(2, "worker1", handle)
    with engine.paused():
        for num in (1, 2, 1, 2, 1):
            engine.signal(num, 0)
    assert runs == [(1, "worker1"), (1, "worker2"), (2, "worker1"), (2, "worker1")]
    assert engine.coalesced == {1: 4}
    engine.signal(1, 0)
    assert engine.coalesced == {1: 4}
