"""The store that a command means, whether a server runs or not."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from heliograph import engines
from heliograph.cli.errors import CommandError
from heliograph.cli.selection import Selection, selection, selection_options
from heliograph.exceptions import ConfigError, StoreError
from heliograph.insights import read_state
from heliograph.ipc.instance import find_control_socket
from heliograph.ipc.state_directory import (
    SYNC_ENV,
    allows_any_filesystem,
    find_store,
    state_directory,
    store_directory,
)
from heliograph.ipc.store_directory import has_store, make_directory, running_server
from heliograph.models import MICROSECONDS

if TYPE_CHECKING:
    from heliograph.store.sqlite import SqliteStore

_F = TypeVar("_F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class OpenStore:
    """A store that a command uses."""

    store: SqliteStore
    directory: Path

    @property
    def server(self) -> str | None:
        """Name of the server that runs the tasks now. None: none does."""
        return running_server(str(self.directory))

    def make(self) -> None:
        """Make the directory of the store if there is none. Raises: StoreError: it cannot keep a store."""
        if not has_store(self.directory):
            from heliograph.engines.task_stores import refuse_second_store  # noqa: PLC0415 - few commands make a store

            refuse_second_store(self.directory)
            make_directory(str(self.directory), allow_any=allows_any_filesystem())

    def wake(self, *targets: str) -> None:
        """Let the server look for tasks with these targets. Without a server, they wait for its start."""
        for target in dict.fromkeys(targets):
            engines.current().wake(target)

    def wake_at(self, target: str, when: int) -> None:
        """Let the server look for tasks at a time, in microseconds since 1970."""
        engines.current().wake_at(target, when / MICROSECONDS)


def now() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def store_options(command: _F) -> _F:
    """Add the options that select the store of tasks."""
    verbose = click.option("-v", "--verbose", is_flag=True, expose_value=False, hidden=True)
    return selection_options("name", "spooler", "control")(verbose(command))


def place() -> Selection:
    """Return the place that the options of this command name, else that of the variables and the configuration file."""
    found = selection()
    if found.spooler == "":
        raise CommandError("--spooler is empty: ''. Pass the directory of the tasks.")
    return found


def find_directory() -> Path:
    """Return the directory of the store that the options name. It need not exist."""
    try:
        return _find(place())
    except ConfigError as error:
        raise CommandError(str(error)) from error


def _find(selected: Selection) -> Path:
    if selected.spooler is not None:
        return store_directory("", Path(selected.spooler))
    if selected.control is not None:
        return Path(read_state(Path(selected.control))["tasks"])
    found = find_store(selected.name)
    if not has_store(found):
        with contextlib.suppress(ConfigError, KeyError):  # a server of another user, or by another path of this one
            return Path(read_state(find_control_socket(selected.name))["tasks"])
    return found


@contextmanager
def open_store(*, create: bool = False) -> Generator[OpenStore]:
    """Yield the store that the options name. Errors become those of a command.

    Args:
        create: There need not be a store. The caller makes it before it stores anything.
    """
    directory = find_directory()
    check_access(directory)
    if not create and not has_store(directory):
        raise CommandError(missing(directory))
    with using(directory) as found:
        yield found


@contextmanager
def using(directory: Path) -> Generator[OpenStore]:
    """Yield the store in a directory. Errors of it become those of a command."""
    from heliograph.engines.detached import DetachedEngine  # noqa: PLC0415 - other commands do not need it
    from heliograph.store.sqlite import SqliteStore, uptime  # noqa: PLC0415 - it imports sqlite3

    sync = os.environ.get(SYNC_ENV, "disk") == "disk"
    store = SqliteStore(str(directory), sync=sync, uptime=uptime)
    with errors_of_store(), engines.using(DetachedEngine(directory=directory)):
        try:
            yield OpenStore(store, directory)
        finally:
            store.close()


@contextmanager
def errors_of_store() -> Generator[None]:
    """Turn errors of a store into those of a command."""
    try:
        yield
    except StoreError as error:
        raise CommandError(str(error)) from error
    except PermissionError as error:
        raise CommandError(f"cannot use the tasks: {error.filename} ({error.strerror}). Run as its owner.") from error


def check_access(directory: Path) -> None:
    """Check that this user may use the directory, if it exists.

    Raises:
        CommandError: The directory belongs to another user.
    """
    try:
        found = directory.stat()
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise CommandError(f"not a directory: {directory}. Pass --spooler with the directory of the tasks.") from None
    except PermissionError:
        raise CommandError(
            f"cannot read {directory}: permission denied. {_as_owner(_owner_above(directory))}"
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise CommandError(f"not a directory: {directory}. Pass --spooler with the directory of the tasks.")
    if os.geteuid() not in {0, found.st_uid}:
        user = _user(found.st_uid)
        raise CommandError(f"cannot read the tasks in {directory}: they belong to the user {user}. {_as_owner(user)}")


def _owner_above(directory: Path) -> str | None:
    for parent in directory.parents:
        with contextlib.suppress(OSError):
            return _user(parent.stat().st_uid)
    return None


def _as_owner(user: str | None) -> str:
    return "Run the command as the user of the server" + (f": sudo -u {user} heliograph ..." if user else ".")


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def missing(directory: Path) -> str:
    """Return the error for a directory without a store: it names the other servers that have tasks."""
    found = place()
    others = sorted({path.stem for path in _stores()} - {found.name})
    if found.spooler is not None:
        advice = (
            "Pass --spooler with the directory that a server has, or start one with `heliograph run APP --spooler`."
        )
    elif others:
        advice = f"Servers with tasks are: {', '.join(others)}. Pass one of them as --name, or pass --spooler."
    elif found.name is not None:
        advice = f"No server has tasks. Start it with `heliograph run APP --name {found.name}`, or pass --spooler."
    else:
        advice = "No server has tasks. Start one with `heliograph run APP`, or pass --spooler."
    return f"no tasks are stored in {directory}. {advice}"


def _stores() -> list[Path]:
    directory = state_directory()
    with contextlib.suppress(OSError):
        return [*directory.glob("*.tasks"), *directory.glob("*.spooler")]
    return []
