"""Wake-ups: hidden signals that let a process look for tasks. They carry no data.

Each target of tasks has one signal number, from 255 down. A wake-up is worth one turn of a process, however many tasks
wait, so a sender skips it while one is queued.

Rule
    `rung[num]` is one more than the number of turns that had begun when the last wake-up was sent. A sender that counts
    the same number of begun turns knows: no turn has begun since that wake-up was sent, so it is queued, and its turn
    will begin later than now. A turn counts as begun before it looks for tasks, and a sender stores its task before it
    rings. So the turn finds the task.
    A sender writes the record first and then `rung`. If it is killed in between, the next one sends a wake-up too many.
    The numbers of begun turns only grow, so an old value of `rung` never matches again.

Layout: native unsigned 64-bit words. 256 of `rung`, 256 of `deadlines`, then `closed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from heliograph._core.signals.targets import Target, parse, queues
from heliograph.exceptions import NoSignalAvailable, TargetError
from heliograph.models import SIGNALS, HandlerOptions, Queue, Topology

FORMAT_VERSION = 1
"""Version of the layout. Increase it when the meaning of a word changes."""

WAKEUP_NAME = "tasks for {}"
"""Name of the hidden handler of a target. It identifies the target in the table of routes."""

DEFAULT = "default"
"""Target of tasks that name none: the processes of the server decide which one that is."""

_WORDS = 2 * SIGNALS + 8
WAKEUP_BYTES = 8 * _WORDS
"""Bytes of the words: whole cache lines."""


class WakeupWords:
    """The words of all targets, which the processes of a server share."""

    __slots__ = ("_closed", "deadlines", "rung")

    def __init__(self, buffer: memoryview) -> None:
        words = buffer.cast("B")[:WAKEUP_BYTES].cast("Q")
        self.rung = words[:SIGNALS]
        """For each number: one more than the turns that had begun when the last wake-up was sent. 0: none was sent."""
        self.deadlines = words[SIGNALS : 2 * SIGNALS]
        """For each number: the time, in microseconds since 1970, at which the server sends a wake-up. 0: none."""
        self._closed = words[2 * SIGNALS : 2 * SIGNALS + 1]

    def forget(self) -> None:
        """Forget which wake-ups were sent."""
        for num in range(SIGNALS):
            self.rung[num] = 0

    @property
    def closed(self) -> bool:
        """True while the server stops. No target is woken any more, so that the queues become empty."""
        return bool(self._closed[0])

    def close_if(self, *, stopping: bool) -> None:
        """Wake no target from now on, if the server stops."""
        if stopping:
            self._closed[0] = 1


def begun_turns(started: Sequence[memoryview[int]], num: int) -> int:
    """Return how many turns have begun, from the counters `started` of the processes that may take the wake-up."""
    begun = 0
    for counters in started:
        begun += counters[num]
    return begun


def highest_free(free: Callable[[int], bool]) -> int:
    """Return the highest number that is free. Raises: NoSignalAvailable if none is."""
    for num in reversed(range(SIGNALS)):
        if free(num):
            return num
    raise NoSignalAvailable


def wakeup_target(text: str, topology: Topology) -> tuple[Target, Queue]:
    """Return the target of the signal that wakes a target of tasks, and the queue of that signal.

    The target `default` is the spooler, else a mule, else a worker.

    Raises:
        TargetError: if the server does not have it, or a signal to it reaches several processes.
    """
    target = parse(_default(topology) if text == DEFAULT else text, topology)
    if target.scope in ("all", "active"):
        raise TargetError(text, f"a task runs in one process. Use {target.kind!r}")
    return target, queues(target, topology)[0]


def wakeup_options(target: str) -> HandlerOptions:
    """Return the options of the hidden handler. Each task has limits of its own."""
    return HandlerOptions(WAKEUP_NAME.format(target), time_limit=0, wakeup=True)


def _default(topology: Topology) -> str:
    if topology.spoolers:
        return "spooler"
    return "mule" if topology.mules else "worker"
