"""`heliograph enqueue`: store a task from a shell or from cron."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from heliograph._core.tasks.life import check_new
from heliograph._core.tasks.values import NewTask
from heliograph.cli.errors import CommandError
from heliograph.cli.tasks.finding import OpenStore, now, open_store, store_options
from heliograph.cli.tasks.moments import MomentType
from heliograph.exceptions import InvalidTask, TargetError, TaskArgumentError

if TYPE_CHECKING:
    from heliograph.cli.tasks.functions import Function

_HELP = """Store a task that calls a function, and print its id.

TASK is `module:function`. ARGUMENTS are JSON: a list of positional arguments, or an object of named ones. NAMED is an
object of named arguments in addition to a list.

The command imports the function if it can, checks the arguments, and uses the options of the function (target,
priority, result_ttl ...). Otherwise it stores the task by its name, and the server checks the arguments when the task
runs.

Without a server the task waits for the next start.
"""

_EXAMPLES = """\b
Examples:
  heliograph enqueue shop.tasks:send_mail '["a@example.org", "Hello", "2026-12-01T09:00:00Z"]'
  heliograph enqueue shop.tasks:send_mail '{"to": "a@example.org", "subject": "Hello"}' --after 10m
  heliograph enqueue shop.tasks:clean_up --unique nightly --spooler /var/lib/shop/tasks

\b
Exit codes:
  0  the task is stored
  2  the task was not stored
"""

_WHEN = "A time from now (90s, 10m, 2d), or a time with its zone (2026-12-01T09:00:00Z)."
_NO_SERVER = "No server runs for {}. The task waits for the next start."


@dataclass(frozen=True, slots=True)
class _Wishes:
    """The options of the command that were given."""

    run_after: datetime | timedelta | None
    expires: datetime | timedelta | None
    priority: int | None
    unique: str | None
    target: str | None

    def given(self) -> dict[str, Any]:
        """Return those that were given, as `Task.using` takes them."""
        names = ("run_after", "expires", "priority", "unique", "target")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@click.command(help=_HELP, short_help="Store a task that calls a function.", epilog=_EXAMPLES)
@click.argument("task")
@click.argument("arguments", required=False, default="[]")
@click.argument("named", required=False)
@click.option("--after", "run_after", type=MomentType(), help=f"Do not begin before. {_WHEN}")
@click.option("--expires", type=MomentType(), help="Do not begin at or after. The same forms.")
@click.option("--priority", type=int, metavar="N", help="-100 to 100. A larger one runs earlier.")
@click.option("--unique", metavar="KEY", help="Add nothing if a task of the function with this key waits or runs.")
@click.option("--target", metavar="TARGET", help="Processes that may run it: spooler, mule, mule2, worker ...")
@click.option("--unchecked", is_flag=True, help="Do not import the function, and accept an unknown name.")
@store_options
def enqueue(  # noqa: PLR0913 - one for each option
    *,
    task: str,
    arguments: str,
    named: str | None,
    run_after: datetime | timedelta | None,
    expires: datetime | timedelta | None,
    priority: int | None,
    unique: str | None,
    target: str | None,
    unchecked: bool,
) -> None:
    """Store a task that calls a function, and print its id."""
    from heliograph.cli.tasks.functions import Function, find_function  # noqa: PLC0415 - it needs msgspec

    payload = _payload(arguments, named)
    wishes = _Wishes(run_after, expires, priority, unique, target)
    with open_store(create=True) as opened:
        known = opened.store.functions()
        function = Function(task) if unchecked else find_function(task, known)
        try:
            _check_target(target, opened)
            task_id, is_new = _store(opened, function, payload, wishes, (known or {}).get(task))
        except (InvalidTask, TargetError, TaskArgumentError) as error:
            raise CommandError(str(error)) from error
        except ValueError as error:
            raise CommandError(f"cannot store the task: {error}. Change its name or arguments.") from error
        server = opened.server
    click.echo(task_id)
    if function.note:
        click.echo(f"The arguments were not checked: {function.note}", err=True)
    if not is_new:
        click.echo(f"Nothing was added: a task with the key {unique!r} waits or runs. Its id is above.", err=True)
    elif server is None:
        click.echo(_NO_SERVER.format(opened.directory), err=True)


def _check_target(target: str | None, opened: OpenStore) -> None:
    """Check that the running server has the target. Without one, the next one may have it."""
    if target is not None:
        from heliograph._core.tasks.targets import check_target  # noqa: PLC0415 - only this option
        from heliograph.ipc.store_directory import running_topology  # noqa: PLC0415

        check_target(target, running_topology(str(opened.directory)))


def _store(
    opened: OpenStore, function: Function, payload: bytes, wishes: _Wishes, known_target: str | None
) -> tuple[str, bool]:
    """Store the task and wake the server. Return its id, and whether it was added."""
    if function.definition is not None:
        from heliograph.runtime.task_type import Task  # noqa: PLC0415 - it needs msgspec

        began = now()
        codec = function.definition.codec
        args, kwargs = codec.decode(payload)
        task = Task[..., Any](function.definition).using(**wishes.given())
        codec.encode(args, kwargs)
        opened.make()
        result = task.enqueue(*args, **kwargs)
        row = opened.store.get(result.id)
        return result.id, row is None or row.enqueued_at >= began
    new = _new_task(function.name, payload, wishes, known_target)
    check_new(new)
    opened.make()
    (stored,) = opened.store.enqueue([new], now())
    if new.run_after > now():
        opened.wake_at(new.target, new.run_after)
    else:
        opened.wake(new.target)
    return stored.id, stored.is_new


def _new_task(name: str, payload: bytes, wishes: _Wishes, known_target: str | None) -> NewTask:
    from heliograph._core.tasks.options import check_priority, check_unique  # noqa: PLC0415 - only this command
    from heliograph._core.tasks.targets import DEFAULT_TARGET, check_target  # noqa: PLC0415
    from heliograph._core.tasks.times import instant  # noqa: PLC0415

    time = now()
    return NewTask(
        name,
        check_target(wishes.target or known_target or DEFAULT_TARGET, None),
        payload,
        check_priority(wishes.priority or 0),
        0 if wishes.run_after is None else instant("--after", wishes.run_after, time),
        0 if wishes.expires is None else instant("--expires", wishes.expires, time) or 1,
        check_unique(wishes.unique),
    )


def _payload(arguments: str, named: str | None) -> bytes:
    """Return the arguments as the store has them: `[positional, named]`."""
    import msgspec  # noqa: PLC0415 - other commands do not need it

    args, kwargs = "[]", "{}"
    if arguments.lstrip().startswith("{"):
        if named is not None:
            raise CommandError(f"invalid arguments: {arguments}. Pass a list first if an object follows.")
        kwargs = arguments
    else:
        args, kwargs = arguments, named or "{}"
    try:
        positional = msgspec.json.decode(args, type=list[msgspec.Raw])
        by_name = msgspec.json.decode(kwargs, type=dict[str, msgspec.Raw])
        return msgspec.json.encode([positional, by_name])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise CommandError(
            f"invalid arguments: {args if kwargs == '{}' else kwargs} ({error}). Pass JSON: a list of positional "
            "arguments or an object of named ones, in single quotes for the shell."
        ) from None
