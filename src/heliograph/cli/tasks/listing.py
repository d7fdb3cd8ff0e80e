"""`heliograph tasks` and `heliograph tasks show`: the tasks of a server, and all facts of some."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from heliograph._core.tasks.values import TaskRow, TaskStatus
from heliograph._core.texts import printable
from heliograph._core.units import duration
from heliograph.cli.errors import CommandError
from heliograph.cli.tables import table
from heliograph.cli.tasks.changing import check_known
from heliograph.cli.tasks.finding import OpenStore, now, open_store
from heliograph.models import MICROSECONDS

if TYPE_CHECKING:
    from heliograph.insights.tasks import StoreView

COLUMNS = ("id", "status", "task", "target", "age", "attempts", "note")
_SUMMARY = ("task", "target", "status", "count")
_MAX_NOTE = 60


# click has generic types of parameters from 8.4 on only.
if TYPE_CHECKING:
    _StatusType = click.ParamType[TaskStatus]
else:
    _StatusType = click.ParamType


class Statuses(_StatusType):
    """Reads a status in any case."""

    name = "STATUS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> TaskStatus:
        """Return the status. Fails with the known ones."""
        try:
            return TaskStatus(str(value).upper())
        except ValueError:
            known = ", ".join(status.value for status in TaskStatus)
            self.fail(f"{value!r} is no status of a task. Use one of {known}.", param, ctx)


def show_list(
    *,
    statuses: tuple[TaskStatus, ...],
    name: str | None,
    target: str | None,
    limit: int,
    summary: bool,
    as_json: bool,
) -> None:
    """Print the tasks that match, newest first, and their numbers."""
    from heliograph.insights.tasks import StoreView  # noqa: PLC0415 - it needs msgspec

    with open_store() as opened:
        check_known(opened, [given for given in (name, target) if given is not None])
        view = StoreView(opened.store, now(), is_served=opened.server is not None)
        state = view.state(statuses=statuses, name=name, target=target)
        rows = [] if summary else opened.store.find(statuses=statuses, name=name, target=target, limit=limit)
        if as_json:
            tasks = {} if summary else {"tasks": [view.describe(row) for row in rows]}
            click.echo(json.dumps({**_place_facts(opened), **state, **tasks}, indent=2))
            return
        click.echo(headline(state, str(opened.directory)))
        _show_notes(state)
        if summary:
            click.echo(table(_SUMMARY, state["counts"]))
        elif rows:
            click.echo(table(COLUMNS, [_cells(view, row) for row in rows]))
            total = sum(row["count"] for row in state["counts"])
            if total > len(rows):
                click.echo(
                    f"The newest {len(rows)} of {total} are shown. Use --limit, or --status, --task or --target."
                )


def show_tasks(task_ids: tuple[str, ...], *, as_json: bool) -> None:
    """Print all facts of some tasks."""
    from heliograph.insights.tasks import StoreView  # noqa: PLC0415 - it needs msgspec

    with open_store() as opened:
        view = StoreView(opened.store, now(), is_served=opened.server is not None)
        found = [view.describe(row) for row in map(opened.store.get, task_ids) if row is not None]
        if as_json:
            click.echo(json.dumps(found, indent=2))
        else:
            click.echo("\n\n".join(map(_text, found)), nl=bool(found))
        known = {facts["id"] for facts in found}
        if missing := [task_id for task_id in task_ids if task_id not in known]:
            raise CommandError(unknown_ids(missing, opened))


def unknown_ids(task_ids: list[str], opened: OpenStore) -> str:
    """Return the error for ids that the store does not know."""
    return (
        f"no such task: {', '.join(task_ids)} in {opened.directory}. See `heliograph tasks`. Finished tasks are "
        "removed after their result_ttl."
    )


def headline(state: Any, directory: str) -> str:
    """Return the numbers of tasks by their status, in a line."""
    numbers: Counter[str] = Counter()
    for row in state["counts"]:
        numbers[row["status"]] += row["count"]
    text = ", ".join(f"{numbers[status.value]} {status.value}" for status in TaskStatus if numbers[status.value])
    return f"{directory}: {text or 'no tasks'}"


def notes(state: Any) -> list[str]:
    """Return the pauses, and the functions that waiting tasks lack, a line each."""
    lines = [
        f"paused: {paused['name']} since {local_time(paused['since'])} by {paused['by']}" for paused in state["paused"]
    ]
    lines += [
        f"unknown: {count} waiting for {name}, which the code of the server does not have"
        for name, count in state["unknown"].items()
    ]
    lines += [f"held back: {name} ({reason} reached)" for name, reason in state["held_back"].items()]
    return lines


def _show_notes(state: Any) -> None:
    for line in notes(state):
        click.echo(line)


def _place_facts(opened: OpenStore) -> dict[str, Any]:
    return {"directory": str(opened.directory), "server": opened.server}


def local_time(text: str | None) -> str:
    """Return a time of JSON in the zone of this machine."""
    return "-" if text is None else f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S %Z}"


def _cells(view: StoreView, row: TaskRow) -> dict[str, Any]:
    age = (now() - row.enqueued_at) / MICROSECONDS
    note = _note(view, row)
    return {
        "id": row.id,
        "status": row.status.value,
        "task": row.name,
        "target": row.target,
        "age": duration(age),
        "attempts": row.attempts,
        "note": note if len(note) <= _MAX_NOTE else f"{note[: _MAX_NOTE - 3]}...",
    }


def _note(view: StoreView, row: TaskRow) -> str:
    facts = view.describe(row)
    match row.status:
        case TaskStatus.READY:
            reason = facts["waits_for"] or ""
            return f"in {duration((row.run_after - now()) / MICROSECONDS)}" if reason == "its time" else reason
        case TaskStatus.RUNNING:
            return " ".join(filter(None, (facts["worker_ids"][-1] if row.workers else "", _progress(facts))))
        case TaskStatus.FAILED | TaskStatus.DEAD:
            return _last_error(facts["errors"])
        case _:
            return ""


def _progress(facts: dict[str, Any]) -> str:
    found: dict[str, Any] | None = facts["progress"]
    if found is None:
        return ""
    total = found.get("total")
    return f"{found.get('done')}{f' of {total}' if total is not None else ''} {found.get('text', '')}".strip()


def _last_error(errors: list[dict[str, Any]]) -> str:
    """Return the name of the last exception without its module, and the first line of its text."""
    if not errors:
        return ""
    kind = str(errors[-1].get("type", ""))
    name = kind.rpartition(".")[2]
    lines = str(errors[-1].get("traceback", "")).strip().splitlines()
    for line in reversed(lines):
        for prefix in (kind, kind.removeprefix("builtins.")):
            text = line.lstrip(" |+").removeprefix(prefix)
            if text != line.lstrip(" |+") and text[:1] in {"", ":"}:
                return printable(name + text)
    return printable(lines[-1]) if lines else name


def _text(facts: dict[str, Any]) -> str:
    """Return all facts of a task as lines."""
    reason = facts["waits_for"]
    waits = f" (waits for {reason})" if reason == "its time" else f" ({reason})" if reason else ""
    lines = [
        ("id", facts["id"]),
        ("task", facts["task"]),
        ("status", f"{facts['status']}{waits}"),
        ("target", facts["target"]),
        ("arguments", _call(facts)),
        ("options", _options(facts)),
        ("attempts", _attempts(facts)),
        ("processes", ", ".join(facts["worker_ids"])),
        *((_time_label(facts, key), _time(facts[key])) for key in _TIMES if _is_shown(facts, key)),
        ("progress", _progress(facts)),
        ("value", json.dumps(facts["return_value"]) if facts["status"] == "SUCCESSFUL" else ""),
    ]
    text = "\n".join(f"{name + ':':<16}{printable(value)}" for name, value in lines if value)
    return "\n".join([text, *_errors(facts)])


_TIMES = ("enqueued_at", "run_after", "expires", "started_at", "last_attempted_at", "finished_at")


def _is_shown(facts: dict[str, Any], key: str) -> bool:
    """Return False for the beginning that the last attempt was to wait for: that is over."""
    return key != "run_after" or facts["status"] == "READY"


def _time_label(facts: dict[str, Any], key: str) -> str:
    if key == "run_after" and facts["attempts"]:
        return "next attempt"
    return key.removesuffix("_at").replace("_", " ")


def _attempts(facts: dict[str, Any]) -> str:
    """Return the number of attempts. `heliograph tasks retry` begins to count again."""
    text, total = f"{facts['attempts']}", len(facts["worker_ids"])
    if total > facts["attempts"]:
        text += f" since the last `heliograph tasks retry`, {total} in all"
    return text + (f", {facts['deaths']} killed processes" if facts["deaths"] else "")


def _time(text: str | None) -> str:
    return "" if text is None else local_time(text)


def _call(facts: dict[str, Any]) -> str:
    args, kwargs = facts["args"], facts["kwargs"]
    named = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in kwargs.items()]
    return f"({', '.join([*(json.dumps(value, ensure_ascii=False) for value in args), *named])})"


def _options(facts: dict[str, Any]) -> str:
    found = {"priority": facts["priority"] or None, "unique": facts["unique"], **facts["overrides"]}
    if not facts["redeliver"]:
        found["redeliver"] = False
    return ", ".join(f"{name}={value!r}" for name, value in found.items() if value is not None)


def _errors(facts: dict[str, Any]) -> list[str]:
    errors: list[dict[str, Any]] = facts["errors"]
    texts = [str(error.get("traceback") or error.get("type", "")) for error in errors]
    return [f"error {number}:\n{printable(text.rstrip())}" for number, text in enumerate(texts, 1)]
