"""The load generators. They run inside a worker and are the same for every peer; times are nanoseconds.

Garbage collection is off in the sender while a job runs. The sender sleeps, and does not spin, while it waits: the
processes of a server outnumber the cores of a small machine.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import repeat
from time import monotonic_ns, perf_counter_ns

from lib.api_adapters import Binding
from lib.cpu_affinity import pin
from lib.shared_counters import TIMES, Memory

Figures = dict[str, list[float]]
"""What a job found, by name."""

_POLL = 0.0002
"""Seconds between two looks at the counters while nothing is to be sent."""
_MAKE_ROOM = 0.00005
"""Seconds that a sender with a window sleeps while that is full; heliograph's own first pause."""
_PATIENCE = 0.5
"""Seconds after which a count that does not move is taken to be final."""


class Sender:
    """One worker's means to send, and to see what was handled."""

    def __init__(self, binding: Binding, memory: Memory) -> None:
        self._binding = binding
        self._memory = memory

    def together(self) -> Figures:
        """Let all processes of this server share a core from now on."""
        pin("together")
        return {}

    def apart(self) -> Figures:
        """Let this process have a core of its own from now on."""
        pin("apart")
        return {}

    def free(self) -> Figures:
        """Let the kernel place all processes from now on."""
        pin("free")
        return {}

    def rounds(self, rounds: int, batch: int) -> Figures:
        """Cost of a send, averaged over each `batch`; the queue is empty when a batch begins."""
        send, what = self._binding.send, self._binding.signals["one"]
        costs: list[float] = []
        for _ in range(rounds):
            goal = self._memory.handled() + batch
            before = perf_counter_ns()
            for _ in repeat(None, batch):
                send(what)
            costs.append((perf_counter_ns() - before) / batch)
            self._settle(goal, strict=True)
        return {"ns": costs}

    def paced(self, count: int, pause_us: int) -> Figures:
        """Cost of one send after a pause, so of a send with cold caches."""
        send, what = self._binding.send, self._binding.signals["one"]
        costs: list[float] = []
        goal = self._memory.handled() + count
        for _ in range(count):
            time.sleep(pause_us / 1e6)
            before = perf_counter_ns()
            send(what)
            costs.append(perf_counter_ns() - before)
        self._settle(goal, strict=True)
        return {"ns": costs}

    def latency(self, count: int) -> Figures:
        """From before the send to the first line of the handler, one at a time; the processes sleep in between."""
        send, what, memory = self._binding.send, self._binding.signals["timed"], self._memory
        waits: list[float] = []
        for _ in range(count):
            place = memory.handled()
            before = monotonic_ns()
            send(what)
            self._settle(place + 1, strict=True)
            waits.append(memory.times[place % TIMES] - before)
        return {"ns": waits}

    def load(self, count: int, window: int) -> Figures:
        """The same while signals follow each other as in `flood`; `count` is at most `TIMES`."""
        send, what, memory = self._binding.send, self._binding.signals["timed"], self._memory
        base = memory.handled()
        before: list[int] = []
        for portion in self._portions(base, count, window):
            for _ in repeat(None, portion):
                before.append(monotonic_ns())
                send(what)
        self._settle(base + count, strict=True)
        return {"ns": [memory.times[(base + i) % TIMES] - then for i, then in enumerate(before)]}

    def flood(self, count: int, window: int, to: int) -> Figures:
        """Send `count` as fast as the sender can, or, with a window, with at most so many in flight.

        `to` is 0 for one mule, 1 for any, and N for each of N, who then handle N times as many.
        """
        send, what = self._binding.send, self._binding.signals[("one", "pool", "all")[min(to, 2)]]
        base = self._memory.handled()
        before = perf_counter_ns()
        for portion in self._portions(base, count, window):
            for _ in repeat(None, portion):
                send(what)
        sent = perf_counter_ns()
        ended = self._settle(base + count * max(to, 1))
        handled = self._memory.handled() - base
        return {"handled": [handled], "send_ns": [sent - before], "all_ns": [ended - before]}

    def _portions(self, base: int, count: int, window: int) -> Generator[int]:
        """How many to send next: all of them, or as many as the window has room for."""
        sent = 0
        while sent < count:
            room = window - (sent + base - self._memory.handled()) if window else count
            if room <= 0:
                time.sleep(_MAKE_ROOM)
                continue
            portion = min(room, count - sent)
            yield portion
            sent += portion

    def _settle(self, goal: int, *, strict: bool = False) -> int:
        """Wait until `goal` signals are handled, or the count has stopped; when it last moved."""
        handled, moved = -1, perf_counter_ns()
        while handled < goal:
            now = perf_counter_ns()
            seen = self._memory.handled()
            if seen != handled:
                handled, moved = seen, now
            elif now - moved > _PATIENCE * 1e9:
                break
            else:
                time.sleep(_POLL)
        if strict and handled != goal:
            raise RuntimeError(f"{goal} signals should be handled by now, {handled} are")
        return moved


def run(job: str, sender: Sender, arguments: dict[str, int]) -> Figures:
    """Run one of the jobs below."""
    with _quiet():
        return _JOBS[job](sender, **arguments)


def work(sender: Sender, text: str) -> str:
    """Run a job that came as JSON; its figures are JSON too, or a text if it failed."""
    job, arguments = json.loads(text)
    try:
        return json.dumps(run(job, sender, arguments))
    except Exception as failure:  # noqa: BLE001 - the one who asked is told, whatever it was
        return json.dumps(f"{type(failure).__name__}: {failure}")


_JOBS: dict[str, Callable[..., Figures]] = {
    "together": Sender.together,
    "apart": Sender.apart,
    "free": Sender.free,
    "rounds": Sender.rounds,
    "paced": Sender.paced,
    "latency": Sender.latency,
    "load": Sender.load,
    "flood": Sender.flood,
}


@contextmanager
def _quiet() -> Generator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
