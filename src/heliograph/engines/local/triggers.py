"""The triggers that this process of a heliograph server registers. The master runs them."""

from __future__ import annotations

from dataclasses import replace

from heliograph.engines.local.process import LocalProcess
from heliograph.exceptions import RegistrationError
from heliograph.ipc.inherited import REPORT_TIMEOUT, InheritedState, report_to_master
from heliograph.models import Identity, Timer, Trigger


class LocalTriggers(LocalProcess):
    """The role `TriggerHosting`."""

    def __init__(self, inherited: InheritedState, process: Identity) -> None:
        super().__init__(inherited, process)
        self.loading = True
        """True until the application is loaded."""
        self._triggers: dict[str, Trigger] = {}

    def add_trigger(self, trigger: Trigger) -> None:
        if not self.loading:
            raise RegistrationError(
                trigger.num,
                f"{self._identity} is running already. Register the trigger where the application is loaded",
            )
        self._triggers[trigger.name] = trigger

    def remove_trigger(self, name: str) -> None:
        if self.loading:
            self._triggers.pop(name, None)
        else:
            report_to_master(self.inherited, REPORT_TIMEOUT, trigger=name)

    def change_period(self, name: str, period: float) -> None:
        known = self._triggers.get(name)
        if self.loading and known is not None and isinstance(known.spec, Timer):
            self._triggers[name] = replace(known, spec=replace(known.spec, period=period))
        elif not self.loading:
            report_to_master(self.inherited, REPORT_TIMEOUT, trigger=name, period=period)
