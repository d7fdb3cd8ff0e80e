"""`serve()`: run the heliograph server from a program, as `heliograph run` does."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.exceptions import ConfigError
from heliograph.models import DEFAULT_TASK_BYTES

if TYPE_CHECKING:
    from heliograph.settings.options import ServerSettings


def serve(  # noqa: PLR0913 - keywords, each an option of the command
    app: str,
    *,
    workers: int | str | tuple[int, int] | None = None,
    mules: int = 0,
    farms: Mapping[str, Sequence[int]] | None = None,
    spooler: str | Path | None = None,
    any_filesystem: bool = False,
    task_sync: str = "disk",
    task_bytes: int = DEFAULT_TASK_BYTES,
    name: str | None = None,
    control: str | Path | None = None,
    lazy_apps: bool = False,
    no_web_check: bool = False,
    graceful_timeout: float = 30.0,
    max_signals: int = 0,
    max_rss: int | str = 0,
    max_age: float | str = 0,
    time_limit: float = 0.0,
    listen: str | None = None,
    allow_remote: Iterable[int] = (),
    log_level: str = "info",
    log_config: str | Path | None = None,
    command: Sequence[str] = (),
    commands: Mapping[str, object] | None = None,
) -> int:
    """Run a server for an application until it is stopped by SIGTERM, Ctrl-C or `heliograph stop`.

    Call it in the main thread, which handles the Unix signals. The program configures the logging of the master. The
    environment variables of `heliograph run` do not apply.

    Args:
        app: `package.module`, `package.module:callable` or `path/app.py`. This process never imports it.
        workers: Number of workers. By default 1, or the number in `command`. `"2..16"` or `(2, 16)`: the processes of
            `command` come and go, and at least 2 and at most 16 of them are workers. Without `command` it starts 2.
        mules: Number of mules.
        farms: Names of farms, each with the numbers of its mules.
        spooler: Start a spooler, and keep tasks in this directory. Without it tasks are in the state directory.
        any_filesystem: Keep tasks on NFS, SMB, 9p or FUSE too, where locks are not reliable.
        task_sync: `"disk"`: a task is stored when it is on the disk. `"process"`: when the operating system has it.
        task_bytes: Longest arguments or return value of a task.
        name: Name by which `heliograph signals`, `reload` and `stop` find the server. By default they find it by the
            directory.
        control: Path of the control socket. By default it is derived from the name.
        lazy_apps: Load the application in each process, after the fork.
        no_web_check: Reload without importing the application of `command` first.
        graceful_timeout: Seconds in which processes can finish at a stop or reload, before SIGKILL.
        max_signals: Replace a process after so many signals. 0 disables this.
        max_rss: Replace a process that uses more memory: bytes, or a text such as `"200M"`. 0 disables this.
        max_age: Replace a process after this time: seconds, or a text such as `"12h"`. 0 disables this.
        time_limit: Seconds that a handler may take. 0 disables this.
        listen: Address, `HOST:PORT` or the path of a Unix socket, at which the server takes external signals.
        allow_remote: Signals that external processes may send, besides those registered with `remote=True`.
        log_level: Least severe level that heliograph logs in the processes that it starts.
        log_config: TOML or JSON file for `logging.config.dictConfig`, for the processes that it starts.
        command: Command of a web server (`["gunicorn", "-w", "4", "shop.wsgi"]`), whose processes become the workers.
        commands: Programs to run besides, by name: a command line, a list of words, or a table with the keys of
            `[commands]` in the configuration file.

    Returns:
        The exit code: 0 after a stop, 2 if the application cannot be loaded. The exit code of `command` if it exits
        before any of its processes joined.

    Raises:
        ConfigError: The server cannot be started with these settings.
    """
    keywords = {name: value for name, value in locals().items() if name not in {"app", "command", "commands"}}

    from heliograph.settings.make import from_keywords  # noqa: PLC0415 - only a program that serves imports it

    return serve_settings(from_keywords(app, command, keywords, commands))


def serve_settings(settings: ServerSettings, *, ends_process: bool = False) -> int:
    """Run a server with these settings, and return its exit code. Raises `ConfigError` if it cannot start.

    `ends_process`: this process exits right after that. It ignores Unix signals from then on.
    """
    from heliograph.ipc.instance import server_name, working_directory  # noqa: PLC0415
    from heliograph.server.containers import warn_of_short_stop  # noqa: PLC0415
    from heliograph.server.master import Master  # noqa: PLC0415
    from heliograph.settings.make import create_spooler_directory  # noqa: PLC0415

    named = replace(settings, name=server_name(settings.name or None, working_directory()))
    create_spooler_directory(named)
    warn_of_short_stop(settings.graceful_timeout)
    try:
        return Master(named, ends_process=ends_process).run()
    except OSError as error:
        raise ConfigError(_cannot_run(error)) from error


def _cannot_run(error: OSError) -> str:
    text = f"the server cannot run: {error.strerror or error}."
    if error.errno == errno.EFBIG:
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        return f"{text} The limit is {limit} bytes, also for shared memory: raise it (ulimit -f)."
    if error.errno != errno.EMFILE:
        return text
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"{text} The limit is {limit} files: raise it (ulimit -n), or use fewer workers and mules."
