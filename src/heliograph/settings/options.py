"""The table of options of a server, and the value that a server is started with.

Each field of `ServerSettings` that is made with `option()` is one row of the table. The command `heliograph run`, the
environment variables, the checks of `serve()` and docs/reference/{command,environment}.md are made from the rows.

To add an option, add one field here, use its value, and run `make reference`. If `serve()` is to have it too, add a
keyword to its signature as well (a test compares them), otherwise write `keyword=False`.

`settings.origins` decides which value of an option holds.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from heliograph.application import AppSpec
from heliograph.models import DEFAULT_TASK_BYTES, FarmSpec, Topology
from heliograph.settings.addresses import Address
from heliograph.settings.logs import LOG_LEVELS
from heliograph.settings.option_types import (
    Choice,
    ControlSocket,
    Directory,
    Farm,
    Flag,
    Integer,
    ListenAddress,
    LogConfigFile,
    OptionType,
    Seconds,
    SignalNumbers,
    Text,
    WorkerCount,
    WorkerRange,
)

LOCAL, UWSGI = "local", "uwsgi"
TASK_SYNC = ("disk", "process")
ENGINES = (LOCAL, UWSGI)
"""Engines that `heliograph run` can start a server for."""

RESERVED_VARIABLES = ("HELIOGRAPH_ENGINE", "HELIOGRAPH_MASTER", "HELIOGRAPH_INHERITED", "HELIOGRAPH_TASKS")
"""Environment variables with another meaning, which no option can have."""


@dataclass(frozen=True, slots=True)
class Option:
    """A row of the table: spelling, type and meaning of an option."""

    type: OptionType
    help: str
    """One line for `--help`, with the unit."""
    metavar: str = ""
    """Placeholder of the value in the help. A flag without a value has none."""
    details: str = ""
    """More sentences for the reference."""
    engines: tuple[str, ...] = ENGINES
    instead: str = ""
    """Advice for the other engine."""
    shown_default: str = ""
    """Text for the default, if the value itself is not to be shown."""
    aliases: tuple[str, ...] = ()
    """Further flags, which `--help` does not show."""
    repeatable: bool = False
    """True if the flag can be given several times. The variable then has the values separated by spaces."""
    keyword: bool = True
    """True if `serve()` has a keyword of this name."""
    variable: str = ""
    """Environment variable. Empty: HELIOGRAPH_ and the flag's name."""
    flag: str = ""
    """Empty: the name."""
    name: str = ""
    """Field of `ServerSettings`, and keyword of `serve()`."""
    default: Any = None

    @property
    def default_text(self) -> str:
        """The default for people, empty if there is none."""
        if self.shown_default or isinstance(self.default, bool):
            return self.shown_default
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return str(self.default) if isinstance(self.default, int | str) else ""


def option(type: OptionType, default: Any, help: str, metavar: str = "", **row: Any) -> Any:  # noqa: A002
    """Declare an option as a field of `ServerSettings`. `row` are the other attributes of `Option`."""
    return field(default=default, metadata={"option": Option(type, help, metavar, **row)})


def options_of(settings: type[Any]) -> tuple[Option, ...]:
    """Return the rows of a table, with the attributes that follow from the field's name."""
    return tuple(
        _complete(found.metadata["option"], found.name, found.default)
        for found in fields(settings)
        if "option" in found.metadata
    )


def _complete(row: Option, name: str, default: Any) -> Option:
    flag = row.flag or f"--{name.replace('_', '-')}"
    return replace(
        row,
        name=name,
        default=default,
        flag=flag,
        variable=row.variable or f"HELIOGRAPH_{flag[2:].replace('-', '_').upper()}",
    )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of a server. Its values are checked (see `settings.make`)."""

    app: AppSpec
    _: KW_ONLY
    command: tuple[str, ...] = ()
    """Arguments after `--`: the command of a web server, or uWSGI's own options."""

    engine: str = option(
        Choice(ENGINES),
        LOCAL,
        "Server: local (heliograph's own) or uwsgi",
        "ENGINE",
        variable="HELIOGRAPH_RUN_ENGINE",  # HELIOGRAPH_ENGINE selects the engine of an application
        keyword=False,
    )
    expected_workers: int | None = None
    """Number of processes that the command of a web server starts. None without one."""

    workers: int | WorkerRange | None = option(
        WorkerCount(),
        None,
        "Worker processes",
        "N..M",
        shown_default="1, or the web server's number",
        details="With the command of a web server the default is the number in the command. `2..16`: the web server "
        "may have between 2 and 16 processes, see [web servers](../how-to/web-servers.md#more-and-fewer-workers). "
        "Without one, the server starts 2.",
    )
    mules: int = option(Integer(), 0, "Mules: processes for background signals", "N")
    farms: tuple[FarmSpec, ...] = option(
        Farm(),
        (),
        "Farm: a name for these mules. Repeatable",
        "NAME=1,2",
        flag="--farm",
        repeatable=True,
    )
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
    listen: Address | None = option(
        ListenAddress(),
        None,
        "Take external signals at HOST:PORT, :PORT or a path",
        "ADDR",
        details="The server speaks the uwsgi protocol there. `:PORT` means all interfaces, a path is a Unix socket. "
        "The heliograph server creates a Unix socket with mode 0600.",
        flag="--socket",
        aliases=("--listen",),
    )
    lazy_apps: bool = option(Flag(), False, "Load the application in each process, after the fork")
    no_web_check: bool = option(
        Flag(),
        False,
        "Reload without importing the web application first",
        details="Otherwise a reload imports the application that the command of gunicorn, uvicorn or granian names, "
        "in a process that exits at once. If that fails, the old code keeps running. See "
        "[web servers](../how-to/web-servers.md#reload).",
        engines=(LOCAL,),
        instead="uWSGI loads APP itself",
    )
    allow_remote: frozenset[int] = option(
        SignalNumbers(),
        frozenset(),
        "Signals that other programs may send to --socket",
        "17,18",
        details="They add to those registered with `remote=True`.",
        engines=(LOCAL,),
        instead="uWSGI takes every signal at its --socket",
    )
    name: str = option(
        Text(),
        "",
        "Server name",
        "NAME",
        shown_default="derived from the directory",
        details="`signals`, `schedule`, `reload` and `stop` find the server by it.",
        engines=(LOCAL,),
        instead="uWSGI has no name. Signals find it by its --socket",
    )
    control: Path | None = option(
        ControlSocket(),
        None,
        "Control socket",
        "PATH",
        shown_default="derived from the name",
        details="A path in a directory that exists. The commands find the server by the same option or variable.",
        engines=(LOCAL,),
        instead="uWSGI has no control socket of this kind",
    )
    graceful_timeout: float = option(
        Seconds(),
        30.0,
        "Seconds to finish before SIGKILL",
        "S",
        details="At a stop the server finishes running handlers and queued signals in this time, at a reload running "
        "handlers.",
        aliases=("--mercy",),
        engines=(LOCAL,),
        instead="Use -- --worker-reload-mercy S --mule-reload-mercy S",
    )
    max_signals: int = option(
        Integer(),
        0,
        "Replace a process after N signals",
        "N",
        shown_default="0, off",
        details="It does not apply to the processes of a web server.",
        engines=(LOCAL,),
        instead="uWSGI has no such limit",
    )
    time_limit: float = option(
        Seconds(),
        0.0,
        "Seconds that a handler may take",
        "S",
        shown_default="0, off",
        details="The process of a handler that takes longer is ended. A handler can have its own limit.",
        engines=(LOCAL,),
        instead="Use -- --harakiri S --mule-harakiri S --spooler-harakiri S",
    )
    log_level: str = option(
        Choice(LOG_LEVELS),
        "info",
        "Log level, debug to critical",
        "LEVEL",
        details="`debug`, `info`, `warning`, `error` or `critical`. It applies to heliograph's own lines, see "
        "[logging](logging.md).",
        engines=(LOCAL,),
        instead="uWSGI has log options of its own",
    )
    log_config: Path | None = option(
        LogConfigFile(),
        None,
        "Configure logging from a TOML or JSON file",
        "FILE",
        details="The content is that of `logging.config.dictConfig`. It applies to the master and to all processes "
        "that it starts. `--log-level` still sets the level of heliograph's own loggers that the file does not name.",
        engines=(LOCAL,),
        instead="uWSGI has log options of its own",
    )
    http: Address | None = option(
        ListenAddress(),
        None,
        "Serve HTTP at HOST:PORT, :PORT or a path",
        "ADDR",
        engines=(UWSGI,),
        instead="Start a web server with it: heliograph run APP -- gunicorn shop.wsgi",
        keyword=False,
    )
    threads: int = option(
        Integer(minimum=1),
        1,
        "Threads per worker, for requests and signals",
        "N",
        engines=(UWSGI,),
        instead="A process runs one handler at a time. Use more --workers",
        keyword=False,
    )

    @property
    def topology(self) -> Topology:
        """The processes of the server."""
        workers = 1 if self.workers is None else self.workers
        least, most = workers if isinstance(workers, WorkerRange) else (None, workers)
        return Topology(most, self.mules, self.farms, spoolers=int(self.spooler is not None), min_workers=least)


OPTIONS = options_of(ServerSettings)
"""All options."""
