"""How the application of each peer registers its handlers, and what its sender calls.

Every binding gives a `send` and, by name, what to hand to it, so that the loop `send(what)` is the same for all and
adds no frame to any: `uwsgi.signal` with a number, `Signal.send` with a `Signal`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from time import monotonic_ns
from typing import Any

from lib.shared_counters import TIMES, Memory

TARGETS = {"one": "mule1", "pool": "mule", "all": "mules", "timed": "mule1"}
"""What the signals are for: to count in one mule, in any, in each; to note when its handler starts."""

NUMBERS = {"one": 17, "pool": 18, "timed": 19, "all": 21}


@dataclass(frozen=True, slots=True)
class Binding:
    """The sender's side: `send(signals["one"])`."""

    send: Callable[[Any], object]
    signals: Mapping[str, Any]


def bind(name: str, memory: Memory) -> Binding:
    """Register the handlers through the API of that name, and say how to send."""
    return _BINDINGS[name](memory)


def _raw(memory: Memory) -> Binding:
    import uwsgi  # noqa: PLC0415 - exists within a server only

    for name, handler in _handlers(memory, uwsgi.mule_id).items():
        uwsgi.register_signal(NUMBERS[name], TARGETS[name], handler)
    return Binding(uwsgi.signal, NUMBERS)


def _uwsgiconf(memory: Memory) -> Binding:
    signals, mules = (import_module(f"uwsgiconf.runtime.{name}") for name in ("signals", "mules"))  # has no types
    return _objects(signals.Signal, mules.Mule.get_current_id, memory)


def _heliograph(memory: Memory) -> Binding:
    from heliograph import Mule, Signal  # noqa: PLC0415 - only its own server pays for it

    return _objects(Signal, Mule.get_current_id, memory)


def _objects(signal: Any, mule_id: Callable[[], int], memory: Memory) -> Binding:
    """The two libraries with a `Signal` have the same names."""
    signals = {name: signal(number) for name, number in NUMBERS.items()}
    for name, handler in _handlers(memory, mule_id).items():
        signals[name].register_handler(target=TARGETS[name])(handler)
    return Binding(signal.send, signals)


_BINDINGS: dict[str, Callable[[Memory], Binding]] = {"raw": _raw, "uwsgiconf": _uwsgiconf, "heliograph": _heliograph}


def _handlers(memory: Memory, mule_id: Callable[[], int]) -> dict[str, Callable[[int], None]]:
    """One handler for each name in `TARGETS`; a mule finds its counter at its first signal."""
    words, times = memory.words, memory.times
    mine = 0

    def one(_num: int) -> None:
        nonlocal mine
        mine = mine or memory.counter(mule_id())
        words[mine] += 1

    def pool(_num: int) -> None:
        nonlocal mine
        mine = mine or memory.counter(mule_id())
        words[mine] += 1

    def each(_num: int) -> None:
        nonlocal mine
        mine = mine or memory.counter(mule_id())
        words[mine] += 1

    def timed(_num: int) -> None:
        now = monotonic_ns()
        nonlocal mine
        mine = mine or memory.counter(mule_id())
        times[words[mine] % TIMES] = now
        words[mine] += 1

    return {"one": one, "pool": pool, "all": each, "timed": timed}
