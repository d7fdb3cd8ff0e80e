"""Numbers and times of tasks, over all of them."""

from __future__ import annotations

from collections.abc import Mapping

from heliograph._core.tasks.limits import held_by
from heliograph._core.tasks.values import Paused, TaskLimits, TaskStatus
from heliograph.store.database import Database
from heliograph.store.schema import REMOVAL, STATUS

_NEXT_TIMES = (
    "SELECT name, target, EXISTS (SELECT 1 FROM task WHERE state = 0 AND kind = kind.id),"
    " (SELECT min(run_after) FROM task WHERE state = 1 AND kind = kind.id) FROM kind"
)
"""One look into an index for each function."""


def counts(database: Database) -> Mapping[tuple[str, str, TaskStatus], int]:
    """Return the number of tasks by (name, target, status). Rows that wait or run are counted in small indexes."""
    found: dict[tuple[str, str, TaskStatus], int] = {}
    parts = [
        f"SELECT kind, {state} AS state, count(*) AS n FROM task WHERE state = {state} GROUP BY kind"
        for state in range(3)
    ]
    parts.append("SELECT kind, state, count(*) AS n FROM task WHERE state > 2 GROUP BY kind, state")
    sql = f"SELECT name, target, state, n FROM ({' UNION ALL '.join(parts)}) JOIN kind ON kind.id = kind"
    for name, target, state, count in database.read(sql):
        key: tuple[str, str, TaskStatus] = name, target, STATUS[int(state)]
        found[key] = found.get(key, 0) + int(count)
    return found


def next_times(database: Database, now: int) -> Mapping[str, int]:
    """Return the next time at which a task of each target could be claimed. A million waiting tasks take no longer."""
    stopped = {paused.name for paused in get_paused(database)}
    rows = [
        (name, target, now if is_due else max(at, now))
        for name, target, is_due, at in database.read(_NEXT_TIMES)
        if is_due or at is not None
    ]
    running = "SELECT DISTINCT name, target, owner FROM task JOIN kind ON kind.id = kind WHERE state = 2"
    rows += [
        (name, target, now) for name, target, owner in database.read(running) if not database.owners.is_alive(owner)
    ]
    times: dict[str, int] = {}
    for name, target, at in rows:
        if name not in stopped and target not in stopped:
            times[target] = min(at, times.get(target, at))
    return times


def get_paused(database: Database) -> list[Paused]:
    """Return the paused functions and targets."""
    return [Paused(*row) for row in database.read("SELECT name, since, by FROM paused ORDER BY name")]


def next_removal(database: Database) -> int | None:
    """Return when the next finished task is to be removed."""
    rows = database.read(f"SELECT {REMOVAL} FROM task WHERE state > 2 ORDER BY {REMOVAL} LIMIT 1")
    found: int | None = rows[0][0] if rows else None
    return found


def held_back(database: Database, limits: Mapping[str, TaskLimits], now: int) -> Mapping[str, str]:
    """Return the functions, of those with limits, of which no attempt may begin now, with the reason."""
    held: dict[str, str] = {}
    for name, found in limits.items():
        sql = "SELECT count(*) FROM task WHERE state = 2 AND kind IN (SELECT id FROM kind WHERE name = ?)"
        [(running,)] = database.read(sql, (name,))
        begun = database.read("SELECT at, count FROM begun WHERE name = ?", (name,))
        if reason := held_by(found, running, [(at, count) for at, count in begun], now):
            held[name] = reason
    return held
