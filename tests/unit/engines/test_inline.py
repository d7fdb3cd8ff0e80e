"""The inline engine: order, copies, who plays, what waits, and that nothing is half done."""

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
from heliograph.models import FarmSpec, Identity, Queue, Topology
from heliograph.timing.clocks import FakeClock, SystemClock

SERVER = Topology(workers=2, mules=3, farms=(FarmSpec("crunchers", (2, 3)), FarmSpec("mail", (1,))), spoolers=2)
PATIENCE = 10.0
"""Seconds after which a thread that has not ended counts as stuck."""


@pytest.fixture
def engine() -> InlineEngine:
    return InlineEngine(SERVER)


def register(engine: InlineEngine, num: int, target: str, func: Callable[[int], Any] = lambda _num: None) -> None:
    """Register as the runtime does: what the function raises is answered, not raised."""

    def handler(number: int) -> Exception | None:
        try:
            func(number)
        except Exception as failure:
            return failure
        return None

    engine.register_signal(num, target, handler)


def runs(engine: InlineEngine) -> list[tuple[int, str]]:
    """What was handled: number and process, in order."""
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
    """T1-T7: at once, and this process is that receiver meanwhile."""
    was: list[str] = []
    register(engine, 9, target, lambda _num: was.append(str(engine.identity)))
    engine.signal(9, 0)
    assert was == takers == [who for _, who in runs(engine)]
    assert engine.identity == Identity("worker", 1)


def test_what_was_sent_is_noted(engine: InlineEngine) -> None:
    """By whom, and to which queues."""
    register(engine, 9, "workers")
    with engine.as_process("mule2"):
        engine.signal(9, 0)
    assert engine.sent == [Sent(9, Identity("mule", 2), (Queue("worker", 1), Queue("worker", 2)))]


def test_signals_run_in_the_order_in_which_they_were_sent(engine: InlineEngine) -> None:
    """T9: within a queue, and here also across queues."""
    register(engine, 1, "mule1")
    register(engine, 2, "workers")
    register(engine, 3, "mule1")
    with engine.paused():
        for num in (1, 2, 3, 1):
            engine.signal(num, 0)
        assert engine.queued("mule1") == (1, 3, 1)
    assert runs(engine) == [(1, "mule1"), (2, "worker1"), (2, "worker2"), (3, "mule1"), (1, "mule1")]


def test_what_a_handler_sends_runs_after_it(engine: InlineEngine) -> None:
    """Not within it, and behind what was there already; by then the sender is who it was."""
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


def test_a_handler_that_sends_itself_does_not_nest(engine: InlineEngine) -> None:
    """A thousand in a row need no deeper stack than one."""
    left = [1000]

    def again(num: int) -> None:
        left[0] -= 1
        if left[0]:
            engine.signal(num, 0)

    register(engine, 1, "mule1", again)
    engine.signal(1, 0)
    assert len(engine.handled) == 1000


def test_playing_is_undone(engine: InlineEngine) -> None:
    """Nested, and after an exception."""
    with pytest.raises(LookupError), engine.as_process("mule1"), engine.as_process(Identity("spooler", 2)):  # noqa: PT012
        assert str(engine.identity) == "spooler2"
        raise LookupError
    assert str(engine.identity) == "worker1"


@pytest.mark.parametrize("who", ["worker3", "mule0", "worker", "bogus", Identity("mule", 4)], ids=str)
def test_only_processes_that_there_are_can_be_played(engine: InlineEngine, who: Any) -> None:
    """The error lists them; the master and a process outside are among them."""
    with pytest.raises(TargetError) as caught, engine.as_process(who):
        pass
    assert {"master", "worker2", "mule3", "spooler2", "external"} <= set(caught.value.available)
    assert str(engine.identity) == "worker1"


def test_each_thread_plays_for_itself(engine: InlineEngine) -> None:
    """A thread that waits as mule 1 does not make the others mules."""
    seen: list[str] = []
    with engine.as_process("mule1"):
        in_thread(lambda: seen.append(str(engine.identity))).join(PATIENCE)
        assert [*seen, str(engine.identity)] == ["worker1", "mule1"]


def test_without_workers_one_is_the_first_process_that_there_is() -> None:
    """And outside, where there is none at all."""
    assert str(InlineEngine(Topology(mules=1)).identity) == "mule1"
    assert str(InlineEngine(Topology()).identity) == "external"


@pytest.mark.parametrize("mules", [(), (0,), (4,), (1, 4)])
def test_a_farm_has_mules_that_there_are(mules: tuple[int, ...]) -> None:
    """A server that nobody could start is refused."""
    with pytest.raises(ConfigError, match="'crunchers'"):
        InlineEngine(Topology(mules=3, farms=(FarmSpec("crunchers", mules),)))


def test_failures_are_kept_until_they_are_taken(engine: InlineEngine) -> None:
    """Once; `handled` keeps them."""
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
def test_leaving_goes_through_and_loses_nothing(engine: InlineEngine, leaving: type[BaseException]) -> None:
    """S8: who let the signal run gets it; this process is who it was, and the rest runs with the next."""

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


def test_what_is_held_runs_when_the_block_ends(engine: InlineEngine) -> None:
    """The outermost one, and also when it ends by an exception."""
    register(engine, 1, "mule1")
    with pytest.raises(LookupError), engine.paused():  # noqa: PT012 - how the block ends is what is tested
        with engine.paused():
            engine.signal(1, 0)
        assert engine.queued("mule1") == engine.queued(Queue("mule", 1)) == (1,)
        raise LookupError
    assert runs(engine) == [(1, "mule1")]
    assert engine.queued("mule1") == ()


def test_waiting_takes_a_queue_or_a_target(engine: InlineEngine) -> None:
    """A target of several queues shows what waits in all of them, in the order of sending."""
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


def test_a_full_queue_is_told_at_once_and_counted() -> None:
    """D1: no time passes, since nobody else could make room; what was sent before stays."""
    engine = InlineEngine(SERVER, capacity=2)
    register(engine, 1, "mule1")
    with engine.paused():
        engine.signal(1, 5)
        engine.signal(1, 5)
        with pytest.raises(SignalQueueFull, match="only this process reads") as caught:
            engine.signal(1, 5)
        assert (caught.value.num, caught.value.target, caught.value.timeout) == (1, "mule1", 5)
        assert engine.queued("mule1") == (1, 1)
    assert (len(engine.sent), len(engine.handled), engine.rejected) == (2, 2, 1)
    assert engine.clock.monotonic() == 0
    engine.signal(1, 5)
    assert engine.rejected == 1


def test_a_broadcast_goes_to_all_or_to_none() -> None:
    """D1: one full queue among several refuses the signal for all of them."""
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


def test_a_handler_that_fills_its_own_queue_fails() -> None:
    """D1: it is told, instead of waiting for itself."""
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


def test_registering_again_moves_the_signal(engine: InlineEngine) -> None:
    """S5: what waited keeps its queue, and runs the new handler."""
    ran: list[str] = []
    register(engine, 1, "mule1", lambda _num: ran.append("old"))
    with engine.paused():
        engine.signal(1, 0)
        register(engine, 1, "mule2", lambda _num: ran.append(f"new in {engine.identity}"))
        engine.signal(1, 0)
    assert ran == ["new in mule1", "new in mule2"]


def test_a_wrong_target_changes_nothing(engine: InlineEngine) -> None:
    """T8: the engine checks for itself."""
    register(engine, 1, "mule1")
    with pytest.raises(TargetError):
        register(engine, 1, "mule9")
    with pytest.raises(TargetError):
        register(engine, 2, "mule9")
    assert (engine.signal_registered(1), engine.signal_registered(2)) == (True, False)
    engine.signal(1, 0)
    assert runs(engine) == [(1, "mule1")]


def test_what_nobody_registered_is_not_sent(engine: InlineEngine) -> None:
    """D2: nothing is noted, nothing waits."""
    with pytest.raises(SignalNotRegistered), engine.paused():
        engine.signal(1, 0)
    assert (engine.sent, engine.handled, engine.rejected) == ([], [], 0)


# waiting


def test_a_limited_wait_lets_its_time_pass(engine: InlineEngine) -> None:
    """D5: on the engine's clock, and then says what did not come."""
    register(engine, 1, "worker1")
    for num, said in ((1, "signal 1 did not arrive within 30 s"), (None, "no signal within 30 s")):
        with pytest.raises(WaitTimeout, match=said):
            engine.signal_wait(num, 30)
    assert engine.clock.monotonic() == 60


class BusyClock(FakeClock):
    """While time passes, something happens."""

    def __init__(self, event: Callable[[], None]) -> None:
        super().__init__()
        self._event = event

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        self._event()


@pytest.mark.parametrize("num", [1, None])
def test_what_comes_while_time_passes_ends_the_wait(num: int | None) -> None:
    """D5, D6: its handler ran before."""
    engine = InlineEngine(SERVER, clock=BusyClock(lambda: engine.signal(1, 0)))
    register(engine, 1, "worker1")
    assert engine.signal_wait(num, 30) == 1
    assert runs(engine) == [(1, "worker1")]


def test_a_wait_takes_what_is_held_for_it(engine: InlineEngine) -> None:
    """D5: other signals' handlers run meanwhile, that of n before the return; what comes after n stays."""
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


def test_a_wait_for_any_returns_the_first(engine: InlineEngine) -> None:
    """D6: of those that go to this process."""
    register(engine, 1, "mule1")
    register(engine, 2, "worker")
    with engine.paused():
        engine.signal(1, 0)
        engine.signal(2, 0)
        assert engine.signal_wait(None, 5) == 2
        assert engine.clock.monotonic() == 0


def test_a_handler_may_wait(engine: InlineEngine) -> None:
    """D5: within a handler, for what another process sent before."""
    got: list[int] = []
    register(engine, 1, "mule1")
    register(engine, 2, "mule1", lambda _num: got.append(engine.signal_wait(1, None)))
    with engine.paused():
        engine.signal(2, 0)
        engine.signal(1, 0)
    assert got == [1]
    assert runs(engine) == [(1, "mule1"), (2, "mule1")]


def test_what_is_sent_while_a_wait_runs_handlers_is_not_forgotten(engine: InlineEngine) -> None:
    """What such a handler sends to others runs when the wait is over."""

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


def test_a_signal_for_others_can_never_arrive(engine: InlineEngine) -> None:
    """D5: the error says where it goes, and who waited."""
    register(engine, 1, "worker2")
    with engine.as_process("mule1"), pytest.raises(NotSupported, match="goes to worker2 and never arrives in mule1"):
        engine.signal_wait(1, 5)


@pytest.mark.parametrize("who", ["master", "external"])
def test_nothing_arrives_in_the_master(engine: InlineEngine, who: str) -> None:
    """D6: no wait for ever there either."""
    with engine.as_process(who), pytest.raises(NotSupported, match=f"ever arrives in {who}"):
        engine.signal_wait(None, None)


def test_alone_one_does_not_wait_for_ever(engine: InlineEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no other thread to send it, an endless wait is an error that says how to test this."""
    register(engine, 1, "worker1")
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with pytest.raises(NotSupported, match=r"engine\.hold\(\)"):
        engine.signal_wait(1, None)
    with pytest.raises(SignalNotRegistered):
        engine.signal(7, 0)


# threads


def in_thread(func: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=func, daemon=True)
    thread.start()
    return thread


class Waiting:
    """A thread that waits as one process while the test plays another."""

    def __init__(self, engine: InlineEngine, who: str, num: int | None, timeout: float | None = None) -> None:
        self.received: list[int] = []
        self._engine = engine
        self._arguments = who, num, timeout
        self._thread = in_thread(self._run)
        self._until_it_waits()

    def _run(self) -> None:
        who, num, timeout = self._arguments
        with self._engine.as_process(who):
            self.received.append(self._engine.signal_wait(num, timeout))

    def _until_it_waits(self) -> None:
        who, num, _ = self._arguments
        condition = threading.Event()
        while not any(str(w.process) == who and w.num == num for w in tuple(self._engine._waiters)):
            assert not condition.wait(0.0001)
            assert self._thread.is_alive()

    def result(self) -> list[int]:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "still waiting"
        return self.received


@pytest.mark.parametrize("num", [1, None])
def test_a_wait_ends_when_another_thread_sends(engine: InlineEngine, num: int | None) -> None:
    """D5, D6: the handler ran before, as the process that waits."""
    register(engine, 1, "mule2")
    waiting = Waiting(engine, "mule2", num)
    engine.signal(1, 0)
    assert waiting.result() == [1]
    assert runs(engine) == [(1, "mule2")]


def test_a_wait_on_real_time_ends_when_the_signal_comes() -> None:
    """D5: not when its time is over."""
    engine = InlineEngine(SERVER, clock=SystemClock())
    register(engine, 1, "mule2")
    waiting = Waiting(engine, "mule2", 1, 10 * PATIENCE)
    engine.signal(1, 0)
    assert waiting.result() == [1]
    with engine.as_process("mule2"), pytest.raises(WaitTimeout):
        engine.signal_wait(1, 0)


def test_what_nobody_registered_is_delivered_to_who_waits(engine: InlineEngine) -> None:
    """D2: in whatever process; one wait takes one signal, and then nobody waits."""
    waiting = Waiting(engine, "mule2", 250)
    engine.signal(250, 0)
    assert waiting.result() == [250]
    assert engine.sent[0].queues == (Queue("mule", 2),)
    assert engine.handled == []
    with pytest.raises(SignalNotRegistered):
        engine.signal(250, 0)


def test_a_wait_for_any_is_not_a_wait_for_what_nobody_registered(engine: InlineEngine) -> None:
    """D2: it waits on; a registered one ends it."""
    register(engine, 1, "mule2")
    waiting = Waiting(engine, "mule2", None)
    with pytest.raises(SignalNotRegistered):
        engine.signal(250, 0)
    engine.signal(1, 0)
    assert waiting.result() == [1]


def test_who_waits_is_the_first_available(engine: InlineEngine) -> None:
    """T1: of a pool, the process that waits for the signal takes it."""
    register(engine, 1, "worker")
    waiting = Waiting(engine, "worker2", 1)
    engine.signal(1, 0)
    assert waiting.result() == [1]
    assert runs(engine) == [(1, "worker2")]


def test_one_signal_to_a_pool_ends_one_wait(engine: InlineEngine) -> None:
    """T1: two workers that wait need two signals."""
    register(engine, 1, "worker")
    first, second = Waiting(engine, "worker1", 1), Waiting(engine, "worker2", 1)
    engine.signal(1, 0)
    assert first.result() == [1]
    assert second.received == []
    engine.signal(1, 0)
    assert second.result() == [1]


def test_threads_lose_nothing(engine: InlineEngine) -> None:
    """Many senders at once: each signal runs once, and those of one sender in order."""
    got: list[int] = []
    for num in range(8):
        register(engine, num, "mule1", got.append)

    def send(num: int) -> None:
        for _ in range(200):
            engine.signal(num, 0)

    threads = [in_thread(lambda num=num: send(num)) for num in range(8)]  # type: ignore[misc]
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(got) == sorted(list(range(8)) * 200)
    assert len(engine.sent) == len(engine.handled) == 1600
    assert engine.queued("mule1") == ()


# the rest of the port


def test_hooks_run_once_for_each_process(engine: InlineEngine) -> None:
    """One process plays all that would be forked."""
    ran: list[Identity] = []
    engine.on_fork(lambda: ran.append(engine.identity))
    assert tuple(ran) == SERVER.processes()


def test_a_mule_is_in_its_farms(engine: InlineEngine) -> None:
    """Workers are in none, and nobody in one that there is not."""
    with engine.as_process("mule2"):
        assert [engine.in_farm(name) for name in ("crunchers", "mail", "none")] == [True, False, False]
    with engine.as_process("worker2"):
        assert engine.in_farm("crunchers") is False


def test_the_server_is_only_played(engine: InlineEngine) -> None:
    """No master, no options, workers by number."""
    assert (engine.masterpid(), dict(engine.opt()), engine.version()) == (0, {}, "inline")
    assert [worker["id"] for worker in engine.workers()] == [1, 2]
    assert engine.topology is SERVER
