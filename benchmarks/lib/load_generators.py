"""The load generators. They run inside a worker and are the same for every peer. Times are in nanoseconds.

Garbage collection is off in the sender while a job runs. The sender sleeps while it waits instead of spinning, because
a server has more processes than a small machine has cores.
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
from lib.shared_counters import MAX_TIMES, SharedCounters

Figures = dict[str, list[float]]
"""The results of a job, by name."""

_POLL = 0.0002
"""Seconds between two reads of the counters while nothing is sent."""
_WINDOW_POLL = 0.00005
"""Seconds that a sender sleeps while its window is full. heliograph's first pause is as long."""
_STABLE_TIME = 0.5
"""Seconds without change after which a count is final."""


class Sender:
    """Send from one worker, and count what was handled."""

    def __init__(self, binding: Binding, counters: SharedCounters) -> None:
        self._binding = binding
        self._counters = counters

    def same_core(self) -> Figures:
        """Pin all processes of this server to one core."""
        pin("same_core")
        return {}

    def separate_cores(self) -> Figures:
        """Pin this process to one core, and all others to another."""
        pin("separate_cores")
        return {}

    def unpinned(self) -> Figures:
        """Let the kernel choose the cores of all processes."""
        pin("unpinned")
        return {}

    def batches(self, count: int, batch: int) -> Figures:
        """Measure the mean cost of a send in each batch. The queue is empty when a batch starts."""
        send, what = self._binding.send, self._binding.signals["one"]
        costs: list[float] = []
        for _ in range(count):
            goal = self._counters.handled() + batch
            before = perf_counter_ns()
            for _ in repeat(None, batch):
                send(what)
            costs.append((perf_counter_ns() - before) / batch)
            self._wait_until_handled(goal, strict=True)
        return {"ns": costs}

    def paced(self, count: int, pause_us: int) -> Figures:
        """Measure the cost of one send after a pause, so with cold caches."""
        send, what = self._binding.send, self._binding.signals["one"]
        costs: list[float] = []
        goal = self._counters.handled() + count
        for _ in range(count):
            time.sleep(pause_us / 1e6)
            before = perf_counter_ns()
            send(what)
            costs.append(perf_counter_ns() - before)
        self._wait_until_handled(goal, strict=True)
        return {"ns": costs}

    def latency(self, count: int) -> Figures:
        """Measure from before the send to the first line of the handler, one signal at a time, all processes asleep."""
        send, what, counters = self._binding.send, self._binding.signals["timed"], self._counters
        waits: list[float] = []
        for _ in range(count):
            place = counters.handled()
            before = monotonic_ns()
            send(what)
            self._wait_until_handled(place + 1, strict=True)
            waits.append(counters.times[place % MAX_TIMES] - before)
        return {"ns": waits}

    def load(self, count: int, window: int) -> Figures:
        """Measure the latency under load, with signals sent as in `flood`. `count` is at most `MAX_TIMES`."""
        send, what, counters = self._binding.send, self._binding.signals["timed"], self._counters
        base = counters.handled()
        before: list[int] = []
        for portion in self._portions(base, count, window):
            for _ in repeat(None, portion):
                before.append(monotonic_ns())
                send(what)
        self._wait_until_handled(base + count, strict=True)
        return {"ns": [counters.times[(base + i) % MAX_TIMES] - then for i, then in enumerate(before)]}

    def flood(self, count: int, window: int, to: int) -> Figures:
        """Send `count` signals as fast as possible, or with at most `window` in flight (0: no limit).

        `to` selects the target: 0 is one mule, 1 is any mule, N is each of N mules, which handle N times as many.
        """
        send, what = self._binding.send, self._binding.signals[("one", "pool", "all")[min(to, 2)]]
        base = self._counters.handled()
        before = perf_counter_ns()
        for portion in self._portions(base, count, window):
            for _ in repeat(None, portion):
                send(what)
        sent = perf_counter_ns()
        ended = self._wait_until_handled(base + count * max(to, 1))
        handled = self._counters.handled() - base
        return {"handled": [handled], "send_ns": [sent - before], "all_ns": [ended - before]}

    def _portions(self, base: int, count: int, window: int) -> Generator[int]:
        """Yield how many signals to send next: all of them, or as many as fit in the window."""
        sent = 0
        while sent < count:
            free = window - (sent + base - self._counters.handled()) if window else count
            if free <= 0:
                time.sleep(_WINDOW_POLL)
                continue
            portion = min(free, count - sent)
            yield portion
            sent += portion

    def _wait_until_handled(self, goal: int, *, strict: bool = False) -> int:
        """Wait until `goal` signals are handled or the count stops. Return the time of its last change."""
        handled, moved = -1, perf_counter_ns()
        while handled < goal:
            now = perf_counter_ns()
            seen = self._counters.handled()
            if seen != handled:
                handled, moved = seen, now
            elif now - moved > _STABLE_TIME * 1e9:
                break
            else:
                time.sleep(_POLL)
        if strict and handled != goal:
            raise RuntimeError(f"{handled} of {goal} signals were handled")
        return moved


def run(job: str, sender: Sender, arguments: dict[str, int]) -> Figures:
    """Run the named job and return its figures."""
    with _without_gc():
        return _JOBS[job](sender, **arguments)


def run_request(sender: Sender, text: str) -> str:
    """Run a job given as JSON. Return its figures, or the error as a string, as JSON."""
    job, arguments = json.loads(text)
    try:
        return json.dumps(run(job, sender, arguments))
    except Exception as failure:  # noqa: BLE001 - the client gets every error
        return json.dumps(f"{type(failure).__name__}: {failure}")


_JOBS: dict[str, Callable[..., Figures]] = {
    "same_core": Sender.same_core,
    "separate_cores": Sender.separate_cores,
    "unpinned": Sender.unpinned,
    "batches": Sender.batches,
    "paced": Sender.paced,
    "latency": Sender.latency,
    "load": Sender.load,
    "flood": Sender.flood,
}


@contextmanager
def _without_gc() -> Generator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
