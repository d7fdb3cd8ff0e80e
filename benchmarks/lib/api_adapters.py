"""Adapters for the peers' APIs: how to register handlers and how to send.

Each binding has a `send` function and its arguments by name. The measured loop `send(signal)` is therefore the same for
all peers and adds no stack frame: it calls `uwsgi.signal` with a number or `Signal.send` with a `Signal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from time import monotonic_ns
from typing import Any

from lib.shared_counters import MAX_TIMES, SharedCounters

TARGETS = {"one": "mule1", "pool": "mule", "all": "mules", "timed": "mule1"}
"""Signal name -> target. The handler of `timed` records when it starts, the others only count."""

NUMBERS = {"one": 17, "pool": 18, "timed": 19, "all": 21}


@dataclass(frozen=True, slots=True)
class Binding:
    """The sender's side of an API: call `send(signals["one"])`."""

    send: Callable[[Any], object]
    signals: Mapping[str, Any]


def bind(name: str, counters: SharedCounters) -> Binding:
    """Register the handlers through the named API and return its binding."""
    return _BINDINGS[name](counters)


def _raw(counters: SharedCounters) -> Binding:
    import uwsgi  # noqa: PLC0415 - the module exists only inside uWSGI

    for name, handler in _handlers(counters, uwsgi.mule_id).items():
        uwsgi.register_signal(NUMBERS[name], TARGETS[name], handler)
    return Binding(uwsgi.signal, NUMBERS)


def _uwsgiconf(counters: SharedCounters) -> Binding:
    signals, mules = (import_module(f"uwsgiconf.runtime.{name}") for name in ("signals", "mules"))  # no type hints
    return _objects(signals.Signal, mules.Mule.get_current_id, counters)


def _heliograph(counters: SharedCounters) -> Binding:
    from heliograph import Mule, Signal  # noqa: PLC0415 - other peers must not import it

    return _objects(Signal, Mule.get_current_id, counters)


def _objects(signal: Any, mule_id: Callable[[], int], counters: SharedCounters) -> Binding:
    """Bind a library that has a `Signal` class: uwsgiconf and heliograph use the same names."""
    signals = {name: signal(number) for name, number in NUMBERS.items()}
    for name, handler in _handlers(counters, mule_id).items():
        signals[name].register_handler(target=TARGETS[name])(handler)
    return Binding(signal.send, signals)


_BINDINGS: dict[str, Callable[[SharedCounters], Binding]] = {
    "raw": _raw,
    "uwsgiconf": _uwsgiconf,
    "heliograph": _heliograph,
}


def _handlers(counters: SharedCounters, mule_id: Callable[[], int]) -> dict[str, Callable[[int], None]]:
    """Return one handler for each name in `TARGETS`. A mule looks up its counter at its first signal."""
    words, times = counters.words, counters.times
    mine = 0

    def one(_num: int) -> None:
        nonlocal mine
        mine = mine or counters.counter(mule_id())
        words[mine] += 1

    def pool(_num: int) -> None:
        nonlocal mine
        mine = mine or counters.counter(mule_id())
        words[mine] += 1

    def each(_num: int) -> None:
        nonlocal mine
        mine = mine or counters.counter(mule_id())
        words[mine] += 1

    def timed(_num: int) -> None:
        now = monotonic_ns()
        nonlocal mine
        mine = mine or counters.counter(mule_id())
        times[words[mine] % MAX_TIMES] = now
        words[mine] += 1

    return {"one": one, "pool": pool, "all": each, "timed": timed}
