"""Sending signals on uWSGI: never more than the queues take, since uWSGI drops the rest silently."""

from __future__ import annotations

import os

import uwsgi

from heliograph.engines.uwsgi.flow_control import INITIAL_PAUSE, TargetCredit
from heliograph.engines.uwsgi.process import UwsgiProcess
from heliograph.exceptions import ServerNotReady, SignalNotRegistered, SignalQueueFull

_PICKUP_TIMEOUT = 0.02
"""Seconds after which an unregistered signal is sent again, if the waiting process has not received it."""
_MAX_COPIES = 128
"""Copies of an unregistered signal that one attempt sends at most."""


class UwsgiSending(UwsgiProcess):
    """The role `SignalSending`."""

    def __init__(self) -> None:
        super().__init__()
        self._send = uwsgi.signal

    def signal(self, num: int, timeout: float) -> None:
        target_credit = self._credits[num]
        if target_credit is None or target_credit.credit <= 0:
            target_credit = self._acquire(num, timeout)
            if target_credit is None:
                return
        target_credit.credit -= 1
        self._send(num)
        self._sent[num] += 1

    def _acquire(self, num: int, timeout: float) -> TargetCredit | None:
        """Return the number's target with credit. None if the signal has been delivered already."""
        if os.getpid() != self._pid:
            # A fork starts without credit, and the master never has any, so every forked process comes here first.
            self._refresh_identity()
        target_credit = self._credits[num]
        if target_credit is None or self._identity.role == "master":
            target_credit = self._acquire_unknown(num, timeout)
        if target_credit is not None and target_credit.credit <= 0:
            self._acquire_credit(target_credit, num, timeout)
        return target_credit

    def _acquire_unknown(self, num: int, timeout: float) -> TargetCredit | None:
        """Handle a number that is not registered here: a process may wait for it, or other code registered it."""
        if self._identity.role == "master":
            raise ServerNotReady(
                f"signal {num} was not sent: the server is still loading the application. "
                "Send from a request, a handler or a post-fork hook."
            )
        if uwsgi.signal_registered(num):
            return self._flow_control.unknown_target
        if not self.counters.total("waiters", num):
            raise SignalNotRegistered(num)
        self._deliver_to_waiter(num, timeout)
        return None

    def _acquire_credit(self, target_credit: TargetCredit, num: int, timeout: float) -> None:
        try:
            self._flow_control.acquire(target_credit, num, timeout, self._identity)
        except SignalQueueFull:
            self._slot.count_rejected(self.clock.monotonic())
            raise

    def _deliver_to_waiter(self, num: int, timeout: float) -> None:
        """Send an unregistered signal until the process that waits for it has received it.

        uWSGI gives the signal to the first free worker. A worker that does not wait logs an error and drops it. So
        each attempt sends twice as many copies as the one before, until there are more copies than idle workers.
        """
        target_credit = self._flow_control.to("worker")
        before = self.counters.total("started", num)
        deadline = self.clock.monotonic() + timeout
        copies = 1
        while self.counters.total("waiters", num):
            for _ in range(copies):
                self._acquire_credit(target_credit, num, timeout)
                target_credit.credit -= 1
                uwsgi.signal(num)
            copies = min(2 * copies, _MAX_COPIES)
            retry_at = min(self.clock.monotonic() + _PICKUP_TIMEOUT, deadline)
            while self.clock.monotonic() < retry_at:
                if self.counters.total("started", num) > before:
                    self._slot.sent[num] += 1
                    return
                self.clock.sleep(INITIAL_PAUSE)
            if self.clock.monotonic() >= deadline:
                break
        self._slot.count_rejected(self.clock.monotonic())
        raise SignalNotRegistered(num)
