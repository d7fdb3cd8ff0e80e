"""Files that outlive a server: they are in `$XDG_STATE_HOME/heliograph`, or `~/.local/state/heliograph`.

The tasks of a server are in the directory that `--spooler` names, else in one of the state directory, by the name of
the server. A process that no server started finds a `--spooler` directory by a note in the state directory.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from heliograph.ipc.instance import server_name, working_directory
from heliograph.ipc.private_files import make_private_directory, replace_private_file

_LOG = logging.getLogger("heliograph.tasks")

SPOOLER_ENV, NAME_ENV, SYNC_ENV = "HELIOGRAPH_SPOOLER", "HELIOGRAPH_NAME", "HELIOGRAPH_TASK_SYNC"
MAX_BYTES_ENV = "HELIOGRAPH_TASK_BYTES"
"""The variables of the options `--spooler`, `--name` and `--task-sync`. Processes without a server read them too."""

TASKS_ENV = "HELIOGRAPH_TASKS"
"""Variable with the directory of the tasks, which the server sets for the command of a web server."""

_NO_HOME = Path("/nonexistent")
"""Debian's home directory of users that have none: every attempt to write there fails with a warning."""

ANY_FILESYSTEM_ENV, ANY_FILESYSTEM_OPTION = "HELIOGRAPH_ANY_FS", "heliograph-any-filesystem"
"""Variable, and option in the configuration of uWSGI, with the value of `--any-fs`."""

SYNC_OPTION = "heliograph-task-sync"
"""Option in the configuration of uWSGI with the value of `--task-sync`."""


_OFF = frozenset({"", "0", "false", "no", "off"})


def allows_any_filesystem(option: object = None) -> bool:
    """Return True if tasks may be kept where locks are not reliable: by the option of uWSGI, else by the variable."""
    return str(option or os.environ.get(ANY_FILESYSTEM_ENV, "")).lower() not in _OFF


def state_directory() -> Path:
    """Return the directory. It need not exist."""
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else _home() / ".local" / "state") / "heliograph"


def store_directory(name: str, spooler: Path | None = None) -> Path:
    """Return the directory of the tasks of the server `name`, which need not exist. `spooler`: its `--spooler`."""
    return Path(os.path.abspath(spooler)) if spooler is not None else state_directory() / f"{name}.tasks"  # noqa: PTH100


def note_store(name: str, spooler: Path | None) -> None:
    """Note which `--spooler` the server `name` has, so that other processes find its tasks. Failures are logged."""
    note = _note(name)
    try:
        if spooler is None:
            if (before := _read(note)) is not None and before.is_dir():
                text = "Tasks are in %s now. Those of the last server are in %s: start with --spooler %s to run them"
                _LOG.warning(text, store_directory(name), before, before)
            note.unlink(missing_ok=True)
        elif _read(note) != (path := store_directory(name, spooler)):
            make_private_directory(note.parent)
            replace_private_file(note, os.fsencode(path))
    except OSError as error:
        _LOG.warning("Cannot note where the tasks are, other programs need %s: %s", SPOOLER_ENV, error)


def find_store(name: str | None = None) -> Path:
    """Return the directory of the tasks of a server, for a process that no server started.

    Without a name the variables `HELIOGRAPH_SPOOLER` and `HELIOGRAPH_NAME` decide, else the working directory.
    """
    if name is None and (spooler := os.environ.get(TASKS_ENV) or os.environ.get(SPOOLER_ENV)):
        return store_directory("", Path(spooler))
    known = server_name(name or os.environ.get(NAME_ENV) or None, working_directory())
    return _read(_note(known)) or store_directory(known)


def store_without_spooler(spooler: Path) -> Path | None:
    """Return the store that the server of this `--spooler` has without it. None: no server has noted the directory."""
    noted = (note for note in state_directory().glob("*.spooler") if _read(note) == spooler)
    return next((store_directory(note.stem) for note in noted), None)


def servers_of_store(directory: Path) -> tuple[str, ...]:
    """Return the names of the servers that may have this directory of tasks. They need not run."""
    place, state = os.path.realpath(directory), state_directory()
    found = {note.stem for note in state.glob("*.spooler") if os.path.realpath(_read(note) or "/") == place}
    name = directory.name.removesuffix(".tasks")
    if os.path.realpath(state / f"{name}.tasks") == place:
        found.add(name)
    return tuple(sorted(found))


def _note(name: str) -> Path:
    return state_directory() / f"{name}.spooler"


def _read(note: Path) -> Path | None:
    try:
        return Path(os.fsdecode(note.read_bytes())) if note.exists() else None
    except OSError:
        return None


def _home() -> Path:
    """Return the home directory. A user without one, as in a container with an arbitrary uid, has none to write in."""
    try:
        home = Path.home()
    except RuntimeError:  # neither HOME nor an entry in the database of users
        return _NO_HOME
    return home if home.is_absolute() else _NO_HOME
