"""Where an application is, and how it is loaded: the same in every server and in the rehearsal before.

An application is a module; its WSGI callable is what a server serves, and may be missing: then it has only signals.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from heliograph.exceptions import ConfigError

DEFAULT_CALLABLE = "application"
"""The name that uWSGI looks for, and PEP 3333 uses."""

_LOADERS = (str(Path(__file__).parent), str(importlib.__file__), "<frozen importlib")
"""Where the code is that loads an application: of no interest to who wrote it."""

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_CALLABLE = re.compile(r"[^\W\d]\w*(\(\))?")


@dataclass(frozen=True, slots=True)
class AppSpec:
    """A module or file, and the callable in it: `AppSpec("shop.wsgi", "app")`. The callable may end in `()`."""

    location: str
    """Dotted name of a module, or the absolute path of a `.py` file."""

    callable: str | None = None

    @property
    def is_file(self) -> bool:
        return "/" in self.location

    @classmethod
    def parse(cls, text: str, directory: Path) -> Self:
        """Understand `package.module`, `path/app.py` (from `directory`), each with `:callable` or without.

        Raises `ConfigError` for anything else, and for a file that is not there.
        """
        trigger, colon, name = text.partition(":")
        if colon and not _CALLABLE.fullmatch(name):
            raise ConfigError(f"application {text!r}: after the colon stands a name in the module, not {name!r}")
        if trigger.endswith(".py") or "/" in trigger:
            return cls(_existing(text, directory / trigger), name or None)
        if not _MODULE.fullmatch(trigger):
            raise ConfigError(f"application {text!r}: use package.module[:callable] or path/app.py[:callable]")
        return cls(trigger, name or None)

    def __str__(self) -> str:
        return f"{self.location}:{self.callable}" if self.callable else self.location


def load(spec: AppSpec) -> tuple[ModuleType, Callable[..., Any] | None]:
    """Import the application; its WSGI callable too, if it has one.

    Raises whatever the import raises, and `ConfigError` for a callable that was asked for and is not there.
    """
    module = _load_file(Path(spec.location)) if spec.is_file else importlib.import_module(spec.location)
    return module, _callable_of(module, spec)


def explain(error: BaseException, app: str) -> str:
    """What went wrong while an application was loaded: the traceback, from where the application's own code begins."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_LOADERS):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace)).strip()
    return f"{text}; is it importable from {Path.cwd()}?" if is_missing(error, app) else text


def is_missing(error: BaseException, app: str) -> bool:
    """Whether it is the application itself that was not found, or a package that it is in."""
    trigger = app.partition(":")[0]
    return isinstance(error, ModuleNotFoundError) and bool(error.name) and f"{trigger}.".startswith(f"{error.name}.")


def _existing(text: str, path: Path) -> str:
    if not path.is_file():
        raise ConfigError(f"application {text!r}: there is no file {path}")
    return str(path.resolve())


def _load_file(path: Path) -> ModuleType:
    """Import a file as `python path/app.py` would: what lies beside it can be imported."""
    sys.path.insert(0, str(path.parent))
    # A file may be called like a module that is loaded already (signal.py); that one must not be replaced.
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_application"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ConfigError(f"{path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    return module


def _callable_of(module: ModuleType, spec: AppSpec) -> Callable[..., Any] | None:
    if spec.callable is None:
        default = getattr(module, DEFAULT_CALLABLE, None)
        return default if callable(default) else None
    name = spec.callable.removesuffix("()")
    if not hasattr(module, name):
        raise ConfigError(f"{spec.location} has no {name!r}")
    found = getattr(module, name)
    if not callable(found):
        raise ConfigError(f"{name!r} in {spec.location} is not callable but of type {type(found).__name__}")
    return _made_by(found, spec) if spec.callable.endswith("()") else found


def _made_by(factory: Callable[..., Any], spec: AppSpec) -> Callable[..., Any]:
    made: object = factory()
    if not callable(made):
        raise ConfigError(f"{spec} made a {type(made).__name__}, which is not callable")
    return made


@dataclass(frozen=True, slots=True)
class ChildResult:
    """What a child process returned, and how it ended."""

    text: str
    """Empty if the child exited before it returned a text."""
    code: int
    """Exit code; negative: the number of the Unix signal that killed the child."""

    @property
    def how(self) -> str:
        """The end of the process, for people."""
        return f"exit code {self.code}" if self.code >= 0 else f"signal {-self.code}"


def run_in_child(work: Callable[[], str]) -> ChildResult:
    """Run a function in a forked child that exits at once, and return its text. What it imports does not stay here."""
    # A file, since a child that the application has started could keep a pipe open, and a pipe has a limit.
    answer = os.memfd_create("heliograph-answer", os.MFD_CLOEXEC)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            text = work().encode(errors="replace")
            while text:
                text = text[os.write(answer, text) :]
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    with open(answer, "rb") as file:  # noqa: PTH123 - a descriptor
        file.seek(0)
        return ChildResult(file.read().decode(), os.waitstatus_to_exitcode(status))
