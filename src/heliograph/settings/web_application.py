"""The application that a web server's command names, so that a reload can import it before the web server does."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from heliograph.settings import gunicorn_config
from heliograph.settings.web_server_command import config_of, find_command

_PROGRAMS = ("gunicorn", "uvicorn", "granian")
_MODULE = r"[^\W\d]\w*(\.[^\W\d]\w*)*"
_NAMED = re.compile(rf"{_MODULE}:[^\W\d]\w*(\(\))?")
_MODULE_ONLY = re.compile(_MODULE)
_TAKES_ADDRESS_OR_CLASS = frozenset({"-b", "--bind", "-c", "--config", "-k", "--worker-class", "--host", "--uds"})
_CHANGES_IMPORTS = re.compile(
    r"(--(env|env-files?|chdir|pythonpath|app-dir|working-dir|paster?)(=.*)?|-e.*)", re.DOTALL
)
"""Options by which a web server imports from another place, or with another environment."""
_CHANGES_IMPORTS_IN_CONFIG = re.compile(r"^\s*(raw_env|chdir|pythonpath|paste|wsgi_app)\b", re.MULTILINE)
_CHANGING_VARIABLES = ("UVICORN_APP_DIR", "UVICORN_ENV_FILE", "GRANIAN_WORKING_DIR", "GRANIAN_ENV_FILES")


def web_application(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return the application of a command, `module:callable`, `module:factory()` or `module`.

    Empty if it is not known for certain what the web server imports: another web server, a program of another
    environment, or options that change the import path or the environment.
    """
    place = next((at for at, word in enumerate(command) if Path(word).name in _PROGRAMS), None)
    if place is None or not (place == 0 or command[place - 1] == "-m") or not _is_own(command[0]):
        return ""
    program, words = Path(command[place]).name, command[place + 1 :]
    if any(environment.get(variable) for variable in _CHANGING_VARIABLES):
        return ""
    if program == "gunicorn" and not _imports_plainly(words, environment):
        return ""
    if any(map(_CHANGES_IMPORTS.fullmatch, words)):
        return ""
    found = _named(words) or (_module(words) if program == "gunicorn" else "")
    is_factory = "--factory" in words or environment.get(f"{program.upper()}_FACTORY")
    return f"{found}()" if is_factory and ":" in found and not found.endswith("()") else found


def _is_own(program: str) -> bool:
    """Return True if a program is in the environment of this Python, so that it imports the same modules."""
    path = find_command(program)
    return path is not None and Path(path).parent == Path(sys.executable).parent


def _imports_plainly(words: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return True if gunicorn's variable and configuration file do not change what it imports."""
    arguments = shlex.split(environment.get("GUNICORN_CMD_ARGS", ""))
    config = config_of(words) or config_of(arguments) or gunicorn_config.DEFAULT
    if config.startswith("python:") or any(map(_CHANGES_IMPORTS.fullmatch, arguments)):
        return False
    path = Path(config.removeprefix("file:"))
    try:
        return not path.is_file() or not _CHANGES_IMPORTS_IN_CONFIG.search(path.read_text(errors="replace"))
    except OSError:
        return False


def _named(words: Sequence[str]) -> str:
    """Return the word `module:callable`. Empty if there is none or more than one."""
    pairs = pairwise(("", *words))
    found = [word for before, word in pairs if before not in _TAKES_ADDRESS_OR_CLASS and _NAMED.fullmatch(word)]
    return found[0] if len(found) == 1 else ""


def _module(words: Sequence[str]) -> str:
    """Return the module that is the first word, or the last one after a word that is no option."""
    if words and _MODULE_ONLY.fullmatch(words[0]):
        return words[0]
    before, last = ("-", "", *words)[-2:]
    return last if not before.startswith("-") and _MODULE_ONLY.fullmatch(last) else ""
