"""Triggers on uWSGI: worker 1 runs the scheduler in a thread."""

from __future__ import annotations

import uwsgi

from heliograph.engines.uwsgi import introspection
from heliograph.engines.uwsgi.registration_checks import MODULE_LEVEL, check_master
from heliograph.engines.uwsgi.scheduler_thread import SchedulerThread
from heliograph.engines.uwsgi.sending import UwsgiSending
from heliograph.exceptions import NotSupported, RegistrationError
from heliograph.models import Identity, Trigger

SCHEDULER_PROCESS = Identity("worker", 1)
"""The process that runs the scheduler. Every server with workers has it once, and uWSGI restarts it."""


class UwsgiTriggers(UwsgiSending):
    """The role `TriggerHosting`."""

    def __init__(self) -> None:
        super().__init__()
        self._triggers: dict[str, Trigger] = {}
        self._scheduler: SchedulerThread | None = None

    def add_trigger(self, trigger: Trigger) -> None:
        check_master(trigger.num)
        if not uwsgi.has_threads:
            raise NotSupported(
                f"cannot add trigger {trigger.name}: this uWSGI has no threads, and worker 1 runs triggers in one. "
                "Start it with --enable-threads."
            )
        if not self._topology.workers:
            raise NotSupported(
                f"cannot add trigger {trigger.name}: worker 1 runs triggers. Start uWSGI with --workers 1 or more."
            )
        process = self.identity
        if process.role != "master" and not introspection.is_lazy():
            raise RegistrationError(trigger.num, f"{process} is already forked. {MODULE_LEVEL}")
        self._triggers[trigger.name] = trigger
        self._schedule(trigger)

    def remove_trigger(self, name: str) -> None:
        self._require_scheduler().remove(name)
        self._triggers.pop(name, None)

    def change_period(self, name: str, period: float) -> None:
        self._require_scheduler().change_period(name, period)

    def _schedule_all(self) -> None:
        """Start the triggers of this server, if this process runs the scheduler."""
        for trigger in self._triggers.values():
            self._schedule(trigger)

    def _schedule(self, trigger: Trigger) -> None:
        if self._identity != SCHEDULER_PROCESS:
            return
        self._scheduler_thread().add(trigger)

    def _scheduler_thread(self) -> SchedulerThread:
        if self._scheduler is None:
            self._scheduler = SchedulerThread(self._send_trigger)
        return self._scheduler

    def _send_trigger(self, num: int) -> None:
        """Send the signal of a trigger, or raise `SignalQueueFull`. This does not count as a rejected signal."""
        target_credit = self._credits[num]
        if target_credit is not None and target_credit.credit <= 0:
            self._flow_control.acquire(target_credit, num, 0.0, self._identity)
        self.signal(num, 0.0)

    def _require_scheduler(self) -> SchedulerThread:
        if self._scheduler is None:
            raise NotSupported(
                f"cannot change triggers in {self.identity}: {SCHEDULER_PROCESS} runs them. "
                f"Change them in a handler with the target {str(SCHEDULER_PROCESS)!r}."
            )
        return self._scheduler
