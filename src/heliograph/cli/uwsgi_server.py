"""Start real uWSGI: its command line, and the jump into it.

The command becomes the server (exec), so signals reach the master itself and the exit code is its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from heliograph import engines
from heliograph.exceptions import ConfigError
from heliograph.settings.settings import ServerSettings

APP_OPTION = "heliograph-app"
"""The name under which the application stands in the server's configuration (`uwsgi.opt`)."""

_QUEUE_BYTES = 4_194_304
"""Socket buffer of a signal queue: some 10,000 signals. The kernel cuts it to net.core.wmem_max by itself."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Where uWSGI is: the command that starts it, and flags that this one needs."""

    command: tuple[str, ...]
    flags: tuple[str, ...] = ()


def find(python: str = sys.executable, path: str | None = None) -> Installation:
    """The `uwsgi` script beside the interpreter, else a `uwsgi` on the path. Raises `ConfigError` if there is none."""
    script = Path(python).parent / "uwsgi"
    if os.access(script, os.X_OK):
        # The script of the wheel. At a reload (SIGHUP) the server starts itself again, from the binary that it finds
        # behind the interpreter's symlinks, and so outside of the virtualenv: it has to be told.
        return Installation((python, str(script)), ("--binary-path", python))
    found = shutil.which("uwsgi", path=path)
    if found is None:
        raise ConfigError('uWSGI is not installed; pip install "heliograph[uwsgi]"')
    return Installation((found,))


def arguments(settings: ServerSettings, directory: str, idle_fd: int | None = None) -> list[str]:
    """uWSGI's arguments for these settings.

    `directory` becomes importable, as with `python -m`. `idle_fd` is a listening socket for a server that nobody
    shall reach; uWSGI starts no workers without one.
    """
    found = ["--master", "--need-app", "--enable-threads", "--die-on-term", "--vacuum"]
    found += ["--signal-bufsize", str(_QUEUE_BYTES), "--pythonpath", directory]
    found += ["--module", "heliograph.cli.uwsgi_entry", "--set", f"{APP_OPTION}={settings.app}"]
    found += _processes(settings)
    if settings.http is not None:
        found += ["--http", settings.http]
    if settings.socket is not None:
        found += ["--socket", settings.socket]
    if idle_fd is not None:
        found += ["--socket", f"fd://{idle_fd}"]
    if settings.lazy_apps:
        # The master loads no application then, but must choose the engine before the fork, for shared memory.
        found += ["--lazy-apps", "--shared-pyimport", "heliograph.preload"]
    return [*found, *settings.extra]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The server's environment: without a choice of engine, which it makes by itself, inside uWSGI for uWSGI."""
    return {name: value for name, value in environ.items() if name != engines.ENGINE_ENV}


def start(settings: ServerSettings) -> NoReturn:
    """Become the server. Raises `ConfigError` if uWSGI is not installed or cannot be executed."""
    server = find()
    idle_fd = None if settings.http or settings.socket else _unreachable_socket()
    argv = [*server.command, *server.flags, *arguments(settings, str(Path.cwd()), idle_fd)]
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(argv[0], argv, environment(os.environ))  # noqa: S606 - a list of arguments, no shell
    except OSError as error:
        raise ConfigError(f"cannot start {argv[0]}: {error.strerror}") from error


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
    """A listening socket that has lost its name, so that nobody can connect and no file or port is taken."""
    with tempfile.TemporaryDirectory(prefix="heliograph-") as directory:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(f"{directory}/idle")
        sock.listen(1)
    sock.set_inheritable(True)
    return sock.detach()
