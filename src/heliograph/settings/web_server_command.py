"""What can be known of another server from its command."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

_FLAG = re.compile(r"(?:--workers(?:=|$)|-w(?!sgi))(?P<count>[0-9]*)")
_VARIABLES = {"gunicorn": "WEB_CONCURRENCY", "uvicorn": "WEB_CONCURRENCY", "granian": "GRANIAN_WORKERS"}
"""Environment variable in which each server looks for the number of its processes."""


def search_path() -> str:
    """Where commands are looked for: where always, and beside this Python, where what is installed with us is."""
    return os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))


def find_command(command: str) -> str | None:
    """The file of a command; None if there is none."""
    return shutil.which(command, path=search_path())


def workers_of(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """How many processes the server is told to have: `-w 4`, `--workers=4`, its environment variable; else one.

    One too where there is no command.
    """
    for word, following in pairwise((*command, "")):
        found = _FLAG.fullmatch(word)
        count = (found["count"] or following) if found else ""
        if count.isdecimal():
            return max(1, int(count))
    count = environment.get(_variable(command), "")
    return max(1, int(count)) if count.isdecimal() else 1


def _variable(command: Sequence[str]) -> str:
    return next((variable for word in command for name, variable in _VARIABLES.items() if Path(word).name == name), "")
