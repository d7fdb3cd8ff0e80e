"""`heliograph tasks`: show tasks, retry, cancel and pause them, and keep their files safe."""

from __future__ import annotations

import click
from click.core import ParameterSource

from heliograph._core.tasks.values import TaskStatus
from heliograph.cli.errors import CommandError
from heliograph.cli.server_commands import json_option
from heliograph.cli.tasks import changing, keeping, listing
from heliograph.cli.tasks.finding import store_options

_HELP = """Show the tasks of a server, newest first, and their numbers by status.

The commands work while the server runs and while it does not. They find the tasks by the directory in which the server
was started, by --name, or by --spooler DIR if the server has that option.

READY tasks wait for a process, for their time (`in 5m`), for `resume` (`paused`), or for code that the server does not
have (`unknown function`). FAILED tasks have no attempt left. DEAD ones have killed three processes.
"""

_EXAMPLES = """\b
Examples:
  heliograph tasks --status failed --task shop.tasks:send_mail
  heliograph tasks --summary --spooler /var/lib/shop/tasks
  heliograph tasks show 1f-09ab5c3d7e21f604
  heliograph tasks retry --failed
  heliograph tasks pause shop.tasks:send_mail
  heliograph tasks backup tasks-monday.db

\b
Exit codes:
  0  done
  1  some of the tasks could not be changed, or the files have faults
  2  the tasks were not found or not readable, or wrong usage
"""

_LIST_OPTIONS = ("statuses", "task_name", "target", "limit", "summary", "as_json")

_task_option = click.option("--task", "task_name", metavar="NAME", help="Only tasks of this function: module:function.")
_ids = click.argument("task_ids", metavar="ID...", nargs=-1, required=True)


@click.group(
    help=_HELP, short_help="Show and change the tasks of a server.", epilog=_EXAMPLES, invoke_without_command=True
)
@store_options
@click.option(
    *("--status", "statuses"),
    type=listing.Statuses(),
    multiple=True,
    metavar="STATUS",
    help=f"Only these: {', '.join(status.value.lower() for status in TaskStatus)}. Repeatable.",
)
@_task_option
@click.option("--target", metavar="TARGET", help="Only tasks for this target: spooler, mule2, default ...")
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Number of tasks to show."
)
@click.option("--summary", is_flag=True, help="Only the numbers, by task and status.")
@json_option
@click.pass_context
def tasks(  # noqa: PLR0913 - one for each option
    ctx: click.Context,
    *,
    statuses: tuple[TaskStatus, ...],
    task_name: str | None,
    target: str | None,
    limit: int,
    summary: bool,
    as_json: bool,
) -> None:
    """Show the tasks of a server, unless a subcommand follows."""
    if ctx.invoked_subcommand is None:
        listing.show_list(
            statuses=statuses, name=task_name, target=target, limit=limit, summary=summary, as_json=as_json
        )
        return
    for name in _LIST_OPTIONS:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise CommandError(
                f"options of the list come without a subcommand: {ctx.invoked_subcommand}. Put the options of the "
                "subcommand after it."
            )


@tasks.command(
    help="Show all facts of tasks: arguments, attempts, processes, times, progress, return value and tracebacks.",
    short_help="Show all facts of tasks.",
)
@_ids
@store_options
@json_option
def show(task_ids: tuple[str, ...], as_json: bool) -> None:
    """Show all facts of tasks."""
    listing.show_tasks(task_ids, as_json=as_json)


@tasks.command(
    help="Give finished tasks their attempts again, and run them. What cannot be retried is named, and the exit code "
    "is 1: a task that has not finished, or whose unique key another task has now.",
    short_help="Run finished tasks again.",
)
@click.argument("task_ids", metavar="[ID...]", nargs=-1)
@click.option("--failed", is_flag=True, help="All tasks with the status FAILED.")
@click.option("--dead", is_flag=True, help="All tasks with the status DEAD.")
@_task_option
@store_options
def retry(task_ids: tuple[str, ...], failed: bool, dead: bool, task_name: str | None) -> None:
    """Run finished tasks again."""
    statuses = [*([TaskStatus.FAILED] if failed else []), *([TaskStatus.DEAD] if dead else [])]
    changing.check_selection(task_ids, statuses, task_name)
    changing.retry(task_ids, statuses, task_name)


@tasks.command(
    help="Cancel tasks that have not begun. They will never run. The exit code is 1 if one has begun or finished.",
    short_help="Cancel tasks that have not begun.",
)
@_ids
@store_options
def cancel(task_ids: tuple[str, ...]) -> None:
    """Cancel tasks that have not begun."""
    changing.cancel(task_ids)


@tasks.command(
    help="Begin no task of a function (`shop.tasks:send_mail`) or of a target (`spooler`, `mule2`, `default`) until "
    "`heliograph tasks resume`. Tasks can be enqueued meanwhile. The pause survives restarts.",
    short_help="Begin no tasks of a function or target.",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@store_options
def pause(names: tuple[str, ...]) -> None:
    """Begin no tasks of a function or target."""
    changing.pause(names)


@tasks.command(
    help="Take `heliograph tasks pause` back. The exit code is 1 if one of the names is not paused.",
    short_help="Run the tasks of a paused function or target.",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@store_options
def resume(names: tuple[str, ...]) -> None:
    """Run the tasks of a paused function or target."""
    changing.resume(names)


@tasks.command(
    help="Write a copy of all tasks to FILE, while the server runs or not. Use this command, not cp: a copy of the "
    "open file can be damaged.",
    short_help="Write a copy of all tasks to a file.",
)
@click.argument("file", metavar="FILE")
@store_options
def backup(file: str) -> None:
    """Write a copy of all tasks to a file."""
    keeping.backup(file)


@tasks.command(
    help="Check the files of the tasks, while the server runs or not. The exit code is 1 if they have faults.",
    short_help="Check the files of the tasks.",
)
@store_options
def check() -> None:
    """Check the files of the tasks."""
    keeping.check()


@tasks.command(
    help="Replace all tasks by those in FILE, which `heliograph tasks backup` has written. With --as-it-is, accept "
    "files that heliograph has found damaged, with the tasks that are left in them. Stop the server first. The files "
    "before stay in the directory, under names that end with .old.",
    short_help="Replace all tasks by those of a backup.",
)
@click.argument("file", metavar="FILE", required=False)
@click.option("--as-it-is", is_flag=True, help="Accept the files that are there.")
@store_options
def restore(file: str | None, as_it_is: bool) -> None:
    """Replace all tasks by those of a backup."""
    if (file is None) is not as_it_is:
        problem = "a backup and --as-it-is exclude each other" if as_it_is else "no backup is named"
        raise CommandError(f"{problem}: {file or 'FILE is missing'}. Pass either FILE or --as-it-is.")
    keeping.restore(file)
