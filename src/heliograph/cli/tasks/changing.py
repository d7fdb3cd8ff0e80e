"""`heliograph tasks retry`, `cancel`, `pause` and `resume`."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Sequence

import click

from heliograph._core.tasks.values import TaskRow, TaskStatus
from heliograph.cli.errors import CommandError, Rejected
from heliograph.cli.tasks.finding import OpenStore, now, open_store
from heliograph.cli.tasks.progress import shown_progress

_BITE = 500
"""Tasks that one transaction retries."""


def retry(task_ids: Sequence[str], statuses: Sequence[TaskStatus], name: str | None) -> None:
    """Retry tasks by their ids, or all that have one of these statuses. Those that cannot be retried are named."""
    with open_store() as opened:
        check_known(opened, () if name is None else (name,))
        found = _by_status(opened, statuses, name) if statuses else _by_id(opened, task_ids)
        total = _number_of(opened, statuses, name) if statuses else len(task_ids)
        done = {} if statuses else _done(opened, task_ids)
        retried, refused = 0, dict[str, str]()
        with shown_progress("Retrying tasks") as progress:
            for ids, targets in found:
                bad = opened.store.retry(ids, now())
                refused.update(bad)
                retried += len(ids) - len(bad)
                opened.wake(*targets)
                progress.update(retried + len(refused), total)
    for task_id, status in done.items():
        if task_id not in refused:
            click.echo(f"{task_id} was {status.value}, and runs again", err=True)
    for task_id, reason in refused.items():
        click.echo(f"{task_id} was not retried: {reason}", err=True)
    click.echo(f"Retried {_tasks(retried)}", err=True)
    if refused:
        raise Rejected(f"{_tasks(len(refused))} could not be retried. See the lines above.")


def cancel(task_ids: Sequence[str]) -> None:
    """Cancel tasks that have not begun. Those that have are named."""
    refused = 0
    with open_store() as opened:
        for task_id in task_ids:
            if not opened.store.cancel(task_id, now()):
                refused += 1
                click.echo(f"{task_id} was not cancelled: {_why_not(opened.store.get(task_id))}", err=True)
    click.echo(f"Cancelled {_tasks(len(task_ids) - refused)}", err=True)
    if refused:
        raise Rejected(f"{_tasks(refused)} could not be cancelled. See the lines above.")


def pause(names: Sequence[str]) -> None:
    """Pause functions or targets."""
    with open_store() as opened:
        check_known(opened, names)
        for name in names:
            opened.store.pause(name, f"{_user()} (process {os.getpid()})", now())
            click.echo(f"Paused {name}. Tasks that run now finish.", err=True)


def check_known(opened: OpenStore, names: Sequence[str]) -> None:
    """Check that the store or the server knows these functions and targets. Raises: CommandError."""
    known = _known_names(opened)
    for name in names:
        if name not in known:
            from difflib import get_close_matches  # noqa: PLC0415 - for errors only

            similar = get_close_matches(name, known, 1)
            hint = f" Did you mean {similar[0]}?" if similar else ""
            raise CommandError(f"no task or target has the name: {name}.{hint} Known are: {_some(known)}.")


def resume(names: Sequence[str]) -> None:
    """Resume functions or targets, and let the server look for their tasks."""
    missing: list[str] = []
    with open_store() as opened:
        targets = {(name, target) for name, target, _ in opened.store.counts(now())}
        for name in names:
            if not opened.store.resume(name):
                missing.append(name)
                continue
            opened.wake(*sorted(target for task, target in targets if name in {task, target}))
            click.echo(f"Resumed {name}", err=True)
        paused = [paused.name for paused in opened.store.paused()]
    if missing:
        others = f"Paused are: {', '.join(paused)}." if paused else "Nothing is paused."
        raise Rejected(f"not paused: {', '.join(missing)}. {others}")


def _done(opened: OpenStore, task_ids: Sequence[str]) -> dict[str, TaskStatus]:
    """Return the tasks for which a second run is a surprise."""
    rows = [row for row in map(opened.store.get, task_ids) if row is not None]
    return {row.id: row.status for row in rows if row.status in {TaskStatus.SUCCESSFUL, TaskStatus.CANCELLED}}


def _by_id(opened: OpenStore, task_ids: Sequence[str]) -> Iterator[tuple[list[str], set[str]]]:
    for start in range(0, len(task_ids), _BITE):
        ids = list(dict.fromkeys(task_ids[start : start + _BITE]))
        rows = [row for row in map(opened.store.get, ids) if row is not None]
        yield ids, {row.target for row in rows}


def _by_status(
    opened: OpenStore, statuses: Sequence[TaskStatus], name: str | None
) -> Iterator[tuple[list[str], set[str]]]:
    last = None
    while rows := opened.store.find(statuses=statuses, name=name, after=last, limit=_BITE):
        last = rows[-1].id
        yield [row.id for row in rows], {row.target for row in rows}


def _number_of(opened: OpenStore, statuses: Sequence[TaskStatus], name: str | None) -> int:
    counts = opened.store.counts(now()).items()
    return sum(count for (task, _, status), count in counts if status in statuses and name in {None, task})


def _why_not(row: TaskRow | None) -> str:
    if row is None:
        return "there is no such task"
    return "it has begun" if row.status is TaskStatus.RUNNING else f"it is {row.status.value}, and has finished"


def _known_names(opened: OpenStore) -> list[str]:
    functions = opened.store.functions() or {}
    found = {name for task, target, _ in opened.store.counts(now()) for name in (task, target)}
    return sorted(found | set(functions) | set(functions.values()))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") if names else "none"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"


def check_selection(task_ids: Sequence[str], statuses: Sequence[TaskStatus], name: str | None) -> None:
    """Check that the command names tasks in one way. Raises: CommandError."""
    if not task_ids and not statuses:
        raise CommandError("no tasks are named. Pass their ids, or --failed or --dead.")
    if task_ids and statuses:
        raise CommandError(f"ids and --failed or --dead exclude each other: {task_ids[0]}. Use one of them.")
    if name is not None and not statuses:
        raise CommandError(f"--task {name} needs --failed or --dead. Add one, or leave it out.")
