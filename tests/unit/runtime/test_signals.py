"""The API of signals in one process, on the inline engine and without an engine."""

import asyncio
import functools
import inspect
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from heliograph import (
    REGISTERED_SIGNALS,
    Farm,
    Mule,
    Signal,
    SignalDescription,
    UwsgiconfException,
    engines,
    get_available_num,
    get_last_received,
)
from heliograph.engines.detached import DetachedEngine
from heliograph.engines.inline import InlineEngine
from heliograph.exceptions import (
    AlreadyRegistered,
    NoSignalAvailable,
    RegistrationError,
    SignalNameError,
    SignalNotRegistered,
    SignalNumberError,
    SignalTypeError,
    TargetError,
    WaitTimeout,
)
from heliograph.models import NO_OPTIONS, HandlerOptions
from heliograph.runtime import handlers, signals
from heliograph.runtime.handlers import HANDLERS, REGISTRY, register_all

pytestmark = pytest.mark.usefixtures("heliograph_engine")


@pytest.fixture
def _no_signals() -> Generator[None]:
    """Start with empty registries."""
    before = dict(REGISTRY.registered), set(REGISTRY.claimed), dict(REGISTRY.names)
    REGISTRY.clear()
    yield
    REGISTRY.registered.update(before[0])
    REGISTRY.claimed.update(before[1])
    REGISTRY.names.update(before[2])


def everything() -> tuple[Any, ...]:
    """Return everything that this process and its engine know of signals."""
    engine = engines.current()
    routed = [num for num in range(256) if engine.signal_registered(num)]
    return dict(REGISTRY.registered), set(REGISTRY.claimed), dict(REGISTRY.names), dict(HANDLERS), routed


def handler() -> None:
    """Any handler."""


def other_handler(num: int) -> None:
    """Another handler."""


# numbers


@pytest.mark.parametrize(
    ("num", "error", "builtin"),
    [
        *((wrong, SignalNumberError, ValueError) for wrong in (-1, 256)),
        *((wrong, SignalTypeError, TypeError) for wrong in (True, 1.0, "1", object())),
    ],
)
def test_invalid_number_changes_nothing(num: Any, error: type[Exception], builtin: type[Exception]) -> None:
    """The exception is also the builtin of the same meaning."""
    before = everything()
    with pytest.raises(error) as caught:
        Signal(num)
    assert isinstance(caught.value, builtin)
    assert isinstance(caught.value, UwsgiconfException)
    assert everything() == before


@pytest.mark.usefixtures("_no_signals")
def test_signal_without_a_number_claims_the_first_free_one() -> None:
    """`get_available_num` returns it without claiming it."""
    Signal(0).register_handler()(handler)
    assert [get_available_num(), get_available_num()] == [1, 1]
    assert [Signal().num, Signal().num] == [1, 2]
    Signal(4)
    Signal(3).register_handler()(handler)
    assert [Signal().num, get_available_num()] == [4, 5]


@pytest.mark.usefixtures("_no_signals")
def test_number_registered_by_other_code_is_not_free(heliograph_engine: InlineEngine) -> None:
    """The server knows numbers that were not registered through heliograph."""
    heliograph_engine.register_signal(0, "worker", lambda _num: None)
    assert get_available_num() == 1


@pytest.mark.usefixtures("_no_signals")
def test_256_signals_are_the_limit() -> None:
    """Then both raise an exception, and a given number still works."""
    assert sorted(Signal().num for _ in range(256)) == list(range(256))
    for take in (Signal, get_available_num):
        with pytest.raises(NoSignalAvailable, match="all 256"):
            take()
    assert Signal(255).num == 255


# names


@pytest.mark.usefixtures("_no_signals")
def test_name_has_one_number() -> None:
    """The number derives from the name, as long as no other signal has it."""
    refresh = Signal(name="refresh-prices")
    assert refresh == Signal(name="refresh-prices") == Signal(180)
    assert (refresh.num, refresh.name, Signal(180).name) == (180, "refresh-prices", "refresh-prices")
    assert (Signal(181).name, refresh.registered) == ("", False)


@pytest.mark.usefixtures("_no_signals")
def test_names_with_the_same_candidate_are_two_signals() -> None:
    """The first one gets the number, the second one the next candidate."""
    assert [Signal(name=name).num for name in ("x", "a", "x")] == [67, 68, 67]


@pytest.mark.usefixtures("_no_signals")
def test_name_gets_no_used_number(heliograph_engine: InlineEngine) -> None:
    """Neither a registered nor a claimed one, nor one that other code registered."""
    Signal(67).register_handler()(handler)
    REGISTRY.claimed.add(68)
    heliograph_engine.register_signal(69, "worker", lambda _num: None)
    assert Signal(name="a").num == 70


@pytest.mark.usefixtures("_no_signals")
def test_the_number_of_a_name_is_claimed() -> None:
    """If the numbers from 64 up are in use, names get 63 and so on down, and `Signal()` skips them."""
    REGISTRY.claimed.update(set(range(256)) - {0, 5, 9})
    assert [Signal(name=name).num for name in "ab"] == [9, 5]
    assert (get_available_num(), Signal().num) == (0, 0)
    before = everything()
    for take in (Signal, get_available_num, lambda: Signal(name="c")):
        with pytest.raises(NoSignalAvailable, match="all 256"):
            take()
    assert Signal(name="b").num == 5
    assert everything() == before


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": ""}, SignalNameError, "empty or not printable"),
        ({"name": "x" * 64}, SignalNameError, "64 bytes"),
        ({"name": 5}, SignalTypeError, r"not 5 \(int\)"),
        ({"name": "refresh", "num": 5}, SignalNameError, "'refresh'.* number 5. Pass one of them"),
        ({"name": "refresh", "num": "5"}, SignalNameError, "Pass one of them"),
    ],
)
def test_invalid_name_changes_nothing(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """The message has the value and the solution."""
    before = everything()
    with pytest.raises(error, match=message):
        Signal(**arguments)
    assert everything() == before


class NamingEngine(InlineEngine):
    """A server whose other processes have named signals."""

    def allocate_name(self, name: str, free: Callable[[int], bool]) -> int:  # noqa: ARG002 - the interface's shape
        return {"refresh": 0, "report": 7}[name]

    def has_name(self, num: int) -> bool:
        return num in (0, 7)


@pytest.mark.usefixtures("_no_signals")
def test_names_of_other_processes_are_not_free() -> None:
    """`Signal()` skips them, and a name has the same number in every process."""
    with engines.using(NamingEngine()):
        assert [Signal().num, Signal().num] == [1, 2]
        assert (Signal(0).name, Signal(name="refresh").num, Signal(0).name) == ("", 0, "refresh")


@pytest.mark.usefixtures("_no_signals")
def test_name_with_a_number_in_use_is_rejected() -> None:
    """Otherwise the handler of that number would run on the named signal."""
    with engines.using(NamingEngine()):
        Signal(7).register_handler()(handler)
        before = everything()
        with pytest.raises(SignalNameError, match=r"'report'.* number 7 "):
            Signal(name="report")
        assert everything() == before


@pytest.mark.usefixtures("_no_signals")
def test_threads_agree_on_names() -> None:
    """Names with the same candidate are two signals, in whichever order threads ask."""
    found: list[tuple[int, int]] = []
    start = threading.Barrier(8)

    def name(number: int) -> None:
        start.wait()
        first, second = ("a", "x") if number % 2 else ("x", "a")
        numbers = {first: Signal(name=first).num, second: Signal(name=second).num}
        found.append((numbers["a"], numbers["x"]))

    threads = [threading.Thread(target=name, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert set(found[0]) == {67, 68}


def test_fork_can_name_signals_while_its_parent_does() -> None:
    """The lock of the parent's thread is not held in the child."""
    program = """
import os, threading
from heliograph import Signal
from heliograph.runtime import signals

held, done = threading.Event(), threading.Event()

def name():
    with signals._naming:
        held.set()
        done.wait()

thread = threading.Thread(target=name)
thread.start()
held.wait()
child = os.fork()
if not child:
    os._exit(Signal(name="refresh-prices").num)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
done.set()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "180\n"


# identity


def test_signals_are_equal_by_number() -> None:
    """They have the same hash. A signal does not equal an int."""
    assert Signal(17) == Signal(17)
    assert Signal(17) != Signal(18)
    assert len({Signal(17), Signal(17), Signal(18)}) == 2
    assert Signal(17) != 17
    assert Signal(17) in {Signal(17): "known"}


def test_signal_converts_to_int() -> None:
    """`int(s)`, as an index, and in `bytes`, `hex` and `range`."""
    signal = Signal(17)
    assert int(signal) == signal.num == 17
    assert list(range(20))[signal] == 17
    assert (hex(signal), bytes((signal,)), f"{int(signal):03}") == ("0x11", b"\x11", "017")


def test_repr_of_a_signal() -> None:
    """It has the target and the handler."""
    assert repr(Signal(99)) == "Signal(99, not registered)"
    Signal(99).register_handler("mule1")(handler)
    assert repr(Signal(99)).startswith("Signal(99, target='mule1', handler=")
    assert repr(Signal(99)).endswith("test_signals.handler)")
    refresh = Signal(name="refresh-prices")
    assert repr(refresh) == f"Signal({refresh.num}, name='refresh-prices', not registered)"
    refresh.register_handler("mule1")(handler)
    assert repr(refresh).startswith(f"Signal({refresh.num}, name='refresh-prices', target='mule1', handler=")


def test_signal_has_no_other_attributes() -> None:
    """A misspelt attribute is an error."""
    with pytest.raises(AttributeError):
        Signal(17).number = 3  # type: ignore[attr-defined]


# registering


def bare(signal: Signal) -> Callable[..., Any]:
    return signal(handler)


def bare_method(signal: Signal) -> Callable[..., Any]:
    return signal.register_handler(handler)


def called(signal: Signal) -> Callable[..., Any]:
    return signal.register_handler()(handler)


def positional(signal: Signal) -> Callable[..., Any]:
    return signal.register_handler("worker")(handler)


def keyword(signal: Signal) -> Callable[..., Any]:
    return signal.register_handler(target="worker", callback=None)(handler)


@pytest.mark.parametrize("form", [bare, bare_method, called, positional, keyword])
def test_all_forms_of_the_decorator_register(form: Callable[[Signal], Callable[..., Any]]) -> None:
    """`@signal`, with and without parentheses. The function is returned unchanged."""
    signal = Signal(99)
    assert form(signal) is handler
    assert REGISTERED_SIGNALS[99] == SignalDescription(99, "worker", handler)
    assert signal.registered is True


def test_any_callable_can_be_registered() -> None:
    """Also partials and callable objects."""
    partial = functools.partial(other_handler, 7)
    assert Signal(99).register_handler(partial) is partial
    assert REGISTERED_SIGNALS[99].func is partial


def test_registered_is_a_bool() -> None:
    """False before, True after, and True for numbers that only the server knows."""
    assert Signal(99).registered is False
    Signal(99)(handler)
    assert Signal(99).registered is True
    engines.current().register_signal(98, "worker", lambda _num: None)
    assert Signal(98).registered is True


TARGETS: list[tuple[Any, str]] = [
    *((None, "worker"), ("", "worker"), ("worker", "worker"), ("worker0", "worker"), ("worker2", "worker2")),
    *(("workers", "workers"), ("active-workers", "active-workers"), ("mule0", "mule"), ("mules", "mules")),
    *((1, "mule1"), (2, "mule2"), (Mule(2), "mule2"), ("farm1", "farm1"), ("farm_crunchers", "farm_crunchers")),
    *((Farm("crunchers"), "farm_crunchers"), ("spooler", "spooler")),
]


@pytest.mark.parametrize(("target", "resolved"), TARGETS, ids=repr)
def test_targets_are_resolved(target: Any, resolved: str) -> None:
    """Words, numbers, mules and farms."""
    Signal(99).register_handler(target)(handler)
    assert REGISTERED_SIGNALS[99].target == resolved


@pytest.mark.parametrize(
    ("target", "error"),
    [
        *((text, TargetError) for text in ("bogus", "mule9", "farm_none", "workerx", "worker01", "mule1\n", "x" * 64)),
        *((wrong, TargetError) for wrong in (0, -1, 9, Mule(9), Farm("none"))),
        *((wrong, SignalTypeError) for wrong in (True, False, 1.0, b"worker", [], Signal(3), ("worker",))),
    ],
    ids=repr,
)
def test_invalid_target_changes_nothing(target: Any, error: type[Exception]) -> None:
    """A missing target is a TargetError, a wrong type a SignalTypeError."""
    Signal(99).register_handler("mule1")(handler)
    before = everything()
    with pytest.raises(error):
        Signal(99).register_handler(target)(other_handler)
    assert everything() == before


@pytest.mark.parametrize("func", [None, 5, "handler", lambda _a, _b: None])
def test_invalid_handler_changes_nothing(func: Any) -> None:
    """The registration fails, and the old handler stays."""
    Signal(99).register_handler("mule1")(handler)
    before = everything()
    with pytest.raises(TypeError):
        Signal(99).register_handler("mule2")(func)
    assert everything() == before


def test_callback_is_called_after_the_registration() -> None:
    """Once, with the signal."""
    seen: list[tuple[Signal, Any, bool]] = []

    def callback(signal: Signal) -> None:
        seen.append((signal, REGISTERED_SIGNALS[99].func, engines.current().signal_registered(99)))

    Signal(99).register_handler(callback=callback)(handler)
    Signal(98).register_handler("mule1", lambda signal: seen.append((signal, None, True)))(handler)
    assert seen == [(Signal(99), handler, True), (Signal(98), None, True)]


def test_exception_of_a_callback_propagates() -> None:
    """The handler stays registered."""

    def callback(_signal: Signal) -> None:
        raise LookupError("no such timer")

    with pytest.raises(LookupError, match="no such timer"):
        Signal(99).register_handler(callback=callback)(handler)
    assert Signal(99).registered


def test_callback_is_not_called_after_a_failure() -> None:
    """Nothing was registered."""
    called_with: list[Signal] = []
    with pytest.raises(TargetError):
        Signal(99).register_handler("bogus", called_with.append)(handler)
    assert called_with == []


def test_registering_again_replaces_the_handler(heliograph_engine: InlineEngine) -> None:
    """If the engine can do that. Only the new function runs, in the new target."""
    ran: list[str] = []
    Signal(99).register_handler("mule1")(lambda: ran.append("old"))
    Signal(99).register_handler("mule2")(lambda: ran.append("new"))
    Signal(99).send()
    assert ran == ["new"]
    assert str(heliograph_engine.handled[0].by) == "mule2"
    assert REGISTERED_SIGNALS[99].target == "mule2"


class FixedEngine(InlineEngine):
    """An engine that cannot change the target of a registered signal, like uWSGI."""

    can_change_target = False

    def register_signal(self, num: int, *args: Any) -> None:
        assert not self.signal_registered(num), "the runtime asked for what this engine cannot do"
        super().register_signal(num, *args)


def test_fixed_target_error_names_both_functions() -> None:
    """Nothing has changed."""
    with engines.using(FixedEngine()):
        Signal(99).register_handler("mule1")(handler)
        before = everything()
        with pytest.raises(AlreadyRegistered, match="Use another number") as caught:
            Signal(99).register_handler("mule2")(other_handler)
        assert everything() == before
    assert (caught.value.old, caught.value.new) == (signals.describe(handler), signals.describe(other_handler))
    assert caught.value.num == 99
    for fact in ("handler", "other_handler", "mule1", "mule2", "inline"):
        assert fact in str(caught.value)


def test_handler_with_a_fixed_target_can_be_replaced() -> None:
    """The engine need not know."""
    ran: list[str] = []
    with engines.using(FixedEngine()):
        Signal(99).register_handler("mule1")(lambda: ran.append("old"))
        Signal(99).register_handler("mule1")(lambda: ran.append("new"))
        Signal(99).send()
    assert ran == ["new"]


class RecordingEngine(InlineEngine):
    """Records the options of handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.options: list[HandlerOptions] = []

    def register_signal(self, num: int, target: str, func: Any, options: HandlerOptions = NO_OPTIONS) -> None:
        self.options.append(options)
        super().register_signal(num, target, func, options)


def test_engine_gets_the_options_of_a_handler() -> None:
    """By default a signal is redelivered, and has the time limit of the server."""
    engine = RecordingEngine()
    with engines.using(engine):
        Signal(99).register_handler("mule1", redeliver=False, time_limit=2.5)(handler)
        Signal(98)(handler)
    assert [(options.redeliver, options.time_limit) for options in engine.options] == [(False, 2.5), (True, None)]
    assert engine.options[0].name.endswith("test_signals.handler")


def test_register_all_passes_the_options() -> None:
    """A new engine gets the same options."""
    Signal(99).register_handler(redeliver=False, time_limit=0)(handler)
    engine = RecordingEngine()
    register_all(engine)
    assert [(options.redeliver, options.time_limit) for options in engine.options if not options.redeliver] == [
        (False, 0)
    ]


@pytest.mark.parametrize("time_limit", [-1, float("nan")])
def test_negative_time_limit_is_rejected(time_limit: float) -> None:
    """Before anything is registered."""
    with pytest.raises(ValueError, match=r"invalid time_limit: .*Pass seconds, 0 or more"):
        Signal(99).register_handler(time_limit=time_limit)
    assert not Signal(99).registered


class RejectingEngine(InlineEngine):
    """An engine that cannot register here, like uWSGI in a mule."""

    def register_signal(self, num: int, *_: Any) -> None:
        raise RegistrationError(num, "this is a mule")


def test_rejected_registration_changes_nothing() -> None:
    """No registry has it, and no callback runs."""
    called_with: list[Signal] = []
    with engines.using(RejectingEngine()):
        before = everything()
        with pytest.raises(RegistrationError, match="cannot register signal 99: this is a mule"):
            Signal(99).register_handler(callback=called_with.append)(handler)
        assert everything() == before
    assert called_with == []


@pytest.mark.usefixtures("_no_signals")
def test_register_all_registers_every_handler() -> None:
    """With its resolved target."""
    with engines.using(DetachedEngine()):
        Signal(7).register_handler(Mule(2))(handler)
        Signal(8)(handler)
    engine = InlineEngine()
    register_all(engine)
    with engines.using(engine):
        Signal(7).send()
    assert [num for num in range(256) if engine.signal_registered(num)] == [7, 8]
    assert [str(run.by) for run in engine.handled] == ["mule2"]


# running


def test_handler_gets_its_number_or_nothing() -> None:
    """Depending on its signature."""
    got: list[Any] = []
    Signal(99)(got.append)
    Signal(98)(lambda: got.append("nothing"))
    Signal(99).send()
    Signal(98).send()
    assert got == [99, "nothing"]


def test_async_handler_runs_to_its_end() -> None:
    """Also after it has awaited something."""
    ran: list[Any] = []

    @Signal(99)
    async def slow(num: int) -> None:
        await asyncio.sleep(0)
        ran.append((num, get_last_received()))

    Signal(99).send()
    assert ran == [(99, Signal(99))]
    assert inspect.iscoroutinefunction(slow)


def test_cancelled_async_handler_has_failed(heliograph_engine: InlineEngine) -> None:
    """`CancelledError` is no `Exception`, but it does not end the process."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    Signal(99).register_handler("mule1")(cancelled)
    Signal(99).send()
    [failed] = heliograph_engine.take_failures()
    assert isinstance(failed.failure, CancelledError)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_failure_is_logged_and_the_process_continues(
    heliograph_engine: InlineEngine, caplog: pytest.LogCaptureFixture, asynchronous: bool
) -> None:
    """With number, process, handler and traceback. The next signal runs."""

    def broken() -> None:
        raise LookupError("no such price")

    async def broken_later() -> None:
        await asyncio.sleep(0)
        broken()

    Signal(99).register_handler("mule1")(broken_later if asynchronous else broken)
    with caplog.at_level(logging.ERROR, "heliograph.signals"):
        Signal(99).send()
        Signal(99).send()
    assert [str(failed.failure) for failed in heliograph_engine.take_failures()] == ["no such price"] * 2
    [first, _] = caplog.records
    assert "Handler of signal 99 failed in mule1" in first.message
    assert "broken" in first.message
    assert "LookupError" in caplog.text
    assert get_last_received() == Signal(0)


@pytest.mark.parametrize("leaving", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_system_exit_is_not_a_failure(heliograph_engine: InlineEngine, leaving: BaseException) -> None:
    """`SystemExit` and `KeyboardInterrupt` propagate, and the state of the thread is restored."""

    def leave() -> None:
        raise leaving

    Signal(99)(leave)
    with pytest.raises(type(leaving)):
        Signal(99).send()
    assert heliograph_engine.take_failures() == ()
    assert get_last_received() == Signal(0)


def test_unregistered_signal_raises_in_the_sender() -> None:
    """The message says how to register a handler."""
    with pytest.raises(SignalNotRegistered, match=r"@Signal\(99\).register_handler") as caught:
        Signal(99).send()
    assert caught.value.num == 99


@pytest.mark.parametrize("timeout", [-1, -0.1, float("nan"), float("-inf")])
def test_negative_timeout_is_rejected(heliograph_engine: InlineEngine, timeout: float) -> None:
    """By `send`, `wait` and `wait_any`. Nothing was sent."""
    Signal(99)(handler)
    for call in (Signal(99).send, Signal(99).wait, Signal.wait_any):
        with pytest.raises(ValueError, match=r"invalid timeout: .*Pass seconds, 0 or more"):
            call(timeout=timeout)
    assert heliograph_engine.sent == []


# what was received


def test_last_received_is_0_at_first() -> None:
    """It is always a Signal."""
    assert get_last_received() == Signal(0)


def test_last_received_in_a_handler() -> None:
    """It is the signal being handled. Afterwards it is the one before."""
    seen: list[Signal] = []
    Signal(99)(lambda: seen.append(get_last_received()))
    Signal(98)(lambda: (seen.append(get_last_received()), Signal(99).send(), seen.append(get_last_received())))
    Signal(98).send()
    assert seen == [Signal(98), Signal(98), Signal(99)]
    assert get_last_received() == Signal(0)


def test_last_received_after_a_wait(heliograph_engine: InlineEngine) -> None:
    """Handlers in between, and waits that time out, do not change it."""
    Signal(99)(handler)
    Signal(98)(handler)
    with heliograph_engine.paused():
        Signal(99).send()
        Signal(99).wait()
    assert get_last_received() == Signal(99)
    with heliograph_engine.paused():
        Signal(98).send()
        assert Signal.wait_any(timeout=1) == Signal(98)
    Signal(99).send()
    with pytest.raises(WaitTimeout):
        Signal(99).wait(timeout=1)
    assert get_last_received() == Signal(98)


def test_registered_signals_maps_numbers_to_descriptions() -> None:
    """The descriptions are named tuples."""
    Signal(99).register_handler("mule1")(other_handler)
    num, target, func = REGISTERED_SIGNALS[99]
    assert (num, target, func) == (99, "mule1", other_handler)
    assert REGISTERED_SIGNALS is REGISTRY.registered


# wrappers


@pytest.fixture
def _unwrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the wrappers of a test."""
    monkeypatch.setattr(handlers, "_WRAPPERS", [])


@pytest.mark.usefixtures("_unwrapped")
def test_wrappers_apply_to_later_handlers() -> None:
    """The first wrapper is the innermost. The registry has the original function."""
    seen: list[object] = []

    def around(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def wrap(func: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(func)
            def call(*args: Any) -> None:
                seen.append(name)
                func(*args)

            return call

        return wrap

    Signal(97)(lambda: seen.append("before"))
    signals.wrap_handlers(around("inner"))
    signals.wrap_handlers(around("outer"))
    without, with_number = lambda: seen.append("nothing"), lambda num: seen.append(num + 1)
    Signal(98)(without)
    Signal(99)(with_number)
    for num in (97, 98, 99):
        Signal(num).send()
    assert seen == ["before", "outer", "inner", "nothing", "outer", "inner", 100]
    assert [REGISTERED_SIGNALS[num].func for num in (98, 99)] == [without, with_number]


@pytest.mark.usefixtures("_unwrapped")
def test_invalid_handler_is_rejected_before_it_is_wrapped() -> None:
    """Nothing has changed."""
    signals.wrap_handlers(lambda func: pytest.fail(f"wrapped {func}"))
    before = everything()
    for wrong in (17, lambda _one, _two: None):
        with pytest.raises(SignalTypeError):
            Signal(99).register_handler("mule1")(wrong)  # type: ignore[type-var]
    assert everything() == before


def test_a_failure_that_cannot_be_logged_does_not_end_the_process(heliograph_engine, monkeypatch):
    """A handler may have closed `sys.stderr`. Then `logging` raises."""
    monkeypatch.setattr(logging.getLogger("heliograph.signals"), "handle", lambda _record: 1 // 0)

    @Signal(1).register_handler("mule1")
    def failing():
        raise LookupError

    Signal(1).send()
    assert [type(failed.failure) for failed in heliograph_engine.take_failures()] == [LookupError]
