"""Options of the processes of a server: their number, their code and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from heliograph.models import FarmSpec
from heliograph.settings.option_row import ENGINES, LOCAL, UWSGI, option
from heliograph.settings.option_types import (
    Choice,
    Duration,
    Farm,
    Flag,
    Integer,
    Seconds,
    Size,
    WorkerCount,
    WorkerRange,
)


@dataclass(frozen=True, kw_only=True)
class ProcessOptions:
    """Processes, and how they start, reload and stop."""

    engine: str = option(
        Choice(ENGINES),
        LOCAL,
        "Server: local (heliograph's own) or uwsgi",
        "ENGINE",
        variable="HELIOGRAPH_RUN_ENGINE",  # HELIOGRAPH_ENGINE selects the engine of an application
        keyword=False,
    )
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
    max_rss: int = option(
        Size(),
        0,
        "Replace a process with more memory",
        "200M",
        shown_default="0, off",
        details="A number of bytes, or one with K, M or G. The limit is up to a tenth higher for some processes, so "
        "that not all are replaced together. It does not apply to the processes of a web server. See "
        "[recycling](../how-to/recycling.md).",
        engines=(LOCAL,),
        instead="Use -- --reload-on-rss MEGABYTES",
    )
    max_age: float = option(
        Duration(),
        0.0,
        "Replace a process of this age",
        "12h",
        shown_default="0, off",
        details="Seconds, or a number with s, m, h or d. The time is up to a tenth longer for some processes, so that "
        "not all are replaced together. It does not apply to the processes of a web server. See "
        "[recycling](../how-to/recycling.md).",
        engines=(LOCAL,),
        instead="Use -- --max-worker-lifetime SECONDS",
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
    overdue: float = option(
        Seconds(),
        5.0,
        "Seconds until a handler counts as hung",
        "S",
        details="`heliograph status` names handlers and tasks that take longer. One that has taken longer before "
        "may take twice its longest time.",
        engines=(LOCAL,),
        instead="`heliograph status` does not look into processes of uWSGI",
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
