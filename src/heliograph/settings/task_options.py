"""Options of the tasks of a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heliograph.models import DEFAULT_TASK_BYTES
from heliograph.settings.option_row import option
from heliograph.settings.option_types import Choice, Flag, Integer
from heliograph.settings.path_types import Directory

TASK_SYNC = ("disk", "process")


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """The spooler, and the store of tasks."""

    spooler: Path | None = option(
        Directory(),
        None,
        "Start a spooler, and keep tasks in DIR (mode 0700)",
        "DIR",
        details="The server creates DIR, but not its parent directory. uWSGI uses DIR as its spool directory as well. "
        "Without the option there is no spooler, and tasks are in `$XDG_STATE_HOME/heliograph/NAME.tasks` (or below "
        "`~/.local/state`), by the name of the server.",
    )
    any_filesystem: bool = option(
        Flag(),
        False,
        "Keep tasks where locks are not reliable",
        flag="--any-fs",
        details="Without it, the server refuses to keep tasks on NFS, SMB, 9p, FUSE and the like: there, processes may "
        "lose or damage each other's tasks.",
    )
    task_sync: str = option(
        Choice(TASK_SYNC),
        "disk",
        "Durability of stored tasks: disk or process",
        "HOW",
        details="With `disk` a task is on the disk before the caller continues. With `process` the kernel has it: that "
        "is faster, and survives the end of every process, but a power cut may cost the tasks of the last moments.",
    )
    task_bytes: int = option(
        Integer(1024),
        DEFAULT_TASK_BYTES,
        "Longest arguments of a task, in bytes",
        "N",
        details="The limit is also that of return values. Both are JSON. Processes that the server did not start "
        "read the variable.",
    )
