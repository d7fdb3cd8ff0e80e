"""Load the application once before the server starts, so that what is wrong with it is one line and not a log.

How it works
    A child process plays the master of the server to come, with its topology: it registers what the application
    registers, so that `mule9` of two mules is found now, sends nothing and runs no hook. The child is thrown away
    with all that the import left behind; what the import prints is not shown, since the server prints it again.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

from heliograph import engines
from heliograph.application import AppSpec, is_missing, load
from heliograph.engines.detached import DetachedEngine
from heliograph.exceptions import ConfigError, ServerNotReady, TargetError
from heliograph.models import Identity, Topology

_NOT_YET = "the server is still loading the application; send from a request, a handler or a post-fork hook"
_OURS = str(Path(__file__).parents[1])
_LIBRARIES = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))


class PreflightEngine(DetachedEngine):
    """The master while it loads the application: it knows who will be there, and nobody is yet."""

    name = "rehearsal"
    can_change_target = False

    def __init__(self, topology: Topology) -> None:
        super().__init__()
        self._topology = topology

    @property
    def identity(self) -> Identity:
        return Identity("master")

    @property
    def topology(self) -> Topology:
        return self._topology

    def signal(self, num: int, timeout: float) -> NoReturn:  # noqa: ARG002 - the port's shape
        raise ServerNotReady(f"signal {num} was not sent: {_NOT_YET}")

    def signal_wait(self, num: int | None, timeout: float | None) -> NoReturn:  # noqa: ARG002
        raise ServerNotReady(f"no signal can arrive: {_NOT_YET}")


def check_app(app: AppSpec, topology: Topology, *, topology_is_final: bool = True) -> bool | None:
    """Whether the application loads with a WSGI callable (True) or without one (False).

    None where only the server can tell: the application imports the `uwsgi` module, or asks for a target that the
    topology does not have, while that is not `sure`. Raises `ConfigError` with the last line of the error and its
    place.
    """
    with tempfile.TemporaryFile("w+") as answer:
        pid = os.fork()
        if not pid:
            _play(PreflightEngine(topology), app, answer, sure=topology_is_final)
        _, status = os.waitpid(pid, 0)
        answer.seek(0)
        text = answer.read()
    if not text:
        code = os.waitstatus_to_exitcode(status)
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        raise ConfigError(f"cannot load {app}: importing it ended the process ({how})")
    found = json.loads(text)
    if found["failure"]:
        raise ConfigError(f"cannot load {app}: {found['failure']}")
    return None if found["serves"] is None else bool(found["serves"])


def _play(engine: PreflightEngine, app: AppSpec, answer: IO[str], *, sure: bool) -> NoReturn:
    """The child: load, write down how it went, and end without a trace."""
    try:
        _be_quiet()
        sys.argv = ["uwsgi"]
        sys.path.insert(0, str(Path.cwd()))
        json.dump(_outcome(engine, app, sure=sure), answer)
        answer.flush()
    finally:
        os._exit(0)


def _outcome(engine: PreflightEngine, app: AppSpec, *, sure: bool) -> dict[str, object]:
    try:
        with engines.using(engine):
            _, found = load(app)
    except BaseException as error:  # noqa: BLE001 - SystemExit too: the server would not survive it either
        for_the_server = _needs_the_server(error) or (isinstance(error, TargetError) and not sure)
        return {"serves": None, "failure": None if for_the_server else _explain(error, app)}
    return {"serves": found is not None, "failure": None}


def _needs_the_server(error: BaseException) -> bool:
    return isinstance(error, ModuleNotFoundError) and error.name == "uwsgi"


def _explain(error: BaseException, app: AppSpec) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    text = traceback.format_exception_only(error)[-1].strip()
    if is_missing(error, app.location):
        return f"{text}; is it importable from {Path.cwd()}?"
    place = _place(error)
    return f"{place}: {text}" if place else text


def _place(error: BaseException) -> str | None:
    """File and line to look at: the innermost that is the application's own, else the innermost that is not ours."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}:{error.lineno}"
    places = [place for place in _places(error) if not place[0].startswith((_OURS, "<frozen"))]
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


def _be_quiet() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    sys.stdout = sys.stderr = os.fdopen(nowhere, "w")
