"""Read a web server's command: find the program, and how many worker processes it starts."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

_WORKERS_FLAG = re.compile(r"(?:--workers(?:=|$)|-w(?!sgi))(?P<count>[0-9]*)")

_WORKERS_ENV = {"gunicorn": "WEB_CONCURRENCY", "uvicorn": "WEB_CONCURRENCY", "granian": "GRANIAN_WORKERS"}
"""Environment variable from which each web server reads its number of workers."""


def search_path() -> str:
    """Return PATH, followed by the directory of this Python, which has the commands of the same virtualenv."""
    return os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))


def find_command(command: str) -> str | None:
    """Return the path of a command's file, or None if the command is not found.

    The directory of this Python comes first: another `python` or `gunicorn` may not have heliograph.
    """
    return shutil.which(command, path=str(Path(sys.executable).parent)) or shutil.which(command, path=search_path())


def count_workers(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return how many worker processes the command starts, at least 1.

    The number comes from `-w 4` or `--workers=4`, else from the environment variable that this web server reads. It is
    1 if neither has a number, and if there is no command.
    """
    for word, following in pairwise((*command, "")):
        found = _WORKERS_FLAG.fullmatch(word)
        count = (found["count"] or following) if found else ""
        if count.isdecimal():
            return max(1, int(count))
    count = environment.get(_variable(command), "")
    return max(1, int(count)) if count.isdecimal() else 1


def _variable(command: Sequence[str]) -> str:
    programs = (Path(word).name for word in command)
    return next((_WORKERS_ENV[program] for program in programs if program in _WORKERS_ENV), "")
