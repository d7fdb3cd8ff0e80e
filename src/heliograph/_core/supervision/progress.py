"""Reports once that the server is ready, and that a reload is complete."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph._core.supervision.actions import Action, Ready, ReloadComplete
from heliograph._core.supervision.loads import Loads


@dataclass(slots=True)
class Progress:
    """The reports so far."""

    ready: bool = False
    """True if every process has run and received signals at one time."""
    _reloaded: int = 1
    """The newest generation whose reload was reported. The first generation needs no report."""

    def report(self, loads: Loads, *, ready: bool, now: float) -> list[Action]:
        """Return the reports that are due. `ready`: every process runs. Else those do that a reload waits for."""
        if loads.loading:
            return []
        actions: list[Action] = []
        if ready and not self.ready:
            self.ready = True
            actions.append(Ready())
        if loads.current > self._reloaded:
            self._reloaded = loads.current
            actions.append(ReloadComplete(loads.current, now - loads.started_at))
        return actions
