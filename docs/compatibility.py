"""Write the tables of docs/reference/compatibility.md: `python docs/compatibility.py`, a part of `make reference`.

The lower bounds come from pyproject.toml, the Pythons from its classifiers, the versions of web servers from
`known_web_servers`, and SQLite from the store. This file has what those do not say.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heliograph.cli.reference import replaced
from heliograph.settings.known_web_servers import TESTED_VERSIONS
from heliograph.store import schema

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reference/compatibility.md"
BEGIN, END = "<!-- versions: made by `make reference` from docs/compatibility.py -->", "<!-- end of versions -->"


@dataclass(frozen=True, slots=True)
class Software:
    """Something that heliograph works with."""

    name: str
    package: str
    """Name in pyproject.toml, or empty."""
    newest: str
    """Newest version that the tests have passed with. Empty: that of `known_web_servers`."""
    remark: str = ""
    oldest: str = ""
    """Only for what is not in pyproject.toml."""
    tests: str = ""
    """The tests that run with the oldest version."""


OLDEST_SQLITE = "3.37"
ALL, WEB = "all", "web servers, frameworks"
SOFTWARE = (
    Software("Linux", "", "6.18", "`pidfd_open`. Other systems are not supported", oldest="5.3"),
    Software("uWSGI", "pyuwsgi", "2.0.30", "older ones are not tested", tests=ALL),
    Software(
        "gunicorn",
        "gunicorn",
        "",
        "21.2 and 22.0 pass the tests, but have request smuggling faults that 23.0 mends. Use 24 or later with `-k "
        "gthread --max-requests`: 23.0 resets connections when it replaces a worker, also without heliograph",
        tests=WEB,
    ),
    Software("gevent", "", "26.9", "gunicorn's gevent worker needs it", oldest="24.10"),
    Software(
        "uvicorn",
        "uvicorn",
        "",
        "before 0.30, `--workers` does not replace a worker that dies, and SIGHUP does not reload",
        tests=WEB,
    ),
    Software(
        "granian",
        "granian",
        "",
        "2.4, 2.6 and 2.7 often hang at SIGTERM, also without heliograph. 2.2.0 and older are not detected",
        tests=WEB,
    ),
    Software("Django", "django", "6.1", "no support by the Django project for older ones", tests=WEB),
    Software("django-tasks", "django-tasks", "0.12", "for Django 5.2"),
    Software("Flask", "flask", "3.1", "older ones are not tested", tests=WEB),
    Software("FastAPI", "fastapi", "0.165", "0.100 fails with a new pydantic", tests=WEB),
)


def pythons() -> list[str]:
    """Return the Pythons of the classifiers."""
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", text) for text in _project()["classifiers"]]
    return [match[1] for match in found if match]


def oldest(software: Software) -> str:
    """Return the lower bound of pyproject.toml."""
    if not software.package:
        return software.oldest
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [*_project()["optional-dependencies"].values(), *configuration["dependency-groups"].values()]
    for entry in [entry for group in groups for entry in group if isinstance(entry, str)]:
        if match := re.match(rf"{software.package}(?:\[.*\])?>=([\d.]+)", entry):
            return match[1]
    raise LookupError(f"no lower bound in pyproject.toml: {software.package}")


def newest(software: Software) -> str:
    """Return the newest version that was tested."""
    return software.newest or TESTED_VERSIONS[software.package][1]


def tables() -> str:
    """Return the part of the page."""
    return "\n".join([*_versions(), "", *_sqlite()])


def write() -> None:
    """Write the page."""
    PAGE.write_text(replaced(PAGE.read_text(), tables(), BEGIN, END))


def _project() -> dict[str, list[str] | dict[str, list[str]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _versions() -> Iterator[str]:
    yield "| software | oldest | newest tested | tests with the oldest | remarks |"
    yield "| --- | --- | --- | --- | --- |"
    yield f"| Python (CPython) | {pythons()[0]} | {pythons()[-1]} | {ALL} | {', '.join(pythons())} |"
    for row in SOFTWARE:
        yield f"| {row.name} | {oldest(row)} | {newest(row)} | {row.tests or 'none'} | {row.remark} |"


def _sqlite() -> Iterator[str]:
    fixed = [*((*branch, patch) for branch, patch in schema.BACKPORTED.items()), schema.FIXED]
    versions = ", ".join(".".join(map(str, version)) for version in sorted(fixed))
    yield "| SQLite | effect |"
    yield "| --- | --- |"
    yield f"| {OLDEST_SQLITE} | the oldest with tables that are `STRICT`, as those of the tasks |"
    yield f"| without the fix of {versions} | a checkpoint can lose commits. heliograph prevents that |"


if __name__ == "__main__":
    write()
