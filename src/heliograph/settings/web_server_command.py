"""Read a web server's command: find the program, and how many worker processes it starts."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from heliograph.settings import gunicorn_config

_WORKERS_FLAG = re.compile(r"(?:--workers(?:=|$)|-w(?!sgi))(?P<value>[0-9]*)")
_CONFIG_FLAG = re.compile(r"(?:--config(?:=|$)|-c)(?P<value>.*)")

_WORKERS_ENV = {
    "gunicorn": ("WEB_CONCURRENCY",),
    "uvicorn": ("UVICORN_WORKERS", "WEB_CONCURRENCY"),
    "granian": ("GRANIAN_WORKERS",),
}
"""Environment variables from which each web server reads its number of workers, the first that is set."""


def search_path() -> str:
    """Return PATH with the directory of this Python, which has the commands of the same environment.

    A virtual environment comes first, as if it was activated: scripts start `python` by its name. Otherwise the
    directory comes last, since it is one of the system's.
    """
    path, own = os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)
    return os.pathsep.join((own, path) if sys.prefix != sys.base_prefix else (path, own))


def find_command(command: str) -> str | None:
    """Return the path of a command's file, or None if the command is not found.

    The directory of this Python comes first: another `python` or `gunicorn` may not have heliograph.
    """
    from shutil import which  # noqa: PLC0415 - it loads all compressions

    return which(command, path=str(Path(sys.executable).parent)) or which(command, path=search_path())


def count_workers(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return how many worker processes the command starts, at least 1.

    The number comes from where this web server reads it: `-w 4` or `--workers=4`, then, for gunicorn,
    `GUNICORN_CMD_ARGS` and its configuration file, then its environment variables. It is 1 if none has a number, and if
    there is no command.
    """
    program = next((name for word in command if (name := Path(word).name) in _WORKERS_ENV), "")
    counts = [_flag(_WORKERS_FLAG, command)]
    if program == "gunicorn":
        arguments = shlex.split(environment.get("GUNICORN_CMD_ARGS", ""))
        config = config_of(command) or config_of(arguments) or gunicorn_config.DEFAULT
        counts.append(_flag(_WORKERS_FLAG, arguments))
        if not any(map(str.isdecimal, counts)):
            counts.append(gunicorn_config.workers_in(config))
    counts += [environment.get(variable, "") for variable in _WORKERS_ENV.get(program, ())]
    return max(1, int(next(filter(str.isdecimal, counts), "1")))


def config_of(words: Sequence[str]) -> str:
    """Return the configuration file that a command of gunicorn names. Empty without one."""
    return _flag(_CONFIG_FLAG, words)


def _flag(flag: re.Pattern[str], words: Sequence[str]) -> str:
    """Return the value of the last flag of that form, as the web servers do. Empty without one."""
    values = [
        found["value"] or following for word, following in pairwise((*words, "")) if (found := flag.fullmatch(word))
    ]
    return values[-1] if values else ""
