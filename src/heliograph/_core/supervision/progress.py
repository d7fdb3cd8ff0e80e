"""Reports once that the server is ready, and that a reload is complete."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph._core.supervision.actions import Action, Ready, ReloadComplete
from heliograph._core.supervision.loads import Loads


@dataclass(slots=True)
class Progress:
    """The newest generation that was reported."""

    _reported: int = 0

    def report(self, loads: Loads, *, now: float) -> list[Action]:
        """Return the report that is due, once every process runs the current generation and is ready."""
        if loads.loading or loads.current == self._reported:
            return []
        first, self._reported = not self._reported, loads.current
        actions: list[Action] = [Ready()] if first else []
        if loads.current > 1:
            actions.append(ReloadComplete(loads.current, now - loads.started_at))
        return actions
