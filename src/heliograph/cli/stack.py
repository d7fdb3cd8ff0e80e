"""`heliograph stack`: where the threads of a server's processes are."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict

import click

from heliograph._core.thread_stacks import ThreadStack
from heliograph._core.units import duration
from heliograph.cli.errors import CommandError
from heliograph.cli.selection import selected_engine
from heliograph.cli.server_commands import find_server, json_option, server_options
from heliograph.insights import ProcessStacks, read_stacks
from heliograph.settings.option_row import UWSGI

_UWSGI = (
    "uWSGI answers no `heliograph stack`. Use its own tool: start it with `-- --py-tracebacker /tmp/tb.sock`, and run "
    "`uwsgi --connect-and-read /tmp/tb.sock1` for worker 1."
)
_WHICH = "no process was named. Name some, for example `heliograph stack mule1`, or pass --all."

_EXAMPLES = """\b
Examples:
  heliograph stack mule1             a mule
  heliograph stack worker1 worker2   two workers
  heliograph stack --all --json      every process, also the master and the fork server

\b
Exit codes:
  0  every process has answered
  1  a process did not answer within 5 s
  2  no server runs, or it has no such process
"""


@click.command(
    help="Show where the threads of a process are: their Python frames, innermost last. The process is not stopped, "
    "and answers also while its handler hangs. Processes: worker1, mule1, spooler1, master, fork-server and so on.",
    short_help="Show where the threads of a process are.",
    epilog=_EXAMPLES,
)
@server_options
@click.argument("processes", nargs=-1, metavar="[PROCESS]...")
@click.option("--all", "all_processes", is_flag=True, help="Show all processes.")
@json_option
def stack(processes: tuple[str, ...], verbose: bool, all_processes: bool, as_json: bool) -> None:
    """Show where the threads of a process are."""
    if not processes and not all_processes:
        raise CommandError(_WHICH)
    try:
        with find_server(verbose=verbose) as path:
            found = read_stacks(path, () if all_processes else processes)
    except CommandError as error:
        if selected_engine() == UWSGI:
            raise CommandError(_UWSGI) from error
        raise
    if as_json:
        click.echo(json.dumps([asdict(process) for process in found], indent=2))
    else:
        for text in ("\n".join(_lines(process)) for process in found if process.threads or process.error is None):
            click.echo(text)
    reasons = [process.error for process in found if process.error is not None]
    for reason in reasons:
        click.echo(f"Error: {reason}", err=True)
    if reasons:
        raise SystemExit(1)


def _lines(process: ProcessStacks) -> Iterator[str]:
    since = "" if process.since is None else f", started {duration(time.time() - process.since)} ago"
    yield f"{process.process} (pid {process.pid}{since})"
    for thread in process.threads:
        yield from _thread_lines(thread)


def _thread_lines(thread: ThreadStack) -> Iterator[str]:
    name = f" ({thread.name})" if thread.name else ""
    yield f"  Thread {thread.id}{name}, most recent call last:"
    for remark in thread.remarks:
        yield f"    {remark}"
    for frame in thread.frames:
        yield f'    File "{frame.file or "?"}", line {frame.line or "?"}, in {frame.function}'
