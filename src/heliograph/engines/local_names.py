"""Names of signals where the processes of a server share no memory of ours."""

from __future__ import annotations

from collections.abc import Callable

from heliograph._core.signals.names import first_candidate


class ProcessLocalNames:
    """Each process names for itself, and the table of the runtime remembers; what is forked inherits that.

    Processes agree, since a number comes from the name, unless names that want one number come in different order.
    """

    def allocate_name(self, name: str, free: Callable[[int], bool]) -> int:
        return first_candidate(name, free)

    def has_name(self, num: int) -> bool:  # noqa: ARG002 - the port's shape
        return False
