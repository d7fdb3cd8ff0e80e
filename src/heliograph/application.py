"""Finding and loading an application, in every server and in the check before the start.

An application is a module. It may have a WSGI callable. Without one it only has signals.
"""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Self

from heliograph.exceptions import ConfigError

DEFAULT_CALLABLE = "application"
"""The name that uWSGI looks for, and that PEP 3333 uses."""

_LOADERS = (str(Path(__file__).parent), str(importlib.__file__), "<frozen importlib")
"""Files of the code that loads an application. Tracebacks leave them out."""

_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_PACKAGE = f"{Path(__file__).parent}/"
_PLACE = re.compile(r'^ *File "(.+?)", line (\d+)', re.MULTILINE)
"""Place in a traceback."""
_CALLABLE = re.compile(r"[^\W\d]\w*(\(\))?")


@dataclass(frozen=True, slots=True)
class AppSpec:
    """A module or file, and its callable: `AppSpec("shop.wsgi", "app")`. The callable may end in `()`."""

    location: str
    """Dotted name of a module, or absolute path of a `.py` file."""

    callable: str | None = None

    @property
    def is_file(self) -> bool:
        return "/" in self.location

    @classmethod
    def parse(cls, text: str, directory: Path) -> Self:
        """Parse `package.module` or `path/app.py` (relative to `directory`), each with or without `:callable`.

        Raises:
            ConfigError: The text has another form, or the file does not exist.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance] - programs pass it to `serve()`
            raise ConfigError(f"invalid application: {text!r}. Pass its name, package.module or path/app.py.")
        location, colon, name = text.partition(":")
        if colon and not _CALLABLE.fullmatch(name):
            raise ConfigError(f"invalid application: {text!r}. Use the name of a callable after the colon.")
        if location.endswith(".py") or "/" in location:
            return cls(_existing(text, directory / location), name or None)
        if not _MODULE.fullmatch(location):
            raise ConfigError(
                f"invalid application: {text!r}. Use package.module or path/app.py, optionally with :callable."
            )
        return cls(location, name or None)

    def __str__(self) -> str:
        return f"{self.location}:{self.callable}" if self.callable else self.location


def current_directory() -> Path:
    """Return the working directory. Raises: ConfigError: it has been deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError(
            "the working directory does not exist any more. Change to a directory that exists (cd)."
        ) from None


def load(spec: AppSpec) -> tuple[ModuleType, Callable[..., Any] | None]:
    """Import the application. Return its module, and its WSGI callable if it has one.

    Raises:
        ConfigError: The callable does not exist.
        Exception: The import failed.
    """
    module = _load_file(Path(spec.location)) if spec.is_file else importlib.import_module(spec.location)
    return module, _callable_of(module, spec)


def uncalled_factory(spec: AppSpec) -> str:
    """Return how to write an application that was loaded, if its callable is a function that makes one. Else empty.

    That is a function that can be called without arguments. A WSGI or ASGI application cannot.
    """
    module = sys.modules.get(Path(spec.location).stem if spec.is_file else spec.location)
    found = getattr(module, spec.callable or "", None)
    if not isinstance(found, FunctionType):
        return ""
    required = found.__code__.co_argcount - len(found.__defaults__ or ())
    required += found.__code__.co_kwonlyargcount - len(found.__kwdefaults__ or {})
    location = Path(spec.location).name if spec.is_file else spec.location
    return "" if required else f"{location}:{spec.callable}()"


def explain(error: BaseException, app: str) -> str:
    """Return the traceback of an application that failed to load, from its own code on."""
    if advice := _django_advice(error):
        return advice
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_LOADERS):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace)).strip()
    return f"{text}. Check that you can import it from {Path.cwd()}." if is_missing(error, app) else text


def _django_advice(error: BaseException) -> str:
    """Return the error for a project of Django that was not set up, in one line. Empty: it is another error."""
    kind = f"{type(error).__module__}.{type(error).__name__}"
    text = " ".join(str(error).split())
    if kind == "django.core.exceptions.ImproperlyConfigured" and not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return (
            f"Django has no settings: {text.partition(', but')[0]}. Set DJANGO_SETTINGS_MODULE, for example to "
            "project.settings, or use `python manage.py heliograph run`."
        )
    if kind == "django.core.exceptions.AppRegistryNotReady":
        return (
            f"Django is not set up: {text} Load the project with `heliograph run heliograph.contrib.django.project` "
            "and DJANGO_SETTINGS_MODULE, or use `python manage.py heliograph run`."
        )
    return ""


def is_missing(error: BaseException, app: str) -> bool:
    """Return True if the application, or a package that contains it, was not found."""
    location = app.partition(":")[0]
    return isinstance(error, ModuleNotFoundError) and bool(error.name) and f"{location}.".startswith(f"{error.name}.")


def _existing(text: str, path: Path) -> str:
    if not path.is_file():
        raise ConfigError(f"application not found: {text!r}. There is no file {path}.")
    return str(path.resolve())


def _load_file(path: Path) -> ModuleType:
    """Import a file as `python path/app.py` does. It can import modules of its directory."""
    sys.path.insert(0, str(path.parent))
    # A file may have the name of a loaded module (signal.py), which it must not replace.
    name = path.stem if path.stem not in sys.modules else f"{path.stem}_application"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ConfigError(f"not a Python file: {path}. Its name must end in .py.")
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
        raise ConfigError(f"no such callable in {spec.location}: {name!r}. Check the name after the colon.")
    found = getattr(module, name)
    if not callable(found):
        raise ConfigError(
            f"not a callable in {spec.location}: {name!r} ({type(found).__name__}). Check the name after the colon."
        )
    return _made_by(found, spec) if spec.callable.endswith("()") else found


def _made_by(factory: Callable[..., Any], spec: AppSpec) -> Callable[..., Any]:
    made: object = factory()
    if not callable(made):
        raise ConfigError(f"{spec} returned no callable: {type(made).__name__}. Return the WSGI application.")
    return made


@dataclass(frozen=True, slots=True)
class ChildResult:
    """The text that a child process returned, and its exit."""

    text: str
    """Empty if the child exited before it returned a text."""
    code: int
    """Exit code. Negative: the number of the Unix signal that killed the child."""

    @property
    def how(self) -> str:
        """Description of the exit, for a message."""
        return f"exit code {self.code}" if self.code >= 0 else f"signal {-self.code}"


def summary_of(traceback: str, directory: Path | None = None) -> str:
    """Return the exception of a traceback and the last place in it that is not in heliograph.

    With a `directory`, it is the last place in that one, if there is one.
    """
    exception = traceback.strip().rpartition("\n")[2]
    places = [(file, line) for file, line in _PLACE.findall(traceback) if not file.startswith(_PACKAGE)]
    if directory is not None:
        own = [(Path(file), line) for file, line in places if Path(file).is_relative_to(directory)]
        places = [
            (str(file.relative_to(directory)), line) for file, line in own if "site-packages" not in file.parts
        ] or places
    return f"{exception} ({places[-1][0]}, line {places[-1][1]})" if places else exception


def _above_standard_output(fd: int) -> int:
    """Return a descriptor that a child does not replace by the null device. Those below 3 may have been closed."""
    if fd > 2:
        return fd
    found = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return found


def run_in_child(work: Callable[[], str]) -> ChildResult:
    """Run a function in a forked child that exits at once, and return its text. Its imports do not stay here."""
    # A file, since a child that the application has started could keep a pipe open, and a pipe has a limit.
    answer = _above_standard_output(os.memfd_create("heliograph-answer", os.MFD_CLOEXEC))
    with _exit_codes_of_children():
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


@contextmanager
def _exit_codes_of_children() -> Generator[None]:
    """Let the kernel keep the exit codes of children, which are lost while SIGCHLD is ignored."""
    ignored = signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
