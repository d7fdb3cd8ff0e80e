"""Web servers that reload themselves when files change, as their commands say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

_WITH_FLAG = ("gunicorn", "uvicorn", "granian", "hypercorn")
"""Web servers with the flag `--reload`."""
_ARGUMENTS_ENV = "GUNICORN_CMD_ARGS"
_RELOAD_ENV = {"uvicorn": "UVICORN_RELOAD", "granian": "GRANIAN_RELOAD"}
_DJANGO = ("manage.py", "django-admin", "django")
_RUNSERVER = ("runserver", "runserver_plus")
_OFF = frozenset({"", "0", "false", "no", "off", "n", "f"})


def reloads_itself(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return True if the web server of a command reloads itself when files change."""
    names = [Path(word).name for word in command]
    if not set(_RUNSERVER).isdisjoint(names) and not set(_DJANGO).isdisjoint(names):
        return "--noreload" not in command
    if "flask" in names and "run" in names:
        return _flask_reloads(command, environment)
    if "fastapi" in names:
        return "--reload" in command or ("dev" in command and "--no-reload" not in command)
    name = next((name for name in names if name in _WITH_FLAG), "")
    if name == "gunicorn" and "--reload" in environment.get(_ARGUMENTS_ENV, "").split():
        return True
    return bool(name) and ("--reload" in command or _is_on(environment.get(_RELOAD_ENV.get(name, ""), "")))


def _flask_reloads(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    if "--no-reload" in command or "--reload" in command:
        return "--reload" in command
    if "--no-debug" in command:
        return False
    return "--debug" in command or _is_on(environment.get("FLASK_DEBUG", ""))


def _is_on(value: str) -> bool:
    return value.lower() not in _OFF
