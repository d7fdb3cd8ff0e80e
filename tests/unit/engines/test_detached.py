"""The engine of a process without a server: it accepts registrations, and sending raises an exception."""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from heliograph import REGISTERED_SIGNALS, Signal, engines, uwsgi
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import NoEngine, TargetError
from heliograph.models import Identity
from heliograph.testing.inline import _restored_registries
from heliograph.timing.clocks import SystemClock

ROOT = Path(__file__).parents[3]
DOCS = Path("docs/reference/exceptions.md")


@pytest.fixture(autouse=True)
def engine() -> Generator[DetachedEngine]:
    engine = DetachedEngine()
    with _restored_registries(), engines.using(engine):
        yield engine


def test_registration_is_kept() -> None:
    """The application can be imported, and its registry shows the handlers."""
    Signal(99).register_handler("mule7")(print)
    assert REGISTERED_SIGNALS[99] == (99, "mule7", print)
    assert Signal(99).registered is True


def test_invalid_target_is_rejected() -> None:
    """A target that could exist is checked when the server starts."""
    with pytest.raises(TargetError, match="worker, workerN, workers"):
        Signal(99).register_handler("bogus")(print)
    assert 99 not in REGISTERED_SIGNALS


def test_registering_again_replaces_the_handler() -> None:
    """Also with another target."""
    Signal(99).register_handler("mule1")(print)
    Signal(99).register_handler("workers")(repr)
    assert REGISTERED_SIGNALS[99] == (99, "workers", repr)


@pytest.mark.parametrize(
    "call", [Signal(99).send, Signal(99).wait, Signal.wait_any, lambda: Signal(99).wait(timeout=0)]
)
def test_sending_and_waiting_raise_no_engine(call: Callable[[], object]) -> None:
    """The message says how to get an engine, for registered and for other signals."""
    for register in (False, True):
        if register:
            Signal(99)(print)
        with pytest.raises(NoEngine) as caught:
            call()
        assert isinstance(caught.value, RuntimeError)
        for way_out in ("heliograph run APP`", "`heliograph_engine`", "send(remote=ADDRESS)", str(DOCS)):
            assert way_out in str(caught.value)


def test_docs_list_all_ways_to_get_an_engine() -> None:
    """The message refers to this page."""
    row = next(line for line in (ROOT / DOCS).read_text().splitlines() if line.startswith("| `NoEngine`"))
    ways_out = ("heliograph run APP`", "-- gunicorn", "uWSGI", "heliograph_engine", "HELIOGRAPH_ENGINE=inline")
    for way_out in (*ways_out, "send(remote=", "--socket", "register_handler(remote=True)"):
        assert way_out in row


def test_name_keeps_its_number() -> None:
    """The number is usually the same as on a server, so `send(remote=...)` reaches the handler."""
    assert (Signal(name="report").num, Signal(132).name) == (132, "report")


def test_message_names_the_signal() -> None:
    """The message contains the number that was not sent."""
    with pytest.raises(NoEngine, match="signal 99 was not sent"):
        Signal(99).send()


def test_server_facts_are_empty(engine: DetachedEngine) -> None:
    """Asking for facts about the server raises no exception."""
    ran: list[int] = []
    uwsgi.postfork_hooks.add()(lambda: ran.append(1))
    assert ran == []
    assert (engine.name, engine.identity, engine.topology) == ("detached", Identity("external"), None)
    assert (engine.masterpid(), engine.workers(), dict(engine.opt()), engine.version()) == (0, (), {}, "")
    assert (engine.in_farm("mail"), engine.signal_registered(99), engine.has_name(99)) == (False, False, False)
    assert isinstance(engine.clock, SystemClock)
