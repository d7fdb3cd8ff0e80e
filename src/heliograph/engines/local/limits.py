"""Limits at which a process ends and is replaced: a number of signals, and the memory that it uses after a handler.

The kernel walks through all memory of a process to find its PSS, which takes 4 ms for each gigabyte. So the receiver
looks at most once a second, and less often if that would take more than a half percent of its time.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from time import monotonic
from typing import Any

from heliograph._core.sizes import size_option
from heliograph._core.supervision.recycling import MAX_JITTER
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph._core.units import size
from heliograph.engines.local.receiver import Receiver
from heliograph.exceptions import ServerBusy
from heliograph.ipc.inherited import REPORT_TIMEOUT, InheritedState, report_to_master
from heliograph.ipc.proc import proportional_memory, resident_memory
from heliograph.models import Identity

_LOG = tolerant_logger("heliograph.local")

MIN_INTERVAL = 1.0
"""Seconds between two looks, and from the start to the first one."""
INTERVAL_PER_COST = 200
"""Seconds between two looks for each second that the last one took."""
_YOUNG = 60.0
"""Seconds in which a process should not reach a limit for memory that fits it."""

_TOO_LOW = (
    "%s uses %s when it starts, more than --max-rss %s: the limit has no effect on this process. Set it well above that"
)


def used_memory() -> int:
    """Return the PSS of this process, or its RSS if the kernel does not tell the PSS."""
    return proportional_memory(os.getpid()) or resident_memory(os.getpid()) or 0


class MemoryLimit:
    """The limit of this process."""

    def __init__(
        self,
        limit: int,
        used: Callable[[], int] = used_memory,
        clock: Callable[[], float] = monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`limit` are the bytes that a process may use, or up to a tenth more."""
        self._option = size_option(limit)
        self._limit = limit * (1 + MAX_JITTER * jitter())
        self._used = used
        self._clock = clock
        self.look_at = clock() + MIN_INTERVAL
        """Time of the next look."""

    def begin(self, process: Identity) -> None:
        """Look for the first time. Drop a limit that the process exceeds already: its successors would, too."""
        if (used := self._used()) > self._limit:
            _LOG.warning(_TOO_LOW, process, size(used), self._option)
            self.look_at = float("inf")

    def excess(self) -> str:
        """Return the reason for which this process must be replaced. Empty if it need not be."""
        began = self._clock()
        used = self._used()
        ended = self._clock()
        self.look_at = ended + max(MIN_INTERVAL, INTERVAL_PER_COST * (ended - began))
        return f"it uses {size(used)} (--max-rss {self._option})" if used > self._limit else ""


class LimitedReceiver(Receiver):
    """A receiver with a limit, which knows why it has ended."""

    max_signals = 0
    excess = ""
    """The reason for which it has ended, if that is not the number of signals."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._made_at = monotonic()

    @property
    def reason(self) -> str:
        """The limit that was the reason for its end. Empty if none was."""
        if self.excess or self._left:
            return self.excess
        return f"it has handled {self.max_signals} signals (--max-signals {self.max_signals})"

    @property
    def is_young(self) -> bool:
        """True if its process has not run for long."""
        return monotonic() - self._made_at < _YOUNG


class MemoryLimitedReceiver(LimitedReceiver):
    """A receiver that ends when its process uses too much memory."""

    memory_limit: MemoryLimit

    def _run_handler(self, offset: int) -> None:
        super()._run_handler(offset)
        if monotonic() >= self.memory_limit.look_at and (excess := self.memory_limit.excess()):
            self.excess = excess
            self._left = 0


def limited(plain: type[Receiver], max_signals: int, max_rss: int) -> type[Receiver]:
    """Return a receiver of that class with these limits. 0: none."""
    if max_rss:
        limits = {"max_signals": max_signals, "memory_limit": MemoryLimit(max_rss)}
        return type(f"MemoryLimited{plain.__name__}", (MemoryLimitedReceiver, plain), limits)
    if max_signals:
        return type(f"Limited{plain.__name__}", (LimitedReceiver, plain), {"max_signals": max_signals})
    return plain


def begin_limits(receiver: Receiver, process: Identity) -> None:
    """Look at the memory of a process before its receiver runs."""
    if isinstance(receiver, MemoryLimitedReceiver):
        receiver.memory_limit.begin(process)


def report_limit(receiver: Receiver, inherited: InheritedState, process: Identity) -> None:
    """Tell the master why this process ends, if one of its limits is the reason."""
    if not isinstance(receiver, LimitedReceiver) or not (reason := receiver.reason):
        return
    facts = {"pid": os.getpid(), "reason": reason, "is_early": bool(receiver.excess) and receiver.is_young}
    # The application may have closed the descriptor.
    with contextlib.suppress(OSError, ValueError, ServerBusy):
        report_to_master(inherited, REPORT_TIMEOUT, recycling=[process.role, process.number], **facts)
