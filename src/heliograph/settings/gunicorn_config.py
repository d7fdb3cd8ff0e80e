"""The number of workers in a configuration file of gunicorn, which is a Python program."""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from pathlib import Path

from heliograph.application import run_in_child

DEFAULT = "gunicorn.conf.py"
"""The file that gunicorn reads by default."""


def workers_in(config: str) -> str:
    """Return `workers` of a configuration: a path, `file:PATH` or `python:MODULE`. Empty if it has none or fails.

    It runs in a child process, as gunicorn runs it. gunicorn reports its errors.
    """
    path = config.removeprefix("file:")
    if not config.startswith("python:") and not Path(path).is_file():
        return ""
    return run_in_child(lambda: _read(config, path)).text


def _read(config: str, path: str) -> str:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (1, 2):
        os.dup2(nowhere, fd)
    sys.path.insert(0, str(Path.cwd()))
    module = config.removeprefix("python:")
    found = vars(importlib.import_module(module)) if module != config else runpy.run_path(path)
    return str(found.get("workers", ""))
