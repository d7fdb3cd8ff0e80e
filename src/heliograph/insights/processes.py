"""The processes of a server: the facts of its master, their memory, and what they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliograph.insights.signals import SignalReader
from heliograph.ipc.proc import proportional_memory, resident_memory


class ProcessReader:
    """Reads the processes again and again. The memory of one is kept for some seconds."""

    def __init__(self, *, memory: bool, memory_age: float) -> None:
        self._reads_memory, self._memory_age = memory, memory_age
        self._memory: dict[int, tuple[float, int | None]] = {}

    def describe(
        self, fact: Mapping[str, Any], queued: Mapping[str, int], signals: SignalReader, now: float
    ) -> dict[str, Any]:
        """Return the fields of a `ProcessState`. `fact` is from the master, `queued` has the content of the queues."""
        name, pid = fact["name"], fact["pid"]
        return {
            **fact,
            "memory": self._memory_of(pid, now) if pid else None,
            "rss": resident_memory(pid) if pid else None,
            "running": (),
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
