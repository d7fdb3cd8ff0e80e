"""Start real uWSGI: make its command line, and replace this process with it.

The process id stays (exec), so Unix signals reach uWSGI's master, and the exit code is uWSGI's.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from heliograph import engines
from heliograph.exceptions import ConfigError
from heliograph.ipc.state_directory import ANY_FILESYSTEM_OPTION, MAX_BYTES_ENV, SYNC_OPTION
from heliograph.settings.options import ServerSettings
from heliograph.settings.task_options import TASK_SYNC

APP_OPTION = "heliograph-app"
"""Option in uWSGI's configuration (`uwsgi.opt`) that names the application."""

_QUEUE_BYTES = 4_194_304
"""Size of the socket buffer of a signal queue: some 10,000 signals. The kernel limits it to net.core.wmem_max."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed uWSGI: the command that starts it, and the options that this installation needs."""

    command: tuple[str, ...]
    flags: tuple[str, ...] = ()


def find(python: str = sys.executable, path: str | None = None) -> Installation:
    """Return the `uwsgi` script in the interpreter's directory, else a `uwsgi` on the path.

    Raises `ConfigError` if there is none.
    """
    script = Path(python).parent / "uwsgi"
    if os.access(script, os.X_OK):
        # The script of the wheel. At a reload (SIGHUP) uWSGI executes the binary behind the interpreter's symlinks.
        # That one is outside of the virtualenv. With --binary-path it executes the interpreter.
        return Installation((python, str(script)), ("--binary-path", python))
    from shutil import which  # noqa: PLC0415 - the master of the other engine imports this module too

    found = which("uwsgi", path=path)
    if found is None:
        raise ConfigError('uWSGI is not installed. Install it with: pip install "heliograph[uwsgi]"')
    return Installation((found,))


def arguments(settings: ServerSettings, directory: str, idle_fd: int | None = None) -> list[str]:
    """Return uWSGI's arguments for these settings.

    `directory` becomes importable, as with `python -m`. `idle_fd` is a listening socket for a server that has no
    address, since uWSGI starts no workers without a socket.
    """
    found = ["--master", "--need-app", "--enable-threads", "--die-on-term", "--vacuum"]
    found += ["--signal-bufsize", str(_QUEUE_BYTES), "--pythonpath", directory]
    found += ["--module", "heliograph.cli.uwsgi_entry", "--set", f"{APP_OPTION}={settings.app}"]
    found += _processes(settings)
    if settings.task_sync != TASK_SYNC[0]:
        found += ["--set", f"{SYNC_OPTION}={settings.task_sync}"]
    if settings.any_filesystem:
        found += ["--set", f"{ANY_FILESYSTEM_OPTION}=1"]
    if settings.http is not None:
        found += ["--http", str(settings.http)]
    if settings.listen is not None:
        found += ["--socket", str(settings.listen)]
    if idle_fd is not None:
        found += ["--socket", f"fd://{idle_fd}"]
    if settings.lazy_apps:
        # The master does not load the application, but must select the engine before the fork, for shared memory.
        found += ["--lazy-apps", "--shared-pyimport", "heliograph.preload"]
    return [*found, *settings.command]


def environment(environ: Mapping[str, str], max_bytes: int) -> dict[str, str]:
    """Return the server's environment, without HELIOGRAPH_ENGINE: inside uWSGI the engine is `uwsgi`.

    `max_bytes` is the size of arguments and return values of tasks.
    """
    kept = {name: value for name, value in environ.items() if name != engines.ENGINE_ENV}
    return {**kept, MAX_BYTES_ENV: str(max_bytes)}


def start(settings: ServerSettings) -> NoReturn:
    """Replace this process with uWSGI. Raises `ConfigError` if it is not installed or cannot be executed."""
    server = find()
    idle_fd = None if settings.http or settings.listen else _unreachable_socket()
    argv = [*server.command, *server.flags, *arguments(settings, str(Path.cwd()), idle_fd)]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(argv[0], argv, environment(os.environ, settings.task_bytes))  # noqa: S606 - a list of arguments, no shell
    except OSError as error:
        raise ConfigError(f"cannot start {argv[0]}: {error.strerror}. Reinstall uWSGI") from error


def _processes(settings: ServerSettings) -> list[str]:
    top = settings.topology
    found = ["--workers", str(top.workers)]
    if settings.threads > 1:
        found += ["--threads", str(settings.threads)]
    if top.mules:
        found += ["--mules", str(top.mules)]
    for farm in top.farms:
        found += ["--farm", f"{farm.name}:{','.join(map(str, farm.mules))}"]
    if settings.spooler is not None:
        found += ["--spooler", str(settings.spooler)]
    return found


def _unreachable_socket() -> int:
    """Return a listening socket whose file is removed, so that no program can connect."""
    from tempfile import TemporaryDirectory  # noqa: PLC0415 - as above

    with TemporaryDirectory(prefix="heliograph-") as directory:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(f"{directory}/idle")
        sock.listen(1)
    sock.set_inheritable(True)
    return sock.detach()
