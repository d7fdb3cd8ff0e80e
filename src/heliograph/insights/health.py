"""The rules by which a server is not well. Each of them needs one look only: the facts have times.

To add a rule, write a function that yields what it finds, and a row in `RULES`. docs/how-to/observe.md lists the codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from heliograph.insights import process_rules, queue_rules, store_rules, trigger_rules
from heliograph.insights.findings import Finding
from heliograph.insights.model import Problem, ServerState, Severity, StoreState

OVERDUE = 5.0
"""Seconds that a handler or task may run, unless one of its function has run for long before. See `overdue_after`."""


class Rule(NamedTuple):
    """A rule for one kind of problem."""

    code: str
    severity: Severity
    find: Callable[[ServerState], Iterable[Finding]]


def problems(state: ServerState) -> tuple[Problem, ...]:
    """Return the problems of a server, worst first: critical ones in the order of `RULES`, then warnings."""
    found = [Problem(rule.code, rule.severity, *finding) for rule in RULES for finding in rule.find(state)]
    return tuple(sorted(found, key=lambda problem: problem.severity != "critical"))


def problems_of_store(store: StoreState) -> tuple[Problem, ...]:
    """Return the problems of a store that no heliograph server runs now."""
    found = [Problem(code, severity, *finding) for code, severity, find in STORE_RULES for finding in find(store)]
    return tuple(sorted(found, key=lambda problem: problem.severity != "critical"))


def overdue_after(longest: float | None, least: float = OVERDUE) -> float:
    """Return the seconds after which a handler or task is overdue.

    Args:
        longest: Upper bound in seconds of the longest run of the same function so far. None: it has not run yet.
        least: Seconds that each may run (`--overdue`).
    """
    return max(least, 2 * (longest or 0.0))


def _of_store(find: Callable[[StoreState], Iterable[Finding]]) -> Callable[[ServerState], Iterable[Finding]]:
    return lambda state: find(state.store) if state.store is not None else ()


STORE_RULES: tuple[tuple[str, Severity, Callable[[StoreState], Iterable[Finding]]], ...] = (
    ("tasks_lost", "critical", store_rules.lost),
    ("store_fault", "critical", store_rules.store_fault),
    ("full_disk", "critical", store_rules.full_disk),
    ("dead_task", "warning", store_rules.dead_tasks),
    ("unknown_task", "warning", store_rules.unknown_tasks),
)
"""Rules that need the store only."""

RULES: tuple[Rule, ...] = (
    Rule("hung_handler", "critical", process_rules.hung_handlers),
    Rule("web_server_failing", "critical", process_rules.web_server_failing),
    Rule("crash_loop", "critical", process_rules.crash_loops),
    Rule("missing_worker", "critical", process_rules.missing),
    Rule("slow_start", "critical", process_rules.slow_starts),
    *(Rule(code, severity, _of_store(find)) for code, severity, find in STORE_RULES),
    Rule("queue_near_full", "critical", queue_rules.nearly_full),
    Rule("rejected_sends", "critical", queue_rules.rejected),
    Rule("slow_queue", "warning", queue_rules.slow),
    Rule("reload_failed", "warning", process_rules.reload_failed),
    Rule("mixed_versions", "warning", process_rules.mixed_versions),
    Rule("late_trigger", "warning", trigger_rules.late),
    Rule("missed_rule", "warning", trigger_rules.missed),
    Rule("unwatched_path", "warning", trigger_rules.unwatched),
    Rule("leaking_process", "warning", process_rules.leaking),
)
"""All rules, worst first among those of the same severity."""
