"""Waiting for signals on uWSGI."""

from __future__ import annotations

import uwsgi

from heliograph._core.signals.targets import queues_read_by
from heliograph.engines.uwsgi import introspection
from heliograph.engines.uwsgi.process import UwsgiProcess
from heliograph.exceptions import NotSupported, ServerNotReady, WaitFailed

_SPURIOUS_WAKEUP, _FAILURES = 0.001, 1000
"""A wait has failed after so many attempts in a row that each ended within so many seconds."""


class UwsgiWaiting(UwsgiProcess):
    """The role `SignalWaiting`."""

    def signal_wait(self, num: int | None, timeout: float | None) -> int:
        if timeout is not None:
            raise NotSupported(
                f"uWSGI cannot limit a wait: timeout={timeout!r}. Leave out the timeout, or send the signal from a "
                "timer as well."
            )
        self._check_can_arrive(num)
        waiters = self._slot.waiters
        if num is not None:
            waiters[num] += 1
        try:
            self._wait_for(num)
            while num is None and uwsgi.signal_received() in self._wakeups:
                self._wait_for(num)
        finally:
            if num is not None:
                waiters[num] -= 1
        received = uwsgi.signal_received()
        if received not in self._handlers:
            self._slot.started[received] += 1
            self._slot.done[received] += 1
        return received

    def _wait_for(self, num: int | None) -> None:
        """Wait, and wait again if another process took the signal: uWSGI reports that as an error."""
        failures = 0
        while True:
            began = self.clock.monotonic()
            try:
                uwsgi.signal_wait(*(() if num is None else (num,)))
            except SystemError as error:
                failures = failures + 1 if self.clock.monotonic() - began < _SPURIOUS_WAKEUP else 1
                if failures >= _FAILURES:
                    raise WaitFailed("uWSGI failed to wait for a signal. See the log of uWSGI.") from error
            else:
                return

    def _check_can_arrive(self, num: int | None) -> None:
        process = self.identity
        if process.role in ("master", "external"):
            raise ServerNotReady(f"cannot wait in this process: {process}. Wait in a worker, a mule or a spooler.")
        if process.role == "worker" and introspection.threads() > 1:
            raise NotSupported(
                f"cannot wait in {process}: with --threads another thread may take the signal. "
                "Wait in a mule, or run the workers without --threads."
            )
        if num is None:
            return
        registered = self._credits[num]
        target_credit = registered or self._flow_control.to("worker")
        if set(queues_read_by(process, self._topology)).isdisjoint(target_credit.queues):
            target = "worker (the target of unregistered signals)" if registered is None else registered.target.text
            raise NotSupported(f"signal {num} never arrives in {process}. Wait in its target: {target}.")
        if target_credit.target.kind == "farm":
            raise NotSupported(
                f"uWSGI cannot wait for a signal to a farm: {target_credit.target.text}. "
                "Wait for a signal with the target mule or muleN."
            )
