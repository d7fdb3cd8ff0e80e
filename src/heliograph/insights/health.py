"""The rules by which a server is not well."""

from __future__ import annotations

from heliograph.insights.model import Problem, ServerState


def problems(state: ServerState) -> tuple[Problem, ...]:
    """Return the problems of a server, worst first."""
    del state
    return ()
