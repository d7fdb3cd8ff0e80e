"""No engine: registering is remembered, sending raises and says how to get one."""

from collections.abc import Callable, Generator

import pytest

from heliograph import REGISTERED_SIGNALS, Signal, engines, uwsgi
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import NoEngine, TargetError
from heliograph.models import Identity
from heliograph.testing.plugin import _restored_registries
from heliograph.timing.clocks import SystemClock


@pytest.fixture(autouse=True)
def engine() -> Generator[DetachedEngine]:
    engine = DetachedEngine()
    with _restored_registries(), engines.using(engine):
        yield engine


def test_registering_is_remembered() -> None:
    """An application imports, and its table shows what it registered."""
    Signal(99).register_handler("mule7")(print)
    assert REGISTERED_SIGNALS[99] == (99, "mule7", print)
    assert Signal(99).registered is True


def test_what_can_never_be_a_target_is_refused() -> None:
    """T8: the rest is checked when the server starts."""
    with pytest.raises(TargetError, match="worker, workerN, workers"):
        Signal(99).register_handler("bogus")(print)
    assert 99 not in REGISTERED_SIGNALS


def test_registering_again_replaces() -> None:
    """S5: with another target too."""
    Signal(99).register_handler("mule1")(print)
    Signal(99).register_handler("workers")(repr)
    assert REGISTERED_SIGNALS[99] == (99, "workers", repr)


@pytest.mark.parametrize(
    "call", [Signal(99).send, Signal(99).wait, Signal.wait_any, lambda: Signal(99).wait(timeout=0)]
)
def test_nothing_is_sent_or_awaited_in_silence(call: Callable[[], object]) -> None:
    """The error names the ways to get an engine, for registered and for other signals."""
    for register in (False, True):
        if register:
            Signal(99)(print)
        with pytest.raises(NoEngine) as caught:
            call()
        assert isinstance(caught.value, RuntimeError)
        ways_out = ("heliograph run APP`", "-- gunicorn", "uWSGI", "heliograph_engine", "HELIOGRAPH_ENGINE=inline")
        for way_out in (*ways_out, "send(remote=", "--socket", "register_handler(remote=True)"):
            assert way_out in str(caught.value)


def test_a_name_is_remembered() -> None:
    """As its number elsewhere, so that `send(remote=...)` mostly reaches it."""
    assert (Signal(name="report").num, Signal(132).name) == (132, "report")


def test_the_error_names_the_signal() -> None:
    """Which one was not sent."""
    with pytest.raises(NoEngine, match="signal 99 was not sent"):
        Signal(99).send()


def test_there_is_no_server(engine: DetachedEngine) -> None:
    """Nothing is known, nobody forks, and asking does no harm."""
    ran: list[int] = []
    uwsgi.postfork_hooks.add()(lambda: ran.append(1))
    assert ran == []
    assert (engine.name, engine.identity, engine.topology) == ("detached", Identity("external"), None)
    assert (engine.masterpid(), engine.workers(), dict(engine.opt()), engine.version()) == (0, (), {}, "")
    assert (engine.in_farm("mail"), engine.signal_registered(99), engine.has_name(99)) == (False, False, False)
    assert isinstance(engine.clock, SystemClock)
