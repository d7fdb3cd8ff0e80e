"""`heliograph tasks backup`, `check` and `restore`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from heliograph._core.units import size
from heliograph.cli.errors import CommandError, Rejected
from heliograph.cli.tasks.finding import check_access, errors_of_store, find_directory, missing, open_store
from heliograph.cli.tasks.progress import elapsed_time, shown_progress
from heliograph.ipc.store_directory import make_directory


def backup(file: str) -> None:
    """Write a copy of all tasks to a file, while a server runs or not."""
    with open_store() as opened, shown_progress("Writing the backup, in pages") as progress:
        opened.store.backup(file, progress.update)
    click.echo(f"Wrote {file} ({size(Path(file).stat().st_size)})", err=True)


def check() -> None:
    """Check the files of the store."""
    with open_store() as opened:
        with elapsed_time("Checking the tasks"):
            faults = opened.store.check()
        for fault in faults:
            click.echo(fault)
        if faults:
            raise Rejected(f"the tasks in {opened.directory} have {_faults(len(faults))}. See above.")
        click.echo(f"No faults in {opened.directory}", err=True)


def restore(file: str | None) -> None:
    """Replace all tasks by those of a backup. None: accept the files as they are."""
    from heliograph.store import restoring  # noqa: PLC0415 - it imports sqlite3

    if file is not None and not Path(file).is_file():
        raise CommandError(f"no such backup: {file}. Pass a file that `heliograph tasks backup` has written.")
    directory = find_directory()
    check_access(directory)
    if file is None and not directory.is_dir():
        raise CommandError(missing(directory))
    with errors_of_store(), elapsed_time("Restoring the tasks"):
        make_directory(str(directory), allow_any=True)
        suffix = restoring.free_suffix(str(directory))
        count = restoring.restore(str(directory), file)
        _give_to_owner(directory)
    click.echo(
        f"Restored {count} tasks in {directory}. The files from before have names that end with {suffix}", err=True
    )


def _give_to_owner(directory: Path) -> None:
    """Give new files to the user of the directory, if root has made them."""
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for path in directory.iterdir():
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _faults(count: int) -> str:
    return "1 fault" if count == 1 else f"{count} faults"
