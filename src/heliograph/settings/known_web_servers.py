"""The web servers whose processes heliograph detects, and the versions that it was tested with."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from heliograph.settings.web_server_command import find_command

TESTED_VERSIONS = {"gunicorn": ("23.0", "27.0"), "uvicorn": ("0.30", "0.54"), "granian": ("2.8", "2.8")}
"""The oldest and the newest version of each web server."""

_RECYCLING = {
    "gunicorn": "--max-requests",
    "uvicorn": "--limit-max-requests",
    "granian": "--workers-max-rss or --workers-lifetime",
}
"""Options of web servers that replace their processes."""
_RUNS_UVICORN = ("fastapi",)
"""Commands that run uvicorn."""
_JOINING = (
    "Its processes join with a middleware of heliograph.contrib or with heliograph.join_server(), unless it runs "
    "gunicorn, uvicorn or granian itself"
)


def remark(command: Sequence[str]) -> str:
    """Return a remark on the web server of a command. Empty if it is known and was tested."""
    names = [Path(word).name for word in command]
    name = next((name for name in names if name in TESTED_VERSIONS), "")
    if not name:
        unknown = not set(names).intersection(_RUNS_UVICORN)
        return f"Unknown web server: {' '.join(command)}. {_JOINING}" if unknown else ""
    oldest, newest = TESTED_VERSIONS[name]
    version = _version(name, command[0])
    if not version or _key(oldest) <= _key(version) <= _key(newest):
        return ""
    return (
        f"heliograph was tested with {name} {oldest} to {newest}, and this is {version}. If its processes do not join, "
        "use a middleware of heliograph.contrib, or a tested version"
    )


def recycling_option(command: Sequence[str]) -> str:
    """Return the option by which a web server replaces its processes. Empty if it is not known."""
    return next((_RECYCLING[name] for word in command if (name := Path(word).name) in _RECYCLING), "")


def _version(name: str, program: str) -> str:
    """Return the version that is installed, or an empty text for a program of another environment."""
    path = find_command(program)
    if path is None or Path(path).parent != Path(sys.executable).parent:
        return ""
    from importlib import metadata  # noqa: PLC0415 - it takes more than a megabyte

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _key(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
