"""The scheduler of the server's triggers as a service: it sends their signals until the server stops."""

from __future__ import annotations

import logging
import selectors
from collections.abc import Iterable, Sequence
from typing import Any

from heliograph._core.supervision.events import Event, Exited
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.ipc.doorbell import Ring
from heliograph.loop import NEVER, Selector, Service
from heliograph.models import MICROSECONDS, Trigger
from heliograph.server.services.master_queues import MasterQueues
from heliograph.server.services.reports import Reports
from heliograph.triggers.last_runs import LastRunStore
from heliograph.triggers.scheduler import Scheduler, SchedulerHost

_LOG = logging.getLogger("heliograph.master")


class SchedulerService(Service):
    """Runs the triggers that the current code has registered."""

    def __init__(
        self, selector: Selector, queues: MasterQueues, last_runs: LastRunStore, supervisor: Supervisor
    ) -> None:
        """Nothing is sent any more when `supervisor` stops the server."""
        self.numbers: dict[str, int] = {}
        """Signal number of each trigger that the current code has registered, also of those removed since."""
        self._queues = queues
        host = SchedulerHost(_LOG, last_runs=last_runs, has_receivers=queues.has_receivers)
        self._scheduler = Scheduler(self._send, queues.is_queued, host)
        self._supervisor = supervisor
        self._selector = selector
        self._descriptors: set[int] = set()

    def listen_to(self, reports: Reports) -> None:
        """Handle the reports that an application changed or removed a trigger."""
        reports.on("wake", lambda report, _: self._wake_at(report["wake"], report.get("at", 0)))
        reports.on("period", lambda report, _: self._scheduler.change_period(report["trigger"], report["period"]))
        reports.on("trigger", lambda report, _: self._scheduler.remove(report["trigger"]))

    @property
    def deadline(self) -> float:
        return NEVER if self._supervisor.stopping else self._scheduler.deadline

    def tick(self, now: float) -> None:  # noqa: ARG002 - the scheduler has clocks of its own
        if not self._supervisor.stopping:
            self._scheduler.tick()
            self._register_descriptors()

    def replace_all(self, triggers: Iterable[Trigger]) -> None:
        """Run exactly these triggers."""
        listed = list(triggers)
        self.numbers = {trigger.name: trigger.num for trigger in listed}
        self._scheduler.replace_all(listed)
        self._register_descriptors()

    def _register_descriptors(self) -> None:
        """Wait for file changes and for the wall clock, once there is a descriptor that reports them."""
        reporters = (self._scheduler.watch_fd, self._read_changes), (self._scheduler.clock_fd, self._read_clock)
        for fd, read in reporters:
            if fd is not None and fd not in self._descriptors:
                self._descriptors.add(fd)
                self._selector.register(fd, selectors.EVENT_READ, read)

    def rows(self) -> list[dict[str, Any]]:
        """Return all triggers, for the status output."""
        return self._scheduler.rows()

    def details(self) -> list[dict[str, Any]]:
        """Return all triggers with the times of their runs."""
        return self._scheduler.details()

    def upcoming(self, count: int) -> Sequence[tuple[float, str, int]]:
        """Return the next runs: time (seconds since 1970), name of the trigger, signal number."""
        return self._scheduler.upcoming(count)

    def close(self) -> None:
        while self._descriptors:
            self._selector.unregister(self._descriptors.pop())
        self._scheduler.close()

    def wake(self, ring: Ring) -> None:
        """Wake a target, as a datagram at the doorbell asks.

        For a target that is not registered, wake all: the processes of one of them look after its tasks.
        """
        num = self._queues.find_wakeup(ring.target)
        for found in self._queues.wakeup_numbers() if num is None else (num,):
            self._wake_at(found, int(ring.when * MICROSECONDS))

    def on_event(self, event: Event) -> None:
        """Wake all targets if a process was killed, perhaps after it had stored a task and before it woke anybody."""
        if isinstance(event, Exited) and not event.expected and not self._supervisor.stopping:
            self._wake_all()

    def _wake_all(self) -> None:
        for num in self._queues.wakeup_numbers():
            self._wake_at(num, 0)

    def _wake_at(self, num: int, when: int) -> None:
        """Send the wake-up `num` at that time, in microseconds since 1970, or earlier if another process asked."""
        due = self._scheduler.wake_at(num, when / MICROSECONDS)
        self._register_descriptors()
        self._queues.wakeups.deadlines[num] = max(1, int(due * MICROSECONDS))

    def _send(self, num: int) -> bool:
        # First, since a process that reads the word may rely on a wake-up that is still to come.
        self._queues.wakeups.deadlines[num] = 0
        return self._queues.send(num)

    def _read_changes(self, _now: float) -> None:
        self._scheduler.read_changes()

    def _read_clock(self, now: float) -> None:
        """Go on at the time of a wake-up. If the clock was set, wake all targets: their tasks may be due now."""
        if self._scheduler.read_clock():
            self._wake_all()
        self.tick(now)
