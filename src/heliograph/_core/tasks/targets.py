"""The targets of tasks: a row has a target as text, which names the processes that may run the task.

They are the targets of signals without the broadcasts, and `default`: the spooler, else a mule, else a worker. A row
keeps the word `default`, because a shell that enqueues a task does not know which processes the server will have.
`_core.signals.wakeups` resolves it.
"""

from __future__ import annotations

from heliograph._core.signals.targets import available, parse
from heliograph._core.signals.wakeups import DEFAULT
from heliograph.exceptions import TargetError
from heliograph.models import Topology

DEFAULT_TARGET = DEFAULT
"""The target of tasks that name none."""

_BROADCASTS = {"workers": "worker", "active-workers": "worker", "mules": "mule"}
"""Targets that run a handler in several processes -> the target to use for a task."""


def check_target(text: str, topology: Topology | None) -> str:
    """Return the target of a task as rows have it.

    Raises:
        TargetError: The server does not have this target, or it is a broadcast.
    """
    if text == DEFAULT_TARGET:
        return text
    target = parse(text, topology)
    if target.text in _BROADCASTS:
        words = tuple(word for word in available(topology) if word not in _BROADCASTS) if topology else ()
        instead = _BROADCASTS[target.text]
        reason = f"a task runs in one process, so it cannot have several as target (for example {instead!r})"
        raise TargetError(text, reason, words)
    return target.text
