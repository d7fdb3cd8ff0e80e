"""The scheduler of the server's triggers as a service: it sends their signals until the server stops."""

from __future__ import annotations

from collections.abc import Iterable

from heliograph._core.supervision.supervisor import Supervisor
from heliograph.loop import NEVER, Selector, Service
from heliograph.models import Trigger
from heliograph.server.services.master_queues import MasterQueues
from heliograph.server.services.reports import Reports
from heliograph.triggers.last_runs import LastRunStore
from heliograph.triggers.scheduler import MasterScheduler


class SchedulerService(Service):
    """Runs the triggers that the current code has registered."""

    def __init__(
        self, selector: Selector, queues: MasterQueues, last_runs: LastRunStore, supervisor: Supervisor
    ) -> None:
        """Nothing is sent any more when `supervisor` stops the server."""
        self.scheduler = MasterScheduler(selector, queues.send, queues.is_queued, memo=last_runs)
        self.numbers: dict[str, int] = {}
        """Signal number of each trigger that the current code has registered, also of those removed since."""
        self._supervisor = supervisor

    def listen_to(self, reports: Reports) -> None:
        """Handle the reports that an application changed or removed a trigger."""
        reports.on("period", lambda report, _: self.scheduler.change_period(report["trigger"], report["period"]))
        reports.on("trigger", lambda report, _: self.scheduler.remove(report["trigger"]))

    @property
    def deadline(self) -> float:
        return NEVER if self._supervisor.stopping else self.scheduler.deadline

    def tick(self, now: float) -> None:  # noqa: ARG002 - the scheduler has clocks of its own
        if not self._supervisor.stopping:
            self.scheduler.tick()

    def replace_all(self, triggers: Iterable[Trigger]) -> None:
        """Run exactly these triggers."""
        listed = list(triggers)
        self.numbers = {trigger.name: trigger.num for trigger in listed}
        self.scheduler.replace_all(listed)

    def close(self) -> None:
        self.scheduler.close()
