"""Rows S1-S10, T1-T8 and D7 of the API, in one process: on the inline engine, and with none."""

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
from heliograph.runtime import signals
from heliograph.runtime.signals import REGISTRY, register_all

pytestmark = pytest.mark.usefixtures("heliograph_engine")


@pytest.fixture
def _alone() -> Generator[None]:
    """A process that knows no signal yet, whatever was registered before."""
    before = dict(REGISTRY.registered), set(REGISTRY.claimed), dict(REGISTRY.names)
    REGISTRY.clear()
    yield
    REGISTRY.registered.update(before[0])
    REGISTRY.claimed.update(before[1])
    REGISTRY.names.update(before[2])


def everything() -> tuple[Any, ...]:
    """All that this process, and its engine, know of signals."""
    engine = engines.current()
    routed = [num for num in range(256) if engine.signal_registered(num)]
    return dict(REGISTRY.registered), set(REGISTRY.claimed), dict(REGISTRY.names), dict(signals._HANDLERS), routed


def handler() -> None:
    """Any handler."""


def other_handler(num: int) -> None:
    """Another one."""


# numbers


@pytest.mark.parametrize(
    ("num", "error", "builtin"),
    [
        *((wrong, SignalNumberError, ValueError) for wrong in (-1, 256)),
        *((wrong, SignalTypeError, TypeError) for wrong in (True, 1.0, "1", object())),
    ],
)
def test_a_wrong_number_is_an_error_and_changes_nothing(
    num: Any, error: type[Exception], builtin: type[Exception]
) -> None:
    """S1: heliograph's own error, which is the builtin as well."""
    before = everything()
    with pytest.raises(error) as caught:
        Signal(num)
    assert isinstance(caught.value, builtin)
    assert isinstance(caught.value, UwsgiconfException)
    assert everything() == before


@pytest.mark.usefixtures("_alone")
def test_a_signal_without_number_takes_the_first_free_one() -> None:
    """S2, S3: neither registered nor claimed; `get_available_num` says which, and takes nothing."""
    Signal(0).register_handler()(handler)
    assert [get_available_num(), get_available_num()] == [1, 1]
    assert [Signal().num, Signal().num] == [1, 2]
    Signal(4)
    Signal(3).register_handler()(handler)
    assert [Signal().num, get_available_num()] == [4, 5]


@pytest.mark.usefixtures("_alone")
def test_what_the_server_knows_is_not_free(heliograph_engine: InlineEngine) -> None:
    """S2: a number that was registered by other means than heliograph's is taken too."""
    heliograph_engine.register_signal(0, "worker", lambda _num: None)
    assert get_available_num() == 1


@pytest.mark.usefixtures("_alone")
def test_256_signals_are_all_there_are() -> None:
    """S3: then both raise, and a number of one's own still works."""
    assert sorted(Signal().num for _ in range(256)) == list(range(256))
    for take in (Signal, get_available_num):
        with pytest.raises(NoSignalAvailable, match="all 256"):
            take()
    assert Signal(255).num == 255


# names


@pytest.mark.usefixtures("_alone")
def test_a_name_is_one_signal() -> None:
    """S2: the same number each time, which is the name's wherever nothing else has it; so is its number."""
    refresh = Signal(name="refresh-prices")
    assert refresh == Signal(name="refresh-prices") == Signal(180)
    assert (refresh.num, refresh.name, Signal(180).name) == (180, "refresh-prices", "refresh-prices")
    assert (Signal(181).name, refresh.registered) == ("", False)


@pytest.mark.usefixtures("_alone")
def test_names_that_want_one_number_are_two_signals() -> None:
    """S2: the first that comes has it, the other the next."""
    assert [Signal(name=name).num for name in ("x", "a", "x")] == [67, 68, 67]


@pytest.mark.usefixtures("_alone")
def test_a_name_gets_no_number_that_something_else_has(heliograph_engine: InlineEngine) -> None:
    """S2: registered here, claimed here, or registered by other means."""
    Signal(67).register_handler()(handler)
    REGISTRY.claimed.add(68)
    heliograph_engine.register_signal(69, "worker", lambda _num: None)
    assert Signal(name="a").num == 70


@pytest.mark.usefixtures("_alone")
def test_the_number_of_a_name_is_claimed() -> None:
    """S2, S3: with those from 64 up taken, names get 63 and so on down, and `Signal()` passes over them."""
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
    ("arguments", "error", "says"),
    [
        ({"name": ""}, SignalNameError, "empty or not printable"),
        ({"name": "x" * 64}, SignalNameError, "64 bytes"),
        ({"name": 5}, SignalTypeError, r"not 5 \(int\)"),
        ({"name": "refresh", "num": 5}, SignalNameError, "'refresh'.* number 5, not both"),
        ({"name": "refresh", "num": "5"}, SignalNameError, "not both"),
    ],
)
def test_a_name_that_cannot_be_changes_nothing(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    """S2: heliograph's own error, which names the value and the way out."""
    before = everything()
    with pytest.raises(error, match=says):
        Signal(**arguments)
    assert everything() == before


class NamingEngine(InlineEngine):
    """A server whose other processes have named signals."""

    def allocate_name(self, name: str, free: Callable[[int], bool]) -> int:  # noqa: ARG002 - the port's shape
        return {"refresh": 0, "report": 7}[name]

    def has_name(self, num: int) -> bool:
        return num in (0, 7)


@pytest.mark.usefixtures("_alone")
def test_what_others_have_named_is_not_free() -> None:
    """S2: `Signal()` passes over it; a name is the number that it has there, and this process has no other name."""
    with engines.using(NamingEngine()):
        assert [Signal().num, Signal().num] == [1, 2]
        assert (Signal(0).name, Signal(name="refresh").num, Signal(0).name) == ("", 0, "refresh")


@pytest.mark.usefixtures("_alone")
def test_a_name_whose_number_this_process_uses_for_something_else_is_refused() -> None:
    """S2: what was registered by hand before would run on the named signal."""
    with engines.using(NamingEngine()):
        Signal(7).register_handler()(handler)
        before = everything()
        with pytest.raises(SignalNameError, match=r"'report'.* number 7 "):
            Signal(name="report")
        assert everything() == before


@pytest.mark.usefixtures("_alone")
def test_threads_that_name_at_once_agree() -> None:
    """S2: names that want one number, asked for in both orders, are two signals for all."""
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


def test_a_fork_names_although_a_thread_of_its_parent_was_at_it() -> None:
    """What that thread held is not held in the child."""
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


def test_two_objects_of_a_number_are_the_same_signal() -> None:
    """S2: equal, with the same hash; another number is another signal; a number is not a signal."""
    assert Signal(17) == Signal(17)
    assert Signal(17) != Signal(18)
    assert len({Signal(17), Signal(17), Signal(18)}) == 2
    assert Signal(17) != 17
    assert Signal(17) in {Signal(17): "known"}


def test_a_signal_is_an_int_where_an_int_is_wanted() -> None:
    """S2: `int(s)`, as an index, and in `bytes`, `hex` and `range`."""
    signal = Signal(17)
    assert int(signal) == signal.num == 17
    assert list(range(20))[signal] == 17
    assert (hex(signal), bytes((signal,)), f"{int(signal):03}") == ("0x11", b"\x11", "017")


def test_a_signal_shows_itself() -> None:
    """The repr says whether, where to and with what it is registered."""
    assert repr(Signal(99)) == "Signal(99, not registered)"
    Signal(99).register_handler("mule1")(handler)
    assert repr(Signal(99)).startswith("Signal(99, target='mule1', handler=")
    assert repr(Signal(99)).endswith("test_signals.handler)")
    refresh = Signal(name="refresh-prices")
    assert repr(refresh) == f"Signal({refresh.num}, name='refresh-prices', not registered)"
    refresh.register_handler("mule1")(handler)
    assert repr(refresh).startswith(f"Signal({refresh.num}, name='refresh-prices', target='mule1', handler=")


def test_a_signal_has_no_other_attributes() -> None:
    """A typing mistake is an error."""
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
def test_all_forms_of_the_decorator_are_one(form: Callable[[Signal], Callable[..., Any]]) -> None:
    """S9, S10: `@signal`, with and without brackets; the function comes back, and the table shows it."""
    signal = Signal(99)
    assert form(signal) is handler
    assert REGISTERED_SIGNALS[99] == SignalDescription(99, "worker", handler)
    assert signal.registered is True


def test_what_is_callable_may_be_registered_bare() -> None:
    """S9: not only functions: partials and objects too."""
    partial = functools.partial(other_handler, 7)
    assert Signal(99).register_handler(partial) is partial
    assert REGISTERED_SIGNALS[99].func is partial


def test_registered_is_a_bool() -> None:
    """S4: False before, True after, and for what only the server knows."""
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
def test_a_target_is_shown_as_it_was_resolved(target: Any, resolved: str) -> None:
    """T1-T7, S10: words, numbers, mules and farms."""
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
def test_a_wrong_target_is_an_error_and_changes_nothing(target: Any, error: type[Exception]) -> None:
    """T8: what does not exist is a TargetError, what cannot be one a SignalTypeError."""
    Signal(99).register_handler("mule1")(handler)
    before = everything()
    with pytest.raises(error):
        Signal(99).register_handler(target)(other_handler)
    assert everything() == before


@pytest.mark.parametrize("func", [None, 5, "handler", lambda _a, _b: None])
def test_a_wrong_handler_is_an_error_and_changes_nothing(func: Any) -> None:
    """S6, S7: at registration, and the old handler stays."""
    Signal(99).register_handler("mule1")(handler)
    before = everything()
    with pytest.raises(TypeError):
        Signal(99).register_handler("mule2")(func)
    assert everything() == before


def test_a_callback_is_called_after_the_registration() -> None:
    """S9: with the signal, once, when the table and the server already know it."""
    seen: list[tuple[Signal, Any, bool]] = []

    def callback(signal: Signal) -> None:
        seen.append((signal, REGISTERED_SIGNALS[99].func, engines.current().signal_registered(99)))

    Signal(99).register_handler(callback=callback)(handler)
    Signal(98).register_handler("mule1", lambda signal: seen.append((signal, None, True)))(handler)
    assert seen == [(Signal(99), handler, True), (Signal(98), None, True)]


def test_what_a_callback_raises_goes_to_the_caller() -> None:
    """S9: and the signal is registered."""

    def callback(_signal: Signal) -> None:
        raise LookupError("no such timer")

    with pytest.raises(LookupError, match="no such timer"):
        Signal(99).register_handler(callback=callback)(handler)
    assert Signal(99).registered


def test_a_callback_is_not_called_for_what_failed() -> None:
    """S9: nothing was registered, so nothing follows."""
    called_with: list[Signal] = []
    with pytest.raises(TargetError):
        Signal(99).register_handler("bogus", called_with.append)(handler)
    assert called_with == []


def test_registering_again_replaces(heliograph_engine: InlineEngine) -> None:
    """S5: where the engine can; the new function runs, at the new target, and only that."""
    ran: list[str] = []
    Signal(99).register_handler("mule1")(lambda: ran.append("old"))
    Signal(99).register_handler("mule2")(lambda: ran.append("new"))
    Signal(99).send()
    assert ran == ["new"]
    assert str(heliograph_engine.handled[0].by) == "mule2"
    assert REGISTERED_SIGNALS[99].target == "mule2"


class FixedEngine(InlineEngine):
    """An engine that cannot move a registered signal, as real uWSGI."""

    can_change_target = False

    def register_signal(self, num: int, *args: Any) -> None:
        assert not self.signal_registered(num), "the runtime asked for what this engine cannot do"
        super().register_signal(num, *args)


def test_where_it_cannot_be_moved_the_error_names_both_functions() -> None:
    """S5: nothing has changed then."""
    with engines.using(FixedEngine()):
        Signal(99).register_handler("mule1")(handler)
        before = everything()
        with pytest.raises(AlreadyRegistered, match="use another number") as caught:
            Signal(99).register_handler("mule2")(other_handler)
        assert everything() == before
    assert (caught.value.old, caught.value.new) == (signals.describe(handler), signals.describe(other_handler))
    assert caught.value.num == 99
    for fact in ("handler", "other_handler", "mule1", "mule2", "inline"):
        assert fact in str(caught.value)


def test_where_it_cannot_be_moved_the_function_can_still_be_replaced() -> None:
    """S5: the same target needs nothing of the engine."""
    ran: list[str] = []
    with engines.using(FixedEngine()):
        Signal(99).register_handler("mule1")(lambda: ran.append("old"))
        Signal(99).register_handler("mule1")(lambda: ran.append("new"))
        Signal(99).send()
    assert ran == ["new"]


class NotingEngine(InlineEngine):
    """Notes what it is told of a handler."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[HandlerOptions] = []

    def register_signal(self, num: int, target: str, func: Any, options: HandlerOptions = NO_OPTIONS) -> None:
        self.told.append(options)
        super().register_signal(num, target, func, options)


def test_the_engine_is_told_what_is_promised_of_a_handler() -> None:
    """By keyword; where nothing is said a signal is redelivered and its time is the server's."""
    engine = NotingEngine()
    with engines.using(engine):
        Signal(99).register_handler("mule1", redeliver=False, time_limit=2.5)(handler)
        Signal(98)(handler)
    assert [(told.redeliver, told.time_limit) for told in engine.told] == [(False, 2.5), (True, None)]
    assert engine.told[0].name.endswith("test_signals.handler")


def test_a_new_engine_is_told_the_promises_too() -> None:
    """`announce` repeats them."""
    Signal(99).register_handler(redeliver=False, time_limit=0)(handler)
    engine = NotingEngine()
    register_all(engine)
    assert [(told.redeliver, told.time_limit) for told in engine.told if not told.redeliver] == [(False, 0)]


@pytest.mark.parametrize("time_limit", [-1, float("nan")])
def test_a_time_limit_is_not_negative(time_limit: float) -> None:
    """Refused before anything is registered."""
    with pytest.raises(ValueError, match="time_limit is in seconds, 0 or more"):
        Signal(99).register_handler(time_limit=time_limit)
    assert not Signal(99).registered


class RefusingEngine(InlineEngine):
    """An engine that cannot register here, as real uWSGI in a mule."""

    def register_signal(self, num: int, *_: Any) -> None:
        raise RegistrationError(num, "this is a mule")


def test_a_registration_that_is_refused_is_not_half_done() -> None:
    """S11: no table shows it, no callback runs."""
    called_with: list[Signal] = []
    with engines.using(RefusingEngine()):
        before = everything()
        with pytest.raises(RegistrationError, match="cannot register signal 99: this is a mule"):
            Signal(99).register_handler(callback=called_with.append)(handler)
        assert everything() == before
    assert called_with == []


@pytest.mark.usefixtures("_alone")
def test_a_new_engine_is_told_what_this_process_knows() -> None:
    """`announce` registers all with its resolved target."""
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


def test_a_handler_gets_its_number_or_nothing() -> None:
    """S7."""
    got: list[Any] = []
    Signal(99)(got.append)
    Signal(98)(lambda: got.append("nothing"))
    Signal(99).send()
    Signal(98).send()
    assert got == [99, "nothing"]


def test_an_async_handler_runs_to_its_end() -> None:
    """S7: also what it does after it gave way."""
    ran: list[Any] = []

    @Signal(99)
    async def slow(num: int) -> None:
        await asyncio.sleep(0)
        ran.append((num, get_last_received()))

    Signal(99).send()
    assert ran == [(99, Signal(99))]
    assert inspect.iscoroutinefunction(slow)


def test_an_async_handler_that_is_cancelled_has_failed(heliograph_engine: InlineEngine) -> None:
    """S8: it ends nothing but itself, though `CancelledError` is no `Exception`."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    Signal(99).register_handler("mule1")(cancelled)
    Signal(99).send()
    [failed] = heliograph_engine.take_failures()
    assert isinstance(failed.failure, CancelledError)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failure_is_logged_and_the_process_goes_on(
    heliograph_engine: InlineEngine, caplog: pytest.LogCaptureFixture, asynchronous: bool
) -> None:
    """S8: number, place, name and traceback; the next signal runs."""

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
    assert "handler of signal 99 failed in mule1" in first.message
    assert "broken" in first.message
    assert "LookupError" in caplog.text
    assert get_last_received() == Signal(0)


@pytest.mark.parametrize("leaving", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_leaving_is_not_a_failure(heliograph_engine: InlineEngine, leaving: BaseException) -> None:
    """S8: `SystemExit` and `KeyboardInterrupt` go through, and leave no trace of being in a handler."""

    def leave() -> None:
        raise leaving

    Signal(99)(leave)
    with pytest.raises(type(leaving)):
        Signal(99).send()
    assert heliograph_engine.take_failures() == ()
    assert get_last_received() == Signal(0)


def test_what_nobody_registered_is_refused_with_the_way_out() -> None:
    """D2: an error in the sender."""
    with pytest.raises(SignalNotRegistered, match=r"@Signal\(99\).register_handler") as caught:
        Signal(99).send()
    assert caught.value.num == 99


@pytest.mark.parametrize("timeout", [-1, -0.1, float("nan"), float("-inf")])
def test_a_timeout_is_not_negative(heliograph_engine: InlineEngine, timeout: float) -> None:
    """Of `send`, `wait` and `wait_any`; nothing was sent."""
    Signal(99)(handler)
    for call in (Signal(99).send, Signal(99).wait, Signal.wait_any):
        with pytest.raises(ValueError, match="timeout is in seconds, 0 or more"):
            call(timeout=timeout)
    assert heliograph_engine.sent == []


# what was received


def test_the_last_received_is_0_at_first() -> None:
    """D7: always a Signal."""
    assert get_last_received() == Signal(0)


def test_within_a_handler_it_is_the_one_being_handled() -> None:
    """D7: and afterwards what it was."""
    seen: list[Signal] = []
    Signal(99)(lambda: seen.append(get_last_received()))
    Signal(98)(lambda: (seen.append(get_last_received()), Signal(99).send(), seen.append(get_last_received())))
    Signal(98).send()
    assert seen == [Signal(98), Signal(98), Signal(99)]
    assert get_last_received() == Signal(0)


def test_after_a_wait_it_is_the_one_waited_for(heliograph_engine: InlineEngine) -> None:
    """D5, D6, D7: `wait` and `wait_any`; a handler in between does not change it, nor does a wait in vain."""
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


def test_registered_signals_is_this_process_table() -> None:
    """S10: number -> description, a named tuple."""
    Signal(99).register_handler("mule1")(other_handler)
    num, target, func = REGISTERED_SIGNALS[99]
    assert (num, target, func) == (99, "mule1", other_handler)
    assert REGISTERED_SIGNALS is REGISTRY.registered


# wrappers


@pytest.fixture
def _unwrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test puts around handlers is forgotten."""
    monkeypatch.setattr(signals, "_WRAPPERS", [])


@pytest.mark.usefixtures("_unwrapped")
def test_what_is_put_around_handlers_runs_around_those_to_come() -> None:
    """The first innermost; the table has the function itself."""
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
def test_what_cannot_be_a_handler_is_refused_before_it_is_wrapped() -> None:
    """And nothing has changed."""
    signals.wrap_handlers(lambda func: pytest.fail(f"wrapped {func}"))
    before = everything()
    for wrong in (17, lambda _one, _two: None):
        with pytest.raises(SignalTypeError):
            Signal(99).register_handler("mule1")(wrong)  # type: ignore[type-var]
    assert everything() == before
