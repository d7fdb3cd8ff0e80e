"""Records of the signals that an inline engine has sent and handled."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.models import Identity, Queue


@dataclass(frozen=True, slots=True)
class Sent:
    """An accepted `send()`: the number, the sender, and the queues that got one copy each."""

    num: int
    by: Identity
    queues: tuple[Queue, ...]


@dataclass(frozen=True, slots=True)
class Handled:
    """A finished run of a handler: the number, the process, and the exception of the handler or None.

    Exceptions such as `SystemExit` are recorded here, and also propagate to the code that let the signal run.
    """

    num: int
    by: Identity
    failure: BaseException | None
