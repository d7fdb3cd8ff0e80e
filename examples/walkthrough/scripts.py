"""What is shown of each example: a page is asked, a signal goes out, every process has heard of it."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .server import PATIENCE, ROOT, ExampleServer


@dataclass(frozen=True, slots=True)
class Script:
    """An example: how it is started, and what is shown of it. Commands follow Python; PORT is a free port."""

    command: tuple[str, ...]
    show: Callable[[ExampleServer], None]
    prepare: tuple[str, ...] = ()
    """A command that comes before."""
    where: Path = ROOT
    """The directory of both."""


def show_flask(site: ExampleServer) -> None:
    """Prices in both processes; a report by the mule."""
    site.ask("PUT", "/prices/tea/3.5")
    site.until_said("worker1: 1 prices", "worker2: 1 prices")
    site.ask("GET", "/")
    site.ask("POST", "/report")
    site.until("the report", (site.directory / "report.txt").exists)
    site.ask("GET", "/report")


def show_django(site: ExampleServer) -> None:
    """An order, confirmed by the mule, counted by both processes."""
    site.ask("POST", "/orders/tea")
    site.until_said("mule1: 1 confirmed", "worker1: 1 counted", "worker2: 1 counted")
    site.ask("GET", "/")


def show_fastapi(site: ExampleServer) -> None:
    """A change, told to who listens, whichever process it came to."""
    with urllib.request.urlopen(f"{site.address}/changes", timeout=PATIENCE) as changes:  # noqa: S310 - our own
        print(f"GET  /changes         {changes.readline().decode().strip()}")
        site.ask("PUT", "/stock/tea/3")
        print(f"     /changes         {changes.readline().decode().strip()}")
    site.until_said("worker1: told ", "worker2: told ")


_RUN = ("-m", "heliograph", "run", "--mules", "1")
_GUNICORN = ("gunicorn", "-w", "2", "-b", "127.0.0.1:PORT")
_UVICORN = ("uvicorn", "--workers", "2", "--port", "PORT")

SCRIPTS = {
    "flask": Script(
        (*_RUN, "examples.flask_app.tasks", "--", *_GUNICORN, "-k", "gthread", "examples.flask_app.web:app"),
        show_flask,
    ),
    "django": Script(
        ("manage.py", "heliograph", "run", "--mules", "1", "--", *_GUNICORN, "project.wsgi"),
        show_django,
        prepare=("manage.py", "migrate", "-v0"),
        where=ROOT / "examples/django_site",
    ),
    "fastapi": Script(
        (*_RUN, "examples.fastapi_app.tasks", "--", *_UVICORN, "examples.fastapi_app.web:app"),
        show_fastapi,
    ),
}
