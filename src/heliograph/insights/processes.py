"""The processes of a server: the facts of its master, their memory, and what they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from heliograph.insights.health import overdue_after
from heliograph.insights.model import Running, SignalState, StoreState
from heliograph.insights.signals import SignalReader, longest
from heliograph.ipc.proc import proportional_memory, resident_memory


class Limits:
    """The times after which handlers and tasks are overdue."""

    def __init__(self, least: float, signals: Iterable[SignalState], store: StoreState | None) -> None:
        """`least` are the seconds that each of them may run (`--overdue`)."""
        self._least = least
        self._longest = {("signal", signal.name or str(signal.num)): longest(signal.ran) for signal in signals}
        for task in store.tasks if store is not None else ():
            self._longest["task", task.name] = longest(task.ran)

    def judge(self, running: Running, now: float) -> Running:
        """Return what runs, with `is_overdue`."""
        most = overdue_after(self._longest.get((running.kind, running.name)), self._least)
        return replace(running, is_overdue=now - running.since > most)


class ProcessReader:
    """Reads the processes again and again. The memory of one is kept for some seconds."""

    def __init__(self, *, memory: bool, memory_age: float) -> None:
        self._reads_memory, self._memory_age = memory, memory_age
        self._memory: dict[int, tuple[float, int | None]] = {}

    def describe(
        self, fact: Mapping[str, Any], queued: Mapping[str, int], signals: SignalReader, limits: Limits, now: float
    ) -> dict[str, Any]:
        """Return the fields of a `ProcessState`. `fact` is from the master, `queued` has the content of the queues."""
        name, pid = fact["name"], fact["pid"]
        return {
            **fact,
            "memory": self._memory_of(pid, now) if pid else None,
            "rss": resident_memory(pid) if pid else None,
            "rss_at_start": signals.memory_at_start(name) if pid else None,
            "running": [asdict(limits.judge(running, now)) for running in signals.running(name)] if pid else (),
            "handled": signals.handled(name),
            "queued": queued.get(name, 0) + signals.fetched(name),
        }

    def _memory_of(self, pid: int, now: float) -> int | None:
        if not self._reads_memory:
            return None
        self._memory = {known: found for known, found in self._memory.items() if 0 <= now - found[0] < self._memory_age}
        if pid not in self._memory:
            self._memory[pid] = now, proportional_memory(pid)
        return self._memory[pid][1]
