"""Load the application in a child process before the server starts, to report an error in one line.

The child acts as the master of the server, with its topology. It registers the application's signals, so that `mule9`
of two mules is found now. It sends no signal and runs no hook. Its output is not shown, since the server repeats it.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from heliograph import engines
from heliograph.application import AppSpec, is_missing, load, run_in_child
from heliograph.engines.checking import CheckingEngine
from heliograph.exceptions import ConfigError, TargetError
from heliograph.models import Topology

_HELIOGRAPH = str(Path(__file__).parents[1])
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))


def check_app(app: AppSpec, topology: Topology, *, topology_is_final: bool = True) -> bool | None:
    """Return True if the application loads and has a WSGI callable, False if it loads without one.

    Return None if only the server can tell: the application imports the `uwsgi` module, or registers a handler for a
    target that this topology does not have, and the topology is not final.

    Raises `ConfigError` with the last line of the error and its place if the application does not load.
    """

    def work() -> str:
        _silence()
        sys.argv = ["uwsgi"]
        sys.path.insert(0, str(Path.cwd()))
        return json.dumps(_outcome(CheckingEngine(topology), app, topology_is_final=topology_is_final))

    result = run_in_child(work)
    if not result.text:
        raise ConfigError(f"cannot load {app}: importing it ended the process ({result.how})")
    found = json.loads(result.text)
    if found["failure"]:
        raise ConfigError(f"cannot load {app}: {found['failure']}")
    return None if found["serves"] is None else bool(found["serves"])


def _outcome(engine: CheckingEngine, app: AppSpec, *, topology_is_final: bool) -> dict[str, object]:
    try:
        with engines.using(engine):
            _, found = load(app)
    except BaseException as error:  # noqa: BLE001 - SystemExit too: it would end the server as well
        for_the_server = _needs_the_server(error) or (isinstance(error, TargetError) and not topology_is_final)
        return {"serves": None, "failure": None if for_the_server else _explain(error, app)}
    return {"serves": found is not None, "failure": None}


def _needs_the_server(error: BaseException) -> bool:
    return isinstance(error, ModuleNotFoundError) and error.name == "uwsgi"


def _explain(error: BaseException, app: AppSpec) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    text = traceback.format_exception_only(error)[-1].strip()
    if is_missing(error, app.location):
        return f"{text}. Check that it is importable from {Path.cwd()}"
    place = _place(error)
    return f"{place}: {text}" if place else text


def _place(error: BaseException) -> str | None:
    """Return file and line of the error: the innermost of the application, else the innermost outside heliograph."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}:{error.lineno}"
    places = [place for place in _places(error) if not place[0].startswith((_HELIOGRAPH, "<frozen"))]
    own = [place for place in places if not place[0].startswith(_LIBRARIES)]
    for file, line in reversed(own or places):
        return f"{_short(file)}:{line}"
    return None


def _places(error: BaseException) -> Iterator[tuple[str, int]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield frame.f_code.co_filename, line


def _short(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _silence() -> None:
    """Discard what this process and its children write to standard output and error."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    sys.stdout = sys.stderr = os.fdopen(nowhere, "w", encoding="utf-8")
